"""The daily job itself: when it runs, what it starts, and what of this environment it takes along."""

from __future__ import annotations

import collections
import sys
import time
from typing import TYPE_CHECKING

import pytest

from devicelogin import errors, user_session
from devicelogin.unattended import job

if TYPE_CHECKING:
    from pathlib import Path

HOME = user_session.home_of_user() or "/root"


def test_a_time_is_chosen_by_day_and_spread() -> None:
    """People are awake and boxes are on; a thousand of them do not come in the same minute."""
    times = [job.some_time_of_day() for _ in range(1000)]
    assert {time.hour for time in times} == set(range(9, 17))
    assert {time.minute for time in times} == set(range(60))
    assert collections.Counter(times).most_common(1)[0][1] < 25


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (["08:00-18:00"], set(range(9, 17))),
        (["12:00-13:00"], {12}),
        (["18:00-20:00"], {18, 19}),
        (["22:30-01:00"], {22, 23, 0}),
        (["08:00-12:00", "11:00-20:00"], {11}),
        (["08:00-10:00", "18:00-20:00"], set(range(9, 17))),
    ],
)
def test_a_time_is_chosen_at_which_somebody_may_be_asked_from_afar(spans: list[str], expected: set[int]) -> None:
    """A quarter of an hour's delay included; where spans exclude each other, there is none to find."""
    times = [job.some_time_of_day(spans) for _ in range(150)]
    assert {time.hour for time in times} == expected
    if spans == ["12:00-13:00"]:
        assert max(time.minute for time in times) < 45


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "America/St_Johns"])
def test_the_next_time_is_today_or_tomorrow(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """In this machine's time zone, also over a change of the clocks."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for now in range(1_774_300_000, 1_774_300_000 + 14 * 86_400, 5_413):  # the end of March 2026
            moment = job.TimeOfDay(9, 5).next_after(now)
            assert 0 < moment - now <= 25 * 3_600
            assert time.localtime(moment)[3:6] == (9, 5, 0)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_only_what_differs_from_what_a_job_has_anyway_is_written_down() -> None:
    """Places that cron finds by itself are not named; others are, also where only HOME differs."""
    assert job.job_of_this_program({"HOME": HOME}).environment == {}
    assert job.job_of_this_program({"HOME": HOME, "XDG_CONFIG_HOME": f"{HOME}/.config"}).environment == {}
    assert job.job_of_this_program({"HOME": HOME, "XDG_STATE_HOME": "/s"}).environment == {"XDG_STATE_HOME": "/s"}
    elsewhere = job.job_of_this_program({"HOME": "/elsewhere"}).environment
    assert elsewhere == {
        "XDG_CONFIG_HOME": "/elsewhere/.config",
        "XDG_STATE_HOME": "/elsewhere/.local/state",
    }
    assert job.job_of_this_program({"DEVICELOGIN_HOME": "/d", "XDG_STATE_HOME": "/s"}).environment == {
        "DEVICELOGIN_HOME": "/d"
    }


def test_the_way_to_the_network_is_taken_along() -> None:
    """Proxy and certificates; never a password."""
    given = {"https_proxy": "proxy:3128", "NO_PROXY": "a,b", "SSL_CERT_FILE": "/ca.pem", "AZURE_CLIENT_SECRET": "x"}
    made = job.job_of_this_program({"HOME": HOME, **given})
    assert made.environment == {"https_proxy": "proxy:3128", "NO_PROXY": "a,b", "SSL_CERT_FILE": "/ca.pem"}
    for proxy in ("http://ada:pw@proxy:3128", "ada:pw@proxy:3128", "https://token@proxy", "http://[broken"):
        made = job.job_of_this_program({"HOME": HOME, "ALL_PROXY": proxy})
        assert (made.environment, made.left_out) == ({}, ("ALL_PROXY",))


def test_the_program_is_the_one_that_runs_now(tmp_path: Path) -> None:
    """Its console script where it was started by that or one lies beside its Python, else Python with the module."""
    script = tmp_path / "devicelogin"
    script.write_text("")
    script.chmod(0o755)
    assert job.job_of_this_program({"HOME": HOME}, [str(script)]).command == (str(script), "keepalive")
    script.chmod(0o644)
    other = job.job_of_this_program({"HOME": HOME}, [str(script)]).command
    assert other[-1] == "keepalive"
    assert other[0] != str(script)
    assert other[0].startswith("/")


def test_without_a_console_script_it_is_python_with_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a checkout; the interpreter's link is kept, because it says which environment it belongs to."""
    python = tmp_path / "python3"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    made = job.job_of_this_program({"HOME": HOME}, ["/somewhere/__main__.py"])
    assert made.command == (str(python), "-P", "-m", "devicelogin", "keepalive")


def test_a_line_break_in_a_path_is_refused() -> None:
    """It would be a second line of the crontab."""
    with pytest.raises(errors.ConfigError, match="cannot be written down"):
        job.job_of_this_program({"DEVICELOGIN_HOME": "/a\n* * * * * evil"})
