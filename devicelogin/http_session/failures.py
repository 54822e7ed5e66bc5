"""What a failed exchange means: the exceptions of sockets, TLS, urllib3 and requests in, our errors out.

No text of those libraries is shown: it may hold URLs, proxy passwords or whatever a server sent.
"""

from __future__ import annotations

import errno
import http.client
import math
import re
import socket
import ssl
from typing import TYPE_CHECKING, TypeVar

import requests
import urllib3.exceptions

from devicelogin import errors, file_errors, models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.http_session.proxies import Proxy

#: What is the `code` of an error after which nobody knows whether what was asked for was done, and of one after which it was?
OUTCOME_UNKNOWN, ANSWER_LOST = "outcome_unknown", "answer_lost"

#: What is the `code` of an error that a proxy refuses us?
PROXY_REFUSED = "proxy_refused"

#: Which methods change nothing, so that sending them twice is the same as sending them once (RFC 9110 section 9.2.1)?
SAFE_METHODS = frozenset({"GET", "HEAD"})

_NOT_SENT = "nothing was sent there; check the network and try again"
_SENT = "check the network and try again"
_LOOK = "it may have been done all the same: look before you repeat it"

#: Which errors of connect() mean that no packet found its way?
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES})

_CUT = (
    ConnectionError,
    http.client.RemoteDisconnected,
    http.client.IncompleteRead,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,  # what Python 3.11.2 calls an end in the middle of the handshake
    EOFError,
)

#: Which ways to sign in to a proxy are there that we do not know?
_UNKNOWN_WAYS = {"ntlm": "NTLM", "negotiate": "Negotiate", "digest": "Digest"}

_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b")


class UnknownChallengeError(OSError):
    """A proxy wants to know who we are in no way that we know; `wanted` is the first of those it names."""

    def __init__(self, wanted: str) -> None:
        super().__init__("Tunnel connection failed: 407")
        self.wanted = wanted


def check_challenges(head: str) -> None:
    """Raise UnknownChallengeError where the `head` of a proxy's 407 offers nothing that we can answer."""
    offered = [scheme.lower() for scheme in re.findall(r"(?im)^proxy-authenticate:[ \t]*([A-Za-z]{1,20})\b", head)]
    known = [_UNKNOWN_WAYS[scheme] for scheme in offered if scheme in _UNKNOWN_WAYS]
    if known and "basic" not in offered:
        raise UnknownChallengeError(known[0])


@models.short_record
class Attempt:
    """A request, as far as the words about its failure depend on it.

    `is_change`: to send it twice may do something twice. `sent`: some of it may have left this machine. `is_at_proxy`: it
    came to the proxy, and no further.
    """

    method: str
    host: str
    proxy: Proxy | None = None
    is_change: bool = False
    sent: bool = False
    is_at_proxy: bool = False

    @property
    def is_in_doubt(self) -> bool:
        """Tell whether nobody knows what became of it, as long as there is no answer."""
        return self.is_change and self.sent


class NoAnswerError(errors.TryLaterError):
    """The network failed before there was an answer.

    `request_may_have_arrived` is False where not one byte of the request was sent, so that repeating it is safe whatever
    it does.
    """

    def __init__(self, message: str, *, request_may_have_arrived: bool, hint: str | None = None) -> None:
        super().__init__(message, hint=hint or (_SENT if request_may_have_arrived else _NOT_SENT), code="network")
        self.request_may_have_arrived = request_may_have_arrived


class ServerBusyError(errors.TryLaterError):
    """The server answered 429 or 5xx. `retry_after` is the seconds it asked for, None where it named no sane number."""

    request_may_have_arrived = True

    def __init__(self, host: str, status: int, retry_after: float | None) -> None:
        words = "asks to be left alone for a while" if status == 429 else "has trouble of its own"
        is_named = retry_after is not None and math.isfinite(retry_after)
        moment = f"in {max(1, math.ceil(retry_after or 0))} s" if is_named else "later"
        super().__init__(
            f"{host} {words}",
            hint=f"try again {moment}",
            detail=f"HTTP {status}",
            code="throttled" if status == 429 else "server_error",
        )
        self.status = status
        self.retry_after = retry_after


