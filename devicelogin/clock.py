"""The two clocks: wall time, which may jump, and boot time, which may not.

A board without a clock battery starts in 1970 and jumps to today when it reaches a time server, often in the middle of a
sign-in. Whatever measures a duration therefore asks the boot clock, which also runs while the machine sleeps.
"""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    # Importing typing costs as much as the whole warm path may; at run time a protocol is only a name.
    Protocol = object


class Clock(Protocol):
    """What a waiting loop needs to know about time; handed in, so that a test can wait hours in no time."""

    def wall(self) -> float:
        """Return seconds since 1970 as this machine believes them to be."""

    def boot(self) -> float:
        """Return seconds since this machine was started, sleep included."""

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""


class SystemClock:
    """The machine's own clocks."""

    def wall(self) -> float:
        """Return seconds since 1970 as this machine believes them to be."""
        return time.time()

    def boot(self) -> float:
        """Return seconds since this machine was started, sleep included where the system can tell (Linux)."""
        return boot_seconds()

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""
        # Not time.sleep: under libfaketime, by which the jump of a clock is tried, it fails with EINVAL.
        threading.Event().wait(seconds)


def boot_seconds() -> float:
    """Return seconds on the boot clock; where there is none (macOS, Windows) the monotonic one."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic()


class Deadline:
    """A moment on the boot clock by which something must have ended.

    Whoever starts a step asks `remaining()` and never waits longer; deadlines nest with `at_most`.
    """

    def __init__(self, seconds: float) -> None:
        self._end = boot_seconds() + seconds

    def remaining(self) -> float:
        """Return the seconds left, 0 when there are none."""
        return max(0.0, self._end - boot_seconds())

    def passed(self) -> bool:
        """Tell whether the time is over."""
        return self.remaining() <= 0

    def at_most(self, seconds: float) -> Deadline:
        """Return a deadline `seconds` from now, or this one where it comes first."""
        return Deadline(min(seconds, self.remaining()))
