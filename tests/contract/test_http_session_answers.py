"""What the one HTTP session makes of everything a server can answer; real HTTPS against the emulator."""

from __future__ import annotations

import dataclasses
import gzip
import logging
import time
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin import clock, errors, http_session
from devicelogin.emulator import Emulator, Fault
from devicelogin.emulator.messages import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devicelogin.emulator import Request

    Arrived = Callable[[], list[Request]]


@pytest.fixture(scope="module")
def _running() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def emulator(_running: Emulator) -> Emulator:
    for endpoint in ("discovery", "token", "revoke", "graph", "me"):
        _running.script(endpoint, [])
    _running.clock.set(time.time())
    return _running


@pytest.fixture
def arrived(emulator: Emulator) -> Arrived:
    """Return what has arrived since the test began."""
    before = len(emulator.requests)
    return lambda: emulator.requests[before:]


@pytest.fixture
def session(emulator: Emulator) -> Iterator[http_session.HttpSession]:
    with http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as made:
        yield made


def _hurried(emulator: Emulator, seconds: float) -> http_session.HttpSession:
    return http_session.HttpSession(environ={}, ca_file=emulator.ca_file, deadline=clock.Deadline(seconds))


def _discovery(emulator: Emulator) -> str:
    return f"{emulator.authority}/v2.0/.well-known/openid-configuration"


def test_a_json_answer_comes_with_its_status_text_and_date(
    emulator: Emulator, session: http_session.HttpSession
) -> None:
    """What MSAL and the ID token's check need of an answer is there, and its repr shows nothing of the body."""
    emulator.clock.set(1_900_000_000)
    answer = session.get_json(_discovery(emulator))
    assert answer.status == 200
    assert answer.host == f"127.0.0.1:{emulator.port}"
    assert answer.body["token_endpoint"] in answer.text
    assert answer.headers["CONTENT-type"] == answer.headers["content-type"]
    assert answer.server_date == pytest.approx(1_900_000_000, abs=30)
    assert "token_endpoint" not in repr(answer)


def test_a_form_is_sent_and_a_400_with_json_is_an_ordinary_answer(
    emulator: Emulator, session: http_session.HttpSession, arrived: Arrived
) -> None:
    """OAuth errors are answers, not exceptions."""
    answer = session.post_form(
        f"{emulator.authority}/oauth2/v2.0/token",
        {"grant_type": "refresh_token", "refresh_token": "none & such", "client_id": emulator.client_id},
        headers={"client-request-id": "abc", "Accept": "application/json"},
    )
    assert answer.status == 400
    assert answer.body["error"] == "invalid_grant"
    (request,) = arrived()
    assert request.form["refresh_token"] == "none & such"
    assert request.headers["client-request-id"] == "abc"
    assert request.headers["user-agent"].startswith("devicelogin")


@pytest.mark.parametrize(
    "fault",
    [
        Fault.html(),
        Fault.html(404),
        Fault.html(511),
        Fault.text(""),
        Fault.text("null"),
        Fault.text('[{"a": 1}]'),
        Fault.text('{"a": NaN}'),
        Fault.text('{"a": 1e999}'),
        Fault.text('{"a":' * 5000),
        Fault.text("{" * 900_000),
        Fault.content(b'{"a": "\xff\xfe"}'),
        Fault.content(b"\x1f\x8b\x08\x00garbage"),
        Fault.redirect("https://login.microsoftonline.com/"),
        Fault.redirect("http://portal.example/", status=307),
        Fault.status(304),
        Fault.huge(1_000_100),
        Fault.huge(30_000_000, compressed=True),
    ],
    ids=range(17),
)
def test_what_the_identity_provider_would_not_say_is_a_bad_answer(
    emulator: Emulator, session: http_session.HttpSession, fault: Fault, arrived: Arrived
) -> None:
    """HTML, damaged or hostile JSON, redirects and bombs are 76; the host is named and the body never shown."""
    emulator.script("discovery", [fault])
    with pytest.raises(errors.BadAnswerError) as caught:
        session.get_json(_discovery(emulator))
    assert f"127.0.0.1:{emulator.port}" in caught.value.message
    assert caught.value.hint
    for secret in ("Accept the terms", "filler", "garbage", "portal.example"):
        assert secret not in str(caught.value.as_json())
    assert len(arrived()) == 1
    # The session is still good.
    assert session.get_json(_discovery(emulator)).status == 200


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("7", 7), ("0.249", 0.249), (None, None), ("-3", None), ("9" * 30, None)]
)
def test_a_busy_server_is_try_later_with_the_seconds_it_asked_for(
    emulator: Emulator, session: http_session.HttpSession, status: int, retry_after: str | None, seconds: float | None
) -> None:
    """429 and 5xx are 75 whatever their body is."""
    emulator.script("token", [Fault.status(status, retry_after=retry_after)])
    with pytest.raises(http_session.ServerBusyError) as caught:
        session.post_form(f"{emulator.authority}/oauth2/v2.0/token", {})
    assert (caught.value.exit_code, caught.value.retryable) == (75, True)
    assert (caught.value.status, caught.value.retry_after) == (status, seconds)


