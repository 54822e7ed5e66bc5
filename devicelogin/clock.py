"""The two clocks: wall time, which may jump, and boot time, which may not.

A board without a clock battery starts in 1970 and jumps to today when it reaches a time server, often in the middle of a
sign-in. Whatever measures a duration therefore asks the boot clock, which also runs while the machine sleeps. Who starts
before the time server has answered can wait for it: class ClockWait.
"""

from __future__ import annotations

import threading
import time

from devicelogin import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeVar

    Result = TypeVar("Result")
else:
    # Importing typing costs as much as the whole warm path may; at run time a protocol is only a name.
    Protocol = object

#: Before which moment can no clock be right (seconds since 1970)? The year of this release: 2026-01-01.
EARLIEST = 1_767_225_600.0

#: What is the `code` of the error that a server's certificate does not fit this machine's clock?
WRONG = "clock_wrong"

#: How far must the wall clock leave the boot clock to have been set (seconds)? A time server's small corrections are less.
JUMP = 30.0

#: How often is the clock looked at while it is waited for (seconds)?
_LOOK = 0.5


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


def is_plausible(wall: float) -> bool:
    """Tell whether a clock that says `wall` (seconds since 1970) can be right: not from before this release was written."""
    return wall >= EARLIEST


class ClockWait:
    """Waits at most `seconds`, all in all, until the wall clock has been set.

    Two things say that it is not: a moment from before this release, and a server whose certificate is not valid by it. A
    board that keeps its last moment over a power cut is only found out by the second.
    """

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._end = self._clock.boot() + seconds

    def is_needed(self) -> bool:
        """Tell whether the clock cannot be right and there is time to wait for it."""
        return not is_plausible(self._clock.wall()) and self._left() > 0

    def until_plausible(self) -> None:
        """Wait until the clock can be right, or the time is over."""
        while self.is_needed():
            self._pause()

    def call(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns; where it raises that the clock is wrong, wait until the clock jumps and try again.

        `work` must have sent nothing when it raises so, as is the case with a certificate that is refused.
        """
        while True:
            offset = self._offset()
            try:
                return work()
            except errors.TryLaterError as error:
                if error.code != WRONG or not self._jumps(offset):
                    raise

    def _jumps(self, offset: float) -> bool:
        """Wait until the clock no longer has its `offset` from the boot clock; tell whether that came in time."""
        while abs(self._offset() - offset) < JUMP:
            if self._left() <= 0:
                return False
            self._pause()
        return True

    def _offset(self) -> float:
        return self._clock.wall() - self._clock.boot()

    def _left(self) -> float:
        return self._end - self._clock.boot()

    def _pause(self) -> None:
        self._clock.sleep(max(0.0, min(_LOOK, self._left())))
