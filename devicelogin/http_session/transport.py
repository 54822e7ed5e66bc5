"""How bytes travel: requests' adapter and urllib3's connections, with our TLS context and our way to connect.

SECURITY: the context given here is the only one in use, for servers and for https proxies. requests would load certifi's
bundle beside it, and urllib3's own contexts obey SSLKEYLOGFILE.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import itertools
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any

import requests.adapters
import urllib3
import urllib3.connection
import urllib3.exceptions
import urllib3.response

from devicelogin.http_session import exchange, failures

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Sequence

#: How long may one address of a host stay silent before it is given up?
ADDRESS_SECONDS = 5.0

#: How long may TLS take? A link of 1 kB/s needs 10 s for the certificates alone.
HANDSHAKE_SECONDS = 15.0

#: How long may a socket wait while a request is sent and its answer is waited for (seconds)? Who waits for the exchange
#: keeps the time, and knows what still waits in the system's buffer; it cuts the connection when its patience is over.
_SEND_SECONDS = 3600.0

#: How many interim answers (RFC 9110 section 15.2) may come before the answer? More than one is rare.
_INTERIM_LIMIT = 20

#: How long is an address tried alone before the next one is tried beside it? RFC 8305 section 5 says 250 ms.
_STAGGER_SECONDS = 0.25

#: How much of a head is looked at ahead (bytes)?
_PEEK = 8192

_IN_PROGRESS = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)})

_Address = tuple[int, int, int, str, Any]


class TlsAdapter(requests.adapters.HTTPAdapter):
    """An adapter whose connections trust `context` and nothing else."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools with our context and connections."""
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the same for connections through `proxy`, and to it."""
        kwargs |= {"ssl_context": self._context, "proxy_ssl_context": self._context}
        pools = super().proxy_manager_for(proxy, **kwargs)
        pools.pool_classes_by_scheme = {"https": _Pool}
        return pools

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:
        """Add no certificates: those of the context are all."""
        del url, verify, cert
        conn.cert_reqs = "CERT_REQUIRED"


class _Response(http.client.HTTPResponse):
    """An answer that is not mistaken for the interim ones before it: the standard library skips no other than 100."""

    def _read_status(self) -> tuple[str, int, str]:
        """Read the first line; of a proxy's 407 look ahead at how it wants to be signed in to, which no other code keeps."""
        version, status, reason = super()._read_status()  # type: ignore[misc]
        if status == 407:
            failures.check_challenges(self.fp.peek(_PEEK).decode("latin-1"))
        return version, status, reason

    def begin(self) -> None:
        """Read the status and the headers of the answer. Raises HTTPException where none comes."""
        super().begin()
        for _ in range(_INTERIM_LIMIT):
            if not 102 <= self.status <= 199:
                return
            # Else the standard library takes what it has read for the beginning of the answer.
            self.headers = None  # type: ignore[assignment]
            super().begin()
        raise http.client.HTTPException("interim answers without an end")