@pytest.mark.parametrize("body", ["html", "json"])
def test_the_body_of_a_busy_server_does_not_matter(
    emulator: Emulator, session: http_session.HttpSession, body: str
) -> None:
    """A gateway's web page and an OAuth error of a 503 mean the same."""
    fault = Fault.html(503) if body == "html" else Fault.json({"error": "temporarily_unavailable"}, status=503)
    emulator.script("discovery", [fault])
    with pytest.raises(http_session.ServerBusyError):
        session.get_json(_discovery(emulator))


def test_a_reset_says_that_the_request_may_have_arrived(
    emulator: Emulator, session: http_session.HttpSession, arrived: Arrived
) -> None:
    """After the request was sent nobody knows; the connection is not used again."""
    emulator.script("token", [Fault.reset(), Fault.reset_after_processing()])
    for _ in range(2):
        with pytest.raises(http_session.NoAnswerError) as caught:
            session.post_form(f"{emulator.authority}/oauth2/v2.0/token", {})
        assert caught.value.request_may_have_arrived
        assert "cut" in caught.value.message
    assert len(arrived()) == 2


def test_a_truncated_answer_is_try_later(emulator: Emulator, session: http_session.HttpSession) -> None:
    """Half of a JSON object is a cut connection, not a captive portal."""
    emulator.script("discovery", [Fault.truncate(100)])
    with pytest.raises(http_session.NoAnswerError):
        session.get_json(_discovery(emulator))


@pytest.mark.parametrize(
    "fault", [Fault.delay(sandbox.LATER), Fault.drip(20), Fault.drip_headers(5)], ids=["silence", "body", "headers"]
)
def test_a_server_that_never_ends_is_left_at_the_deadline(emulator: Emulator, fault: Fault, arrived: Arrived) -> None:
    """Silence and a drip of bytes, in the headers or the body, do not hold us beyond the deadline."""
    emulator.script("discovery", [fault])
    started = time.monotonic()
    with _hurried(emulator, 1.5) as session:
        with pytest.raises(http_session.NoAnswerError) as caught:
            session.get_json(_discovery(emulator))
        assert 1.0 < time.monotonic() - started < sandbox.SOON
        assert caught.value.request_may_have_arrived
        assert "in time" in caught.value.message
        with pytest.raises(http_session.NoAnswerError) as caught:
            session.get_json(_discovery(emulator))
        assert not caught.value.request_may_have_arrived
    assert len(arrived()) == 1


def test_netrc_does_not_replace_a_header(
    emulator: Emulator,
    session: http_session.HttpSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arrived: Arrived,
) -> None:
    """A hostile ~/.netrc and NETRC change nothing about Authorization (fault catalogue M7)."""
    netrc = "machine 127.0.0.1 login mallory password hunter2\ndefault login mallory password hunter2\n"
    (tmp_path / ".netrc").write_text(netrc)
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    session.get_json(_discovery(emulator), headers={"Authorization": "Bearer abc"})
    with session.stream("GET", _discovery(emulator), headers={"Authorization": "Bearer abc"}) as answer:
        list(answer.chunks())
    session.get_json(_discovery(emulator))
    sent = [request.headers.get("authorization") for request in arrived()]
    assert sent == ["Bearer abc", "Bearer abc", None]


