"""The commands that need no network: a token that is still good, beside empty programs and beside peers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import environments
import machine
import timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peers

BARE = "`python3 -I -S -c pass`"
EMPTY = "empty console script"
EMPTY_MODULE = "`python -m` of an empty package"
PLAIN = "`devicelogin token`"
PROFILE = "`devicelogin token --profile`"
SCOPE = "`devicelogin token --scope`"
MODULE = "`python -m devicelogin token`"
VERSION = "`devicelogin --version`"
HELP = "`devicelogin --help`"
STATUS = "`devicelogin status`"

#: Which commands are held to have made no request?
SILENT = (PLAIN, PROFILE, SCOPE, MODULE, VERSION, HELP, STATUS)


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured; `memory` is the peak in MB and `requests` the number of HTTP requests of one run."""

    samples: timing.Samples
    memory: dict[str, float]
    requests: dict[str, int | None]
    without_network: bool | None


def measure(box: machine.Machine, warmed: Sequence[peers.Warmed], rounds: int) -> Result:
    """Measure everything side by side."""
    ours = [
        timing.Command(BARE, [environments.bare_interpreter(), "-I", "-S", "-c", "pass"], box.environment),
        timing.Command(EMPTY, [box.installed.program("empty")], box.environment),
        timing.Command(EMPTY_MODULE, [box.installed.python, "-m", "empty_program"], box.environment, str(box.home)),
        box.command(PLAIN, ["token"]),
        box.command(PROFILE, ["token", "--profile", "default"]),
        box.command(SCOPE, ["token", "--scope", machine.SCOPE]),
        box.command(MODULE, ["token"], module=True),
        box.command(VERSION, ["--version"]),
        box.command(HELP, ["--help"]),
        box.command(STATUS, ["status"]),
    ]
    commands = [*ours, *(peer.token for peer in warmed)]
    uncounted = {peer.token.name for peer in warmed if not peer.is_counted}
    requests: dict[str, int | None] = {}
    for command in commands:
        before = sum(box.provider.requests().values())
        command.output()
        made = sum(box.provider.requests().values()) - before
        requests[command.name] = None if command.name in uncounted else made
    memory = {command.name: timing.peak_memory(command) for command in commands}
    return Result(timing.rounds(commands, rounds), memory, requests, _works_without_network(box))


def _works_without_network(box: machine.Machine) -> bool | None:
    """Tell whether a token is printed where there is no network at all; None where that cannot be tried."""
    command = box.command("token without a network", ["token"])
    wanted = command.output()
    for unshare in (["unshare", "-n"], ["unshare", "-rn"]):
        try:
            timing.Command("unshare", [*unshare, "true"], box.environment).output()
        except (timing.BenchmarkError, OSError):
            continue
        try:
            return dataclasses.replace(command, arguments=[*unshare, *command.arguments]).output() == wanted
        except timing.BenchmarkError:
            return False
    return None
