"""The HTTPS server: connections, TLS, reading requests, sending answers whole, slowly, cut or not at all."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import http
import http.server
import ipaddress
import logging
import os
import socket
import socketserver
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from devicelogin.emulator.messages import Answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from devicelogin.emulator.faults import Fault
    from devicelogin.emulator.messages import Request

_LOG = logging.getLogger(__name__)
_MAX_BODY = 16 * 1024 * 1024


class Application(Protocol):
    """What the server asks of the emulator for each request."""

    def receive(self, *, method: str, target: str, headers: Mapping[str, str], body: bytes, peer: str) -> Request:
        """Return the request, recorded."""

    def take_fault(self, request: Request) -> Fault | None:
        """Return the scripted step for this request."""

    def answer(self, request: Request) -> Answer:
        """Let the request take effect."""

    def now(self) -> float:
        """Return the time of the `Date` header."""


class _Reset(Exception):  # noqa: N818 - it ends a connection on purpose
    """The connection is to be reset."""


class HttpsServer(socketserver.TCPServer):
    """Serves an application on loopback, a thread per connection."""

    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, host: str, port: int, context: ssl.SSLContext, application: Application) -> None:
        """Bind; port 0 takes a free one. Raises ValueError for a host that is not loopback, OSError if taken."""
        if host != "localhost" and not _is_loopback(host):
            # SECURITY: whoever reaches the emulator can sign in as anybody it knows.
            raise ValueError(f"the emulator listens on loopback addresses only, not on {host!r}")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.application = application
        self.closing = threading.Event()
        self._context = context
        self._broken_until = 0.0
        self._guard = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        super().__init__((host, port), _Handler)
        self._loop = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, name="devicelogin-emulator", daemon=True
        )
        self._loop.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def break_for(self, seconds: float) -> None:
        """Reset every connection from now on for `seconds` of real time."""
        self._broken_until = time.monotonic() + seconds

    @property
    def is_broken(self) -> bool:
        """Are connections being reset?"""
        return time.monotonic() < self._broken_until

    def close(self) -> None:
        """Stop listening, end all connections, wait for their threads."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        self._loop.join()
        with self._guard:
            connections, threads = list(self._connections), list(self._threads)
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in threads:
            thread.join(timeout=5)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, so that no handshake keeps others waiting."""
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._guard:
            self._threads.add(thread)
        thread.start()

    def _serve(self, raw: socket.socket, client_address: Any) -> None:
        connection: socket.socket = raw
        try:
            if self.is_broken:
                _reset(raw)
                return
            # Raises if the client is gone already; wrap_socket would then lose the descriptor.
            raw.getpeername()
            raw.settimeout(30)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            with self._guard:
                self._connections.add(connection)
            if not self.closing.is_set():
                connection.do_handshake()
                _Handler(connection, client_address, self)
        except _Reset:
            _reset(connection)
        except (OSError, ValueError):
            # The client went away or spoke no TLS: its business.
            pass
        finally:
            with contextlib.suppress(OSError):
                connection.close()
            with self._guard:
                self._connections.discard(connection)
                self._threads.discard(threading.current_thread())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: HttpsServer

    def log_message(self, *_: object) -> None:
        """Say nothing: tests read the records, not a log."""

    def do_GET(self) -> None:
        self._exchange()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - the names that the standard library looks for

    def _exchange(self) -> None:
        application = self.server.application
        if self.server.is_broken:
            raise _Reset
        body = self._read_body()
        if body is None:
            self._send(Answer(status=400, body=b"the body could not be read"), None)
            self.close_connection = True
            return
        request = application.receive(
            method=self.command,
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            peer=str(self.client_address[0]),
        )
        fault = application.take_fault(request)
        if fault is not None and fault.wait:
            self.server.closing.wait(fault.wait)
        if fault is not None and fault.reset_when == "before":
            raise _Reset
        answer = self._answer(request, fault)
        if fault is not None and fault.reset_when == "after":
            raise _Reset
        self._send(answer, fault)

    def _answer(self, request: Request, fault: Fault | None) -> Answer:
        application = self.server.application
        try:
            if fault is not None and fault.replacement is not None:
                return fault.replacement(request, application.now())
            answer = application.answer(request)
            return answer.patched(fault.changes) if fault is not None and fault.changes is not None else answer
        except Exception:
            _LOG.exception("the emulator failed to answer %s %s", request.method, request.path)
            return Answer(status=500, body=b"the emulator failed")

    def _read_body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._read_chunks()
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            return None
        return self.rfile.read(length) if 0 <= length <= _MAX_BODY else None

    def _read_chunks(self) -> bytes | None:
        body = bytearray()
        while len(body) <= _MAX_BODY:
            try:
                size = int(self.rfile.readline(1024).partition(b";")[0], 16)
            except ValueError:
                return None
            if size == 0:
                while self.rfile.readline(65536).strip():
                    pass
                return bytes(body)
            if not 0 < size <= _MAX_BODY:
                return None
            body += self.rfile.read(size)
            self.rfile.readline(2)
        return None

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        body, headers = answer.body, list(answer.headers)
        if answer.compress and body and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1)
            headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        if answer.compress and body:
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _parts(body, 8192)) + b"0\r\n\r\n"
        elif answer.status not in {204, 304}:
            headers.append(("Content-Length", str(len(body))))
        if body:
            headers.append(("Content-Type", answer.content_type))
        if self.command == "HEAD":
            body = b""
        cut = fault.cut_after if fault is not None else None
        if cut is not None:
            body = body[:cut]
            self.close_connection = True
        for interim in fault.interim if fault is not None else ():
            self.wfile.write(self._head(interim, [("Link", "</style.css>; rel=preload; as=style")]))
        head = self._head(answer.status, headers)
        if fault is None or (fault.head_rate is None and fault.body_rate is None):
            self.wfile.write(head + body)
            return
        self._write_at(head, fault.head_rate)
        self._write_at(body, fault.body_rate)

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        try:
            phrase = http.HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        lines = [
            f"HTTP/1.1 {status} {phrase}",
            f"Date: {email.utils.formatdate(self.server.application.now(), usegmt=True)}",
        ]
        lines += [f"{name}: {value}" for name, value in headers]
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _write_at(self, content: bytes, bytes_per_second: float | None) -> None:
        if bytes_per_second is None:
            self.wfile.write(content)
            return
        size = max(1, int(bytes_per_second / 10))
        for part in _parts(content, size):
            if self.server.closing.wait(size / bytes_per_second):
                raise _Reset
            self.wfile.write(part)


def _parts(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def _reset(connection: socket.socket) -> None:
    """End a connection with RST: unsent data is thrown away and the peer is not told that it is complete."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Not close(): that waits until the handler's file objects let go, and ends the TLS session in order.
        os.close(connection.detach())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
