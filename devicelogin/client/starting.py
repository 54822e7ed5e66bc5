"""What comes before there is a code to show: tried again where a server stumbles, for as long as somebody waits gladly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from devicelogin import clock, errors, http_session, retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.client import observing

    Result = TypeVar("Result")

#: How long is it tried again, all in all (seconds)? Somebody looks at an empty screen.
_SECONDS = 30.0


class Start:
    """Makes the requests of one start; the observer hears of each that is made again."""

    def __init__(self, observer: observing.Observer, timer: clock.Clock) -> None:
        self._observer = observer
        self._timer = timer
        self._whole = retry.Patience(_SECONDS, timer)

    def request(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns. Raises what it raises for good, or still when the time is up."""
        patience = retry.Patience(self._whole.remaining(), self._timer)
        return retry.call(work, patience, passes=_is_stumble, told=self._told)

    def _told(self, error: errors.TryLaterError, seconds: float) -> None:
        self._observer.note(f"{error.message}; trying again in {math.ceil(seconds)} s")


def _is_stumble(error: errors.TryLaterError) -> bool:
    """Tell whether a server was reached and may answer better the next time.

    A network that is not there is said at once, and so is a clock that is not set: whoever wants to wait for it says so.
    """
    if error.code == clock.WRONG:
        return False
    return not isinstance(error, http_session.NoAnswerError) or error.request_may_have_arrived
