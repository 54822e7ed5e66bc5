"""The one way to the network: class HttpSession."""

from __future__ import annotations

import dataclasses
import functools
import http.client
import importlib.metadata
import logging
import time
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit

import requests
import requests.structures
import urllib3.exceptions

from devicelogin import clock, errors, models, redaction
from devicelogin.http_session import answers, certificates, exchange, failures, proxies, transport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_log = logging.getLogger("devicelogin.http")

#: How long may it take until a connection stands: name resolution, every address, TLS (design, "Deadlines")?
CONNECT_SECONDS = 15.0

#: How long may a whole exchange with the identity provider take?
EXCHANGE_SECONDS = 30.0

#: How long may Graph be silent: before its answer, and between two pieces of it?
STREAM_SECONDS = 60.0

#: Which fields of a form are secrets (RFC 6749, 7009, 8628)?
_SECRET_FIELDS = ("refresh_token", "device_code", "token")

#: Stands for "no deadline".
_NEVER = 10 * 365 * 86_400.0

T = TypeVar("T")


@models.short_record
class _Target:
    url: str
    name: str
    port: int
    shown: str
    path: str
    proxy: proxies.Proxy | None


class HttpSession:
    """Connections that trust whom the settings say, follow no redirect, read no netrc and end in time.

    `ca_file` comes before REQUESTS_CA_BUNDLE and SSL_CERT_FILE of `environ`, these before the operating system's store.
    No exchange goes on after `deadline`. Raises ConfigError where the certificates cannot be read.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        ca_file: str | None = None,
        deadline: clock.Deadline | None = None,
        user_agent: str | None = None,
    ) -> None:
        self._environ = environ
        self._deadline = deadline or clock.Deadline(_NEVER)
        self._headers = {"User-Agent": user_agent or _user_agent(), "Accept-Encoding": "gzip", "Accept": "*/*"}
        self._trust = certificates.tls_context(ca_file, environ)
        # SECURITY: an adapter without requests' Session. That one lets ~/.netrc replace the bearer token (fault
        # catalogue M7), keeps cookies, and reads the body of a redirect, however long, even if it is not to follow it.
        self._adapter = transport.TlsAdapter(self._trust.context)
        #: How far did the last exchange come?
        self.way = exchange.Way()

    def get_json(self, url: str, *, headers: Mapping[str, str] | None = None) -> answers.JsonAnswer:
        """Return the JSON object at `url`, whatever 2xx or 4xx status came with it.

        Raises ServerBusyError (429 and 5xx) and NoAnswerError, both TryLaterErrors; BadAnswerError for anything that is
        not JSON, redirects and certificates included; ConfigError for a URL that is not https.
        """
        return self._json("GET", url, headers, None, may_be_empty=False)

    def post_form(
        self,
        url: str,
        data: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        may_be_empty: bool = False,
    ) -> answers.JsonAnswer:
        """Send `data` form-encoded and return the answer as `get_json` does.

        A 429 that says `slow_down` is an answer too (RFC 8628 section 3.5). `may_be_empty`: a 2xx answer need not be JSON
        and its body is ignored, a 4xx one may have none (RFC 7009 section 2.2).
        """
        return self._json("POST", url, headers, dict(data), may_be_empty=may_be_empty)

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        deadline: clock.Deadline | None = None,
        is_secret: bool = False,
    ) -> answers.StreamAnswer:
        """Return the answer of any status from 200 on, with its body still to be read; the caller closes it.

        `url` is sent exactly as it is given; `is_secret`: nothing but its host is ever shown. No byte of `body` moving for
        a minute ends the exchange, and `deadline`, or that of the session, runs while none is sent. Raises NoAnswerError
        and BadAnswerError as `get_json` does; their words depend on the method and on what was sent (D21).
        """
        target = self._target(url, is_secret=is_secret)
        is_change = method not in failures.SAFE_METHODS
        counted = transport.Body(body) if isinstance(body, bytes) else None if body is None else transport.counted(body)

        def work() -> answers.StreamAnswer:
            raw, answer_headers = self._send(method, target, headers, counted, read_seconds=STREAM_SECONDS)
            if raw.status < 200:
                raw.close()
                raise failures.not_the_service(target.shown, status=raw.status)
            return answers.StreamAnswer(raw, answer_headers, target.shown, method=method)

        running = exchange.Exchange(work)
        return self._run(
            running,
            failures.Attempt(method=method, host=target.shown, proxy=target.proxy, is_change=is_change),
            target,
            headers,
            answer=STREAM_SECONDS,
            deadline=deadline or self._deadline,
            upload_pause=STREAM_SECONDS if counted else None,
        )

    def close(self) -> None:
        """Close all idle connections. The session can still be used: it makes new ones."""
        self._adapter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _json(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        data: dict[str, str] | None,
        *,
        may_be_empty: bool,
    ) -> answers.JsonAnswer:
        target = self._target(url)

        def work() -> answers.JsonAnswer:
            raw, answer_headers = self._send(method, target, headers, data, read_seconds=EXCHANGE_SECONDS)
            try:
                text, body = _read(
                    raw, answer_headers, target.shown, is_post=method == "POST", may_be_empty=may_be_empty
                )
            except BaseException:
                raw.close()
                raise
            date = answers.read_date(answer_headers.get("Date"))
            return answers.JsonAnswer(
                status=raw.status, host=target.shown, headers=answer_headers, text=text, body=body, server_date=date
            )

        running = exchange.Exchange(work)
        # Not a change: all that is posted so is harmless when it comes twice, or its sender knows more about it.
        attempt = failures.Attempt(method=method, host=target.shown, proxy=target.proxy)
        return self._run(running, attempt, target, headers, answer=EXCHANGE_SECONDS, deadline=self._deadline)

    def _send(
        self,
        method: str,
        target: _Target,
        headers: Mapping[str, str] | None,
        body: object,
        *,
        read_seconds: float,
    ) -> tuple[urllib3.BaseHTTPResponse, Mapping[str, str]]:
        merged = requests.structures.CaseInsensitiveDict(self._headers | dict(headers or {}))
        _hide_secrets(merged, body)
        prepared = requests.Request(method, target.url, headers=merged, data=body).prepare()
        # requests rewrites URLs (it resolves `%2e`, for one); what was checked is what is sent.
        prepared.url = target.url
        response = self._adapter.send(
            prepared,
            stream=True,
            timeout=(transport.ADDRESS_SECONDS, read_seconds),
            proxies={} if target.proxy is None else {"https": target.proxy.url},
        )
        return response.raw, requests.structures.CaseInsensitiveDict(response.headers)

    def _run(
        self,
        running: exchange.Exchange[T],
        attempt: failures.Attempt,
        target: _Target,
        headers: Mapping[str, str] | None,
        *,
        answer: float,
        deadline: clock.Deadline,
        upload_pause: float | None = None,
    ) -> T:
        started = time.monotonic()
        outcome = "no answer"
        self.way = running.way
        try:
            result = running.wait(connect=CONNECT_SECONDS, answer=answer, deadline=deadline, upload_pause=upload_pause)
            outcome = str(getattr(result, "status", ""))
            return result
        except errors.DeviceLoginError as error:
            outcome = error.detail or error.code
            if attempt.is_change:
                failures.in_doubt(error)
            raise
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            way, sent = running.way, running.sending
            at_proxy = way.is_connected and not way.is_through and not sent
            met = dataclasses.replace(attempt, sent=sent, is_at_proxy=at_proxy)
            raise self._explain(error, target, met, deadline) from None
        except BaseException as end:
            if attempt.is_change and running.sending:
                end.add_note(failures.unanswered(attempt))
            raise
        finally:
            request_id = {name.lower(): value for name, value in (headers or {}).items()}.get("client-request-id", "-")
            milliseconds = round((time.monotonic() - started) * 1000)
            _log.debug(
                "%s %s %s %s %d ms %s", attempt.method, target.shown, target.path, outcome, milliseconds, request_id
            )

    def _explain(
        self, error: Exception, target: _Target, attempt: failures.Attempt, deadline: clock.Deadline
    ) -> errors.DeviceLoginError:
        refusal = certificates.refusal_in(error)
        if refusal is None:
            return failures.explain(error, attempt)
        if target.proxy is not None and failures.is_at_proxy(error):
            return certificates.explain(refusal, target.proxy.shown, certificates.Impostor(), now=time.time())
        # The clock may be set while we look.
        now = time.time()
        look = functools.partial(certificates.look_at, target.name, target.port, target.proxy)
        try:
            seen = exchange.Exchange(look).wait(connect=6, answer=6, deadline=deadline)
        except exchange.TooSlowError:
            seen = certificates.Impostor()
        return certificates.explain(refusal, target.shown, seen, now=now, is_store_empty=self._trust.is_empty())

    def _target(self, url: str, *, is_secret: bool = False) -> _Target:
        """Return where `url` leads. Raises ConfigError where we do not go: anything but https, and odd URLs."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError:
            parts, host, port = urlsplit(""), "", 0
        is_plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
        if parts.scheme != "https" or not host or parts.username is not None or not is_plain:
            # What stands before an @ may be a password.
            shown = redaction.printable(url.partition("?")[0].rpartition("@")[2], limit=100)
            raise errors.ConfigError(
                f"{shown} is not an address for a secure connection",
                hint="addresses begin with https:// and hold no user name",
            )
        shown = host if port == 443 else parts.netloc.lower()
        path = "(its address is a secret)" if is_secret else redaction.printable(parts.path, limit=200)
        return _Target(url, host, port, shown, path, proxies.proxy_for(host, port, self._environ))


