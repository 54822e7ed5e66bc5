"""The Graph client against the emulator: whom the token reaches, how long it waits, what a refusal says."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from devicelogin import errors, graph, http_session, models
from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devicelogin.emulator import Request

    Arrived = Callable[[], list[Request]]


class Timer:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def wall(self) -> float:
        return time.time() + sum(self.slept)

    def boot(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture(scope="module")
def _running() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def emulator(_running: Emulator) -> Emulator:
    for endpoint in ("me", "graph"):
        _running.script(endpoint, [])
    return _running


@pytest.fixture
def arrived(emulator: Emulator, token: str) -> Arrived:
    """Return what has arrived since the test began."""
    before = len(emulator.requests)
    return lambda: emulator.requests[before:]


@pytest.fixture(scope="module")
def session(_running: Emulator) -> Iterator[http_session.HttpSession]:
    with http_session.HttpSession(environ={}, ca_file=_running.ca_file) as made:
        yield made


@pytest.fixture(scope="module")
def token(_running: Emulator, session: http_session.HttpSession) -> str:
    """Return an access token from a real device flow."""
    endpoint = f"{_running.authority}/oauth2/v2.0"
    scope = "User.Read Tasks.ReadWrite offline_access openid"
    asked = session.post_form(f"{endpoint}/devicecode", {"client_id": _running.client_id, "scope": scope})
    _running.approve(str(asked.body["user_code"]))
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": _running.client_id,
        "device_code": str(asked.body["device_code"]),
    }
    return str(session.post_form(f"{endpoint}/token", form).body["access_token"])


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def client(emulator: Emulator, session: http_session.HttpSession, token: str, timer: Timer) -> graph.GraphClient:
    return graph.GraphClient(_tokens(token), emulator.graph_root, session=session, timer=timer)


def _tokens(*given: str) -> Callable[[], models.AccessToken]:
    rest = list(given)

    def token() -> models.AccessToken:
        value = rest.pop(0) if len(rest) > 1 else rest[0]
        return models.AccessToken(token=value, expires_at=dt.datetime.now(dt.UTC), scopes=("User.Read",))

    return token


def _graph_error(status: int, code: str, message: str, **headers: str) -> Fault:
    inner = {"date": "2026-01-01T00:00:00", "request-id": "11111111-2222-3333-4444-555555555555"}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return Fault.json(body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("path", ["me", "/me", "/v1.0/me", "/beta/me", "{root}/v1.0/me", "me?$select=id,displayName"])
def test_graph_answers_in_every_way_to_write_a_path(
    emulator: Emulator, client: graph.GraphClient, token: str, arrived: Arrived, path: str
) -> None:
    """The body comes decompressed, the request with our token, a fresh GUID and without a cookie."""
    answer = client.request("GET", path.format(root=emulator.graph_root))
    assert answer.status == 200
    assert "displayName" in json.loads(b"".join(answer.chunks))
    (request,) = arrived()
    assert request.headers["authorization"] == f"Bearer {token}"
    assert request.headers["accept-encoding"] == "gzip"
    assert str(uuid.UUID(request.headers["client-request-id"])) == request.headers["client-request-id"]
    assert answer.request_id == answer.headers["request-id"]
    assert answer.headers["content-encoding"] == "gzip"
    assert token not in repr(answer)


def test_a_body_and_a_header_are_sent(client: graph.GraphClient, arrived: Arrived) -> None:
    """Bytes and an iterator of bytes, with the caller's Content-Type."""
    for body in (b'{"displayName": "errands"}', iter([b'{"displayName"', b': "errands"}'])):
        answer = client.request("POST", "me/todo/lists", headers={"Content-Type": "application/json"}, body=body)
        assert answer.status == 201
        answer.close()
    for request in arrived():
        assert json.loads(request.body) == {"displayName": "errands"}
        assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/v1.0/me",
        "//evil.example/me",
        "../me",
        "me/%2e%2e/x",
        "http://127.0.0.1/v1.0/me",
        "me#x",
        "",
    ],
)
def test_a_foreign_address_asks_for_no_token_and_sends_nothing(
    emulator: Emulator, session: http_session.HttpSession, arrived: Arrived, path: str
) -> None:
    """2, before a token is even looked up."""

    def token() -> models.AccessToken:
        pytest.fail("a token was asked for")

    with pytest.raises(errors.UsageError):
        graph.GraphClient(token, emulator.graph_root, session=session).request("GET", path)
    assert arrived() == []


