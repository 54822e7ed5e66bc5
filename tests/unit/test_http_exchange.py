"""The thread on which a request runs: whoever waits keeps the deadline, and nothing is sent late."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from devicelogin import clock
from devicelogin.http_session import exchange

FAR = 1000.0


def _deadline(seconds: float = FAR) -> clock.Deadline:
    return clock.Deadline(seconds)


def test_the_result_and_the_error_of_the_work_are_passed_on() -> None:
    """What the thread returns or raises arrives where it was waited for."""
    assert exchange.Exchange(lambda: 42).wait(connect=FAR, answer=FAR, deadline=_deadline()) == 42
    with pytest.raises(ZeroDivisionError):
        exchange.Exchange(lambda: 1 / 0).wait(connect=FAR, answer=FAR, deadline=_deadline())


@pytest.mark.parametrize(
    ("connect", "answer", "deadline"), [(0.2, FAR, FAR), (FAR, FAR, 0.2)], ids=["connect", "deadline"]
)
def test_work_that_hangs_before_it_connects_is_left(connect: float, answer: float, deadline: float) -> None:
    """A name resolver that never answers costs the time for connecting, and not more."""
    hung = threading.Event()
    running = exchange.Exchange(lambda: hung.wait(20))
    started = time.monotonic()
    with pytest.raises(exchange.TooSlowError):
        running.wait(connect=connect, answer=answer, deadline=_deadline(deadline))
    assert 0.15 < time.monotonic() - started < 1.5
    assert not running.sending
    hung.set()


def test_nothing_is_sent_once_nobody_waits() -> None:
    """A resolver that answers at last does not let the request out after all."""
    resolved, outcome, ended = threading.Event(), [], threading.Event()

    def work() -> None:
        resolved.wait(20)
        try:
            running.begin_sending()
            outcome.append("sent")
        except exchange.AbandonedError:
            outcome.append("abandoned")
        ended.set()

    running: exchange.Exchange[None] = exchange.Exchange(work)
    with pytest.raises(exchange.TooSlowError):
        running.wait(connect=0.1, answer=FAR, deadline=_deadline())
    resolved.set()
    assert ended.wait(5)
    assert outcome == ["abandoned"]
    assert not running.sending


def test_the_connection_of_an_abandoned_exchange_is_cut() -> None:
    """A thread that waits for the server's next byte wakes up and ends."""
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def work() -> None:
        running.watch(ours)
        running.begin_sending()
        ours.recv(1)
        ended.set()

    running: exchange.Exchange[None] = exchange.Exchange(work)
    with ours, theirs:
        with pytest.raises(exchange.TooSlowError):
            running.wait(connect=FAR, answer=0.2, deadline=_deadline())
        assert ended.wait(5)
    assert running.sending


def test_an_upload_may_take_long_and_its_answer_may_not() -> None:
    """The time for the answer counts from the end of the request's body."""

    given_up = threading.Event()

    def work(upload: float, answer: float) -> str:
        running.begin_sending()
        time.sleep(upload)
        running.all_sent()
        given_up.wait(answer)
        return "done"

    running: exchange.Exchange[str] = exchange.Exchange(lambda: work(1.1, 0.1))
    assert running.wait(connect=FAR, answer=1.0, deadline=_deadline(), upload_pause=FAR) == "done"
    running = exchange.Exchange(lambda: work(0.0, 20.0))
    with pytest.raises(exchange.TooSlowError):
        running.wait(connect=FAR, answer=0.3, deadline=_deadline(), upload_pause=FAR)
    given_up.set()


def test_no_thread_starts_after_the_deadline() -> None:
    """There is nothing to wait for any more, so nothing is begun."""
    begun = threading.Event()
    with pytest.raises(exchange.TooSlowError):
        exchange.Exchange(begun.set).wait(connect=FAR, answer=FAR, deadline=_deadline(0))
    assert not begun.wait(0.1)


def test_a_result_that_comes_too_late_is_closed() -> None:
    """An open answer that nobody will read does not stay open."""

    class Answer:
        def __init__(self) -> None:
            self.closed = threading.Event()

        def close(self) -> None:
            self.closed.set()

    answer, late = Answer(), threading.Event()

    def work() -> Answer:
        late.wait(20)
        return answer

    with pytest.raises(exchange.TooSlowError):
        exchange.Exchange(work).wait(connect=0.1, answer=FAR, deadline=_deadline())
    late.set()
    assert answer.closed.wait(5)
