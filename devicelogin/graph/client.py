"""Requests to Microsoft Graph: the token, the waiting when Graph asks for it, and the words for a refusal."""

from __future__ import annotations

import inspect
import os
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from devicelogin import clock, errors, http_session, models, redaction, retry
from devicelogin.graph import addresses, challenges, redirects, refusals, speaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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

#: Which answers of Graph mean "later"? The others of the 5xx family only if the request is safe to send again.
_THROTTLED = frozenset({429, 503, 504})

#: 5xx answers that a later try will not mend: not implemented, HTTP version, storage quota.
_LASTING = frozenset({501, 505, 507})


class TokenRejectedError(errors.LoginRequiredError):
    """Graph does not accept the access token (401), nor a new one where one could be had.

    `claims` is the JSON text that a refresh must pass on (continuous access evaluation), None where none is demanded.
    """

    def __init__(self, host: str, claims: str | None, refusal: refusals.Refusal) -> None:
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


@models.short_record
class _Asked:
    """One request as the caller wants it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | Iterator[bytes] | None

    @property
    def is_safe(self) -> bool:
        return self.method in http_session.SAFE_METHODS

    @property
    def can_be_sent_again(self) -> bool:
        return self.body is None or isinstance(self.body, bytes)


class GraphClient:
    """Sends requests to the Graph at `root` with the tokens that `token` returns, and to no other host.

    `token` is asked before every try. Where it takes `force_refresh` and `claims`, as `DeviceLogin.access_token` does, a
    401 and a claims challenge are answered with a new token, each once. `ca_file` is for this Graph's certificates; that
    method of a DeviceLogin brings its profile's. `DeviceLogin.graph()` makes a client that needs none of this.

    Raises ConfigError where `root` is not a plain https origin, or the certificates cannot be read.
    """

    def __init__(
        self,
        token: Callable[..., models.AccessToken],
        root: str,
        *,
        ca_file: str | None = None,
        session: http_session.HttpSession | None = None,
        timer: clock.Clock | None = None,
    ) -> None:
        self._token = token
        self._root = addresses.check_root(root)
        self._host = urlsplit(self._root).netloc
        self._session = session or _session(token, ca_file)
        self._timer = timer or clock.SystemClock()

    def close(self) -> None:
        """Close the connections. The client can still be used: it makes new ones."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

        Tries again for up to `max_wait` seconds, its requests included, where Graph asks for it and the request can be
        sent again: a GET or HEAD; after 429 any request whose body is not an iterator. Redirects of a GET or HEAD are
        followed, to other hosts without the token.

        Raises UsageError for a path, method or header that is never sent; TokenRejectedError; TryLaterError where Graph is
        throttling or down; HttpAnswerError for its other refusals; BadAnswerError for answers that are not Graph's and
        broken bodies. With the `code` `outcome_unknown` nobody knows whether the request was done; with `answer_lost` it
        was.
        """
        url = addresses.resolve(path, self._root)
        if not _METHOD.match(method):
            raise errors.UsageError(
                f"{redaction.printable(method, limit=30)} is not an HTTP method",
                hint="write it in capitals: devicelogin graph POST me/sendMail --input mail.json",
            )
        asked = _Asked(method, url, _check_headers(headers or {}), body)
        patience = retry.Patience(max_wait, self._timer)

        def work() -> GraphAnswer:
            # The first try has its own limits. One that is made again must not outlast the caller's patience; but to cut a
            # change off would leave it in doubt.
            is_again = patience.failures > 0 and asked.is_safe
            return self._authorized(asked, clock.Deadline(patience.remaining()) if is_again else None)

        def passes(error: errors.TryLaterError) -> bool:
            if isinstance(error, http_session.ServerBusyError):
                return _may_repeat(error.status, asked)
            return asked.is_safe and patience.failures > 0 and isinstance(error, http_session.NoAnswerError)

        # Graph's best practices: after a 503 on a new connection, which may lead to another machine.
        return retry.call(work, patience, passes=passes, told=lambda *_: self._session.close())

    def _authorized(self, asked: _Asked, limit: clock.Deadline | None) -> GraphAnswer:
        """Make one try; a 401 and a claims challenge are each answered once, with a new token."""
        token, met = self._asked_for(), set()
        while True:
            try:
                return self._try(asked, token, limit)
            except TokenRejectedError as rejected:
                has_claims = rejected.claims is not None
                if has_claims in met or True in met or not asked.can_be_sent_again or not _takes_wishes(self._token):
                    raise
                met.add(has_claims)
                token = self._asked_for(force_refresh=True, claims=rejected.claims)

    def _asked_for(self, **wishes: object) -> models.AccessToken:
        """Return a token that can be sent."""
        token = self._token(**wishes)
        if not (token.token.isascii() and token.token.isprintable()) or " " in token.token:
            raise errors.BadAnswerError(
                "the access token holds characters that no token has",
                hint="get another one (with the same --profile): devicelogin token --force-refresh >/dev/null",
            )
        return token

    def _try(self, asked: _Asked, token: models.AccessToken, limit: clock.Deadline | None) -> GraphAnswer:
        """Send the request, follow where it leads, and return the answer or raise what it means."""
        url, is_signed, host = asked.url, True, self._host
        for _ in range(redirects.MOST + 1):
            at_graph = url.startswith(f"{self._root}/")
            answer = self._send(asked, url, token.token if at_graph else None, limit)
            if answer.status not in redirects.STATUSES or not asked.is_safe:
                break
            with answer:
                is_signed = is_signed and speaker.is_signed(answer.headers)
                url = self._next(url, answer, was_at_graph=at_graph)
        else:
            raise redirects.too_many(host)
        if at_graph:
            # A program's own source, such as a credential of Azure's SDK, need not say what its tokens permit.
            return self._of_graph(answer, asked, url, getattr(token, "scopes", ()))
        return self._of_other(answer, is_signed=is_signed)

    def _next(self, url: str, answer: http_session.StreamAnswer, *, was_at_graph: bool) -> str:
        """Return where `answer` sends us on to. Raises BadAnswerError where we do not go."""
        following = redirects.next_url(url, answer.headers.get("Location", ""), answer.host)
        if not following.startswith(f"{self._root}/"):
            return following
        # SECURITY: the token goes where Graph itself sends us within its own origin, never where another host does.
        try:
            if was_at_graph:
                return addresses.resolve(following, self._root)
        except errors.UsageError:
            pass
        raise redirects.unusable(answer.host)

    def _send(
        self, asked: _Asked, url: str, token: str | None, limit: clock.Deadline | None
    ) -> http_session.StreamAnswer:
        if token is None:
            plain = redirects.headers_of(asked.headers)
            return self._session.stream(asked.method, url, headers=plain, deadline=limit, is_secret=True)
        identified = {"client-request-id": str(uuid.uuid4()), "Accept": "application/json, */*;q=0.8", **asked.headers}
        identified["Authorization"] = f"Bearer {token}"
        return self._session.stream(asked.method, url, headers=identified, body=asked.body, deadline=limit)

    def _of_graph(
        self, answer: http_session.StreamAnswer, asked: _Asked, url: str, scopes: tuple[str, ...]
    ) -> GraphAnswer:
        try:
            if answer.status < 300 or answer.status == 304:
                return _accepted(answer, speaker.checked(answer, url))
            with answer:
                raise self._error(answer, asked, scopes)
        except errors.BadAnswerError as error:
            # Whoever has answered: the request may have come to Graph before.
            if not asked.is_safe and error.code == errors.BadAnswerError.code:
                http_session.in_doubt(error)
            raise

    def _error(
        self, answer: http_session.StreamAnswer, asked: _Asked, scopes: tuple[str, ...]
    ) -> errors.DeviceLoginError:
        """Return the error for what Graph refuses to a token of `scopes`."""
        status = answer.status
        if status < 400:
            return redirects.unusable(self._host)
        refusal = refusals.read(answer)
        if status == 401:
            return TokenRejectedError(
                self._host, challenges.read_claims(answer.headers.get("WWW-Authenticate")), refusal
            )
        if _means_later(status):
            error = self._busy(answer)
            error.detail, error.correlation_id = refusal.detail, refusal.request_id
            return error if asked.is_safe or status == 429 else http_session.in_doubt(error)
        said = f": {refusal.message}" if refusal.message else ""
        return errors.HttpAnswerError(
            f"{self._host} answered {status}{said}",
            hint=refusals.hint(refusal, scopes),
            detail=refusal.detail,
            correlation_id=refusal.request_id,
        )

    def _of_other(self, answer: http_session.StreamAnswer, *, is_signed: bool) -> GraphAnswer:
        """Return the content that another host has. Raises what its refusal means."""
        status = answer.status
        if status < 300 or status == 304:
            if not is_signed and speaker.is_page(answer.headers):
                answer.close()
                raise http_session.not_the_service(answer.host, status=status)
            return _accepted(answer, answer.chunks())
        with answer:
            raise self._busy(answer) if _means_later(status) else redirects.refused(status, answer.host)

    def _busy(self, answer: http_session.StreamAnswer) -> http_session.ServerBusyError:
        wish = http_session.read_retry_after(answer.headers, self._timer.wall)
        return http_session.ServerBusyError(answer.host, answer.status, wish)


def _session(token: object, ca_file: str | None) -> http_session.HttpSession:
    """Return the session of the DeviceLogin whose method `token` is, where it is one and no `ca_file` is given."""
    of_profile = getattr(getattr(token, "__self__", None), "_connect_to_graph", None)
    if ca_file is None and of_profile is not None:
        session: http_session.HttpSession = of_profile()
        return session
    return http_session.HttpSession(environ=os.environ, ca_file=ca_file)


def _takes_wishes(token: Callable[..., models.AccessToken]) -> bool:
    try:
        inspect.signature(token).bind(force_refresh=True, claims=None)
    except (TypeError, ValueError):
        return False
    return True


def _accepted(answer: http_session.StreamAnswer, chunks: Iterator[bytes]) -> GraphAnswer:
    return GraphAnswer(
        status=answer.status,
        headers=answer.headers,
        request_id=refusals.identifier(answer.headers.get("request-id")),
        chunks=chunks,
        close=answer.close,
    )


def _means_later(status: int) -> bool:
    return status == 429 or (status >= 500 and status not in _LASTING)


def _may_repeat(status: int, asked: _Asked) -> bool:
    """Tell whether the request can be sent again without harm; 429 is the one refusal that surely did nothing."""
    return asked.can_be_sent_again and (status == 429 or (asked.is_safe and status in _THROTTLED))


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        shown = redaction.printable(name, limit=60)
        if not _HEADER_NAME.match(name):
            raise errors.UsageError(f"{shown} is not the name of a header", hint="write it as NAME: VALUE")
        if name.lower() in _OURS:
            raise errors.UsageError(f"the header {shown} cannot be set", hint="leave it out; it is set for you")
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise errors.UsageError(
                f"the value of the header {shown} holds a control character or one outside ASCII",
                hint="write it on one line, in ASCII",
            )
    return dict(headers)
