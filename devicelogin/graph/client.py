"""Requests to Microsoft Graph: the token, the waiting when Graph asks for it, and the words for a refusal."""

from __future__ import annotations

import json
import os
import random
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import clock, errors, http_session, redaction
from devicelogin.graph import addresses, challenges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from devicelogin import models

_METHOD = re.compile(r"[A-Z]{1,20}\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")

#: Which headers are ours alone? Who could set them could send the token's request elsewhere, or cut it in two.
_OURS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
    }
    | {"upgrade", "expect", "cookie", "accept-encoding"}
)

_SAFE_METHODS = frozenset({"GET", "HEAD"})

#: Which answers of Graph mean "later"? The others of the 5xx family only if the request is safe to send again.
_THROTTLED = frozenset({429, 503, 504})

#: 5xx answers that a later try will not mend: not implemented, HTTP version, storage quota.
_LASTING = frozenset({501, 505, 507})

#: How much of a refusal is read, in bytes and seconds? Its explanation is worth no more.
_ERROR_BODY_LIMIT = 65_536
_ERROR_BODY_SECONDS = 2.0

#: The longest pause between two tries where Graph does not say how long, in seconds.
_BACKOFF_LIMIT = 20.0


class TokenRejectedError(errors.LoginRequiredError):
    """Graph does not accept the access token (401).

    Refresh it once and try again; only a second one means that a person must sign in. `claims` is the JSON text that the
    refresh must pass on (continuous access evaluation), None where none is demanded.
    """

    def __init__(self, host: str, claims: str | None, refusal: _Refusal) -> None:
        super().__init__(
            f"{host} does not accept the access token",
            hint="sign in again (devicelogin login with the same --profile)",
            detail=refusal.detail,
            correlation_id=refusal.request_id,
            code="token_rejected",
        )
        self.claims = claims


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphAnswer:
    """A 2xx (or 304) answer. `chunks` yields the body once, as it arrives; whoever stops early calls `close`."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    request_id: str | None
    chunks: Iterator[bytes] = field(repr=False)
    close: Callable[[], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An error answer of Graph, as far as it could be read."""

    status: int
    code: str
    message: str
    request_id: str | None

    @property
    def detail(self) -> str:
        request_id = f"request-id {self.request_id}" if self.request_id else ""
        return ", ".join(part for part in (f"HTTP {self.status}", self.code, request_id) if part)


class GraphClient:
    """Sends requests to the Graph at `root` with the tokens that `token` returns, and to no other host.

    `token` is asked before every try. Raises ConfigError where `root` is not a plain https origin.
    """

    def __init__(
        self,
        token: Callable[[], models.AccessToken],
        root: str,
        *,
        session: http_session.HttpSession | None = None,
        timer: clock.Clock | None = None,
    ) -> None:
        self._token = token
        self._root = addresses.check_root(root)
        self._host = urlsplit(self._root).netloc
        self._session = session or http_session.HttpSession(environ=os.environ)
        self._timer = timer or clock.SystemClock()

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        max_wait: float = 60.0,
    ) -> GraphAnswer:
        """Return Graph's answer to `method` at `path` (`me`, `/beta/me?$select=id`, or a whole URL on the root).

        Waits up to `max_wait` seconds altogether where Graph asks for it and the request can be sent again: a GET or
        HEAD; after 429 any request whose body is not an iterator.

        Raises UsageError for a path, method or header that is never sent; TokenRejectedError; TryLaterError where Graph is
        throttling or down; HttpAnswerError for its other refusals; BadAnswerError for redirects and broken bodies.
        """
        url = addresses.resolve(path, self._root)
        if not _METHOD.match(method):
            raise errors.UsageError(
                f"{redaction.printable(method, limit=30)} is no HTTP method",
                hint="write it in capitals: devicelogin graph POST me/sendMail --input mail.json",
            )
        checked = _check_headers(headers or {})
        waited, tries = 0.0, 0
        while True:
            answer = self._send(method, url, checked, body)
            if answer.status < 300 or answer.status == 304:
                return _accepted(answer)
            with answer:
                error = self._error(answer, method)
            pause = self._pause(answer, tries)
            if not _may_repeat(answer.status, method, body) or waited + pause > max_wait:
                raise error
            # Graph's best practices: after a 503 on a new connection, which may lead to another machine.
            self._session.close()
            self._timer.sleep(pause)
            waited, tries = waited + pause, tries + 1

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterator[bytes] | None
    ) -> http_session.StreamAnswer:
        token = self._token().token
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise errors.BadAnswerError(
                "the access token holds characters that no token has",
                hint="get another one (with the same --profile): devicelogin token --force-refresh >/dev/null",
            )
        identified = {"client-request-id": str(uuid.uuid4()), "Accept": "application/json, */*;q=0.8", **headers}
        identified["Authorization"] = f"Bearer {token}"
        return self._session.stream(method, url, headers=identified, body=body)

    def _pause(self, answer: http_session.StreamAnswer, tries: int) -> float:
        asked = http_session.read_retry_after(answer.headers, self._timer.wall)
        if asked is not None:
            return asked
        # Jitter, so that a fleet of boards that were throttled together does not come back together.
        return min(_BACKOFF_LIMIT, 2.0**tries) * random.SystemRandom().uniform(0.5, 1.0)

    def _error(self, answer: http_session.StreamAnswer, method: str) -> errors.DeviceLoginError:
        status = answer.status
        if status < 400:
            return self._redirected(answer)
        refusal = _read_refusal(answer)
        if status == 401:
            return TokenRejectedError(
                self._host, challenges.read_claims(answer.headers.get("WWW-Authenticate")), refusal
            )
        if status == 429 or (status >= 500 and status not in _LASTING):
            return self._busy(refusal, method, http_session.read_retry_after(answer.headers, self._timer.wall))
        said = f": {refusal.message}" if refusal.message else ""
        return errors.HttpAnswerError(
            f"{self._host} answered {status}{said}",
            hint=_hint(refusal),
            detail=refusal.detail,
            correlation_id=refusal.request_id,
        )

    def _busy(self, refusal: _Refusal, method: str, asked: float | None) -> http_session.ServerBusyError:
        error = http_session.ServerBusyError(self._host, refusal.status, asked)
        error.detail, error.correlation_id = refusal.detail, refusal.request_id
        if method not in _SAFE_METHODS and refusal.status != 429:
            error.hint = "it may have been done all the same: look before you repeat it"
        elif asked is not None:
            error.hint = f"nothing was changed; try again in {max(1, round(asked))} s"
        return error

    def _redirected(self, answer: http_session.StreamAnswer) -> errors.BadAnswerError:
        try:
            elsewhere = urlsplit(answer.headers.get("Location", "")).netloc.rpartition("@")[2] or self._host
        except ValueError:
            elsewhere = "another address"
        return errors.BadAnswerError(
            f"{self._host} sends us on to {redaction.quotable(elsewhere, limit=100)}, where the token must not go",
            hint="for a file, ask for its address instead: devicelogin graph 'me/drive/items/ID?$select=id,@microsoft.graph.downloadUrl'",
            detail=f"HTTP {answer.status}",
        )


