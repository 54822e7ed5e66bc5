"""The wait for a person: polite to the server, stubborn about the network, and never misled by the wall clock."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicelogin import errors, http_session, models, msal_client
from devicelogin.signin import device_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FIFTY_SIX_YEARS = 56 * 365.25 * 86400


class Clock:
    """A clock on which hours pass at once. `jumps` maps a boot second to what the wall clock then leaps."""

    def __init__(self, jumps: dict[float, float] | None = None) -> None:
        self.now = 1000.0
        self.leap = -500.0
        self._jumps = jumps or {}

    def wall(self) -> float:
        return self.now + self.leap

    def boot(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1, "a wait longer than a second leaves the screen standing still"
        self.now += seconds
        self.leap = -500 + sum(leap for moment, leap in self._jumps.items() if self.now - 1000 >= moment)


class Told(device_flow.Silence):
    """Notes what an observer is told."""

    def __init__(self) -> None:
        self.left: list[float] = []
        self.events: list[str] = []

    def waiting(self, seconds_left: float) -> None:
        self.left.append(seconds_left)

    def trouble(self, message: str) -> None:
        self.events.append(f"trouble: {message}")

    def recovered(self) -> None:
        self.events.append("recovered")


class Server:
    """Answers polls with `steps`, one each, then `last` for ever; notes when it was asked."""

    def __init__(self, clock: Clock, steps: Iterable[object], last: object, takes: float = 0.0) -> None:
        self.asked: list[float] = []
        self._clock = clock
        self._steps = iter(steps)
        self._last = last
        self._takes = takes

    def poll(self) -> models.TokenAnswer | models.Pending:
        self.asked.append(self._clock.now - 1000)
        self._clock.now += self._takes
        step = next(self._steps, self._last)
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, (models.TokenAnswer, models.Pending))
        return step


SUCCESS = models.TokenAnswer(
    access_token="a", token_type="Bearer", expires_in=3599, scopes=(), refresh_token="r", id_token="i", credentials="{}"
)
CUT = http_session.NoAnswerError("the connection was cut", request_may_have_arrived=True)
HTML = errors.BadAnswerError("a captive portal")


def pending(interval: float = 5) -> models.Pending:
    return models.Pending(interval=interval)


def busy(status: int = 503, retry_after: float | None = None) -> errors.TryLaterError:
    return http_session.ServerBusyError("login.example", status, retry_after)


def code(*, interval: int = 5, expires_in: int = 900) -> models.DeviceAuthorization:
    return models.DeviceAuthorization(
        user_code="ABC", verification_uri="https://login.example", expires_in=expires_in, interval=interval,
        client_id="c", authority="https://login.example/t", scopes=(), device_code="d",
    )  # fmt: skip


def run(
    steps: Iterable[object],
    *,
    last: object = SUCCESS,
    clock: Clock | None = None,
    told: Told | None = None,
    interval: int = 5,
    expires_in: int = 900,
    takes: float = 0.0,
) -> tuple[Server, Callable[[], models.TokenAnswer]]:
    clock = clock or Clock()
    authorization = code(interval=interval, expires_in=expires_in)
    wait = device_flow.Wait(authorization, clock=clock, observer=told or Told(), profile="default")
    server = Server(clock, steps, last, takes)
    return server, lambda: wait.for_approval(server.poll)


def test_polls_come_one_interval_apart() -> None:
    """RFC 8628 section 3.5: the client waits the interval before every poll, the first one included."""
    server, wait = run([pending()] * 3)
    assert wait() is SUCCESS
    assert server.asked == pytest.approx([5, 10, 15, 20])


def test_slow_down_lengthens_the_interval_for_good() -> None:
    """RFC 8628 section 3.5: the longer interval is kept for this and all later polls, whatever is said afterwards."""
    server, wait = run([pending(), pending(10), pending(5), CUT, pending(5)])
    assert wait() is SUCCESS
    gaps = [later - earlier for earlier, later in zip(server.asked, server.asked[1:], strict=False)]
    assert gaps[:2] == pytest.approx([5, 10])
    assert min(gaps[1:]) >= 10


def test_a_server_in_trouble_does_not_cost_the_approval() -> None:
    """Acceptance: [503, 429, HTML, pending, success] completes, and within 75 seconds."""
    told = Told()
    server, wait = run([busy(), busy(429), HTML, pending()], told=told)
    assert wait() is SUCCESS
    assert server.asked[-1] <= 75
    assert [event.partition(":")[0] for event in told.events] == ["trouble", "trouble", "trouble", "recovered"]


def test_a_retry_after_is_waited_out() -> None:
    """What the server asks for comes before our own back-off, be it longer; never shorter than the interval."""
    server, wait = run([busy(429, 100.0), busy(503, 1.0)])
    assert wait() is SUCCESS
    assert server.asked == pytest.approx([5, 105, 110])


def test_failures_in_a_row_double_the_pause_up_to_thirty_seconds() -> None:
    """RFC 8628 section 3.5 wants an exponential back-off; a person who has approved shall not wait minutes for it."""
    server, wait = run([CUT] * 6, takes=0)
    assert wait() is SUCCESS
    gaps = [later - earlier for earlier, later in zip(server.asked, server.asked[1:], strict=False)]
    assert 9 <= gaps[0] <= 10
    assert 18 <= gaps[1] <= 20
    assert all(27 <= gap <= 30 for gap in gaps[2:])


@pytest.mark.parametrize("leap", [FIFTY_SIX_YEARS, -FIFTY_SIX_YEARS])
def test_the_wall_clock_may_jump_56_years(leap: float) -> None:
    """A board that reaches a time server in the middle of a sign-in neither ends the wait nor prolongs it."""
    server, wait = run([pending()] * 20, clock=Clock({12: leap}))
    assert wait() is SUCCESS
    assert server.asked == pytest.approx([5.0 * n for n in range(1, 22)])
    server, wait = run([], last=pending(), clock=Clock({12: leap}))
    with pytest.raises(errors.LoginNotCompletedError):
        wait()
    assert 890 < server.asked[-1] < 900


def test_a_code_that_nobody_enters_expires_on_the_boot_clock() -> None:
    """The end comes when the code's lifetime is over, with exit 5 and the command that shows a new code."""
    clock = Clock()
    _, wait = run([], last=pending(), clock=clock)
    with pytest.raises(errors.LoginNotCompletedError) as caught:
        wait()
    assert clock.now - 1000 == pytest.approx(900)
    assert caught.value.code == "code_expired"
    assert "devicelogin login" in (caught.value.hint or "")


