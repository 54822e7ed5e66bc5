"""Commands of the owner's that are run when something has happened: what they are told, and how they ended (D13).

A command is an argument list and meets no shell. It learns the facts from variables, so that nothing that a server or an
account's name says is ever part of a command line; none of them is a secret that this program keeps.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from devicelogin import child_process, models, redaction, user_session

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How long may a command of the owner's take (seconds)? It sends a message or lights a display; then it is stopped.
SECONDS = 60.0

#: How long may one fact be (characters)? Accounts, hosts and addresses are shorter.
_LONGEST = 2000


@models.record
class Facts:
    """What a command is told; each stands in the variable of its name behind `DEVICELOGIN_`, a missing one in none.

    `event` is `code` or `login_needed`. `expires_at` is a moment in UTC, as in 2026-11-21T12:00:00Z.
    """

    event: str
    profile: str
    reason: str
    code: str | None = None
    uri: str | None = None
    expires_at: str | None = None
    qr_file: str | None = None

    def variables(self) -> dict[str, str]:
        """Return the variables; what came from a server or a file can steer no terminal."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {_variable(name): redaction.printable(value, limit=_LONGEST) for name, value in given.items()}


_VARIABLES = frozenset(f"DEVICELOGIN_{field.name.upper()}" for field in fields(Facts))


@models.short_record
class Ending:
    """How a command ended: `problem` in words, None where it ended with 0; `said` is what it wrote, made printable."""

    problem: str | None
    said: str = ""


def run(command: Sequence[str], variables: dict[str, str], *, seconds: float = SECONDS) -> Ending:
    """Run `command` with `variables` beside our own environment, and wait for it. Never raises for what it does."""
    program = redaction.printable(command[0], limit=200)
    kept = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    try:
        outcome = child_process.run(command, deadline_seconds=seconds, environment={**kept, **variables})
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no program can be given that"
        return Ending(f"{program} could not be started: {reason}")
    said = (outcome.output + b" " + outcome.diagnostics).decode("utf-8", "replace")
    return Ending(_problem(program, outcome.status, seconds), redaction.printable(said, limit=_LONGEST))


def _problem(program: str, status: int | None, seconds: float) -> str | None:
    if status is None:
        return f"{program} did not end within {seconds:g} s and was stopped"
    if status < 0:
        return f"{program} was ended by signal {-status}"
    return f"{program} ended with {status}" if status else None


def this_machine() -> str:
    """Return host and user in words, for a message to somebody elsewhere."""
    return f"{platform.node() or 'a machine without a name'}, user {user_session.user_name()}"


def _variable(name: str) -> str:
    return f"DEVICELOGIN_{name.upper()}"