def _accepted(answer: http_session.StreamAnswer) -> GraphAnswer:
    return GraphAnswer(
        status=answer.status,
        headers=answer.headers,
        request_id=_identifier(answer.headers.get("request-id")),
        chunks=answer.chunks(),
        close=answer.close,
    )


def _may_repeat(status: int, method: str, body: object) -> bool:
    """Tell whether the request can be sent again without harm; 429 is the one refusal that surely did nothing."""
    if method in _SAFE_METHODS:
        return status in _THROTTLED
    return status == 429 and (body is None or isinstance(body, bytes))


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        shown = redaction.printable(name, limit=60)
        if not _HEADER_NAME.match(name):
            raise errors.UsageError(f"{shown} is no name of a header", hint="write it as NAME: VALUE")
        if name.lower() in _OURS:
            raise errors.UsageError(f"the header {shown} cannot be set", hint="leave it out; it is set for you")
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise errors.UsageError(
                f"the value of the header {shown} holds a control character or one outside ASCII",
                hint="write it on one line, in ASCII",
            )
    return dict(headers)


def _read_refusal(answer: http_session.StreamAnswer) -> _Refusal:
    body, patience = bytearray(), clock.Deadline(_ERROR_BODY_SECONDS)
    try:
        for chunk in answer.chunks():
            body += chunk
            if len(body) > _ERROR_BODY_LIMIT or patience.passed():
                break
        parsed = json.loads(body)
    except (errors.DeviceLoginError, ValueError, RecursionError):
        # The status alone says enough; that its explanation is damaged is no reason to hide it.
        parsed = None
    error = _member(parsed, "error")
    # Written `innerError` on the wire and `innererror` in the documentation.
    inner = _member(error, "innerError") or _member(error, "innererror")
    request_id = _identifier(answer.headers.get("request-id")) or _identifier(_member(inner, "request-id"))
    return _Refusal(answer.status, _words(error, "code", 80), _words(error, "message", 300), request_id)


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _words(error: object, name: str, limit: int) -> str:
    value = _member(error, name)
    return redaction.quotable(value, limit=limit).rstrip(".") if isinstance(value, str) else ""


def _identifier(value: object) -> str | None:
    is_plain = isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z_.:-]{1,80}", value) is not None
    return str(value) if is_plain and redaction.redacted(str(value)) == value else None


def _hint(refusal: _Refusal) -> str:
    if refusal.status == 403:
        return (
            "the sign-in may lack a permission: devicelogin login --scope NAME (with the same --profile) adds one; "
            "some need an administrator's consent"
        )
    if refusal.status in {400, 404, 405}:
        return "look the request up: https://learn.microsoft.com/graph/api/overview"
    if refusal.status in {409, 412}:
        return "what it is about has changed meanwhile: read it again first"
    return "look the code up: https://learn.microsoft.com/graph/errors"
