"""The benchmark's command line; `tests/bench/run` calls it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

import environments
import fleet
import goals
import growth
import machine
import peers
import provider
import refresh
import report
import sign_in
import timing
import warm

_PARTS = ("warm", "refresh", "sign-in", "fleet", "growth")
_PAGE = environments.CHECKOUT / "docs" / "performance.md"


def main() -> int:
    """Measure, print the tables, and return 0 if every promise that was measured was kept."""
    options = _options()
    names = {"none": [], "all": list(peers.KNOWN)}.get(options.peers, options.peers.split(","))
    try:
        text, kept = _run(options, names)
    except timing.BenchmarkError as error:
        print(f"tests/bench/run: {error}", file=sys.stderr)
        return 2
    print(text)
    if options.write:
        _PAGE.write_text(text)
    return 0 if kept else 1


def _run(options: argparse.Namespace, names: list[str]) -> tuple[str, bool]:
    loads = [os.getloadavg()[0]]
    stage = environments.stage(options.cache)
    installed = environments.subject(options.cache)
    found: list[goals.Goal] = []
    sections: list[str] = []
    with contextlib.ExitStack() as until_end:
        running = until_end.enter_context(provider.started(stage))
        box = until_end.enter_context(machine.made(installed, running))
        box.sign_in()
        _say(f"warming peers: {', '.join(names) or 'none'}")
        warmed, missing = peers.warm(peers.Place(options.cache, box, until_end), names)
        missing |= dict.fromkeys(set(peers.KNOWN) - set(names), "not chosen in this run (`--peers`)")
        if "warm" in options.only:
            _say("measuring: a token that is still good")
            result = warm.measure(box, warmed, options.rounds)
            found += goals.of_warm(result)
            sections.append(report.warm_section(result))
        if "refresh" in options.only:
            _say("measuring: a refresh")
            refreshed = refresh.measure(box, warmed, options.rounds)
            found += goals.of_refresh(refreshed)
            sections.append(report.refresh_section(refreshed))
        if "sign-in" in options.only:
            _say("measuring: the way to a code")
            begun = sign_in.measure(box, options.cache, options.rounds)
            found += goals.of_sign_in(begun)
            sections.append(report.sign_in_section(begun))
        if "fleet" in options.only:
            _say("measuring: processes at once")
            trials = fleet.measure(box, options.processes)
            found += goals.of_fleet(trials)
            sections.append(report.fleet_section(trials))
        if "growth" in options.only:
            _say("measuring: many profiles")
            rows = growth.measure(installed, running, options.profiles, options.rounds)
            found += goals.of_growth(rows)
            sections.append(report.growth_section(rows))
        versions = [f"devicelogin {installed.version('devicelogin')}", f"pip {installed.version('pip')}"]
        versions += [peer.version for peer in warmed]
    loads.append(os.getloadavg()[0])
    if missing:
        sections.append(report.missing_section(missing))
    head = [report.INTRODUCTION, report.machine_line(options.rounds, versions, loads)]
    text = "\n".join([*head, report.goals_section(found), report.METHOD, *sections])
    return text, all(goal.kept is not False for goal in found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="Measure devicelogin beside its peers.")
    known = ", ".join(peers.KNOWN)
    parser.add_argument("--peers", default="msal", metavar="NAMES", help=f"all, none, or some of: {known} (msal)")
    parser.add_argument("--only", type=_words(_PARTS), default=_PARTS, metavar="PARTS", help=", ".join(_PARTS))
    parser.add_argument("--rounds", type=int, default=15, help="how often every command runs (15)")
    parser.add_argument(
        "--processes", type=_numbers, default=[50, 200], metavar="N,N", help="how many at once (50,200)"
    )
    parser.add_argument(
        "--profiles", type=_numbers, default=[1, 10, 100, 1000], metavar="N,N", help="how many profiles (1,10,100,1000)"
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md as well")
    parser.add_argument(
        "--cache", type=Path, default=environments.cache_directory(), help="where environments are kept"
    )
    options = parser.parse_args()
    unknown = set(options.peers.split(",")) - {"none", "all", *peers.KNOWN}
    if options.write and set(options.only) != set(_PARTS):
        parser.error("--write is for a whole run, without --only")
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    return options


def _words(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        words = text.split(",")
        if not set(words) <= set(known):
            raise argparse.ArgumentTypeError(f"choose from {', '.join(known)}")
        return words

    return parse


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