def test_the_other_name_of_the_same_server_is_a_foreign_host(
    emulator: Emulator, client: graph.GraphClient, arrived: Arrived
) -> None:
    """The origin is compared as text: localhost is not 127.0.0.1, and another port is another origin."""
    for url in (f"https://localhost:{emulator.port}/v1.0/me", f"https://127.0.0.1:{emulator.port + 1}/v1.0/me"):
        with pytest.raises(errors.UsageError):
            client.request("GET", url)
    assert arrived() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer x"),
        ("AUTHORIZATION", "Bearer x"),
        ("host", "evil.example"),
        ("Proxy-Authorization", "Basic x"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Cookie", "a=b"),
        ("X", "a\r\nHost: evil.example"),
        ("X", "a\nb"),
        ("X", "a\x00b"),
        ("X", "a\tb"),
        ("X", "\x1b[31m"),
        ("X", "é"),
        ("X", " a"),
        ("X\r\nHost", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("", "a"),
        ("É", "a"),
    ],
)
def test_a_header_cannot_replace_ours_or_smuggle_another(
    client: graph.GraphClient, arrived: Arrived, name: str, value: str
) -> None:
    """2 (security checklist S33); nothing is sent, and the message holds no control character."""
    with pytest.raises(errors.UsageError) as caught:
        client.request("GET", "me", headers={name: value})
    assert caught.value.message.isprintable()
    assert arrived() == []


@pytest.mark.parametrize("method", ["get", "GET /", "GET\r\nX", "", "A" * 21, "GÉT"])
def test_what_is_no_method_is_a_usage_error(client: graph.GraphClient, arrived: Arrived, method: str) -> None:
    """2; a method is a word in capitals."""
    with pytest.raises(errors.UsageError):
        client.request(method, "me")
    assert arrived() == []


@pytest.mark.parametrize("token", ["a b", "a\r\nHost: evil", "a\x00", "é"])
def test_a_token_that_is_none_is_not_sent(
    emulator: Emulator, session: http_session.HttpSession, arrived: Arrived, token: str
) -> None:
    """76, and its text is not shown."""
    before = len(emulator.requests)
    with pytest.raises(errors.BadAnswerError) as caught:
        graph.GraphClient(_tokens(token), emulator.graph_root, session=session).request("GET", "me")
    assert token not in str(caught.value.as_json())
    assert len(emulator.requests) == before


def test_netrc_does_not_replace_the_token(
    client: graph.GraphClient, token: str, arrived: Arrived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graph gets the Bearer token with a hostile ~/.netrc and NETRC (fault catalogue M7)."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login mallory password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    client.request("GET", "me").close()
    assert arrived()[0].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_with_a_token(
    emulator: Emulator, client: graph.GraphClient, arrived: Arrived, status: int
) -> None:
    """76; the host it would have led to is named without the rest of the URL, even if it is Graph itself."""
    with Emulator() as elsewhere:
        for url, host in (
            (f"{elsewhere.origin}/v1.0/me?secret=canary", f"127.0.0.1:{elsewhere.port}"),
            (f"https://user:canary@{elsewhere.host}:{elsewhere.port}/", f"127.0.0.1:{elsewhere.port}"),
            (f"{emulator.graph_root}/v1.0/me", f"127.0.0.1:{emulator.port}"),
            ("/v1.0/me", f"127.0.0.1:{emulator.port}"),
        ):
            emulator.script("graph", [Fault.redirect(url, status=status)])
            with pytest.raises(errors.BadAnswerError) as caught:
                client.request("GET", "me/drive/items/1/content")
            assert f"sends us on to {host}," in caught.value.message
            assert "canary" not in str(caught.value.as_json())
        assert elsewhere.requests == []
    assert len(arrived()) == 4


def test_not_modified_is_an_answer(emulator: Emulator, client: graph.GraphClient) -> None:
    """304 is what who sends If-None-Match wants to hear."""
    emulator.script("me", [Fault.status(304)])
    assert client.request("GET", "me", headers={"If-None-Match": '"x"'}).status == 304


def test_a_refused_token_is_its_own_error_with_the_claims(
    session: http_session.HttpSession,
) -> None:
    """401: the caller refreshes once, with the claims where Graph demands some; then it is 4."""
    with Emulator() as emulator, http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as own:
        with pytest.raises(graph.TokenRejectedError) as caught:
            graph.GraphClient(_tokens("not.a.token"), emulator.graph_root, session=own).request("GET", "me")
        assert caught.value.claims is None
        assert (caught.value.exit_code, caught.value.human_needed) == (4, True)
        assert "InvalidAuthenticationToken" in str(caught.value.detail)
        claims = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})
        encoded = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
        challenge = f'Bearer realm="a, b", error="insufficient_claims", claims="{encoded}"'
        emulator.script("me", [_graph_error(401, "InvalidAuthenticationToken", "no", WWW_Authenticate=challenge)])
        with pytest.raises(graph.TokenRejectedError) as caught:
            graph.GraphClient(_tokens("a.b.c"), emulator.graph_root, session=own).request("GET", "me")
        assert caught.value.claims == claims
        assert caught.value.correlation_id == "11111111-2222-3333-4444-555555555555"


