"""What listens behind the server: every request is recorded, meets its scripted step, and goes to the part it is for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from devicelogin.emulator import faults, graph, messages, provider, signin_page

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from devicelogin.emulator.behaviour import Behaviour
    from devicelogin.emulator.clock import MovableClock
    from devicelogin.emulator.directory import Directory
    from devicelogin.emulator.faults import Fault
    from devicelogin.emulator.messages import Answer, Request


class Services:
    """The identity provider, Graph and the sign-in page as one `server.Application`.

    `origin` is where clients reach it, known once the server listens; `names` are other hosts that they may ask for.
    """

    def __init__(
        self, behaviour: Behaviour, clock: MovableClock, directory: Directory, names: Collection[str] = ()
    ) -> None:
        self.provider = provider.IdentityProvider(behaviour, clock, directory)
        self.graph = graph.Graph(behaviour, clock, directory, self.provider)
        self.scripts = faults.Scripts()
        self.origin = ""
        self._names = frozenset(name.lower() for name in names)
        self._page = signin_page.SigninPage(self.provider.codes, directory)
        self._clock = clock
        self._records: list[Request] = []
        self._records_lock = threading.Lock()

    def records(self) -> list[Request]:
        """Return all requests so far, in the order of their arrival."""
        with self._records_lock:
            return list(self._records)

    def now(self) -> float:
        """Return the time of the `Date` header."""
        return self._clock.now()

    def receive(self, *, method: str, target: str, headers: Mapping[str, str], body: bytes, peer: str) -> Request:
        """Return the request, recorded."""
        request = messages.read_request(
            method=method,
            target=target,
            headers=headers,
            body=body,
            peer=peer,
            default_origin=self.origin,
            names=self._names,
            time=self._clock.now(),
        )
        with self._records_lock:
            self._records.append(request)
        return request

    def take_fault(self, request: Request) -> Fault | None:
        """Return the scripted step for this request."""
        return self.scripts.take(request.endpoint)

    def answer(self, request: Request) -> Answer:
        """Let the request take effect."""
        if request.endpoint in {"me", "graph"}:
            return self.graph.answer(request)
        if request.endpoint == "signin":
            return self._page.answer(request)
        if request.endpoint == "unknown":
            return messages.Answer(status=404, body=b"Not Found")
        return self.provider.answer(request)
