"""The one way in which a request is tried again: how long the pauses are, how many, and what is said when the time is up.

Whatever a server asks for has a floor and a cap here (D21), and time is kept on the boot clock, that of the tries included.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from devicelogin import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.clock import Clock

    Result = TypeVar("Result")

#: What is the shortest pause, and the shortest wish of a server that is taken for one (seconds)?
FLOOR = 1.0

#: What is the longest pause that a server may ask for, and the longest of our own (seconds)?
CAP, LONGEST = 3600.0, 20.0

#: How often is one thing tried again, whatever time is left?
TRIES = 10


def pause(asked: float | None, failures: int, *, shortest: float = FLOOR, longest: float = LONGEST) -> float:
    """Return the seconds to wait after `failures` failures, of which the last came with a wish to wait `asked` seconds.

    `shortest` doubles with every failure, up to `longest`. What a server asks for comes first, unless it is less than a
    second, which would only keep the server busy.
    """
    if asked is not None and asked >= FLOOR:
        return max(min(asked, CAP), shortest)
    doubled = shortest * 2.0 ** max(0, min(failures, 6))
    # Jitter, downwards: a fleet of boards that lost the same network does not come back in step.
    jittered = min(doubled, max(longest, shortest)) * random.uniform(0.9, 1.0)  # noqa: S311 - no secret
    return max(shortest, jittered)


def asked_by(error: errors.DeviceLoginError) -> float | None:
    """Return the seconds that the server asked for when it answered with `error`, None where it did not."""
    return error.retry_after if isinstance(error, errors.TryLaterError) else None


class Patience:
    """At most `seconds` from now, on the boot clock of `timer`, and at most `tries` pauses in them."""

    def __init__(self, seconds: float, timer: Clock, *, tries: int = TRIES) -> None:
        self._timer = timer
        self._end = timer.boot() + seconds
        self._tries = tries
        #: How often was waited so far?
        self.failures = 0

    def remaining(self) -> float:
        """Return the seconds left, 0 when there are none."""
        return max(0.0, self._end - self._timer.boot())

    def granted(self, asked: float | None) -> float | None:
        """Return the seconds to wait before the next try, None where there is no time or no try for it."""
        seconds = pause(asked, self.failures)
        if self.failures >= self._tries or seconds > self.remaining():
            return None
        self.failures += 1
        return seconds

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`."""
        self._timer.sleep(seconds)


def call(
    work: Callable[[], Result],
    patience: Patience,
    *,
    passes: Callable[[errors.TryLaterError], bool],
    told: Callable[[errors.TryLaterError, float], None] = lambda *_: None,
) -> Result:
    """Return what `work` returns; while it raises what `passes`, wait as long as `patience` allows and try again.

    `told` hears of every failure that is followed by a pause, and how long that is (seconds). When the time is up, the last
    error in which a server said something is raised, not the silence after it (D21).
    """
    reason: errors.TryLaterError | None = None
    while True:
        try:
            return work()
        except errors.TryLaterError as error:
            if not passes(error):
                raise
            if reason is None or error.detail is not None:
                reason = error
            seconds = patience.granted(asked_by(error))
            if seconds is None:
                raise reason from None
            told(error, seconds)
        patience.sleep(seconds)