def test_a_refusal_says_what_graph_said(emulator: Emulator, client: graph.GraphClient) -> None:
    """22 with Graph's message made harmless, its code and its request id."""
    message = "Resource 'x'\x1b[2J\u202e does not exist.\nsecond line"
    emulator.script("graph", [_graph_error(404, "Request_ResourceNotFound", message)])
    with pytest.raises(errors.HttpAnswerError) as caught:
        client.request("GET", "users/x")
    assert caught.value.exit_code == 22
    assert "Resource 'x'" in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.detail == (
        "HTTP 404, Request_ResourceNotFound, request-id 11111111-2222-3333-4444-555555555555"
    )
    assert caught.value.correlation_id == "11111111-2222-3333-4444-555555555555"


def test_a_missing_permission_has_a_hint(client: graph.GraphClient) -> None:
    """403 of a real emulator answer: the scope or the consent is what may be missing."""
    with pytest.raises(errors.HttpAnswerError) as caught:
        client.request("GET", "users")
    assert "Insufficient privileges" in caught.value.message
    assert "--scope" in str(caught.value.hint)
    assert "with the same --profile" in str(caught.value.hint)
    assert "consent" in str(caught.value.hint)
    assert "Authorization_RequestDenied" in str(caught.value.detail)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.html(404),
        Fault.text("", status=404),
        Fault.text("[1]", status=404),
        Fault.text('{"error": "text"}', status=404),
        Fault.text('{"error": {"code": 5, "message": ["x"], "innerError": 7}}', status=404),
        Fault.text("[" * 60_000, status=404),
        Fault.text("x" * 3_000_000, status=404),
        Fault.content(b"\xff\xfe", status=404),
        Fault(replacement=Fault.html(404).replacement, cut_after=7),
    ],
    ids=range(9),
)
def test_a_refusal_without_a_readable_explanation_is_still_22(
    emulator: Emulator, client: graph.GraphClient, fault: Fault
) -> None:
    """The status is enough, and no body is shown that is not Graph's own error object."""
    emulator.script("graph", [fault])
    with pytest.raises(errors.HttpAnswerError) as caught:
        client.request("GET", "users/x")
    assert caught.value.message == f"127.0.0.1:{emulator.port} answered 404"
    assert caught.value.detail == "HTTP 404"


@pytest.mark.parametrize("rate", [1_000_000, 20])
def test_an_endless_explanation_is_not_waited_for(emulator: Emulator, client: graph.GraphClient, rate: float) -> None:
    """A refusal that goes on for megabytes, or drips, is 22 all the same."""
    endless = Fault.text("x" * 9_000_000, status=404)
    emulator.script("graph", [dataclasses.replace(endless, body_rate=rate)])
    started = time.monotonic()
    with pytest.raises(errors.HttpAnswerError):
        client.request("GET", "users/x")
    assert time.monotonic() - started < (5 if rate > 1000 else 10)


def test_a_new_connection_is_made_after_a_503(
    emulator: Emulator, session: http_session.HttpSession, client: graph.GraphClient
) -> None:
    """It may lead to a machine that is well (Graph's best practices)."""
    client.request("GET", "me").close()
    pools = session._adapter.poolmanager.pools
    (before,) = [pools[key] for key in pools.keys()]  # noqa: SIM118 - urllib3's container is no dict
    emulator.script("me", [Fault.status(503, retry_after="1")])
    client.request("GET", "me").close()
    (after,) = [pools[key] for key in pools.keys()]  # noqa: SIM118
    assert after is not before


