"""`slow_down` as RFC 8628 section 3.5 means it, also from providers that send it with 429, such as Auth0."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin import http_session
from devicelogin.client import signing_in
from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

PENDING = Fault.oauth("authorization_pending")


def _slow_down(**headers: str) -> Fault:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault.json({"error": "slow_down", "error_description": "Too fast."}, status=429, headers=shown)


def _pauses(box: sandbox.Box, *answers: Fault) -> list[float]:
    """Sign in, meeting `answers` first, and return the seconds between the polls."""
    clock, polled = sandbox.HurriedClock(), []

    def steps() -> Iterator[Fault | None]:
        for answer in (*answers, None):
            polled.append(clock.boot())
            yield answer

    box.emulator.script("token", steps())
    box.sign_in(signing_in.Options(clock=clock))
    return [later - earlier for earlier, later in itertools.pairwise(polled)]


@pytest.mark.parametrize("headers", [{}, {"Retry_After": "3"}], ids=["alone", "with Retry-After"])
def test_every_poll_after_slow_down_with_429_comes_five_seconds_later(
    box: sandbox.Box, headers: dict[str, str]
) -> None:
    """Not only the next one: the interval itself is longer, and a second one lengthens it again."""
    pauses = _pauses(box, PENDING, _slow_down(**headers), PENDING, PENDING, _slow_down(**headers), PENDING)
    assert pauses == pytest.approx([1, 6, 6, 6, 11, 11], abs=0.9)


@pytest.mark.parametrize("status", [400, 429])
def test_a_longer_retry_after_is_kept_once(box: sandbox.Box, status: int) -> None:
    """The server wants to be left alone for that long now; the interval stays what slow_down makes it."""
    told = Fault.json({"error": "slow_down"}, status=status, headers={"Retry-After": "30"})
    assert _pauses(box, PENDING, told, PENDING, PENDING) == pytest.approx([1, 30, 6, 6], abs=0.9)


def test_a_429_that_says_nothing_of_slow_down_is_a_pause_and_no_more(box: sandbox.Box) -> None:
    """A front end that throttles is obeyed once; the interval stays what the provider named."""
    pauses = _pauses(box, Fault.status(429, retry_after="20"), PENDING, PENDING)
    assert pauses == pytest.approx([20, 1, 1], abs=0.9)


@pytest.fixture
def session(emulator: Emulator) -> Iterator[http_session.HttpSession]:
    with http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as made:
        yield made


def test_slow_down_with_429_is_an_answer(emulator: Emulator, session: http_session.HttpSession) -> None:
    """It comes with its status and headers, and the connection is used again."""
    emulator.script("token", [_slow_down(Retry_After="7")])
    answer = session.post_form(f"{emulator.authority}/oauth2/v2.0/token", {"x": "y"})
    assert (answer.status, answer.body["error"]) == (429, "slow_down")
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.json({"error": "too_many_requests"}, status=429),
        Fault.json({"error": ["slow_down"]}, status=429),
        Fault.json("slow_down", status=429),
        Fault.text("slow_down", status=429),
        Fault.text("", status=429),
        Fault.html(429),
        Fault.content(b"\xff\xfe", status=429),
        Fault.status(429, headers={"Content-Encoding": "br"}),
        Fault(replacement=Fault.html(429).replacement, cut_after=7),
        Fault.text("x" * 2_000_000, status=429),
        Fault.json({"error": "slow_down"}, status=503),
    ],
    ids=range(11),
)
def test_any_other_refusal_of_a_busy_server_is_try_later(
    emulator: Emulator, session: http_session.HttpSession, fault: Fault
) -> None:
    """75, whatever its body is or lacks, and the session is still good."""
    emulator.script("token", [fault])
    url = f"{emulator.authority}/oauth2/v2.0/token"
    with pytest.raises(http_session.ServerBusyError):
        session.post_form(url, {})
    assert session.post_form(url, {}).status == 400


def test_a_body_that_never_ends_does_not_hide_how_long_to_wait(
    emulator: Emulator, session: http_session.HttpSession
) -> None:
    """Who drips the explanation of a 429 is left after a moment, with the seconds that it asked for."""
    slow = Fault.status(429, retry_after="7", body="x" * 1000)
    emulator.script("token", [Fault(replacement=slow.replacement, body_rate=20)])
    with pytest.raises(http_session.ServerBusyError) as caught:
        session.post_form(f"{emulator.authority}/oauth2/v2.0/token", {})
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("status", [400, 429])
def test_slow_down_ends_neither_a_refresh_nor_a_start(box: sandbox.Box, status: int) -> None:
    """It asks to come back later: 75 at a refresh, and a start is tried again by itself."""
    fault = Fault.json({"error": "slow_down"}, status=status)
    box.sign_in()
    box.emulator.script("refresh", [fault])
    assert box.run("token", "--force-refresh").status == 75
    box.check_works()
    box.emulator.script("devicecode", [fault])
    box.sign_in()


def test_a_server_that_stumbles_before_there_is_a_code_is_asked_again(box: sandbox.Box) -> None:
    """Nobody has to type the command again for one 503, or one connection that was cut."""
    box.emulator.script("discovery", [Fault.status(503, retry_after="2")])
    box.emulator.script("jwks", [Fault.reset()])
    box.emulator.script("devicecode", [Fault.status(429), Fault.reset(), Fault.status(503)])
    box.sign_in()
    assert box.emulator.count("devicecode") == 4


def test_a_server_that_is_down_before_there_is_a_code_is_75_with_what_it_said(box: sandbox.Box) -> None:
    """After half a minute, or at once where it asks for more than that, and with the time that it named."""
    box.emulator.script("devicecode", itertools.repeat(Fault.status(503)))
    with pytest.raises(http_session.ServerBusyError) as caught:
        box.sign_in()
    assert caught.value.detail == "HTTP 503"
    assert 3 <= box.emulator.count("devicecode") <= 8
    box.emulator.script("devicecode", [Fault.status(429, retry_after="301")])
    with pytest.raises(http_session.ServerBusyError) as caught:
        box.sign_in()
    assert caught.value.hint == "try again in 301 s"


@pytest.mark.parametrize("asked", ["2", None, "6", "3600"])
def test_whoever_refreshes_waits_once_for_a_short_while(box: sandbox.Box, asked: str | None) -> None:
    """It holds the lock: one pause of a few seconds where the server names one, else 75 with the time that it named."""
    box.sign_in()
    box.emulator.script("refresh", [Fault.status(503, retry_after=asked)])
    count = box.emulator.count("refresh")
    result = box.run("token", "--force-refresh")
    assert (result.status, box.emulator.count("refresh") - count) == ((0, 2) if asked == "2" else (75, 1)), result
    if asked in {"6", "3600"}:
        assert f"hint: try again in {asked} s" in result.err
    box.check_works()


@pytest.mark.parametrize(
    "forgotten",
    [
        Fault.oauth("invalid_grant", 7000014),
        Fault.oauth("unauthorized_client", 700016),
        Fault.oauth("invalid_client", status=401),
        Fault.json({"error": "invalid_request", "error_description": "unknown code"}, status=400),
    ],
    ids=range(4),
)
def test_a_server_that_was_restarted_while_somebody_signs_in_is_5(box: sandbox.Box, forgotten: Fault) -> None:
    """It knows neither the code nor, it may be, the app: no setting is wrong, and a new code is what helps."""
    box.emulator.script("token", [None, Fault.reset(), Fault.status(502), Fault.html(), forgotten])
    result = box.run("login", *box.app())
    assert result.status == 5
    assert "it shows a new code" in result.err
    assert "detail: " in result.err