def test_the_last_real_reason_is_told_when_the_code_expires() -> None:
    """Nobody was too late where the server could not be asked; what it heard before does not matter any more."""
    _, wait = run([pending()], last=busy(503))
    with pytest.raises(errors.LoginNotCompletedError) as caught:
        wait()
    assert "login.example has trouble of its own" in caught.value.message
    assert (caught.value.detail, caught.value.code) == ("HTTP 503", "code_expired")
    _, wait = run([busy(503)], last=pending())
    with pytest.raises(errors.LoginNotCompletedError, match="was not entered in time"):
        wait()


def test_a_proxy_that_refuses_for_a_while_does_not_cost_the_approval() -> None:
    """It was let through a moment ago; other settings that are wrong end the wait at once."""
    refused = errors.ConfigError("the proxy does not let us through", code=http_session.PROXY_REFUSED)
    _, wait = run([refused, refused])
    assert wait() is SUCCESS
    _, wait = run([errors.ConfigError("no such app")])
    with pytest.raises(errors.ConfigError):
        wait()


@pytest.mark.parametrize("trouble", [CUT, busy(503, 5000.0)])
def test_one_last_try_is_made_before_the_code_expires(trouble: Exception) -> None:
    """A long back-off never sleeps over the end: who approved during an outage is still heard."""
    clock = Clock()
    server = Server(clock, [], trouble)
    wait = device_flow.Wait(code(expires_in=100), clock=clock, observer=Told(), profile="default")
    answers = iter(lambda: 0, 1)

    def poll() -> models.TokenAnswer | models.Pending:
        next(answers)
        if clock.now - 1000 > 90:
            server.asked.append(clock.now - 1000)
            return SUCCESS
        return server.poll()

    assert wait.for_approval(poll) is SUCCESS
    assert 90 < server.asked[-1] < 100


