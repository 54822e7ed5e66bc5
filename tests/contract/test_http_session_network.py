"""What the one HTTP session does when the way to the server fails: names, ports, proxies, certificates, Ctrl-C."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

import fake_time
import pytest
import sandbox

from devicelogin import clock, errors, http_session
from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "hunter2-canary"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


class Recorder:
    """A listener that notes the head of each request in the clear and says `reply`; with `onward` it then passes on."""

    def __init__(self, reply: bytes, onward: int | None = None) -> None:
        self.heads: list[str] = []
        self._reply = reply
        self._onward = onward
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake up accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._receive(self._listener.accept()[0])

    def _receive(self, peer: socket.socket) -> None:
        with peer:
            peer.settimeout(5)
            head = b""
            with contextlib.suppress(OSError):
                while b"\r\n\r\n" not in head and (piece := peer.recv(4096)):
                    head += piece
                    if not head.startswith(b"CONNECT"):
                        break
                self.heads.append(head.decode("latin-1"))
                peer.sendall(self._reply)
                if self._onward is not None:
                    self._pass_on(peer, self._onward)

    @staticmethod
    def _pass_on(peer: socket.socket, port: int) -> None:
        def copy(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while piece := source.recv(65536):
                    sink.sendall(piece)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        with socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=copy, args=(server, peer))
            back.start()
            copy(peer, server)
            back.join(5)


def _failure(session: http_session.HttpSession, url: str) -> errors.DeviceLoginError:
    with session, pytest.raises(errors.DeviceLoginError) as caught:
        session.get_json(url, headers={"Authorization": "Bearer canary-token"})
    assert caught.value.__cause__ is None
    assert PASSWORD not in str(caught.value.as_json())
    assert "Traceback" not in caught.value.message
    return caught.value


_UNKNOWN_NAME = """
from devicelogin import http_session
try:
    http_session.HttpSession(environ={}).get_json("https://nowhere.invalid/")
except http_session.NoAnswerError as error:
    print(error.request_may_have_arrived, error.message)
"""


def test_a_name_that_does_not_exist_is_said_so() -> None:
    """75, and the request certainly did not arrive."""
    # The C library reads how patient it is once in a process.
    ran = subprocess.run(
        [sys.executable, "-c", _UNKNOWN_NAME],
        env={**os.environ, **sandbox.QUICK_RESOLVER},
        capture_output=True,
        text=True,
        timeout=sandbox.PATIENCE,
        check=False,
    )
    assert ran.stdout == "False cannot reach nowhere.invalid: name not resolved\n", ran
    too_long = _failure(http_session.HttpSession(environ={}), f"https://{'a' * 64}.invalid/")
    assert "name not resolved" in too_long.message


def test_a_port_where_nobody_listens_is_said_so(refused_port: int) -> None:
    """75, at once."""
    error = _failure(http_session.HttpSession(environ={}), f"https://127.0.0.1:{refused_port}/")
    assert isinstance(error, http_session.NoAnswerError)
    assert error.message == f"cannot reach 127.0.0.1:{refused_port}: connection refused"
    assert not error.request_may_have_arrived


def test_a_server_without_tls_is_not_the_service() -> None:
    """A portal that answers in the clear on the TLS port is 76."""
    with Recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as portal:
        error = _failure(http_session.HttpSession(environ={}), f"https://127.0.0.1:{portal.port}/")
        assert isinstance(error, errors.BadAnswerError)
        assert all("canary" not in head for head in portal.heads)


def test_a_connection_cut_in_the_handshake_is_try_later() -> None:
    """Nothing was sent yet, so it says that the request did not arrive."""
    with Recorder(b"") as dead:
        error = _failure(http_session.HttpSession(environ={}), f"https://127.0.0.1:{dead.port}/")
    assert isinstance(error, http_session.NoAnswerError)
    assert not error.request_may_have_arrived


def test_resets_for_a_while_end_when_they_end(emulator: Emulator) -> None:
    """75 as long as every connection is reset, then an answer from the same session."""
    url = f"{emulator.authority}/v2.0/.well-known/openid-configuration"
    with http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as session:
        emulator.break_for(3600)
        with pytest.raises(http_session.NoAnswerError):
            session.get_json(url)
        emulator.break_for(0)
        assert session.get_json(url).status == 200


@pytest.mark.parametrize("variable", ["--ca-file", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_certificates_are_taken_from_where_they_are_named(
    emulator: Emulator, variable: str, tmp_path: Path
) -> None:
    """Each of the three works, and a stronger one hides a weaker one that is useless."""
    url = f"{emulator.authority}/v2.0/.well-known/openid-configuration"
    with Emulator() as other:
        environ = {"REQUESTS_CA_BUNDLE": other.ca_file, "SSL_CERT_FILE": other.ca_file}
        if variable == "SSL_CERT_FILE":
            del environ["REQUESTS_CA_BUNDLE"]
        ca_file = emulator.ca_file if variable == "--ca-file" else None
        if ca_file is None:
            environ[variable] = emulator.ca_file
        with http_session.HttpSession(environ=environ, ca_file=ca_file) as session:
            assert session.get_json(url).status == 200


def test_only_our_own_certificates_are_trusted(emulator: Emulator) -> None:
    """certifi's bundle is not loaded beside the file that was named."""
    with http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as session:
        session.get_json(f"{emulator.authority}/v2.0/.well-known/openid-configuration")
        assert len(session._trust.context.get_ca_certs()) == 1