def test_the_body_of_a_redirect_is_not_read(emulator: Emulator, session: http_session.HttpSession) -> None:
    """A redirect with an endless body is refused at its first line."""
    redirect = Fault.status(302, headers={"Location": "https://evil.example/"}, body="x" * 1_000_000)
    emulator.script("discovery", [dataclasses.replace(redirect, body_rate=1000)])
    started = time.monotonic()
    with pytest.raises(errors.BadAnswerError):
        session.get_json(_discovery(emulator))
    assert time.monotonic() - started < sandbox.SOON


def test_cookies_are_not_kept(emulator: Emulator, session: http_session.HttpSession, arrived: Arrived) -> None:
    """What the sign-in pages set is of no use and is never sent back."""
    emulator.script("discovery", [Fault.json({}, headers={"Set-Cookie": "fpc=1; Path=/"})])
    session.get_json(_discovery(emulator))
    session.get_json(_discovery(emulator))
    assert "cookie" not in arrived()[1].headers


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "HTTP://login.microsoftonline.com/",
        "ftp://127.0.0.1/",
        "https:///path",
        "https://user@127.0.0.1/",
        "https://:hunter2@127.0.0.1/",
        "https://127.0.0.1:0x50/",
        "https://127.0.0.1:99999/",
        "https://[::1/",
        "https://127.0.0.1\\@evil.example/",
        "https://127.0.0.1/\r\nHost: evil.example",
        "https://127.0.0.1/a b",
        "https://gr\u00e4ph.example/",
        "login.microsoftonline.com",
        "",
    ],
)
def test_anything_but_a_plain_https_address_is_refused(session: http_session.HttpSession, url: str) -> None:
    """78, before anything is resolved or sent."""
    for call in (session.get_json, lambda u: session.post_form(u, {}), lambda u: session.stream("GET", u)):
        with pytest.raises(errors.ConfigError) as caught:
            call(url)
        assert "hunter2" not in str(caught.value.as_json())


