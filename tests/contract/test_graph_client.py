"""The Graph client against the emulator: whom the token reaches, how long it waits, what a refusal says."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import itertools
import json
import re
import time
import types
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devicelogin import errors, graph, http_session, models, redaction
from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture
def elsewhere(emulator: Emulator, tmp_path: Path) -> Iterator[Emulator]:
    """Return another server, such as those where files lie."""
    with Emulator() as running:
        yield running


@pytest.fixture
def trusting(
    emulator: Emulator, elsewhere: Emulator, token: str, timer: Timer, tmp_path: Path
) -> Iterator[graph.GraphClient]:
    """Return a client that trusts the certificates of both servers."""
    bundle = tmp_path / "both.pem"
    bundle.write_text("".join(Path(one.ca_file).read_text() for one in (emulator, elsewhere)))
    with http_session.HttpSession(environ={}, ca_file=str(bundle)) as session:
        yield graph.GraphClient(_tokens(token), emulator.graph_root, session=session, timer=timer)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_content_is_fetched_from_where_graph_sends_us_without_the_token(
    emulator: Emulator, elsewhere: Emulator, trusting: graph.GraphClient, arrived: Arrived, status: int, method: str
) -> None:
    """Files, photos and reports lie elsewhere: fetched there, with neither token nor cookie nor other headers of the caller."""
    emulator.script("graph", [Fault.redirect(f"{elsewhere.origin}/y4m/secret/file?tempauth=x", status=status)])
    elsewhere.script("unknown", [Fault.content(b"a file of ours", content_type="text/plain")])
    answer = trusting.request(method, "me/drive/items/1/content", headers={"Range": "bytes=0-3", "Prefer": "x"})
    assert b"".join(answer.chunks) == (b"a file of ours" if method == "GET" else b"")
    (there,) = elsewhere.requests
    assert (there.path, there.headers["range"]) == ("/y4m/secret/file", "bytes=0-3")
    assert not {"authorization", "cookie", "prefer", "client-request-id"} & set(there.headers)
    assert len(arrived()) == 1


@pytest.mark.parametrize("form", ["whole", "path", "capitals"])
def test_a_redirect_within_graph_keeps_the_token(
    emulator: Emulator, client: graph.GraphClient, token: str, arrived: Arrived, form: str
) -> None:
    """The same origin, however it is written, is Graph."""
    location = {"whole": f"{emulator.graph_root}/v1.0/me", "path": "/v1.0/me"}.get(
        form, f"HTTPS://127.0.0.1:{emulator.port}/v1.0/me"
    )
    emulator.script("graph", [Fault.redirect(location)])
    assert b"Ada" in b"".join(client.request("GET", "users/x/manager").chunks)
    assert [request.headers["authorization"] for request in arrived()] == [f"Bearer {token}"] * 2


def test_a_stranger_cannot_send_the_token_anywhere(
    emulator: Emulator, elsewhere: Emulator, trusting: graph.GraphClient, arrived: Arrived
) -> None:
    """Who was reached by a redirect does not choose what the token is used for."""
    emulator.script("graph", [Fault.redirect(f"{elsewhere.origin}/x")])
    elsewhere.script("unknown", [Fault.redirect(f"{emulator.graph_root}/v1.0/me")])
    with pytest.raises(errors.BadAnswerError):
        trusting.request("GET", "me/drive/items/1/content")
    assert len(arrived()) == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/x",
        "//",
        "",
        "https://user:canary@example.org/",
        "ftp://x/",
        "https://",
        "https://x:0/",
        "https://a b/",
    ],
)
def test_a_redirect_to_no_secure_address_is_not_followed(
    emulator: Emulator, client: graph.GraphClient, arrived: Arrived, location: str
) -> None:
    """76, and nothing of the address is shown."""
    emulator.script("graph", [Fault.redirect(location)])
    with pytest.raises(errors.BadAnswerError) as caught:
        client.request("GET", "me/drive/items/1/content")
    assert "canary" not in str(caught.value.as_json())
    assert 1 <= len(arrived()) <= 7


def test_redirects_without_an_end_end(emulator: Emulator, client: graph.GraphClient, arrived: Arrived) -> None:
    """76 after a few."""
    emulator.script("graph", itertools.repeat(Fault.redirect("/v1.0/users/x")))
    with pytest.raises(errors.BadAnswerError, match="on and on"):
        client.request("GET", "users/x")
    assert len(arrived()) == 6


def test_the_address_of_content_is_shown_nowhere(
    emulator: Emulator, elsewhere: Emulator, trusting: graph.GraphClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It opens the file for everybody: neither the log nor an error has more of it than its host."""
    caplog.set_level("DEBUG", logger="devicelogin")
    for fault in (Fault.html(403), Fault.status(503), Fault.reset(), Fault.truncate(3)):
        emulator.script("graph", [Fault.redirect(f"{elsewhere.origin}/y4mCanary/file?tempauth=canary")])
        elsewhere.script("unknown", [fault])
        with pytest.raises(errors.DeviceLoginError) as caught:
            list(trusting.request("GET", "me/drive/items/1/content", max_wait=0).chunks)
        assert f"{elsewhere.host}:{elsewhere.port}" in caught.value.message
        assert "canary" not in f"{caught.value.as_json()}{caplog.text}".lower()
    # And whoever else would repeat it: both of its parts are secrets from then on.
    assert redaction.redacted("/y4mCanary/file tempauth=canary") == "[redacted] [redacted]"


