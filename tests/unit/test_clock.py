"""Waiting for a clock that has not been set, in no time: the clock is handed in."""

from __future__ import annotations

import pytest

from devicelogin import clock, errors

#: A moment at which this release was there (2027).
NOW = clock.EARLIEST + 400 * 86_400.0


class Board:
    """A board whose wall clock says `wall` until it has run `set_after` seconds, and NOW from then on."""

    def __init__(self, wall: float, *, set_after: float) -> None:
        self._wall, self._set_after, self._boot = wall, set_after, 0.0
        self.pauses: list[float] = []

    def wall(self) -> float:
        return (NOW if self._boot >= self._set_after else self._wall) + self._boot

    def boot(self) -> float:
        return self._boot

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._boot += seconds


def wrong_clock() -> errors.TryLaterError:
    return errors.TryLaterError("cannot trust host: this machine's clock says 1970-01-01", code=clock.WRONG)


@pytest.mark.parametrize("wall", [0.0, 86_400.0, clock.EARLIEST - 100])
def test_whoever_waits_for_the_clock_wakes_within_a_second(wall: float) -> None:
    """A board at 1970, or at the date of its image."""
    board = Board(wall, set_after=33.3)
    wait = clock.ClockWait(120, board)
    assert wait.is_needed()
    wait.until_plausible()
    assert 33.3 <= board.boot() <= 34.3
    assert not wait.is_needed()


def test_a_clock_that_is_never_set_is_waited_for_as_long_as_was_said() -> None:
    """Not a moment longer, and then everything goes its ordinary way."""
    board = Board(0.0, set_after=10**9)
    wait = clock.ClockWait(120.2, board)
    wait.until_plausible()
    assert board.boot() == pytest.approx(120.2)
    assert not wait.is_needed()
    assert min(board.pauses) >= 0


def test_a_clock_that_can_be_right_is_not_waited_for() -> None:
    """Neither is any clock if nobody asked for it."""
    for board, seconds in ((Board(NOW, set_after=10**9), 120), (Board(0.0, set_after=10**9), 0)):
        wait = clock.ClockWait(seconds, board)
        assert not wait.is_needed()
        wait.until_plausible()
        assert board.pauses == []


def test_a_clock_that_a_certificate_proves_wrong_is_waited_for_too() -> None:
    """A board that kept its last moment over a long power cut looks right until a server says otherwise."""
    board = Board(NOW - 300 * 86_400, set_after=20)
    tries = []

    def work() -> str:
        tries.append(board.boot())
        if board.wall() < NOW:
            raise wrong_clock()
        return "done"

    assert clock.ClockWait(120, board).call(work) == "done"
    assert tries[0] == 0
    assert len(tries) == 2
    assert 20 <= tries[1] <= 21


def test_a_clock_that_stays_wrong_gives_the_error_when_the_time_is_over() -> None:
    """The waiting of both kinds comes out of one purse."""
    board = Board(0.0, set_after=10**9)
    wait = clock.ClockWait(60, board)
    wait.until_plausible()
    with pytest.raises(errors.TryLaterError):
        wait.call(lambda: (_ for _ in ()).throw(wrong_clock()))
    assert board.boot() == pytest.approx(60)


def test_other_errors_are_not_waited_out() -> None:
    """Only the clock is waited for; a network that is down is the caller's to try again."""
    board = Board(NOW, set_after=10**9)
    with pytest.raises(errors.TryLaterError):
        clock.ClockWait(60, board).call(lambda: (_ for _ in ()).throw(errors.TryLaterError("no", code="network")))
    assert board.pauses == []


def test_small_corrections_of_a_time_server_are_no_jump() -> None:
    """The clock is not tried again for having been slewed by some seconds."""
    board = Board(NOW - 5, set_after=3)
    tries = []

    def work() -> None:
        tries.append(board.boot())
        raise wrong_clock()

    with pytest.raises(errors.TryLaterError):
        clock.ClockWait(10, board).call(work)
    assert tries == [0.0]
