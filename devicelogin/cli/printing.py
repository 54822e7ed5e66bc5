"""One access token on stdout: what `devicelogin token` does once its options are read.

The entry point calls `run` for the plain forms of the command, which it reads by itself: that saves the import of all that
can read the others, a tenth of a refresh.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin import address_space, core_dumps, errors
from devicelogin.cli import ending, output, telling, unlocking, waiting
from devicelogin.cli.invocation import Invocation
from devicelogin.settings import shapes
from devicelogin.terminal import messages
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from devicelogin import clock, models
    from devicelogin.tokens import turn as turns


@dataclass(slots=True)
class Wanted:
    """The options of `token`; `min_valid` in seconds, `shape` is `raw` or `header`."""

    scopes: tuple[str, ...] = ()
    min_valid: int | None = None
    force_refresh: bool = False
    shape: str = "raw"
    as_json: bool = False
    output_file: str | None = None


def run(given: Mapping[str, Sequence[str]], turn: turns.Turn | None) -> int:
    """Print a token as `given` says, the options by name, and return the exit code. `turn`: as for `main.run`."""
    minimum = given.get("min_valid", ())
    wanted = Wanted(
        scopes=tuple(given.get("scope", ())),
        min_valid=int(minimum[-1]) if minimum else None,
        force_refresh="force" in given,
        shape=given.get("format", ("raw",))[-1],
    )
    invocation = Invocation(profile=given.get("profile", (None,))[-1], turn=turn)

    seconds = int(given.get("clock_seconds", ("0",))[-1])

    def act() -> None:
        core_dumps.forbid()
        address_space.require()
        print_token(invocation, wanted, waiting.clock_wait(invocation, seconds))

    return ending.run(invocation, act)


def print_token(invocation: Invocation, wanted: Wanted, clock_wait: clock.ClockWait) -> None:
    """Print a token, or write it to a file; `clock_wait` may wait for the clock before the network is asked."""
    work = invocation.workplace({"min_valid": wanted.min_valid})
    wish = silent.Wish(scopes=_checked(wanted.scopes), force=wanted.force_refresh)
    tokens = work.silent_tokens(invocation.turn)

    def ask() -> models.AccessToken:
        with waiting.said(waiting.FOR_A_TOKEN, invocation):
            return clock_wait.call(lambda: tokens.access_token(wish))

    if clock_wait.is_needed() and not tokens.is_cached(wish):
        clock_wait.until_plausible()
    with telling.if_login_is_needed(work):
        token = unlocking.with_passphrase(invocation, work, ask)
    for warning in token.warnings:
        output.say(messages.warning_line(warning))
    content = _content(token, wanted)
    if wanted.output_file is not None:
        from devicelogin.client import leftovers

        with leftovers.noted(work.paths, wanted.output_file):
            output.write_file(wanted.output_file, content.encode())
        return
    output.write(content)
    if sys.stdout.isatty() and not invocation.quiet:  # below the token, where a person looks last
        output.say("devicelogin: note: the token now stands in the scrollback of this terminal")


def _checked(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of `--scope` options. Raises UsageError where one is none."""
    try:
        return shapes.scopes(scopes, is_oidc=False) if scopes else ()
    except shapes.BadValueError as bad:
        raise errors.UsageError(f"cannot use the scopes of --scope: {bad.why}", hint=bad.hint) from None


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _content(token: models.AccessToken, wanted: Wanted) -> str:
    if wanted.as_json:
        fields = {
            "format_version": 1,
            "access_token": token.token,
            "token_type": token.token_type,
            "expires_at": _moment(token.expires_at),
            "expires_at_local": None if token.expires_at_local is None else _moment(token.expires_at_local),
            "expires_on": int(token.expires_at.timestamp()),
            "expires_in": token.expires_in,
            "scopes": list(token.scopes),
        }
        return json.dumps(fields) + "\n"
    return (f"Authorization: {token.token_type} {token.token}" if wanted.shape == "header" else token.token) + "\n"