def test_a_refusal_of_another_host_says_nothing_about_permissions(
    emulator: Emulator, elsewhere: Emulator, trusting: graph.GraphClient
) -> None:
    """Where a file lies no token is known; an address that is too old is refused with 403 there."""
    emulator.script("graph", [Fault.redirect(f"{elsewhere.origin}/x")])
    elsewhere.script("unknown", [Fault.text("AuthenticationFailed", status=403)])
    with pytest.raises(errors.HttpAnswerError) as caught:
        trusting.request("GET", "me/drive/items/1/content")
    assert "run the command again" in str(caught.value.hint)
    assert "permi" not in str(caught.value.hint)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_change_is_never_sent_on(
    emulator: Emulator, client: graph.GraphClient, arrived: Arrived, status: int
) -> None:
    """76, and nobody is led to repeat what may have been done."""
    emulator.script("graph", [Fault.redirect(f"{emulator.graph_root}/v1.0/me", status=status)])
    with pytest.raises(errors.BadAnswerError) as caught:
        client.request("POST", "me/sendMail", body=b"{}")
    assert_in_doubt(caught.value)
    assert len(arrived()) == 1


def assert_in_doubt(error: errors.DeviceLoginError) -> None:
    """Nobody knows whether it was done, and the error says so to people and to scripts."""
    shown = error.as_json()
    assert (shown["code"], shown["retryable"]) == ("outcome_unknown", False)
    assert "may have been done" in str(error.hint)
    assert not re.search("nothing was|try again|run the command again", f"{error.message} {error.hint}")


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
        Fault.text("", status=404),
        Fault.text("[1]", status=404),
        Fault.text('{"error": "text"}', status=404),
        Fault.text('{"error": {"code": 5, "message": ["x"], "innerError": 7}}', status=404),
        Fault.text("[" * 60_000, status=404),
        Fault.text("x" * 3_000_000, status=404),
        Fault.content(b"\xff\xfe", status=404),
        Fault(replacement=Fault.text("{}", status=404).replacement, cut_after=1),
    ],
    ids=range(8),
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


@pytest.mark.parametrize(("length", "rate"), [(1_000_000, None), (12_000, 200)])
def test_an_endless_explanation_is_not_waited_for(
    emulator: Emulator, client: graph.GraphClient, length: int, rate: float | None
) -> None:
    """A refusal that goes on for a megabyte, or drips, is 22 all the same, without what is said at its end."""
    said = {"padding": "x" * length, "error": {"code": "Late", "message": "It was read to its end."}}
    emulator.script("graph", [dataclasses.replace(Fault.json(said, status=404), body_rate=rate)])
    with pytest.raises(errors.HttpAnswerError) as caught:
        client.request("GET", "users/x")
    assert caught.value.message == f"127.0.0.1:{emulator.port} answered 404"


