"""The wait for a person with a phone (RFC 8628 section 3.5): polite to the server, stubborn about the network.

The invariant: until the code expires, nothing but a final answer of the token endpoint ends the wait. Connections that
fail, servers that are down, captive portals and a wall clock that jumps do not. Time is kept on the boot clock (D1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from devicelogin import errors, explain, http_session, models, msal_client, retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.clock import Clock

#: How long do we wait at most between two tries while the network is in trouble (seconds)?
LONGEST_BACK_OFF = 30.0

#: How long before the code expires is the last try made, so that its answer still comes in time (seconds)?
LAST_TRY = 3.0

#: How often is the observer told how much time is left (seconds)?
_TICK = 1.0


#: How soon after one code is the next one requested at the earliest (seconds), where the server disowned the one before
#: its time? A server that knows none of its codes is not asked for one after the other.
_BETWEEN_CODES = 60.0


class Observer(Protocol):
    """Who is told how the wait goes; a terminal, an event stream, or nobody."""

    def waiting(self, seconds_left: float) -> None:
        """Be told about once a second how many seconds the code is still good."""

    def trouble(self, message: str) -> None:
        """Be told that the server cannot be asked at the moment."""

    def recovered(self) -> None:
        """Be told that the server answers again."""


class Silence:
    """The observer that says nothing."""

    def waiting(self, seconds_left: float) -> None:
        """Say nothing."""

    def trouble(self, message: str) -> None:
        """Say nothing."""

    def recovered(self) -> None:
        """Say nothing."""


class Wait:
    """One wait for one code; `remaining()` is asked again by whatever has to follow before the code expires."""

    def __init__(
        self, authorization: models.DeviceAuthorization, *, clock: Clock, observer: Observer, profile: str
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._profile = profile
        self._interval = float(authorization.interval)
        began = clock.boot()
        self._end = began + authorization.expires_in
        self._next_code = began + max(self._interval, min(_BETWEEN_CODES, authorization.expires_in))
        self._polled: float | None = None

    def remaining(self) -> float:
        """Return the seconds until the code expires, 0 when it has."""
        return max(0.0, self._end - self._clock.boot())

    def for_approval(self, poll: Callable[[], models.TokenAnswer | models.Pending]) -> models.TokenAnswer:
        """Poll until the person has finished, and return the answer.

        Raises LoginNotCompletedError when the code has expired or was declined, and whatever `poll` raises for good;
        TryLaterError and BadAnswerError are no end but a reason to go slower, and a proxy's refusal is none either.
        """
        pause = self._interval
        failures = 0
        trouble: errors.DeviceLoginError | None = None
        while self._wait_for_turn(pause):
            try:
                answer = poll()
            except (errors.TryLaterError, errors.BadAnswerError, errors.ConfigError) as error:
                if not _passes(error):
                    raise
                failures, trouble = failures + 1, error
                self._observer.trouble(error.message)
                pause = self.back_off(failures, error)
                continue
            finally:
                self._polled = self._clock.boot()
            if failures:
                self._observer.recovered()
                failures, trouble = 0, None
            if isinstance(answer, models.TokenAnswer):
                return answer
            self._interval = max(self._interval, answer.interval)
            pause = max(self._interval, answer.retry_after or 0.0)
        raise explain.expired(profile=self._profile, trouble=trouble)

    def for_new_code(self, request: Callable[[], models.DeviceAuthorization]) -> models.DeviceAuthorization:
        """Request the code that follows this one, which has expired; return it.

        Waits where this one ended early, and as `for_approval` does where the network is in trouble: there is no code
        that could expire meanwhile. Raises whatever `request` raises for good.
        """
        self._pause(self._next_code - self._clock.boot())
        failures = 0
        while True:
            try:
                authorization = request()
            except (errors.TryLaterError, errors.BadAnswerError, errors.ConfigError) as error:
                if not _passes(error):
                    raise
                failures += 1
                self._observer.trouble(error.message)
                self._pause(self.back_off(failures, error))
                continue
            if failures:
                self._observer.recovered()
            return authorization

    def _pause(self, seconds: float) -> None:
        """Wait `seconds` without a code of which there is anything to tell."""
        end = self._clock.boot() + seconds
        while (left := end - self._clock.boot()) > 0:
            self._clock.sleep(min(_TICK, left))

    def _wait_for_turn(self, pause: float) -> bool:
        """Wait `pause` seconds, less where the code expires before; tell whether there is still time to poll.

        However long the pause, the last try falls before the end; however near the end, the interval is kept.
        """
        now = self._clock.boot()
        earliest = now if self._polled is None else self._polled + self._interval
        turn = max(min(now + pause, self._end - LAST_TRY), earliest)
        self.sleep(turn - now)
        return turn < self._end and self.remaining() > 0

    def back_off(self, failures: int, error: errors.DeviceLoginError) -> float:
        """Return the seconds to wait after the `failures`th failure in a row.

        RFC 8628 section 3.5 wants an exponential back-off, "such as doubling". A server's own Retry-After comes first.
        """
        return retry.pause(retry.asked_by(error), failures, shortest=self._interval, longest=LONGEST_BACK_OFF)

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or until the code expires, telling the observer about once a second."""
        end = min(self._clock.boot() + seconds, self._end)
        while (left := end - self._clock.boot()) > 0:
            self._observer.waiting(self.remaining())
            self._clock.sleep(min(_TICK, left))


def _passes(error: errors.DeviceLoginError) -> bool:
    """Tell whether an error between us and the token endpoint may be over by the next try."""
    if isinstance(error, errors.ConfigError):
        return error.code == http_session.PROXY_REFUSED
    return error.code != msal_client.UNUSABLE  # from the right server; the next one would be the same