@pytest.mark.parametrize("status", [429, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_throttled_read_waits_as_long_as_graph_says(
    emulator: Emulator, client: graph.GraphClient, timer: Timer, arrived: Arrived, status: int, method: str
) -> None:
    """Retry-After is kept, decimals included; every try has a request id of its own."""
    first, second = Fault.status(status, retry_after="7"), _graph_error(status, "x", "y", retry_after="0.249")
    emulator.script("me", [first, second, Fault.json({})])
    assert client.request(method, "me").status == 200
    assert timer.slept == [7, 0.249]
    assert len({request.headers["client-request-id"] for request in arrived()}) == 3


def test_without_retry_after_the_pauses_grow_and_differ(
    emulator: Emulator, client: graph.GraphClient, timer: Timer
) -> None:
    """Exponential back-off with jitter, up to max_wait altogether."""
    emulator.script("me", [Fault.status(503)] * 100)
    with pytest.raises(errors.TryLaterError):
        client.request("GET", "me", max_wait=60)
    assert 30 < sum(timer.slept) <= 60
    for tries, pause in enumerate(timer.slept):
        assert min(20, 2**tries) / 2 <= pause <= min(20, 2**tries)
    assert len({round(pause / min(20, 2**tries), 6) for tries, pause in enumerate(timer.slept)}) > 1


@pytest.mark.parametrize(("max_wait", "slept"), [(60, []), (100, [61]), (0, [])])
def test_no_longer_than_max_wait(
    emulator: Emulator, client: graph.GraphClient, timer: Timer, max_wait: float, slept: list[float]
) -> None:
    """A pause that does not fit is not begun: 75 at once, with the seconds that Graph asked for."""
    emulator.script("me", [Fault.status(429, retry_after="61")] * 2)
    with pytest.raises(http_session.ServerBusyError) as caught:
        client.request("GET", "me", max_wait=max_wait)
    assert timer.slept == slept
    assert (caught.value.exit_code, caught.value.retry_after) == (75, 61)
    assert "61 s" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("method", "status", "body", "tries"),
    [
        ("POST", 429, b"{}", 2),
        ("POST", 429, None, 2),
        ("PATCH", 429, b"{}", 2),
        ("DELETE", 429, None, 2),
        ("POST", 429, [b"{}"], 1),
        ("POST", 503, b"{}", 1),
        ("DELETE", 504, None, 1),
        ("GET", 500, None, 1),
        ("GET", 502, None, 1),
    ],
)
def test_only_what_is_safe_is_sent_again(
    emulator: Emulator,
    client: graph.GraphClient,
    arrived: Arrived,
    method: str,
    status: int,
    body: bytes | list[bytes] | None,
    tries: int,
) -> None:
    """A change is repeated only after 429, which did nothing, and only with a body that still exists."""
    emulator.script("graph", [Fault.status(status, retry_after="1"), Fault.json({})])
    given = iter(body) if isinstance(body, list) else body
    if tries == 2:
        assert client.request(method, "me/messages", body=given).status == 200
        assert {request.body for request in arrived()} == {body or b""}
    else:
        with pytest.raises(http_session.ServerBusyError) as caught:
            client.request(method, "me/messages", body=given)
        assert ("done all the same" in str(caught.value.hint)) == (method != "GET" and status != 429)
    assert len(arrived()) == tries


def test_storage_that_is_full_is_not_tried_again(emulator: Emulator, client: graph.GraphClient) -> None:
    """507 and 501 do not mend themselves: 22."""
    for status in (501, 507):
        emulator.script("graph", [_graph_error(status, "quotaLimitReached", "Full.")])
        with pytest.raises(errors.HttpAnswerError):
            client.request("PUT", "me/drive/root:/x:/content", body=b"x")


def test_every_try_asks_for_a_token(
    emulator: Emulator, session: http_session.HttpSession, timer: Timer, token: str, arrived: Arrived
) -> None:
    """After a minute of waiting the token may be another one."""
    emulator.script("me", [Fault.status(429, retry_after="50")])
    client = graph.GraphClient(_tokens("first.a.b", token), emulator.graph_root, session=session, timer=timer)
    assert client.request("GET", "me").status == 200
    assert [request.headers["authorization"] for request in arrived()] == ["Bearer first.a.b", f"Bearer {token}"]


def test_a_truncated_body_is_an_error_after_what_came(emulator: Emulator, client: graph.GraphClient) -> None:
    """76: half of an answer is never success."""
    emulator.script("me", [Fault.truncate(60)])
    answer = client.request("GET", "me")
    with pytest.raises(errors.BadAnswerError):
        list(answer.chunks)


def test_a_large_body_arrives_whole_in_moderate_pieces(emulator: Emulator, client: graph.GraphClient) -> None:
    """20 MB, compressed to a few kB: nothing is limited and nothing is held at once."""
    emulator.script("graph", [Fault.huge(20_000_000, compressed=True)])
    total, largest = 0, 0
    for chunk in client.request("GET", "me/drive/items/1").chunks:
        total, largest = total + len(chunk), max(largest, len(chunk))
    assert (total, largest <= 65_536) == (20_000_000, True)


def test_a_broken_network_is_try_later(emulator: Emulator, client: graph.GraphClient) -> None:
    """75; whether the request arrived is part of the error."""
    emulator.script("graph", [Fault.reset_after_processing()])
    with pytest.raises(http_session.NoAnswerError) as caught:
        client.request("POST", "me/todo/lists", body=b"{}")
    assert caught.value.request_may_have_arrived


@pytest.mark.parametrize(
    "root", ["http://graph.microsoft.com", "https://graph.microsoft.com/v1.0", "graph.microsoft.com"]
)
def test_a_root_that_is_no_origin_is_a_configuration_error(root: str) -> None:
    """78 when the client is made."""
    with pytest.raises(errors.ConfigError):
        graph.GraphClient(_tokens("a.b.c"), root)