@pytest.mark.parametrize("status", [429, 503])
def test_a_read_with_a_body_that_is_used_up_is_not_sent_again(
    emulator: Emulator, client: graph.GraphClient, arrived: Arrived, status: int
) -> None:
    """An iterator yields once; a second request would have no body."""
    emulator.script("me", [Fault.status(status, retry_after="1")])
    with pytest.raises(errors.TryLaterError):
        client.request("GET", "me", body=iter([b"{}"]))
    assert len(arrived()) == 1


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
    first, second = Fault.status(status, retry_after="7"), _graph_error(status, "x", "y", retry_after="1.249")
    emulator.script("me", [first, second, Fault.json({})])
    assert client.request(method, "me").status == 200
    assert timer.slept == [7, 1.249]
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
    emulator.script("me", [Fault.reset_after_processing()])
    with pytest.raises(http_session.NoAnswerError) as caught:
        client.request("GET", "me")
    assert caught.value.request_may_have_arrived
    assert caught.value.retryable
    assert caught.value.hint == "check the network and try again"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [
        (Fault.reset_after_processing(), 75),
        (Fault.reset(), 75),
        (Fault.status(500), 75),
        (Fault.status(502), 75),
        (Fault.status(503, retry_after="1"), 75),
        (Fault.status(504), 75),
        (Fault.html(200), 76),
        (Fault.html(403), 76),
        (Fault.html(502), 76),
        (Fault.status(511), 76),
    ],
    ids=["cut after it was done", "cut", "500", "502", "503", "504", "page", "page 403", "page 502", "portal"],
)
def test_what_became_of_a_change_is_not_claimed_to_be_known(
    emulator: Emulator, client: graph.GraphClient, arrived: Arrived, method: str, fault: Fault, exit_code: int
) -> None:
    """A mail goes out twice where somebody is told to try again: sent once, and "look before you repeat it"."""
    emulator.script("graph", [fault])
    with pytest.raises(errors.DeviceLoginError) as caught:
        client.request(method, "me/messages/1", body=b"{}")
    assert caught.value.exit_code == exit_code
    assert_in_doubt(caught.value)
    assert len(arrived()) == 1


def test_a_change_that_was_not_sent_may_be_tried_again(token: str, refused_port: int) -> None:
    """Nothing had left this machine, and that is said."""
    client = graph.GraphClient(_tokens(token), f"https://127.0.0.1:{refused_port}")
    with pytest.raises(http_session.NoAnswerError) as caught:
        client.request("POST", "me/sendMail", body=b"{}")
    assert caught.value.hint == "nothing was sent there; check the network and try again"
    assert (caught.value.code, caught.value.retryable) == ("network", True)


def test_a_change_that_was_refused_may_be_sent_again(emulator: Emulator, client: graph.GraphClient) -> None:
    """429 and 4xx of Graph itself: it was not done."""
    emulator.script("graph", [Fault.status(429, retry_after="99"), _graph_error(400, "BadRequest", "No.")])
    for _ in range(2):
        with pytest.raises(errors.DeviceLoginError) as caught:
            client.request("POST", "me/sendMail", body=b"{}")
        assert caught.value.code in {"throttled", "http_error"}
        assert "done" not in str(caught.value.hint)


def test_a_change_whose_answer_breaks_off_was_done(emulator: Emulator, client: graph.GraphClient) -> None:
    """The status was there: it says so, and nobody repeats it."""
    emulator.script("graph", [Fault.truncate(3)])
    answer = client.request("POST", "me/todo/lists", body=b'{"displayName": "x"}')
    with pytest.raises(errors.BadAnswerError) as caught:
        list(answer.chunks)
    assert (caught.value.code, caught.value.retryable) == ("answer_lost", False)
    assert caught.value.hint == "the POST was done; do not repeat it for its answer"