def _hide_secrets(headers: Mapping[str, str], body: object) -> None:
    """Keep what is about to be sent out of all that is shown, whoever repeats it."""
    redaction.hide(headers.get("Authorization", "").rpartition(" ")[2])
    if isinstance(body, dict):
        for name in _SECRET_FIELDS:
            redaction.hide(body.get(name, ""))


def _user_agent() -> str:
    try:
        return f"devicelogin/{importlib.metadata.version('devicelogin')}"
    except importlib.metadata.PackageNotFoundError:
        return "devicelogin"


def _read(
    raw: urllib3.BaseHTTPResponse, headers: Mapping[str, str], host: str, *, is_post: bool, may_be_empty: bool
) -> tuple[str, dict[str, object]]:
    slow_down = answers.read_slow_down(raw, headers, host) if is_post else None
    if slow_down is not None:
        return slow_down
    _check_status(raw.status, headers, host)
    if may_be_empty and raw.status < 300:
        raw.close()
        return "", {}
    return answers.read_json(raw, headers, host, may_be_empty=may_be_empty)


def _check_status(status: int, headers: Mapping[str, str], host: str) -> None:
    if status < 200 or 300 <= status < 400 or status == 511:
        # RFC 6585 section 6: 511 is the status of captive portals.
        raise failures.not_the_service(host, status=status)
    if status == 429 or status >= 500:
        raise failures.ServerBusyError(host, status, answers.read_retry_after(headers, time.time))