def test_one_line_is_logged_for_each_exchange_and_no_secret_in_it(
    emulator: Emulator, session: http_session.HttpSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Method, host, path, status, time and client-request-id; no query, no header, no body."""
    caplog.set_level(logging.DEBUG, "devicelogin.http")
    session.post_form(
        f"{emulator.authority}/oauth2/v2.0/token?q=canary-query",
        {"refresh_token": "canary-body"},
        headers={"Client-Request-Id": "id-1", "X-Secret": "canary-header"},
    )
    emulator.script("discovery", [Fault.html()])
    with pytest.raises(errors.BadAnswerError):
        session.get_json(_discovery(emulator))
    first, second = (record.getMessage() for record in caplog.records if record.name == "devicelogin.http")
    assert first.startswith(f"POST 127.0.0.1:{emulator.port} /{emulator.tenant_id}/oauth2/v2.0/token 400 ")
    assert first.endswith(" ms id-1")
    assert second.startswith("GET ")
    assert "canary" not in first


def test_an_ignored_answer_may_be_empty(emulator: Emulator, session: http_session.HttpSession) -> None:
    """RFC 7009: the body of a revocation's answer means nothing; an error of it is still read."""
    emulator.script("revoke", [Fault.text(""), Fault.html(400)])
    url = f"{emulator.oidc_issuer}/protocol/openid-connect/revoke"
    assert session.post_form(url, {"token": "x"}, may_be_empty=True).body == {}
    with pytest.raises(errors.BadAnswerError):
        session.post_form(url, {"token": "x"}, may_be_empty=True)


def test_connections_are_used_again(emulator: Emulator, session: http_session.HttpSession) -> None:
    """The next request does not pay for another handshake."""
    for _ in range(3):
        session.get_json(_discovery(emulator))
    pools = session._adapter.poolmanager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118 - urllib3's container is no dict


def test_a_stream_is_whatever_was_answered(
    emulator: Emulator, session: http_session.HttpSession, arrived: Arrived
) -> None:
    """Any status, any body, decompressed, without a limit of size."""
    emulator.script("graph", [Fault.huge(5_000_000, compressed=True), Fault.html(503), Fault.status(204)])
    url = f"{emulator.graph_root}/v1.0/x"
    with session.stream("GET", url) as answer:
        pieces = list(answer.chunks())
    assert sum(map(len, pieces)) == 5_000_000
    assert max(map(len, pieces)) <= 65_536
    with session.stream("PUT", url, body=b"abc") as answer:
        assert answer.status == 503
        assert b"".join(answer.chunks()).startswith(b"<!DOCTYPE html>")
    with session.stream("DELETE", url, body=iter([b"ab", b"", b"cd"])) as answer:
        assert (answer.status, list(answer.chunks())) == (204, [])
    assert [request.body for request in arrived()] == [b"", b"abc", b"abcd"]


@pytest.mark.parametrize("kept", [0, 1, 50_000])
def test_a_truncated_stream_is_a_bad_answer(emulator: Emulator, session: http_session.HttpSession, kept: int) -> None:
    """An incomplete body is never a short success."""
    emulator.script("graph", [_cut(100_000, kept)])
    answer = session.stream("GET", f"{emulator.graph_root}/v1.0/x")
    with pytest.raises(errors.BadAnswerError) as caught:
        list(answer.chunks())
    assert "broke off" in caught.value.message


@pytest.mark.parametrize("count", [5, 40, 95])
def test_a_truncated_compressed_stream_is_a_bad_answer(
    emulator: Emulator, session: http_session.HttpSession, count: int
) -> None:
    """Chunked and compressed, as Graph sends it: wherever it is cut, it is noticed."""
    emulator.script("me", [Fault.truncate(count)])
    answer = session.stream("GET", f"{emulator.graph_root}/v1.0/me")
    with pytest.raises(errors.BadAnswerError):
        list(answer.chunks())


_PACKED = gzip.compress(b"part one ") + gzip.compress(b"part two" * 50_000)


@pytest.mark.parametrize(
    ("body", "encoding", "is_whole"),
    [
        (_PACKED, "gzip", True),
        (_PACKED, "X-GZip ", True),
        (b"", "gzip", True),
        (_PACKED[:-1], "gzip", False),
        (_PACKED[:-200], "gzip", False),
        (_PACKED[:10], "gzip", False),
        (_PACKED[:60] + b"damage" + _PACKED[66:], "gzip", False),
        (b"plain text", "gzip", False),
        (b"plain text", "br", False),
    ],
)
def test_a_compressed_stream_is_whole_or_an_error(
    emulator: Emulator, session: http_session.HttpSession, body: bytes, encoding: str, is_whole: bool
) -> None:
    """A right Content-Length does not make a cut or damaged gzip stream whole."""
    sent = Answer(status=200, body=body, headers=(("Content-Encoding", encoding),))
    emulator.script("graph", [Fault(replacement=lambda _request, _now: sent)])
    answer = session.stream("GET", f"{emulator.graph_root}/v1.0/x")
    if is_whole:
        assert b"".join(answer.chunks()) == (b"part one " + b"part two" * 50_000 if body else b"")
        return
    with pytest.raises(errors.BadAnswerError):
        list(answer.chunks())


def _cut(size: int, kept: int) -> Fault:
    whole = Fault.huge(size)
    return Fault(replacement=whole.replacement, cut_after=kept)


def test_a_stream_left_early_does_not_disturb_the_next_request(
    emulator: Emulator, session: http_session.HttpSession
) -> None:
    """The rest of an unread body never becomes the beginning of another answer."""
    emulator.script("graph", [Fault.huge(3_000_000)])
    url = f"{emulator.graph_root}/v1.0/x"
    with session.stream("GET", url) as answer:
        assert next(answer.chunks())
    assert session.get_json(_discovery(emulator)).status == 200
