"""Errors and warnings as lines for a person: what could not be done, one next step, the server's code.

Imports nothing heavy: a failing `token` in a cron job writes its three lines through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin import redaction

if TYPE_CHECKING:
    from devicelogin import errors

#: How long may one line get? A hint may hold a whole command with a client id and scopes.
_LONGEST = 1000


def error_lines(error: errors.DeviceLoginError, program: str = "devicelogin") -> list[str]:
    """Return the lines for stderr: `error:`, then `hint:` and `detail:` where there is one."""
    lines = [_line(program, "error", error.message)]
    if error.hint:
        lines.append(_line(program, "hint", error.hint))
    details = [error.detail] if error.detail else []
    if error.correlation_id and error.correlation_id not in (error.detail or ""):
        details.append(f"correlation_id {error.correlation_id}")
    if details:
        lines.append(_line(program, "detail", ", ".join(details)))
    return lines


def warning_line(text: str, program: str = "devicelogin") -> str:
    """Return the line for stderr that warns of `text`."""
    return _line(program, "warning", text)


def _line(program: str, kind: str, text: str) -> str:
    return f"{program}: {kind}: {redaction.printable(text, limit=_LONGEST)}"
