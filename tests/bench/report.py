"""The tables of a run, as Markdown."""

from __future__ import annotations

import datetime as dt
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import goals
import peers
import refresh
import sign_in
import timing
import warm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import fleet
    import growth

INTRODUCTION = """# How fast it is

`devicelogin token` answers from memory in little more than the time that Python itself needs to start, and goes to the
network only to refresh. This page says how it was measured and what came out, also where a promise was not kept.

It is written by `tests/bench/run --peers all --write`; do not edit it.
"""

METHOD = """## Method

Whole processes are measured from outside: user and system CPU with `wait4`, children included, and the wall clock. In every
round each command runs once, and each round begins with another one, so that a busy moment meets all of them. Milliseconds
are medians; a ratio is the median of the ratios within the rounds, and in brackets stands where the middle half of them
lies. Compare ratios: milliseconds are those of one machine.

Everything is installed by the same current `pip`, each peer in a virtual environment of its own made with `--upgrade-deps`
(the script that pip 23 writes imports `re` and costs half as much again as Python's start). The empty console script and the
empty package do nothing; they show what a start and an orderly end of Python cost. `token` may come out below them, because
it ends the process without taking the interpreter apart. The identity provider is `devicelogin.emulator` on this machine over
TLS, so there is no network delay in these figures: on a real line every request adds round trips.

Every peer is signed in there first and then asked for a token that is still good; instance discovery at Microsoft is turned
off where the peer makes one. `gh` prints the token of its own file, and `keyring get` one from gnome-keyring. Peak memory is
that of the largest process. Disk caches are warm.

The way to a code: everything until the code is on a terminal of 40 lines and 100 columns, with a secret written to the
store and read back, in a process of its own where that is a keyring; then the process is killed. The recipe prints one
line and has no store.

Processes at once: the token has expired, the token endpoint takes 0.1 s. *Lenient*: a used refresh token stays good, as
Entra has it. *Strict*: it is good once, and a second use revokes the sign-in. *Barrier*: all are released together;
*natural*: one is started after the other. The slowest is counted from the release, or from its own start, to its end, so the
start of Python on busy cores is in it.
"""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def machine_line(count: int, versions: Sequence[str], loads: Sequence[float]) -> str:
    """Return when, where and with what this was measured."""
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    what = f"{_processor()}, {os.cpu_count()} cores, {_system()}, Python {platform.python_version()}; {count} rounds"
    lines = [
        f"Measured on {today}: {what}. Load average at the beginning and at the end: {loads[0]:.1f} and {loads[-1]:.1f}.",
        "",
        "Versions: " + "; ".join(versions) + ".",
    ]
    if loads[0] > 1:
        lines += ["", "The machine was busy with other work; ratios bear that, milliseconds do not."]
    return "\n".join(lines) + "\n"


def goals_section(found: Sequence[goals.Goal]) -> str:
    """Return the promises."""
    answers = {True: "yes", False: "**no**", None: "-"}
    rows = [(goal.promise, goal.limit, goal.measured, answers[goal.kept]) for goal in found]
    return "## Promises\n\n" + table(["promise", "limit", "measured", "kept"], rows)


def warm_section(result: warm.Result) -> str:
    """Return the table of commands that need no network."""
    rows = []
    for name in sorted(result.samples, key=lambda name: timing.median(result.samples, name)):
        made = result.requests[name]
        rows.append(
            (
                name,
                f"{timing.median(result.samples, name):.1f}",
                f"{timing.median(result.samples, name, 'wall'):.1f}",
                f"{timing.ratio(result.samples, name, warm.BARE):.2f}",
                f"{timing.ratio(result.samples, name, warm.EMPTY):.2f}",
                f"{result.memory[name]:.1f}",
                "-" if made is None else str(made),
            )
        )
    heads = ["command", "CPU ms", "wall ms", "CPU x bare Python", "CPU x empty script", "memory MB", "HTTP requests"]
    return "## A token that is still good\n\n" + table(heads, rows)


def refresh_section(result: refresh.Result) -> str:
    """Return the table of refreshes."""
    msal = f"{peers.MSAL}, refresh"
    rows = []
    for name in sorted(result.samples, key=lambda name: timing.median(result.samples, name)):
        rows.append(
            (
                name,
                f"{timing.median(result.samples, name):.0f}",
                f"{timing.median(result.samples, name, 'wall'):.0f}",
                f"{timing.ratio(result.samples, name, refresh.BARE):.1f}",
                f"{timing.ratio(result.samples, name, msal):.2f}" if msal in result.samples else "-",
                goals.describe(result.requests[name]),
            )
        )
    heads = ["command", "CPU ms", "wall ms", "CPU x bare Python", "CPU x MSAL recipe", "HTTP requests"]
    remark = f"\n{result.skipped}\n" if result.skipped else ""
    return "## A refresh\n\n" + table(heads, rows) + remark


def sign_in_section(result: sign_in.Result) -> str:
    """Return the table of the way to a code."""
    rows = [
        (
            name,
            f"{timing.median(result.samples, name):.0f}",
            f"{timing.median(result.samples, name, 'wall'):.0f}",
            f"{timing.ratio(result.samples, name, sign_in.MSAL):.2f}",
        )
        for name in sorted(result.samples, key=lambda name: timing.median(result.samples, name))
    ]
    remark = f"\n{result.skipped}\n" if result.skipped else ""
    return "## The way to a code\n\n" + table(["command", "CPU ms", "wall ms", "CPU x MSAL recipe"], rows) + remark


def fleet_section(trials: Sequence[fleet.Trial]) -> str:
    """Return the table of processes at once."""
    names = {"entra": "lenient", "strict": "strict"}
    rows = [
        (
            str(trial.size),
            names[trial.mode],
            trial.start,
            str(trial.refreshes),
            str(trial.failures),
            f"{trial.slowest:.2f}",
            "yes" if trial.is_signed_in else "**no**",
        )
        for trial in trials
    ]
    heads = ["processes", "refresh tokens", "start", "refreshes", "failures", "slowest s", "still signed in"]
    return "## Processes at once\n\n" + table(heads, rows)


def growth_section(rows: Sequence[growth.Row]) -> str:
    """Return the table of many profiles."""
    cells = [
        (
            f"{row.profiles:,}",
            f"{row.cpu:.1f}",
            f"{row.ratio:.2f}",
            f"{row.status_cpu:.0f}",
            f"{row.status_wall:.0f}",
            str(row.touched),
        )
        for row in rows
    ]
    heads = ["profiles", "token CPU ms", "x one", "status CPU ms", "status wall ms", "foreign files a refresh touched"]
    return "## Many profiles, with ten scope sets each\n\n" + table(heads, cells)


def missing_section(missing: dict[str, str]) -> str:
    """Return the peers that could not be measured, with the reasons."""
    rows = [(name, reason.replace("|", "/")) for name, reason in sorted(missing.items())]
    return "## Peers that could not be measured here\n\n" + table(["peer", "reason"], rows)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    names = platform.freedesktop_os_release()
    return f"{names['PRETTY_NAME']}, Linux {platform.release()}"
