"""One request and its answer, on a thread of its own.

A socket's time-out starts anew with every byte and does not hold for name resolution at all, so a server that drips, or
a resolver that is silent, could hold us for ever. Whoever waits here keeps its deadline whatever the thread is stuck in,
and hears Ctrl-C at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin import clock

T = TypeVar("T")

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
        self.way = Way()
        #: Has any of the request left this machine?
        self.sending = False

    def wait(self, *, connect: float, answer: float, deadline: clock.Deadline, is_upload: bool = False) -> T:
        """Start, and return what `work` returned or raise what it raised.

        `connect` and `answer` are seconds from now; for an upload `answer` counts from the end of the request's body,
        which may take as long as it goes on. Raises TooSlowError, never later than `deadline`.
        """
        self._check(deadline)
        by_then = deadline.at_most(answer)
        threading.Thread(target=self._run, name="devicelogin-http", daemon=True).start()
        try:
            self._reach(self._connected, deadline.at_most(connect))
            if is_upload:
                while not self._sent.wait(min(1.0, deadline.remaining())):
                    self._check(deadline)
                by_then = deadline.at_most(answer)
            self._reach(self._done, by_then)
        finally:
            self._abandon()
        if self._error is not None:
            raise self._error
        return self._result[0]

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