@pytest.mark.parametrize("named", [False, True])
def test_an_unknown_authority_is_refused_before_anything_is_sent(emulator: Emulator, named: bool) -> None:
    """76; its name is told; the look at it carried neither the request nor its headers."""
    before = len(emulator.requests)
    with Emulator() as other:
        session = http_session.HttpSession(environ={}, ca_file=other.ca_file if named else None)
        error = _failure(session, f"{emulator.authority}/v2.0/.well-known/openid-configuration")
    assert isinstance(error, errors.BadAnswerError)
    assert "devicelogin emulator CA" in error.message
    assert "--ca-file FILE" in str(error.hint)
    assert "insecure" not in str(error.as_json())
    for request in emulator.requests[before:]:
        assert (request.method, request.path, request.body) == ("HEAD", "/", b"")
        assert "canary" not in str(request.headers)


def test_sslkeylogfile_is_not_obeyed(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No TLS keys are written, whatever the environment asks for (S14)."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with http_session.HttpSession(environ=os.environ, ca_file=emulator.ca_file) as session:
        session.get_json(f"{emulator.authority}/v2.0/.well-known/openid-configuration")
    assert not (tmp_path / "keys").exists()


def test_the_proxy_gets_its_password_and_the_server_does_not(emulator: Emulator) -> None:
    """CONNECT names the host; what follows is TLS to that host, verified as without a proxy."""
    before = len(emulator.requests)
    with Recorder(b"HTTP/1.1 200 Connection established\r\n\r\n", emulator.port) as proxy:
        environ = {"HTTPS_PROXY": f"http://ada:{PASSWORD}@127.0.0.1:{proxy.port}"}
        session = http_session.HttpSession(environ=environ, ca_file=emulator.ca_file)
        error = _failure(session, "https://login.example.org/common")
        heads = list(proxy.heads)
    # The emulator's certificate is not login.example.org's: proof that the tunnel was used and its end verified.
    assert isinstance(error, errors.BadAnswerError)
    assert "belongs to another host" in error.message
    assert "devicelogin emulator CA" in str(error.detail)
    credentials = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    assert heads[0].startswith("CONNECT login.example.org:443 HTTP/1.")
    assert f"Proxy-Authorization: Basic {credentials}" in heads[0]
    assert all("canary-token" not in head for head in heads)
    assert all("proxy-authorization" not in request.headers for request in emulator.requests[before:])


def test_an_excluded_host_is_reached_without_the_proxy(emulator: Emulator) -> None:
    """A proxy of the environment does not come between this machine and its own emulator."""
    with Recorder(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as proxy:
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        with http_session.HttpSession(environ=environ, ca_file=emulator.ca_file) as session:
            session.get_json(f"{emulator.authority}/v2.0/.well-known/openid-configuration")
        assert proxy.heads == []


@pytest.mark.parametrize(
    ("reply", "exit_code", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", 78, "user name and password"),
        (
            b"HTTP/1.1 407 No\r\nVia: x\r\nProxy-Authenticate: Negotiate\r\nPROXY-AUTHENTICATE: NTLM\r\n\r\n",
            78,
            "by Negotiate,",
        ),
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n", 78, "by NTLM,"),
        (
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic realm=x\r\n\r\n",
            78,
            "user name and",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 78, "does not let us through"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 75, "answered with an error"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 75, "did not answer as a proxy"),
        (b"", 75, "the connection was cut"),
    ],
    ids=["407", "negotiate", "ntlm", "ntlm or basic", "403", "502", "ssh", "hang-up"],
)
def test_a_proxy_that_does_not_work_is_named_without_its_password(reply: bytes, exit_code: int, words: str) -> None:
    """Which proxy, from which variable, and what to do; 78 where a setting must change, else 75."""
    with Recorder(reply) as proxy:
        environ = {"HTTPS_PROXY": f"http://ada:{PASSWORD}@127.0.0.1:{proxy.port}"}
        error = _failure(http_session.HttpSession(environ=environ), "https://login.example.org/common")
    assert error.exit_code == exit_code
    assert words in error.message
    assert f"the proxy 127.0.0.1:{proxy.port}" in error.message
    assert "HTTPS_PROXY" in str(error.hint) or "NO_PROXY" in str(error.hint)


def test_a_proxy_that_says_nothing_is_named() -> None:
    """As one does that speaks HTTP and is addressed by https: whoever waits in vain is told where."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"127.0.0.1:{silent.getsockname()[1]}"
        session = http_session.HttpSession(environ={"HTTPS_PROXY": f"https://{proxy}"}, deadline=clock.Deadline(4))
        error = _failure(session, "https://login.example.org/")
    assert error.message == f"cannot reach login.example.org through the proxy {proxy}: no answer in time"
    assert "HTTPS_PROXY" in str(error.hint)


def test_a_proxy_that_is_not_there_is_named(refused_port: int) -> None:
    """75: the proxy is what cannot be reached, not the host."""
    proxy = f"127.0.0.1:{refused_port}"
    error = _failure(http_session.HttpSession(environ={"ALL_PROXY": proxy}), "https://login.example.org/")
    assert isinstance(error, http_session.NoAnswerError)
    assert error.message == f"cannot reach login.example.org through the proxy {proxy}: connection refused"
    assert "ALL_PROXY" in str(error.hint)
    assert not error.request_may_have_arrived


@pytest.mark.parametrize("password", ["p#w", "p/w", "p\\w", "p?w", "p@w", "12/34"])
def test_a_password_that_is_not_encoded_is_sent_to_nobody(password: str) -> None:
    """78 before a name server or a proxy is asked: two parsers would see two hosts in it."""
    with Recorder(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as proxy:
        environ = {"HTTPS_PROXY": f"http://canary:{password}@127.0.0.1:{proxy.port}"}
        session = http_session.HttpSession(environ=environ)
        error = _failure(session, "https://login.example.org/")
        assert (error.exit_code, session.way.addresses, proxy.heads) == (78, (), [])
    assert "percent-encode it" in str(error.hint)
    assert not {"canary", password} & set(re.split(r"[ :'\"]", str(error.as_json())))


_INTERRUPTED = """
import sys
from devicelogin import http_session
session = http_session.HttpSession(environ={}, ca_file=sys.argv[1])
print("ready", flush=True)
try:
    session.get_json(sys.argv[2])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_is_heard_at_once(emulator: Emulator) -> None:
    """While the server is silent, Ctrl-C ends the wait, and the process with it."""
    emulator.script("discovery", [Fault.delay(sandbox.LATER)])
    url = f"{emulator.authority}/v2.0/.well-known/openid-configuration"
    before = len(emulator.requests)
    with subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, emulator.ca_file, url], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        sandbox.wait_for(lambda: len(emulator.requests) > before, "the request")
        child.send_signal(signal.SIGINT)
        sent = time.monotonic()
        assert child.stdout.readline() == "interrupted\n"
        assert child.wait(sandbox.SOON) == 0
    assert time.monotonic() - sent < sandbox.SOON


_FAKE_TIME = """
import sys
from devicelogin import errors, http_session
try:
    answer = http_session.HttpSession(environ={}, ca_file=sys.argv[1]).get_json(sys.argv[2])
    print(answer.status)
except errors.DeviceLoginError as error:
    print(error.exit_code, error.message)
"""


@pytest.mark.faketime
@pytest.mark.parametrize(
    ("moment", "printed"),
    [
        ("1970-01-02 00:00:00", "200"),
        ("2200-01-01 00:00:00", "75 cannot trust {host}: this machine's clock says 2200-01-01"),
    ],
)
def test_a_wrong_clock_never_switches_verification_off(emulator: Emulator, moment: str, printed: str) -> None:
    """A certificate that the clock allows is accepted in 1970; one that it forbids is 75 and the clock is named."""
    url = f"{emulator.authority}/v2.0/.well-known/openid-configuration"
    ran = subprocess.run(
        [sys.executable, "-c", _FAKE_TIME, emulator.ca_file, url],
        env={**os.environ, **fake_time.variables(FAKETIME=f"@{moment}"), "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=sandbox.PATIENCE,
        check=False,
    )
    assert ran.stdout.startswith(printed.format(host=f"127.0.0.1:{emulator.port}")), ran.stdout + ran.stderr
