"""One request and its answer, on a thread of its own.

A socket's time-out starts anew with every byte and does not hold for name resolution at all, so a server that drips, or
a resolver that is silent, could hold us for ever. Whoever waits here keeps its deadline whatever the thread is stuck in,
and hears Ctrl-C at once.
"""

from __future__ import annotations

import array
import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from devicelogin import clock

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: How often is a look taken at how far an upload has come (seconds)?
_LOOK = 0.25

_on_this_thread = threading.local()


class TooSlowError(TimeoutError):
    """The exchange did not get this far in time and was abandoned."""


class AbandonedError(Exception):
    """Nobody waits any more; raised in the exchange's own thread, so that it sends nothing late."""


def current() -> Exchange[object] | None:
    """Return the exchange whose thread this is."""
    found: Exchange[object] | None = getattr(_on_this_thread, "exchange", None)
    return found


@dataclass(slots=True)
class Way:
    """How far an exchange came, for who wants to tell where the way to a server ends.

    `addresses` are those of the host, or of the proxy. `is_connected`: one of them took the connection; `is_through`: the
    proxy let us through. `protocol` is the version of TLS and `certificate` the server's, in DER, once it was verified.
    """

    addresses: tuple[str, ...] = ()
    is_connected: bool = False
    is_through: bool = False
    protocol: str | None = None
    certificate: bytes | None = None


class Exchange(Generic[T]):
    """Runs `work` on a daemon thread and waits for it in stages: connected, request sent, done."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._connected = threading.Event()
        self._sent = threading.Event()
        self._done = threading.Event()
        self._abandoned = False
        self._handle: socket.socket | None = None
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._moved = 0
        self.way = Way()
        #: Has any of the request left this machine?
        self.sending = False

    def wait(self, *, connect: float, answer: float, deadline: clock.Deadline, upload_pause: float | None = None) -> T:
        """Start, and return what `work` returned or raise what it raised.

        `connect` and `answer` are seconds from now. A request with a large body names its `upload_pause`: it may take as
        long as it goes on, without such a pause (seconds), and neither `answer` nor `deadline` runs meanwhile. Raises
        TooSlowError.
        """
        self._check(deadline)
        by_then = deadline.at_most(answer)
        threading.Thread(target=self._run, name="devicelogin-http", daemon=True).start()
        try:
            self._reach(self._connected, deadline.at_most(connect))
            if upload_pause is not None:
                left = min(answer, deadline.remaining())
                self._see_off(upload_pause)
                by_then = clock.Deadline(left)
            self._reach(self._done, by_then)
        finally:
            self._abandon()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def moved(self, count: int) -> None:
        """Say that `count` more bytes of the request's body are on their way (called on the exchange's own thread)."""
        self._moved += count

    def _see_off(self, pause: float) -> None:
        """Wait until all of the request has left this machine. Raises TooSlowError after a `pause` without a byte."""
        mark, patience = (-1, -1), clock.Deadline(pause)
        while not self._done.is_set():
            is_sent = self._sent.is_set()
            now = (self._moved, self._unsent())
            if is_sent and now[1] == 0:
                return
            if now != mark:
                mark, patience = now, clock.Deadline(pause)
            elif patience.passed():
                raise TooSlowError
            (self._done if is_sent else self._sent).wait(_LOOK)

    def _unsent(self) -> int:
        """Return how many bytes wait in the system's buffer, of which a slow line may need minutes; 0 where it cannot say."""
        try:
            import fcntl
            import termios

            count = array.array("i", [0])
            with self._lock:
                if self._handle is not None:
                    fcntl.ioctl(self._handle.fileno(), termios.TIOCOUTQ, count)
            return count[0]
        except (ImportError, AttributeError, OSError):
            return 0

    def watch(self, sock: socket.socket) -> None:
        """Note the connection in use, so that it can be cut from the waiting thread (called on the exchange's own)."""
        # A duplicate: wrapping a socket in TLS takes its descriptor away, and a TLS object may not be shared.
        handle = socket.fromfd(sock.fileno(), sock.family, sock.type)
        with self._lock:
            previous, self._handle = self._handle, handle
        if previous is not None:
            previous.close()
        self._stop_if_abandoned()

    def begin_sending(self) -> None:
        """Say that the connection stands and the request is about to leave. Raises AbandonedError where it must not."""
        with self._lock:
            if not self._abandoned:
                self.sending = True
        self._stop_if_abandoned()
        self._connected.set()

    def all_sent(self) -> None:
        """Say that the request has left as a whole."""
        self._sent.set()

    def _stop_if_abandoned(self) -> None:
        if self._abandoned:
            raise AbandonedError

    @staticmethod
    def _check(deadline: clock.Deadline) -> None:
        if deadline.passed():
            raise TooSlowError

    @staticmethod
    def _reach(stage: threading.Event, deadline: clock.Deadline) -> None:
        if not stage.wait(deadline.remaining()):
            raise TooSlowError

    def _run(self) -> None:
        _on_this_thread.exchange = self
        try:
            result = self._work()
            with self._lock:
                self._result.append(result)
                is_late = self._abandoned
            if is_late:
                self._close_result()
        except BaseException as error:
            self._error = error
        finally:
            with self._lock:
                handle, self._handle = self._handle, None
            if handle is not None:
                handle.close()
            for stage in (self._connected, self._sent, self._done):
                stage.set()

    def _abandon(self) -> None:
        if self._done.is_set():
            return
        with self._lock:
            self._abandoned = True
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)
        self._close_result()

    def _close_result(self) -> None:
        for result in self._result:
            if hasattr(result, "close"):
                result.close()