Error = TypeVar("Error", bound=errors.DeviceLoginError)


def in_doubt(error: Error) -> Error:
    """Return `error`, of a change that was sent and has no answer, in words that lead nobody to do it twice (D21)."""
    error.code, error.retryable, error.hint = OUTCOME_UNKNOWN, False, _LOOK
    return error


def was_done(error: Error, method: str) -> Error:
    """Return `error`, which came after a change had been done, in words that lead nobody to do it twice (D21)."""
    error.code, error.retryable = ANSWER_LOST, False
    error.hint = f"the {method} was done; do not repeat it for its answer"
    return error


def unanswered(attempt: Attempt) -> str:
    """Return what to say of a change whose answer is not waited for any more."""
    return f"the {attempt.method} had been sent to {attempt.host}; {_LOOK}"


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


def explain(error: BaseException, attempt: Attempt) -> errors.DeviceLoginError:
    """Return what the failure of `attempt` means, and what can be done about it.

    Refused certificates are not explained here but in `certificates`.
    """
    failure = _explain(error, attempt)
    return in_doubt(failure) if attempt.is_in_doubt else failure


def _explain(error: BaseException, attempt: Attempt) -> errors.DeviceLoginError:
    host, proxy, sent = attempt.host, attempt.proxy, attempt.sent
    chain = tuple(causes(error))
    if any(isinstance(each, OSError) and each.errno in file_errors.LIMITS for each in chain):
        return NoAnswerError(
            f"cannot reach {host}: this process has reached a limit of open files or memory",
            hint="look at the limits of this session: ulimit -a",
            request_may_have_arrived=sent,
        )
    if proxy is not None and (attempt.is_at_proxy or is_at_proxy(error)):
        return _explain_proxy(chain, host, proxy)
    if isinstance(error, (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL)):
        return errors.InternalError("a request was made that HTTP cannot carry", hint="report this line")
    words = _words(chain)
    if words is not None:
        lost = f"no answer of {host} to the {attempt.method}" if attempt.is_in_doubt else f"cannot reach {host}"
        return NoAnswerError(f"{lost}: {words}", request_may_have_arrived=sent)
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
    wanted = next((each.wanted for each in chain if isinstance(each, UnknownChallengeError)), None)
    if wanted is not None:
        return errors.ConfigError(
            f"the proxy {proxy.shown} wants to be signed in to by {wanted}, which devicelogin does not speak",
            hint=f"run a local proxy that does (px, cntlm) and name it in {proxy.source}, or ask for an exception for {host}",
            detail="HTTP 407",
            code=PROXY_REFUSED,
        )
    if status == "407":
        return errors.ConfigError(
            f"the proxy {proxy.shown} does not accept the user name and password, or none were given",
            hint=f"put them into the address, percent-encoded: export {proxy.source}=http://USER:PASSWORD@{proxy.shown}",
            detail="HTTP 407",
            code=PROXY_REFUSED,
        )
    if status is not None and status.startswith("4"):
        return errors.ConfigError(
            f"the proxy {proxy.shown} does not let us through to {host}",
            hint=f"ask who runs the proxy to allow {host}, or exclude it: export NO_PROXY={host.partition(':')[0]}",
            detail=f"HTTP {status}",
            code=PROXY_REFUSED,
        )
    words = "it answered with an error" if status else (_words(chain) or "it did not answer as a proxy does")
    failure = NoAnswerError(
        f"cannot reach {host} through the proxy {proxy.shown}: {words}",
        hint=f"nothing was sent there; check {proxy.source} and try again",
        request_may_have_arrived=False,
    )
    failure.detail = f"HTTP {status}" if status else None
    return failure
