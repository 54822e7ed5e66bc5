"""What `--wait-for-clock` waits with, and the words to a person who wonders why nothing happens."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from devicelogin import clock
from devicelogin.cli import output
from devicelogin.cli.invocation import is_terminal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from devicelogin.cli.invocation import Invocation

#: What is waited for where a token is not at hand?
FOR_A_TOKEN = "getting a token from the identity provider; it takes 75 seconds at most"


def clock_wait(invocation: Invocation, seconds: int) -> clock.ClockWait:
    """Return what waits for the clock, `seconds` at most from now on."""
    wait = clock.ClockWait(seconds)
    if wait.is_needed() and not invocation.quiet and is_terminal(sys.stderr):
        output.say(f"devicelogin: note: this machine's clock is not set; it is waited for, {seconds} seconds at most")
    return wait


def said(text: str, invocation: Invocation | None = None) -> AbstractContextManager[None]:
    """Return what says `text` while its block takes longer than a second, to a person at a terminal who wants to know.

    The line is gone at the end of the block, and before anything else is written. With `-v` the log says more.
    """
    if not is_terminal(sys.stderr) or (invocation is not None and (invocation.quiet or invocation.verbose)):
        return contextlib.nullcontext()
    from devicelogin.cli import passing

    return passing.said(text)


def with_keyring(text: str, invocation: Invocation) -> str:
    """Return `text`, and where the keyring may ask for its password, that somebody has to answer."""
    return f"{text}; if the keyring opens a window, answer it" if invocation.is_at_display() else text
