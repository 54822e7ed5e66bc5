"""The thread on which a request runs: whoever waits keeps the deadline, and nothing is sent late."""

from __future__ import annotations

import socket
import threading
import time
from typing import Self

import pytest
import sandbox

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
    running = exchange.Exchange(lambda: hung.wait(sandbox.LATER))
    started = time.monotonic()
    with pytest.raises(exchange.TooSlowError):
        running.wait(connect=connect, answer=answer, deadline=_deadline(deadline))
    assert 0.15 < time.monotonic() - started < sandbox.SOON
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


class Reader:
    """The other end of a connection: takes `pieces` of 4 kB, one after each pause, then answers."""

    def __init__(self, pieces: int, pause: float) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # so that what is not read waits on our side
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        self.ours = socket.create_connection(listener.getsockname())
        self._theirs, _ = listener.accept()
        listener.close()
        self.is_over = threading.Event()
        threading.Thread(target=self._read, args=(pieces, pause), daemon=True).start()

    def _read(self, pieces: int, pause: float) -> None:
        for _ in range(pieces):
            self.is_over.wait(pause)
            self._theirs.recv(4096, socket.MSG_WAITALL)
        self._theirs.sendall(b"a")
        self.is_over.wait(60)
        self._theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.ours.close()


def upload(reader: Reader, size: int, *, pause: float, answer: float) -> bytes:
    """Send `size` bytes, which this machine's buffers swallow at once, and return the answer."""

    def work() -> bytes:
        running.watch(reader.ours)
        running.begin_sending()
        reader.ours.sendall(b"x" * size)
        running.moved(size)
        running.all_sent()
        return reader.ours.recv(1)

    running: exchange.Exchange[bytes] = exchange.Exchange(work)
    return running.wait(connect=FAR, answer=answer, deadline=_deadline(answer), upload_pause=pause)


def test_an_upload_is_bounded_by_its_progress_and_not_in_sum() -> None:
    """Bytes that wait in the system's buffer are still on their way: neither answer nor deadline runs until they have left."""
    size = 4096 * 900
    with Reader(900, 0.01) as slow:
        assert upload(slow, size, pause=30, answer=5) == b"a"


def test_an_upload_that_stands_still_ends() -> None:
    """The other end has stopped to read, and says nothing."""
    with Reader(0, 0) as deaf, pytest.raises(exchange.TooSlowError):
        deaf.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        upload(deaf, 40_000_000, pause=1.5, answer=FAR)
