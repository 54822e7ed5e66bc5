"""While a person types the code: the network fails, the provider stumbles, the clock jumps; the sign-in completes."""

from __future__ import annotations

import time

import fake_time
import pytest
import sandbox

from devicelogin.emulator import Fault


def completes(box: sandbox.Box, waiting: sandbox.Running) -> sandbox.Result:
    result = waiting.finish()
    assert result.status == 0, result
    assert box.token("--force-refresh")
    return result


def test_every_connection_is_reset_for_ten_seconds(box: sandbox.Box) -> None:
    """Acceptance: the person approves in the middle of it, and is heard afterwards."""
    waiting = box.start("login", *box.app())
    code = box.emulator.wait_for_code()
    began = time.monotonic()
    box.emulator.break_for(10)
    time.sleep(2)
    box.emulator.approve(code)
    result = completes(box, waiting)
    assert time.monotonic() - began > 10
    assert "cannot reach" in result.err


def test_the_provider_stumbles_five_times(box: sandbox.Box) -> None:
    """Acceptance: [503, 429, HTML, pending, success] completes with one request each, MSAL's replay notwithstanding."""
    box.emulator.script(
        "token", [Fault.status(503), Fault.status(429), Fault.html(), Fault.oauth("authorization_pending")]
    )
    box.emulator.approve_next()
    waiting = box.start("login", *box.app())
    completes(box, waiting)
    assert box.emulator.count("token") == 5


def test_slow_down_is_obeyed_for_good(box: sandbox.Box) -> None:
    """RFC 8628 section 3.5, measured at the server: five seconds more after the first slow_down."""
    box.emulator.script("token", [Fault.oauth("slow_down")])
    box.emulator.approve_next(after=3)
    completes(box, box.start("login", *box.app()))
    first, second = [request.time for request in box.emulator.requests if request.endpoint == "token"]
    assert 5.9 < second - first < 10.9, "another five seconds for the same answer would make it eleven"


@pytest.mark.parametrize("error", ["expired_token", "invalid_grant"])
def test_a_code_that_expires_at_the_provider_is_5(box: sandbox.Box, error: str) -> None:
    """Both of the answers that a dead code gets."""
    number = 70020 if error == "expired_token" else 7000014
    box.emulator.script("token", [None, Fault.oauth(error, number)])
    result = box.run("login", *box.app())
    assert result.status == 5
    assert "has expired" in result.lines("error")[0]
    assert result.lines("hint")


def test_a_code_that_nobody_enters_is_5(box: sandbox.Box) -> None:
    """By our own clock, also where the provider goes on saying pending."""
    box.emulator.device_code_lifetime = 4
    result = box.run("login", *box.app())
    assert result.status == 5
    assert 3.5 < result.seconds < sandbox.SOON


def test_who_declines_is_heard_at_once(box: sandbox.Box) -> None:
    """5, and nothing is saved."""
    waiting = box.start("login", *box.app())
    box.emulator.decline(box.emulator.wait_for_code())
    result = waiting.finish()
    assert result.status == 5
    assert "declined" in result.lines("error")[0]
    assert box.run("token").status == 4


@pytest.mark.faketime
@pytest.mark.parametrize(
    ("before", "after"),
    [("@1970-01-02 00:00:00", "@2026-03-01 00:00:00"), ("@2026-03-01 00:00:00", "@1970-01-02 00:00:00")],
    ids=["forwards", "backwards"],
)
def test_the_wall_clock_jumps_56_years(box: sandbox.Box, before: str, after: str) -> None:
    """Acceptance: a board that reaches a time server, or loses it, in the middle of polling."""
    moment = box.home / "moment"
    moment.write_text(before + "\n")
    box.variables |= fake_time.variables(FAKETIME_TIMESTAMP_FILE=str(moment), FAKETIME_NO_CACHE="1")
    waiting = box.start("login", *box.app())
    code = box.emulator.wait_for_code()
    sandbox.wait_for(lambda: box.emulator.count("token"), "a poll")
    moment.write_text(after + "\n")
    polled = box.emulator.count("token")
    # One may have been on its way.
    sandbox.wait_for(lambda: box.emulator.count("token") > polled + 1, "polls after the jump")
    box.emulator.approve(code)
    completes(box, waiting)
