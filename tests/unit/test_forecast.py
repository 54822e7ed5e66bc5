"""How long a sign-in lasts unused: what is known of whom, when it is time to care, and clocks that are not set."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin import models, secret_store
from devicelogin.client import reporting
from devicelogin.emulator import directory
from devicelogin.unattended import forecast

if TYPE_CHECKING:
    from collections.abc import Iterator

REFRESHED = dt.datetime.now(dt.UTC).replace(microsecond=0)
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
END = (REFRESHED + 90 * DAY).date().isoformat()


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Box]:
    """A machine on which Ada is signed in."""
    with sandbox.opened() as opened:
        opened.sign_in()
        yield opened


def status_of(box: sandbox.Box, refreshed: dt.datetime = REFRESHED, **changed: object) -> models.SignInStatus:
    """Return the status of a sign-in that was last refreshed then, as it is read from its files."""
    work = box.workplace()
    sign_in = secret_store.read_sign_in(work.paths)
    assert sign_in is not None
    fields = {field: changed.pop(field) for field in ("authority", "is_oidc") if field in changed}
    account = models.Account(**{name: getattr(sign_in.account, name) for name in models.Account.__slots__} | changed)
    box_sign_in = models.SignIn(
        **{name: getattr(sign_in, name) for name in models.SignIn.__slots__} | {"account": account, **fields}
    )
    moment = int(refreshed.timestamp())
    try:
        secret_store.write_sign_in(work.paths, box_sign_in)
        secret_store.write_times(work.paths, models.Times(generation=1, made=moment, last_refreshed=moment))
        return reporting.read_status(work)
    finally:
        secret_store.write_sign_in(work.paths, sign_in)


def test_entra_keeps_a_sign_in_that_nobody_uses_for_90_days(box: sandbox.Box) -> None:
    """The sentence names the day, and what else can end it."""
    told = forecast.forecast(status_of(box), now=REFRESHED + 3 * DAY)
    assert told.words == f"until {END} if unused, unless revoked or a policy ends it"
    assert (told.level, told.days_left) == ("ok", 87)


@pytest.mark.parametrize(
    ("after", "level", "days_left", "rest"),
    [
        (60 * DAY - HOUR, "ok", 30, None),
        (60 * DAY, "warning", 30, "30 days left"),
        (83 * DAY - HOUR, "warning", 7, "7 days left"),
        (83 * DAY, "critical", 7, "7 days left"),
        (88 * DAY + HOUR, "critical", 1, "1 day left"),
        (90 * DAY - HOUR, "critical", 0, "less than a day left"),
    ],
)
def test_it_warns_30_days_and_alarms_7_days_before_the_end(
    box: sandbox.Box, after: dt.timedelta, level: str, days_left: int, rest: str | None
) -> None:
    """From day 60 on it is a warning, from day 83 on critical, each with the days and the command."""
    told = forecast.forecast(status_of(box), now=REFRESHED + after)
    assert (told.level, told.days_left) == (level, days_left)
    if rest is not None:
        assert told.words is not None
        assert told.words.startswith(f"{level}: until {END} if unused")
        assert told.words.endswith(f"{rest}, refresh it: devicelogin keepalive")


@pytest.mark.parametrize(
    "changed",
    [
        {"is_oidc": True},
        {"tenant_id": directory.PERSONAL_TENANT_ID},
        {"authority": "https://contoso.b2clogin.com/contoso.example"},
        {"authority": "https://contoso.ciamlogin.com/contoso.example"},
    ],
)
def test_of_others_nothing_is_said(box: sandbox.Box, changed: dict[str, object]) -> None:
    """OpenID providers, personal accounts, customers' directories: unknown, and no reason to worry, however old."""
    status = status_of(box, **changed)
    told = forecast.forecast(status, now=REFRESHED + 400 * DAY)
    assert (status.needs_login, status.lasts_until) == (False, None)
    assert (told.level, told.days_left) == ("unknown", None)
    assert told.words == "unknown; the provider does not say how long it lasts unused"


def test_a_board_at_1970_is_told_that_its_clock_is_wrong(box: sandbox.Box) -> None:
    """Neither 20,000 days left nor an alarm: nobody can know, and why."""
    told = forecast.forecast(status_of(box), now=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    assert (told.level, told.days_left) == ("unknown", None)
    assert told.words == "unknown; this machine's clock says 1970-01-01, which is before the last refresh"


def test_a_refresh_that_was_noted_in_1970_is_not_long_ago(box: sandbox.Box) -> None:
    """The clock was not set then; that is no reason to call for a person."""
    status = status_of(box, dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    assert not status.needs_login
    assert forecast.forecast(status).level == "unknown"


def test_whoever_needs_a_person_is_critical_without_a_forecast(box: sandbox.Box) -> None:
    """The reason says all there is to say."""
    status = status_of(box, REFRESHED - 91 * DAY)
    assert status.needs_login
    assert forecast.forecast(status) == models.Forecast(level="critical")
    assert forecast.forecast(models.SignInStatus(profile="p", state="signed-out")).level == "critical"
    unreadable = models.SignInStatus(profile="p", state="unreadable", needs_login=False)
    assert forecast.forecast(unreadable).level == "critical"
