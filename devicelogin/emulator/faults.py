"""Scripted faults: one `Fault` says how one answer goes wrong, `Scripts` hands them out per endpoint."""

from __future__ import annotations

import gzip
import http
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from devicelogin.emulator import messages, oauth_errors
from devicelogin.emulator.messages import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_PORTAL = (
    "<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Accept the terms to go on</h1></body></html>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One answer that goes wrong. Make it with one of the class methods; times are seconds.

    A fault with `replacement` answers without the request taking effect; all others let it take effect, but for
    `Fault.reset()`.
    """

    replacement: Callable[[Request, float], Answer] | None = None
    interim: tuple[int, ...] = ()
    changes: Mapping[str, object] | None = None
    wait: float = 0.0
    reset_when: Literal["before", "after"] | None = None
    body_rate: float | None = None
    head_rate: float | None = None
    cut_after: int | None = None

    @classmethod
    def status(
        cls,
        status: int,
        *,
        retry_after: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Fault:
        """Answer with this status and its name as plain text, as throttling front ends do."""
        try:
            phrase = http.HTTPStatus(status).phrase
        except ValueError:
            phrase = "Unknown"
        more = tuple((headers or {}).items()) + ((("Retry-After", retry_after),) if retry_after is not None else ())
        return cls._fixed(Answer(status=status, body=(body if body is not None else phrase).encode(), headers=more))

    @classmethod
    def text(
        cls,
        text: str,
        *,
        status: int = 200,
        content_type: str = "text/plain; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Answer with `text`, whatever it is."""
        return cls.content(text.encode(), status=status, content_type=content_type, headers=headers)

    @classmethod
    def content(
        cls,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Answer with these bytes."""
        more = tuple((headers or {}).items())
        return cls._fixed(Answer(status=status, body=body, content_type=content_type, headers=more))

    @classmethod
    def html(cls, status: int = 200, *, body: str = _PORTAL) -> Fault:
        """Answer with a web page, as captive portals and broken gateways do."""
        return cls.text(body, status=status, content_type="text/html; charset=utf-8")

    @classmethod
    def json(cls, data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Fault:
        """Answer with `data` as JSON."""
        return cls._fixed(messages.json_answer(data, status=status, headers=tuple((headers or {}).items())))

    @classmethod
    def oauth(
        cls,
        error: str,
        number: int | None = None,
        *,
        suberror: str | None = None,
        status: int = 400,
        claims: str | None = None,
        text: str = "Scripted.",
    ) -> Fault:
        """Refuse with an OAuth error in the dialect that was asked; `number` is Entra's AADSTS number."""
        refusal = oauth_errors.Refusal(error, number, text, suberror=suberror, status=status, claims=claims)
        return cls(replacement=lambda request, now: oauth_errors.answer(refusal, request, now))

    @classmethod
    def redirect(cls, url: str, *, status: int = 302) -> Fault:
        """Send the client elsewhere."""
        return cls._fixed(Answer(status=status, headers=(("Location", url),)))

    @classmethod
    def huge(cls, size: int, *, compressed: bool = False) -> Fault:
        """Answer with a JSON object of `size` bytes; `compressed`: so many after unpacking."""
        body = b'{"filler":"' + b"a" * (size - 13) + b'"}'
        if not compressed:
            return cls._fixed(Answer(body=body, content_type="application/json"))
        packed = (("Content-Encoding", "gzip"),)
        return cls._fixed(Answer(body=gzip.compress(body), content_type="application/json", headers=packed))

    @classmethod
    def patch(cls, changes: Mapping[str, object]) -> Fault:
        """Answer normally, but with `changes` in the JSON object; the value `MISSING` removes a key."""
        return cls(changes=dict(changes))

    @classmethod
    def interim_answers(cls, *statuses: int) -> Fault:
        """Answer normally, but after interim answers of these statuses (RFC 9110 section 15.2), such as 102 and 103."""
        return cls(interim=statuses)

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection; the request has no effect."""
        return cls(reset_when="before")

    @classmethod
    def reset_after_processing(cls) -> Fault:
        """Let the request take effect, then reset the connection instead of answering."""
        return cls(reset_when="after")

    @classmethod
    def delay(cls, seconds: float) -> Fault:
        """Answer normally, but only after `seconds` of real time."""
        return cls(wait=seconds)

    @classmethod
    def drip(cls, bytes_per_second: float = 10) -> Fault:
        """Answer normally, the body at this speed."""
        return cls(body_rate=bytes_per_second)

    @classmethod
    def drip_headers(cls, bytes_per_second: float = 10) -> Fault:
        """Answer normally, the status line and headers at this speed."""
        return cls(head_rate=bytes_per_second)

    @classmethod
    def truncate(cls, count: int) -> Fault:
        """Send only the first `count` bytes of the body that the header promised, then close."""
        return cls(cut_after=count)

    @classmethod
    def _fixed(cls, answer: Answer) -> Fault:
        return cls(replacement=lambda _request, _now: answer)


class Scripts:
    """The scripted steps of every endpoint; each step serves one request, then come normal answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, Iterator[Fault | None]] = {}

    def set(self, endpoint: str, steps: Iterable[Fault | None]) -> None:
        """Replace the steps of `endpoint`; they may be endless. Raises ValueError for an unknown endpoint."""
        if endpoint not in messages.ENDPOINTS:
            raise ValueError(f"unknown endpoint {endpoint!r}; there are {', '.join(sorted(messages.ENDPOINTS))}")
        with self._lock:
            self._steps[endpoint] = iter(steps)

    def take(self, endpoint: str) -> Fault | None:
        """Return the next step, None for a normal answer."""
        with self._lock:
            return next(self._steps.get(endpoint, iter(())), None)
