"""An Entra ID, an OpenID provider and a small Microsoft Graph on loopback HTTPS, for tests and for `devicelogin demo`.

    from devicelogin.emulator import Emulator

    with Emulator() as emulator:
        ...  # sign in at emulator.authority, trusting emulator.ca_file

It imports no other room of this package, so that the program is never tested against its own ideas. What it does, and
what it was taught from, stands in `docs/emulator.md`.
"""

from __future__ import annotations

from devicelogin.emulator.behaviour import Behaviour, IdTokenFault
from devicelogin.emulator.clock import MovableClock
from devicelogin.emulator.directory import Client, Resource, User
from devicelogin.emulator.emulator import Emulator
from devicelogin.emulator.faults import Fault
from devicelogin.emulator.messages import MISSING, Request

__all__ = [
    "MISSING",
    "Behaviour",
    "Client",
    "Emulator",
    "Fault",
    "IdTokenFault",
    "MovableClock",
    "Request",
    "Resource",
    "User",
]
