"""What `--wait-for-clock` waits with, and the word to a person who wonders why nothing happens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from devicelogin import clock
from devicelogin.cli import output
from devicelogin.cli.invocation import is_terminal

if TYPE_CHECKING:
    from devicelogin.cli.invocation import Invocation


def clock_wait(invocation: Invocation, seconds: int) -> clock.ClockWait:
    """Return what waits for the clock, `seconds` at most from now on."""
    wait = clock.ClockWait(seconds)
    if wait.is_needed() and not invocation.quiet and is_terminal(sys.stderr):
        output.say(f"devicelogin: note: this machine's clock is not set; it is waited for, {seconds} seconds at most")
    return wait