@pytest.mark.parametrize(
    "retry_after", ["0", "0.1", "-1", "nan", "1e-9", "0.000001", "Thu, 01 Jan 1970 00:00:00 GMT", "999999999", None]
)
def test_whatever_graph_asks_for_it_is_not_asked_again_and_again(
    emulator: Emulator, client: graph.GraphClient, timer: Timer, arrived: Arrived, retry_after: str | None
) -> None:
    """No pause is shorter than a second, they grow, and the last answer's error ends them with its code and request id."""
    refusal = _graph_error(
        429, "TooManyRequests", "no", **({} if retry_after is None else {"Retry_After": retry_after})
    )
    emulator.script("me", itertools.repeat(refusal))
    with pytest.raises(http_session.ServerBusyError) as caught:
        client.request("GET", "me", max_wait=60)
    assert len(arrived()) <= 8
    assert min(timer.slept) >= 1
    assert timer.slept == sorted(timer.slept) or max(timer.slept) > 17
    assert sum(timer.slept) <= 60
    assert "TooManyRequests, request-id 11111111" in str(caught.value.detail)


def test_a_short_retry_after_is_obeyed_ten_times_and_no_more(
    emulator: Emulator, client: graph.GraphClient, timer: Timer, arrived: Arrived
) -> None:
    """Whatever time is left."""
    emulator.script("me", itertools.repeat(Fault.status(503, retry_after="1")))
    with pytest.raises(http_session.ServerBusyError):
        client.request("GET", "me", max_wait=1e6)
    assert (timer.slept, len(arrived())) == ([1.0] * 10, 11)


def test_max_wait_counts_the_requests_and_the_last_answer_is_the_error(
    emulator: Emulator, session: http_session.HttpSession, token: str
) -> None:
    """A server that is silent when it is asked again does not hide what it said before: 429, not "no answer in time"."""
    emulator.script("me", [_graph_error(429, "TooManyRequests", "no", Retry_After="1"), Fault.delay(30)])
    client = graph.GraphClient(_tokens(token), emulator.graph_root, session=session)
    started = time.monotonic()
    with pytest.raises(http_session.ServerBusyError) as caught:
        client.request("GET", "me", max_wait=3)
    assert time.monotonic() - started < 25
    assert "TooManyRequests" in str(caught.value.detail)


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        (Fault.html(200), "me"),
        (Fault.html(403), "me"),
        (Fault.html(401), "me"),
        (Fault.html(429), "me"),
        (Fault.html(503), "me"),
        (Fault.html(200), "me/messages/1/$value"),
        (Fault.html(403, body="blocked"), "me"),
        (Fault.text(""), "me"),
        (Fault.text("Access denied by policy"), "me"),
        (Fault.text("<HTML><body>blocked</body></HTML>"), "me"),
        (Fault.text(" \n<!DOCTYPE html><p>x", content_type="application/json"), "me"),
        (Fault.text("", content_type="application/json"), "me"),
        (Fault.text("blocked by the filter", status=403), "me"),
        (Fault.text("", status=403), "me"),
        (Fault.json(["blocked"], status=403), "me"),
        (Fault.json({"error": "sign in to the proxy"}, status=407), "me"),
        (Fault.text("blocked", status=451), "me"),
        (Fault.content(b"<!-- x --><html>", content_type="application/octet-stream"), "me"),
        (Fault.content(b"<?xml version='1.0'?><blocked/>", content_type="application/xml"), "me/messages"),
    ],
    ids=range(19),
)
def test_a_page_of_somebody_else_is_not_graph(
    emulator: Emulator, client: graph.GraphClient, fault: Fault, path: str
) -> None:
    """76, whatever the status and the type: a filtering proxy has no permissions to grant."""
    emulator.script("me", [fault])
    emulator.script("graph", [fault])
    with pytest.raises(errors.BadAnswerError) as caught:
        client.request("GET", path)
    assert "something other than the expected service" in caught.value.message
    assert "permission" not in str(caught.value.hint)


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        (Fault.content(b"<html>a mail</html>", content_type="text/html", headers={"request-id": "x"}), "me/messages/1"),
        (Fault.text("", headers={"request-id": "x"}), "me/messages/1"),
        (Fault.text('\ufeff{"value": []}'), "me/messages"),
        (Fault.text("[]"), "me/messages"),
        (Fault.text("17"), "me/messages/$count"),
        (Fault.text("MIME-Version: 1.0"), "me/messages/1/$value"),
        (Fault.text("my notes"), "me/drive/root:/a.txt:/content"),
        (Fault.text(""), "me/drive/root:/empty.txt:/content"),
        (Fault.content(b"\x89PNG"), "me/photos/48x48"),
        (Fault.content(b"<edmx/>", content_type="application/xml"), "$metadata"),
        (Fault.json({}), "me/messages"),
    ],
    ids=range(11),
)
def test_what_looks_like_graph_is_believed(
    emulator: Emulator, client: graph.GraphClient, fault: Fault, path: str
) -> None:
    """A request id is enough, also for the HTML of a mail; without one JSON is, or the bytes of a path that has some."""
    emulator.script("graph", [fault])
    answer = client.request("GET", path)
    assert answer.status == 200
    list(answer.chunks)