class _Connection(urllib3.connection.HTTPSConnection):
    """A connection that tells its exchange how far it has come."""

    response_class = _Response

    def _new_conn(self) -> socket.socket:
        way = _way()
        try:
            addresses = _resolve(self._dns_host, self.port)
            way.addresses = tuple(str(address[4][0]) for address in addresses)
            sock = Race(addresses).winner()
            way.is_connected = True
        except socket.gaierror as error:
            raise urllib3.exceptions.NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, "no address answered") from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(self, "no address could be connected to") from error
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(HANDSHAKE_SECONDS)
            running = exchange.current()
            if running is not None:
                running.watch(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        except (OSError, http.client.HTTPException) as error:
            raise urllib3.exceptions.ProxyError("the proxy made no tunnel", error) from error
        _way().is_through = True

    def connect(self) -> None:
        """Connect, and note who proved to be at the other end."""
        super().connect()
        sock: Any = self.sock
        way = _way()
        way.protocol, way.certificate = sock.version(), sock.getpeercert(binary_form=True)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send the request, unless nobody waits for its answer any more."""
        running = exchange.current()
        if running is not None:
            # The socket inside TLS inside the TLS of an https proxy is one layer down.
            running.watch(getattr(self.sock, "socket", self.sock))
            running.begin_sending()
        # urllib3 would send under the time-out for connecting.
        self.timeout = _SEND_SECONDS
        super().request(*args, **kwargs)
        if running is not None:
            running.all_sent()

    def getresponse(self) -> urllib3.response.HTTPResponse:  # type: ignore[override]
        """Wait for the head of the answer as long as the exchange does; each piece of its body comes in the time given."""
        sock, each = self.sock, self.timeout
        self.timeout = _SEND_SECONDS
        answer = super().getresponse()
        with contextlib.suppress(OSError):  # it has all been read, and the connection is closed
            sock.settimeout(each)
        return answer


def _way() -> exchange.Way:
    running = exchange.current()
    return exchange.Way() if running is None else running.way


class Body:
    """The body of a request, which tells its exchange how far it has come."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._position = 0

    def __len__(self) -> int:
        """Return its size (bytes)."""
        return len(self._content)

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, less at the end."""
        end = len(self._content) if size < 0 else self._position + size
        piece = bytes(self._content[self._position : end])
        self._position += len(piece)
        _moved(piece)
        return piece


def counted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `pieces`, telling the exchange how far they have come."""
    for piece in pieces:
        _moved(piece)
        yield piece


def _moved(piece: bytes) -> None:
    running = exchange.current()
    if running is not None:
        running.moved(len(piece))


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


def _resolve(host: str, port: int | None) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name that is longer than names may be
        raise socket.gaierror(socket.EAI_NONAME, "no host name") from error
    return take_turns(found)


def take_turns(found: Sequence[_Address]) -> list[_Address]:
    """Return `found` with the address families taking turns, the system's favourite first (RFC 8305 section 4)."""
    families = list(dict.fromkeys(address[0] for address in found))
    rows = itertools.zip_longest(*([address for address in found if address[0] == family] for family in families))
    return [address for row in rows for address in row if address is not None]


class Race:
    """Connects to the first of some addresses that answers, so that a dead IPv6 costs a quarter of a second.

    `each` is the seconds after which an address is given up.
    """

    def __init__(self, addresses: Iterable[_Address], *, each: float = ADDRESS_SECONDS) -> None:
        self._waiting = list(addresses)
        self._each = each
        self._trying: dict[socket.socket, float] = {}
        self._next_start = 0.0
        self._error: OSError = OSError("no address")

    def winner(self) -> socket.socket:
        """Return the connection, not blocking.

        Raises the last address's error: TimeoutError where it stayed silent.
        """
        with selectors.DefaultSelector() as selector:
            try:
                while self._waiting or self._trying:
                    if self._waiting and (not self._trying or time.monotonic() >= self._next_start):
                        self._start(selector, self._waiting.pop(0))
                    won = self._collect(selector)
                    if won is not None:
                        return won
            finally:
                for sock in self._trying:
                    sock.close()
        raise self._error

    def _start(self, selector: selectors.BaseSelector, address: _Address) -> None:
        family, kind, protocol, _, target = address
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a machine without IPv6
            self._error = error
            return
        sock.setblocking(False)
        failure = sock.connect_ex(target)
        if failure not in _IN_PROGRESS:
            sock.close()
            self._error = OSError(failure, "connect")
            return
        now = time.monotonic()
        self._trying[sock], self._next_start = now + self._each, now + _STAGGER_SECONDS
        selector.register(sock, selectors.EVENT_WRITE)

    def _collect(self, selector: selectors.BaseSelector) -> socket.socket | None:
        if not self._trying:
            return None
        wake = min([*self._trying.values(), *([self._next_start] if self._waiting else [])])
        answered = {key.fileobj for key, _ in selector.select(max(0.0, wake - time.monotonic()))}
        late = {sock for sock, end in self._trying.items() if time.monotonic() >= end}
        for sock in [each for each in self._trying if each in answered | late]:
            del self._trying[sock]
            selector.unregister(sock)
            failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if sock in answered else errno.ETIMEDOUT
            if failure == 0:
                return sock
            sock.close()
            # OSError makes the fitting class of the number: ConnectionRefusedError, TimeoutError.
            self._error = OSError(failure, "connect")
        return None
