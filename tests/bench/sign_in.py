"""From the start of a sign-in to the code on the screen, the trial of the secret store included."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import environments
import timing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import machine

MSAL = "MSAL, recipe of its documentation, to its message"
FILE = "`devicelogin login` to the code, file store"
KEYRING = "`devicelogin login` to the code, keyring store"

_PROGRAM = environments.CHECKOUT / "tests" / "bench" / "peer_programs" / "msal_message.py"
#: What the recipe says before the code, in the same line; and what stands last on our screen.
_MESSAGE, _CODE = "enter the code", "this machine."


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured. `skipped` says why without a keyring, or without the recipe."""

    samples: timing.Samples
    skipped: str


def measure(box: machine.Machine, cache: Path, rounds: int) -> Result:
    """Measure everything side by side, on a terminal; every one of these sign-ins is killed when its code is there."""
    facts = box.provider.facts
    installed = environments.peer(cache, "msal", "msal")
    environment = {**box.environment, "TERM": "xterm-256color"}
    recipe = [installed.python, str(_PROGRAM), facts["authority"], facts["client_id"], facts["ca_file"]]

    def login(name: str, store: str, **more: str) -> timing.Command:
        options = ["login", "--profile", f"unfinished-{store}", "--store", store, *_options(facts)]
        return dataclasses.replace(box.command(name, options, more={**environment, **more}), until=_CODE)

    commands: list[timing.Command] = [timing.Command(MSAL, recipe, environment, until=_MESSAGE), login(FILE, "file")]
    bus = box.provider.keyring()
    if bus:
        commands.append(login(KEYRING, "keyring", DBUS_SESSION_BUS_ADDRESS=bus["DBUS_SESSION_BUS_ADDRESS"]))
    skipped = "" if bus else "the keyring store was not measured: no gnome-keyring and dbus-daemon here"
    return Result(timing.rounds(commands, rounds), skipped)


def _options(facts: dict[str, str]) -> Sequence[str]:
    return [
        *("--client-id", facts["client_id"], "--authority", facts["authority"]),
        *("--graph-root", facts["graph_root"], "--ca-file", facts["ca_file"]),
    ]
