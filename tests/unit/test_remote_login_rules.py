"""When somebody may be asked from afar: hours of the day, and six hours by clocks that may be wrong."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from devicelogin import clock, settings
from devicelogin.tokens import access_cache
from devicelogin.unattended import remote_login

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("08:00-18:00", [8 * 60, 12 * 60, 17 * 60 + 59], [0, 7 * 60 + 59, 18 * 60, 23 * 60]),
        ("22:30-06:00", [22 * 60 + 30, 23 * 60, 0, 5 * 60 + 59], [6 * 60, 12 * 60, 22 * 60 + 29]),
        ("00:00-00:00", [0, 12 * 60, 23 * 60 + 59], []),
        ("23:59-00:00", [23 * 60 + 59], [0, 23 * 60 + 58]),
    ],
)
def test_a_span_of_hours_may_run_over_midnight(hours: str, inside: list[int], outside: list[int]) -> None:
    """It holds its first minute and not its last; from a moment to the same one is the whole day."""
    assert all(remote_login.is_within(hours, minute) for minute in inside)
    assert not any(remote_login.is_within(hours, minute) for minute in outside)


def passed(tmp_path: Path, content: object) -> float | None:
    """Return how long ago somebody was asked, by a note with `content`."""
    paths = settings.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")
    (tmp_path / "state" / "default").mkdir(parents=True, mode=0o700)
    note = tmp_path / "state" / "default" / "remote-login"
    note.write_text(content if isinstance(content, str) else json.dumps(content))
    note.chmod(0o600)
    return remote_login.seconds_since_asking(paths)


def test_within_a_boot_the_boot_clock_counts_wherever_the_wall_clock_jumps(tmp_path: Path) -> None:
    """Here it was set back by a year, or ahead by one."""
    boot, now = access_cache.boot_id(), clock.boot_seconds()
    for years in (-1, 1):
        home = tmp_path / str(years)
        home.mkdir(mode=0o700)
        wall = time.time() + years * 365 * 86400
        found = passed(home, {"boot": boot, "asked_boot": now - 100, "asked_at": wall})
        assert found is not None
        assert 100 <= found < 130


def test_across_boots_the_wall_clock_counts(tmp_path: Path) -> None:
    """A reboot is no way round the six hours."""
    found = passed(tmp_path, {"boot": "another", "asked_boot": 1e9, "asked_at": time.time() - 3600})
    assert found is not None
    assert 3600 <= found < 3630


def test_a_clock_that_was_set_back_does_not_stop_it_for_years(tmp_path: Path) -> None:
    """Asked in 2099, as this machine believed: what is sure is the time since it was started."""
    found = passed(tmp_path, {"boot": "another", "asked_boot": 0, "asked_at": 4_070_908_800})
    assert found is not None
    assert abs(found - clock.boot_seconds()) < 30


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", '{"boot": "x"}', '{"boot": "x", "asked_at": []}', "[" * 9999]
)
def test_a_damaged_note_counts_as_none(tmp_path: Path, content: str) -> None:
    """Nobody knows, so nobody is kept waiting; the next asking writes it anew."""
    assert passed(tmp_path, content) is None
