"""How often, and how long apart, anything is tried again, whatever a server asks for."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicelogin import errors, http_session, retry

WISHES = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**9), 10**12)


class Timer:
    """A clock on which waiting takes no time; every try takes `takes` seconds."""

    def __init__(self) -> None:
        self.now = 5000.0
        self.slept: list[float] = []

    def wall(self) -> float:
        raise AssertionError("only the boot clock counts")

    def boot(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def busy(asked: float | None = None) -> http_session.ServerBusyError:
    return http_session.ServerBusyError("graph.example", 503, asked)


@given(asked=WISHES, failures=st.integers(-3, 10**6), shortest=st.floats(1, 60), longest=st.floats(0, 100))
def test_every_pause_has_a_floor_and_a_cap(asked: float | None, failures: int, shortest: float, longest: float) -> None:
    """Whatever number comes: never shorter than the shortest, never longer than an hour, and never NaN."""
    seconds = retry.pause(asked, failures, shortest=shortest, longest=longest)
    assert max(1.0, shortest) <= seconds <= 3600
    if asked is not None and shortest <= asked <= 3600:
        assert seconds == asked


@given(asked=st.lists(WISHES, min_size=50, max_size=50), seconds=st.floats(0, 1e9), takes=st.floats(0, 100))
def test_patience_ends(asked: list[float | None], seconds: float, takes: float) -> None:
    """After ten pauses, or when the time is up, in which that of the tries counts."""
    timer = Timer()
    patience = retry.Patience(seconds, timer)
    wishes = itertools.cycle(asked)
    tries = 0

    def work() -> None:
        nonlocal tries
        tries += 1
        timer.now += takes
        raise busy(next(wishes))

    with pytest.raises(http_session.ServerBusyError):
        retry.call(work, patience, passes=lambda _: True)
    assert tries == len(timer.slept) + 1 <= retry.TRIES + 1
    assert timer.now - 5000 - takes <= seconds + 1e-6 or not timer.slept
    assert all(1 <= pause <= 3600 and math.isfinite(pause) for pause in timer.slept)


def test_pauses_grow_where_the_server_says_nothing_sensible() -> None:
    """A zero, or a tenth of a second, is no reason to keep a server busy."""
    for asked in (None, 0, 0.1, 0.999, -5, math.nan):
        pauses = [retry.pause(asked, failures) for failures in range(6)]
        assert pauses == sorted(pauses)
        assert pauses[0] == 1
        assert pauses[5] >= 18


def test_the_last_real_reason_survives_the_silence_after_it() -> None:
    """The time is up in a try that got no answer: what was said before is the error."""
    silence = http_session.NoAnswerError("no answer in time", request_may_have_arrived=True)
    said = busy()
    for steps, reason in (([said, silence, silence], said), ([silence, said, silence], said), ([silence] * 3, silence)):
        rest = iter(steps)

        def work(rest: object = rest) -> None:
            raise next(rest)  # type: ignore[call-overload]

        told: dict[errors.TryLaterError, float] = {}
        with pytest.raises(errors.TryLaterError) as caught:
            retry.call(work, retry.Patience(100, Timer(), tries=2), passes=lambda _: True, told=told.__setitem__)
        assert caught.value is reason
        assert set(told) == set(steps[:2])


def test_what_does_not_pass_is_raised_at_once() -> None:
    """Only the caller knows which failures mend themselves."""
    timer = Timer()

    def work() -> None:
        raise errors.TryLaterError("the lock is busy")

    with pytest.raises(errors.TryLaterError, match="lock"):
        retry.call(work, retry.Patience(100, timer), passes=lambda _: False)
    assert timer.slept == []
