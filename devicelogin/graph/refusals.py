"""What an error answer of Graph says, as far as it can be read, and what can be done about it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin import clock, errors, redaction
from devicelogin.graph import speaker

if TYPE_CHECKING:
    from devicelogin import http_session

#: How much of a refusal is read, in bytes and seconds? Its explanation is worth no more.
_BODY_LIMIT = 65_536
_BODY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer of Graph, as far as it could be read."""

    status: int
    code: str
    message: str
    request_id: str | None

    @property
    def detail(self) -> str:
        """The status and the codes for whoever has to look them up."""
        request_id = f"request-id {self.request_id}" if self.request_id else ""
        return ", ".join(part for part in (f"HTTP {self.status}", self.code, request_id) if part)


def read(answer: http_session.StreamAnswer) -> Refusal:
    """Return what the error `answer` says. Raises BadAnswerError for the page of somebody who is not Graph."""
    body, patience = bytearray(), clock.Deadline(_BODY_SECONDS)
    try:
        for chunk in answer.chunks():
            body += chunk
            if len(body) > _BODY_LIMIT or patience.passed():
                break
    except errors.DeviceLoginError:
        pass  # the status alone says enough; that its explanation is damaged is no reason to hide it
    speaker.check_refusal(answer, bytes(body))
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    error = _member(parsed, "error")
    # Written `innerError` on the wire and `innererror` in the documentation.
    inner = _member(error, "innerError") or _member(error, "innererror")
    request_id = identifier(answer.headers.get("request-id")) or identifier(_member(inner, "request-id"))
    return Refusal(answer.status, _words(error, "code", 80), _words(error, "message", 300), request_id)


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _words(error: object, name: str, limit: int) -> str:
    value = _member(error, name)
    return redaction.quotable(value, limit=limit).rstrip(".") if isinstance(value, str) else ""


def identifier(value: object) -> str | None:
    """Return `value` where it is a request id that may be shown."""
    is_plain = isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z_.:-]{1,80}", value) is not None
    return str(value) if is_plain and redaction.redacted(str(value)) == value else None


def _permissions_hint(scopes: tuple[str, ...]) -> str:
    """Return what can be done about a 403 for a token of `scopes`, which are those that the provider has named."""
    has = (
        f"the token permits {redaction.quotable(', '.join(scopes), limit=400)}"
        if scopes
        else "a permission may be missing"
    )
    return (
        f"{has}; add what is missing (with the same --profile): devicelogin login --scope NAME; "
        "some need an administrator's consent"
    )


def hint(refusal: Refusal, scopes: tuple[str, ...]) -> str:
    """Return what can be done about `refusal` of a request with a token of `scopes`."""
    if refusal.status == 403:
        return _permissions_hint(scopes)
    if refusal.status in {400, 404, 405}:
        return "look the request up: https://learn.microsoft.com/graph/api/overview"
    if refusal.status in {409, 412}:
        return "what it is about has changed meanwhile: read it again first"
    return "look the code up: https://learn.microsoft.com/graph/errors"