def test_a_final_answer_ends_the_wait_at_once() -> None:
    """Declined is declined: no further poll."""
    declined = errors.LoginNotCompletedError("declined")
    server, wait = run([pending(), declined])
    with pytest.raises(errors.LoginNotCompletedError, match="declined"):
        wait()
    assert len(server.asked) == 2


def test_the_observer_hears_every_second_what_is_left() -> None:
    """A countdown stands still for no longer than a second, also during a long back-off."""
    told = Told()
    _, wait = run([busy(503, 60.0)], told=told)
    wait()
    steps = [earlier - later for earlier, later in zip(told.left, told.left[1:], strict=False)]
    assert told.left[0] == 900
    assert max(steps) <= 1.0


def renewal(steps: list[object], *, expires_in: int, passed: float) -> tuple[list[float], Told]:
    """Request the code after one that ended `passed` seconds after it was shown; `steps` are what the requests meet."""
    clock, told = Clock(), Told()
    wait = device_flow.Wait(code(expires_in=expires_in), clock=clock, observer=told, profile="default")
    clock.now += passed
    asked = []
    answers = iter(steps)

    def request() -> models.DeviceAuthorization:
        asked.append(clock.now - 1000)
        step = next(answers)
        if isinstance(step, Exception):
            raise step
        assert isinstance(step, models.DeviceAuthorization)
        return step

    following = code()
    steps.append(following)
    assert wait.for_new_code(request) is following
    return asked, told


def test_the_next_code_comes_at_once_when_one_has_expired() -> None:
    """Nobody looks at an empty screen for longer than the request takes."""
    asked, told = renewal([], expires_in=900, passed=900)
    assert asked == [900]
    assert (told.left, told.events) == ([], [])


@pytest.mark.parametrize(("expires_in", "passed", "moment"), [(900, 5, 60), (30, 5, 30), (2, 0, 5), (900, 61, 61)])
def test_a_server_that_disowns_its_codes_is_not_asked_for_one_after_the_other(
    expires_in: int, passed: float, moment: float
) -> None:
    """A minute lies between two codes, or the lifetime of one that lives shorter; the interval in any case."""
    asked, _ = renewal([], expires_in=expires_in, passed=passed)
    assert asked == pytest.approx([moment])


def test_an_outage_when_the_code_expires_is_waited_out() -> None:
    """With the same back-off as between polls, and told; what the right server says for good is no outage."""
    asked, told = renewal([CUT, busy(503, 7.0), HTML], expires_in=900, passed=900)
    pauses = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert 9 <= pauses[0] <= 10
    assert pauses[1] == pytest.approx(7)
    assert 27 <= pauses[2] <= 30
    assert told.events[-1] == "recovered"
    assert len(told.events) == 4
    for final in (errors.ConfigError("no such app"), errors.BadAnswerError("no user_code", code=msal_client.UNUSABLE)):
        with pytest.raises(type(final)):
            renewal([final], expires_in=900, passed=900)


STEPS = st.one_of(
    st.builds(pending, st.integers(min_value=1, max_value=60)),
    st.just(CUT),
    st.just(HTML),
    st.builds(busy, st.sampled_from([429, 500, 503]), st.none() | st.floats(min_value=0, max_value=2000)),
)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=60),
    interval=st.integers(min_value=1, max_value=60),
    expires_in=st.integers(min_value=1, max_value=1800),
    takes=st.floats(min_value=0, max_value=20),
    leaps=st.dictionaries(st.floats(0, 900), st.floats(-2e9, 2e9), max_size=3),
)
def test_nothing_but_a_final_answer_ends_the_wait_early(
    steps: list[object], interval: int, expires_in: int, takes: float, leaps: dict[float, float]
) -> None:
    """Whatever comes in whatever order: never an end before the expiry, never a poll inside the interval."""
    clock = Clock(leaps)
    server, wait = run(
        steps, last=pending(interval), clock=clock, interval=interval, expires_in=expires_in, takes=takes
    )
    with pytest.raises(errors.LoginNotCompletedError):
        wait()
    assert clock.now - 1000 >= expires_in - 1e-6
    assert all(moment < expires_in for moment in server.asked)
    assert all(
        later - earlier >= interval - 1e-6 for earlier, later in zip(server.asked, server.asked[1:], strict=False)
    )
