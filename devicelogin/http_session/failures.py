"""What a failed exchange means: the exceptions of sockets, TLS, urllib3 and requests in, our errors out.

No text of those libraries is shown: it may hold URLs, proxy passwords or whatever a server sent.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
from typing import TYPE_CHECKING

import requests
import urllib3.exceptions

from devicelogin import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.http_session.proxies import Proxy

_TRY_AGAIN = "nothing was changed; check the network and try again"

#: Which errors of connect() mean that no packet found its way?
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES})

#: Which errors mean that this process has used up what it may have, so that the network is not to blame?
_USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

_CUT = (
    ConnectionError,
    http.client.RemoteDisconnected,
    http.client.IncompleteRead,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,  # what Python 3.11.2 calls an end in the middle of the handshake
    EOFError,
)

_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b")


class NoAnswerError(errors.TryLaterError):
    """The network failed before there was an answer.

    `request_may_have_arrived` is False where not one byte of the request was sent, so that repeating it is safe whatever
    it does.
    """

    retry_after: float | None = None

    def __init__(self, message: str, *, request_may_have_arrived: bool, hint: str | None = _TRY_AGAIN) -> None:
        super().__init__(message, hint=hint, code="network")
        self.request_may_have_arrived = request_may_have_arrived


class ServerBusyError(errors.TryLaterError):
    """The server answered 429 or 5xx. `retry_after` is the seconds it asked for, None where it named no sane number."""

    request_may_have_arrived = True

    def __init__(self, host: str, status: int, retry_after: float | None) -> None:
        words = "asks to be left alone for a while" if status == 429 else "has trouble of its own"
        super().__init__(
            f"{host} {words}",
            hint="nothing was changed; try again later",
            detail=f"HTTP {status}",
            code="throttled" if status == 429 else "server_error",
        )
        self.status = status
        self.retry_after = retry_after


def not_the_service(host: str, *, status: int | None = None) -> errors.BadAnswerError:
    """Return the error for an answer that the sign-in service or Graph would not give. Its body is never shown."""
    return errors.BadAnswerError(
        f"something other than the expected service answered at {host}: a captive portal or a proxy?",
        hint=f"look at what answers: curl -sv -o /dev/null https://{host}/",
        detail=None if status is None else f"HTTP {status}",
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and everything it was raised from or wraps, outermost first."""
    queue, seen = [error], set()
    while queue:
        one = queue.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        wrapped = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        queue.extend(each for each in wrapped if isinstance(each, BaseException))


def is_at_proxy(error: BaseException) -> bool:
    """Tell whether `error` arose between us and the proxy, before there was a way through it."""
    kinds = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)
    return any(isinstance(each, kinds) for each in causes(error))


def is_time_out(error: BaseException) -> bool:
    """Tell whether somebody was silent for too long."""
    return any(isinstance(each, (TimeoutError, urllib3.exceptions.TimeoutError)) for each in causes(error))


def explain(error: BaseException, host: str, proxy: Proxy | None, *, sent: bool) -> errors.DeviceLoginError:
    """Return what the failure of an exchange with `host` means; `sent`: had its request begun to leave?

    Refused certificates are not explained here but in `certificates`.
    """
    chain = tuple(causes(error))
    if any(isinstance(each, OSError) and each.errno in _USED_UP for each in chain):
        return NoAnswerError(
            f"cannot reach {host}: this process has reached a limit of open files or memory",
            hint="nothing was changed; look at the limits of this session: ulimit -a",
            request_may_have_arrived=sent,
        )
    if proxy is not None and is_at_proxy(error):
        return _explain_proxy(chain, host, proxy)
    if isinstance(error, (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL)):
        return errors.InternalError("a request was made that HTTP cannot carry", hint="report this line")
    words = _words(chain)
    if words is not None:
        return NoAnswerError(f"cannot reach {host}: {words}", request_may_have_arrived=sent)
    if any(isinstance(each, ssl.SSLError) for each in chain):
        return _explain_tls(chain, host)
    return not_the_service(host)


def _words(chain: tuple[BaseException, ...]) -> str | None:
    """Return what went wrong on the way to an answer, None where something did answer."""
    for each in chain:
        words = _words_of_system_error(each)
        if words is not None:
            return words
    if any(isinstance(each, urllib3.exceptions.NewConnectionError) for each in chain):
        return "could not connect"
    if is_time_out(chain[0]):
        return "no answer in time"
    if any(isinstance(each, _CUT) for each in chain):
        return "the connection was cut"
    return None


def _words_of_system_error(error: BaseException) -> str | None:
    if isinstance(error, socket.gaierror):
        return "name not resolved"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return "no route to it"
    return None


def _explain_tls(chain: tuple[BaseException, ...], host: str) -> errors.BadAnswerError:
    reasons = " ".join(str(getattr(each, "reason", "")) for each in chain if isinstance(each, ssl.SSLError))
    if "WRONG_VERSION_NUMBER" in reasons or "HTTP_REQUEST" in reasons or "UNKNOWN_PROTOCOL" in reasons:
        return not_the_service(host)
    name = re.search(r"[A-Z][A-Z0-9_]{3,60}", reasons)
    return errors.BadAnswerError(
        f"cannot agree with {host} on an encrypted connection (TLS 1.2 or newer)",
        hint="try from another network: something between this machine and the server may be too old",
        detail=name.group() if name else None,
    )


def _explain_proxy(chain: tuple[BaseException, ...], host: str, proxy: Proxy) -> errors.DeviceLoginError:
    status = next((match.group(1) for each in chain if (match := _TUNNEL_STATUS.search(str(each)))), None)
    if status == "407":
        return errors.ConfigError(
            f"the proxy {proxy.shown} does not accept the user name and password, or none were given",
            hint=f"put them into the address: export {proxy.source}=http://USER:PASSWORD@{proxy.shown}",
            detail="HTTP 407",
        )
    if status is not None and status.startswith("4"):
        return errors.ConfigError(
            f"the proxy {proxy.shown} does not let us through to {host}",
            hint=f"ask who runs the proxy to allow {host}, or exclude it: export NO_PROXY={host.partition(':')[0]}",
            detail=f"HTTP {status}",
        )
    words = "it answered with an error" if status else (_words(chain) or "it did not answer as a proxy does")
    failure = NoAnswerError(
        f"cannot reach {host} through the proxy {proxy.shown}: {words}",
        hint=f"nothing was changed; check {proxy.source} and try again",
        request_may_have_arrived=False,
    )
    failure.detail = f"HTTP {status}" if status else None
    return failure
