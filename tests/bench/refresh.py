"""One refresh: how much CPU, how long, how many requests; with both stores, beside the peers that refresh."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import environments
import timing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import machine
    import peers

BARE = "`python3 -I -S -c pass`"
FILE = "`devicelogin token --force-refresh`, file store"
KEYRING = "`devicelogin token --force-refresh`, keyring store"
EXPIRED = "`devicelogin token` with an expired token, file store"


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured; `requests` are the HTTP requests of one run, by endpoint. `skipped` says why without a keyring."""

    samples: timing.Samples
    requests: dict[str, dict[str, int]]
    skipped: str


def measure(box: machine.Machine, warmed: Sequence[peers.Warmed], rounds: int) -> Result:
    """Measure everything side by side."""
    expired = dataclasses.replace(box.command(EXPIRED, ["token"]), prepare=box.forget_tokens)
    commands = [
        timing.Command(BARE, [environments.bare_interpreter(), "-I", "-S", "-c", "pass"], box.environment),
        box.command(FILE, ["token", "--force-refresh"]),
        expired,
    ]
    bus = box.provider.keyring()
    skipped = "" if bus else "the keyring store was not measured: no gnome-keyring and dbus-daemon here"
    if bus:
        more = {"DBUS_SESSION_BUS_ADDRESS": bus["DBUS_SESSION_BUS_ADDRESS"]}
        box.sign_in(profile="in-keyring", store="keyring", more=more)
        commands.append(box.command(KEYRING, ["token", "--profile", "in-keyring", "--force-refresh"], more=more))
    commands += [peer.refresh for peer in warmed if peer.refresh is not None]
    requests = {command.name: _requests(box, command.output) for command in commands}
    return Result(timing.rounds(commands, rounds), requests, skipped)


def _requests(box: machine.Machine, action: Callable[[], object]) -> dict[str, int]:
    before = box.provider.requests()
    action()
    after = box.provider.requests()
    made = {endpoint: number - before.get(endpoint, 0) for endpoint, number in after.items()}
    return {endpoint: number for endpoint, number in made.items() if number}
