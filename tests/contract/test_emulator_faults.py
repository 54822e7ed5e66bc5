"""The emulator goes wrong exactly as it is told to, at the wire, and never otherwise."""

from __future__ import annotations

import concurrent.futures
import gc
import itertools
import os
import socket
import ssl
import struct
import time
import warnings

import pytest
import requests
import sandbox
from emulator_client import SCOPE, Client

from devicelogin.emulator import MISSING, Emulator, Fault


def document(client: Client, **more: object) -> requests.Response:
    return client.get(client.issuer + "/.well-known/openid-configuration", **more)


def answers(client: Client) -> bool:
    """Tell whether a request is answered, instead of its connection being reset."""
    try:
        return document(client).status_code == 200
    except requests.ConnectionError:
        return False


def test_steps_are_used_up_in_order_and_then_answers_are_normal(client: Client) -> None:
    """[503, 429, HTML, pending, success] is what a sign-in has to live through."""
    flow = client.start()
    client.emulator.script("token", [Fault.status(503), Fault.status(429, retry_after="7"), Fault.html(200), None])
    unavailable, throttled, portal, pending = (client.poll(flow["device_code"]) for _ in range(4))
    assert (unavailable.status_code, unavailable.text) == (503, "Service Unavailable")
    assert "Retry-After" not in unavailable.headers
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "7")
    assert (portal.status_code, portal.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert pending.json()["error"] == "authorization_pending"
    client.emulator.approve(flow["user_code"])
    assert client.poll(flow["device_code"]).status_code == 200


def test_a_script_may_be_endless_and_can_be_taken_back(client: Client) -> None:
    """Steps come from any iterable; a new script replaces the old one."""
    client.emulator.script("discovery", itertools.repeat(Fault.status(500)))
    assert [document(client).status_code for _ in range(5)] == [500] * 5
    client.emulator.script("discovery", [])
    assert document(client).status_code == 200


def test_a_script_for_an_endpoint_that_does_not_exist_is_refused(emulator: Emulator) -> None:
    """A misspelt name must not make a test pass that tried nothing."""
    with pytest.raises(ValueError, match="unknown endpoint 'tokens'"):
        emulator.script("tokens", [None])


def test_refreshes_are_scripted_and_counted_apart_from_polls(client: Client) -> None:
    """`token` is the device flow, `refresh` the rest."""
    tokens = client.sign_in()
    client.emulator.script("token", [Fault.status(500)])
    assert client.refresh(tokens["refresh_token"]).status_code == 200
    assert (client.emulator.count("token"), client.emulator.count("refresh")) == (1, 1)
    assert client.emulator.count("refresh", refresh_token=tokens["refresh_token"]) == 1
    assert client.emulator.count("refresh", refresh_token="another") == 0


def test_requests_are_recorded_without_showing_secrets(client: Client) -> None:
    """Method, path, headers, form and time of every request; `repr` leaves out what is secret."""
    client.emulator.clock.set(1000)
    tokens = client.sign_in()
    client.graph("/v1.0/me", tokens["access_token"])
    started, polled, called = client.emulator.requests
    assert [request.endpoint for request in client.emulator.requests] == ["devicecode", "token", "me"]
    assert (started.method, started.form["scope"]) == ("POST", SCOPE)
    assert called.headers["authorization"] == f"Bearer {tokens['access_token']}"
    assert 1000 <= called.time < 1010
    assert polled.form["device_code"] not in repr(polled)
    assert tokens["access_token"] not in repr(called)


@pytest.mark.parametrize(
    ("value", "check"),
    [("5", "5"), (None, None), (-1, -1), (0, 0), ("nonsense", "nonsense"), (10**9, 10**9)],
)
def test_a_normal_answer_can_be_patched(client: Client, value: object, check: object) -> None:
    """The rest of the answer stays as it was, and the request takes effect."""
    client.emulator.script("devicecode", [Fault.patch({"interval": value, "expires_in": MISSING})])
    flow = client.start()
    assert flow["interval"] == check
    assert "expires_in" not in flow
    assert client.emulator.pending() == [flow["user_code"]]


def test_an_oauth_error_may_come_with_status_200(client: Client) -> None:
    """Entra's devicecode endpoint has done so."""
    client.emulator.script("devicecode", [Fault.oauth("invalid_request", 50059, status=200)])
    flow = client.start()
    assert (flow["error"], flow["error_codes"]) == ("invalid_request", [50059])
    assert flow["trace_id"] in flow["error_description"]


def test_a_reset_before_leaves_no_effect_and_one_after_does(client: Client) -> None:
    """Strict mode tells the difference: after the second kind the refresh token is used up."""
    client.emulator.mode = "strict"
    tokens = client.sign_in()
    client.emulator.script("refresh", [Fault.reset()])
    with pytest.raises(requests.ConnectionError):
        client.refresh(tokens["refresh_token"])
    newer = client.refresh(tokens["refresh_token"]).json()
    client.emulator.script("refresh", [Fault.reset_after_processing()])
    with pytest.raises(requests.ConnectionError):
        client.refresh(newer["refresh_token"])
    assert client.refresh(newer["refresh_token"]).json()["error"] == "invalid_grant"


def test_while_broken_every_connection_is_reset(client: Client) -> None:
    """New ones before the handshake, open ones at their next request; afterwards all is well."""
    assert document(client).status_code == 200
    client.emulator.break_for(3600)
    with pytest.raises(requests.ConnectionError):
        document(client)
    with socket.create_connection(("127.0.0.1", client.emulator.port)) as plain, pytest.raises(ConnectionResetError):
        plain.recv(1)
        plain.recv(1)
    began = time.monotonic()
    client.emulator.break_for(0.3)
    sandbox.wait_for(lambda: answers(client), "the end of the resets")
    assert time.monotonic() - began >= 0.3


def test_a_delay_keeps_the_answer_back(client: Client) -> None:
    """Real time, not the emulator's."""
    client.emulator.script("discovery", [Fault.delay(0.3)])
    start = time.monotonic()
    assert document(client).status_code == 200
    assert time.monotonic() - start >= 0.3


def test_a_drip_is_slow_in_the_body_or_in_the_headers(client: Client) -> None:
    """Each byte resets a client's read time-out; the whole takes its time."""
    client.headers["Accept-Encoding"] = "identity"
    client.emulator.script("me", [Fault.drip(400), Fault.drip_headers(2000)])
    start = time.monotonic()
    answer = client.graph("/v1.0/me", None, stream=True)
    assert answer.json()["error"]["code"] == "InvalidAuthenticationToken"
    # Over 300 bytes; the headers were there long before the body.
    assert time.monotonic() - start - answer.elapsed.total_seconds() > 0.3
    assert client.graph("/v1.0/me", None).elapsed.total_seconds() > 0.2


def test_a_truncated_body_is_shorter_than_promised(client: Client) -> None:
    """requests notices where the length was promised."""
    client.emulator.script("discovery", [Fault.truncate(100)])
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        document(client)
    with document(client) as answer:
        assert answer.status_code == 200


def test_a_huge_answer_is_as_huge_as_asked(client: Client) -> None:
    """Plain, or after unpacking."""
    client.emulator.script("jwks", [Fault.huge(2_000_000), Fault.huge(2_000_000, compressed=True)])
    plain, packed = client.get(client.keys_url), client.get(client.keys_url)
    assert len(plain.content) == len(packed.content) == 2_000_000
    assert int(packed.headers["Content-Length"]) < 10_000
    assert plain.json().keys() == packed.json().keys() == {"filler"}


def test_other_answers_are_sent_as_they_are(client: Client) -> None:
    """Redirects, text, JSON of any shape, bytes, statuses that do not exist."""
    steps = [
        Fault.redirect("https://portal.example/login"),
        Fault.text("Too Many Requests", status=429),
        Fault.json(["a", "list"]),
        Fault.content(b"\x89PNG"),
        Fault.status(799),
    ]
    client.emulator.script("discovery", steps)
    moved, text, data, picture, odd = (document(client, allow_redirects=False) for _ in steps)
    assert (moved.status_code, moved.headers["Location"]) == (302, "https://portal.example/login")
    assert (text.status_code, text.text) == (429, "Too Many Requests")
    assert data.json() == ["a", "list"]
    assert picture.content == b"\x89PNG"
    assert odd.status_code == 799


def test_interim_answers_come_before_the_answer(emulator: Emulator) -> None:
    """Status lines and headers without a body, in their order, and then the answer as it always is."""
    emulator.script("unknown", [Fault.interim_answers(102, 103)])
    context = ssl.create_default_context(cafile=emulator.ca_file)
    with (
        socket.create_connection(("127.0.0.1", emulator.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        heads = b"".join(iter(lambda: tls.recv(65536), b"")).decode().split("\r\n\r\n")
    assert [head.partition("\r\n")[0] for head in heads] == [
        "HTTP/1.1 102 Processing",
        "HTTP/1.1 103 Early Hints",
        "HTTP/1.1 404 Not Found",
        "Not Found",
    ]
    assert ["Link: " in head for head in heads] == [True, True, False, False]


def test_broken_clients_leave_no_trace(emulator: Emulator, capfd: pytest.CaptureFixture[str]) -> None:
    """Plain HTTP, noise, a cut handshake, a cut request: nothing is printed and the next client is served."""
    for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", os.urandom(300)) * 25:
        with socket.create_connection(("127.0.0.1", emulator.port)) as plain:
            plain.sendall(noise)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    context = ssl.create_default_context(cafile=emulator.ca_file)
    for start in (
        b"POST /x HTTP/1.1\r\nContent-Le",
        b"POST /x HTTP/1.1\r\nContent-Length: 99\r\n\r\nshort",
        b"\0\0\r\n\r\n",
    ):
        with (
            socket.create_connection(("127.0.0.1", emulator.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(start)
    with Client(emulator) as client:
        assert document(client).status_code == 200
    emulator.close()
    gc.collect()  # a socket that was lost would warn now
    assert capfd.readouterr() == ("", "")


def test_a_client_that_is_gone_before_the_handshake_costs_no_descriptor(emulator: Emulator) -> None:
    """A process that is killed while it connects: its socket is closed, not lost (a lost one fails this test)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        killed = socket.create_connection(listener.getsockname())
        connection, address = listener.accept()
        killed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        killed.close()
        time.sleep(0.05)
        with warnings.catch_warnings(action="error", category=ResourceWarning):
            emulator._server._serve(connection, address)
            gc.collect()


def test_two_hundred_clients_at_once_are_all_served(emulator: Emulator) -> None:
    """The swarm tests need it; in strict mode exactly one of them can use a refresh token."""
    emulator.mode = "strict"
    with Client(emulator) as client:
        refresh_token = client.sign_in()["refresh_token"]

    def refresh(_: int) -> int:
        with Client(emulator) as client:
            return client.refresh(refresh_token).status_code

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        statuses = list(pool.map(refresh, range(200)))
    assert sorted(statuses) == [200] + [400] * 199


def test_a_chunked_request_body_is_read(client: Client) -> None:
    """Clients that stream a body of unknown length send it so."""
    token = client.sign_in("Tasks.ReadWrite")["access_token"]
    body = iter([b'{"displayName": ', b'"chunks"}'])
    made = client.graph("/v1.0/me/todo/lists", token, "POST", data=body)
    assert (made.status_code, made.json()["displayName"]) == (201, "chunks")


def test_certificates_hold_from_1970_on_and_are_new_at_every_start(emulator: Emulator) -> None:
    """A board without a clock starts in 1970; another emulator's CA is a stranger's."""
    with Emulator() as other, pytest.raises(requests.exceptions.SSLError), requests.Session() as session:
        session.trust_env = False
        session.get(other.authority, verify=emulator.ca_file)
    certificate = ssl._ssl._test_decode_cert(emulator.ca_file)
    assert ssl.cert_time_to_seconds(certificate["notBefore"]) == 0
    assert ssl.cert_time_to_seconds(certificate["notAfter"]) > 4_700_000_000


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_it_can_listen_on_the_other_names_of_this_machine(host: str) -> None:
    """The certificate is good for localhost, 127.0.0.1 and ::1."""
    try:
        running = Emulator(host=host)
    except OSError as error:
        if host == "::1":
            pytest.skip(f"no IPv6 here: {error}")
        raise
    with running, Client(running) as client:
        assert document(client).json()["issuer"].startswith(running.origin)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_it_listens_on_loopback_only(host: str) -> None:
    """Whoever reaches it can be anybody."""
    with pytest.raises(ValueError, match="loopback"):
        Emulator(host=host)


def test_closing_ends_connections_and_leaves_nothing() -> None:
    """The CA file is gone, the port is free, a client that waits is not kept waiting, closing again is harmless."""
    emulator = Emulator()
    emulator.script("discovery", [Fault.delay(sandbox.LATER)])
    with Client(emulator) as client, concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(document, client)
        while not emulator.count("discovery"):
            time.sleep(0.01)
        start = time.monotonic()
        emulator.close()
        assert time.monotonic() - start < sandbox.SOON
        assert waiting.exception(timeout=sandbox.SOON) is None or isinstance(
            waiting.exception(), requests.ConnectionError
        )
    assert not os.path.exists(os.path.dirname(emulator.ca_file))
    emulator.close()
    with Emulator(port=emulator.port):
        pass