class Renewing:
    """The tokens of a sign-in that can be asked for a new one."""

    def __init__(self, first: str, newer: str) -> None:
        self.wishes: list[tuple[bool, str | None]] = []
        self._first, self._newer = first, newer

    def __call__(self, *, force_refresh: bool = False, claims: str | None = None) -> models.AccessToken:
        self.wishes.append((force_refresh, claims))
        return _tokens(self._newer if force_refresh else self._first)()


def test_a_refused_token_is_renewed_once_by_itself(
    emulator: Emulator, session: http_session.HttpSession, token: str
) -> None:
    """A program need not know of 401s and claims challenges: each is answered once, also of a change, which was not done."""
    tokens = Renewing("not.a.token", token)
    client = graph.GraphClient(tokens, emulator.graph_root, session=session)
    assert client.request("POST", "me/todo/lists", body=b'{"displayName": "x"}').status == 201
    assert tokens.wishes == [(False, None), (True, None)]
    challenge = f'Bearer claims="{base64.b64encode(b"{}").decode()}"'
    refusals = [_graph_error(401, "x", "no"), _graph_error(401, "x", "no", WWW_Authenticate=challenge)]
    emulator.script("me", refusals)
    client.request("GET", "me").close()
    assert tokens.wishes[2:] == [(False, None), (True, None), (True, "{}")]
    for script in ([refusals[0]] * 3, [refusals[1]] * 3, [refusals[1], refusals[0]]):
        emulator.script("me", script)
        with pytest.raises(graph.TokenRejectedError):
            client.request("GET", "me")


def test_a_token_of_another_library_need_only_have_its_text(
    emulator: Emulator, session: http_session.HttpSession, token: str
) -> None:
    """As that of Azure's SDK, which knows no scopes; a refusal is told all the same."""
    source: Any = lambda: types.SimpleNamespace(token=token, expires_on=0)  # noqa: E731
    client = graph.GraphClient(source, emulator.graph_root, session=session)
    client.request("GET", "me").close()
    emulator.script("me", [_graph_error(403, "Forbidden", "no")])
    with pytest.raises(errors.DeviceLoginError):
        client.request("GET", "me")


@pytest.mark.parametrize(
    "root", ["http://graph.microsoft.com", "https://graph.microsoft.com/v1.0", "graph.microsoft.com"]
)
def test_a_root_that_is_no_origin_is_a_configuration_error(root: str) -> None:
    """78 when the client is made."""
    with pytest.raises(errors.ConfigError):
        graph.GraphClient(_tokens("a.b.c"), root)
