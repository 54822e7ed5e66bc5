"""Which sign-ins are refreshed, what a run is reported as, and what is noted of it."""

from __future__ import annotations

import dataclasses
import time

import pytest
import sandbox

from devicelogin import errors, models, settings
from devicelogin.unattended import keep_alive, keep_alive_record

NOW = 1_800_000_000
DAY = 86_400


def times(age: float, refused: str | None = None) -> models.Times:
    """Return the times of a sign-in that was refreshed `age` seconds ago."""
    return models.Times(generation=3, made=NOW - 100 * DAY, last_refreshed=int(NOW - age), refused=refused)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (times(0), False),
        (times(7 * DAY - 1), False),
        (times(7 * DAY), True),
        (times(200 * DAY), True),
        (None, True),
        (times(DAY, refused="it was revoked"), True),
        (times(-DAY), True),
    ],
)
def test_what_is_a_week_old_is_due(known: models.Times | None, *, expected: bool) -> None:
    """And what was refused, what nobody knows the age of, and what a clock set back puts into the future."""
    assert keep_alive.is_due(known, older_than=7, now=NOW) is expected


def failure(code: int) -> keep_alive.Result:
    """Return the result of a profile that failed so."""
    family = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    error = next(each for each in family if each.exit_code == code and each is not errors.DeviceLoginError)("it failed")
    return keep_alive.Result(profile=f"p{code}", outcome="failed", error=error)


def test_the_most_important_failure_is_the_exit_code() -> None:
    """What needs a person comes before what a retry mends, in whatever order the profiles are."""
    assert keep_alive.worst(()) == 0
    well = keep_alive.Result(profile="p", outcome="refreshed")
    assert keep_alive.worst((well,)) == 0
    order = [4, 77, 65, 78, 73, 76, 75, 74]
    assert tuple(order[:-1]) == keep_alive.IMPORTANCE
    for position, code in enumerate(order):
        rest = [failure(other) for other in order[position:]]
        assert keep_alive.worst((well, *rest)) == code
        assert keep_alive.worst((*reversed(rest), well)) == code


def test_boxes_that_start_together_spread_their_requests() -> None:
    """The first refresh is put off by up to the spread, evenly; the ones after it are not."""
    waited = []
    for _ in range(200):
        hurried = sandbox.HurriedClock()
        run = keep_alive.KeepAlive((), spread=keep_alive.SPREAD_SECONDS, clocks=hurried)
        began = hurried.boot()
        run._put_off()
        waited.append(hurried.boot() - began)
        run._put_off()
        assert hurried.boot() - began - waited[-1] < 0.5
    assert 0 <= min(waited) < 0.3
    assert 2.7 < max(waited) < 3.5
    assert 1.2 < sum(waited) / len(waited) < 1.8


def test_the_note_of_a_run_comes_back_as_it_was() -> None:
    """It lies where no profile can; a damaged one counts as none."""
    with sandbox.opened() as box:
        places = settings.locate(box.environment())
        assert keep_alive_record.read(places) is None
        began = int(time.time())
        keep_alive.note_run(places, (keep_alive.Result(profile="a", outcome="not-due"), failure(75)))
        read = keep_alive_record.read(places)
        assert read is not None
        assert began <= read.at <= time.time()
        assert read.profiles == {
            "a": keep_alive_record.Noted(outcome="not-due"),
            "p75": keep_alive_record.Noted(outcome="failed", exit_code=75, message="it failed"),
        }
        assert places.profile_names() == ()
        note = box.state / ".keepalive"
        content = note.read_bytes()
        for length in range(len(content) - 2):
            note.write_bytes(content[:length])
            assert keep_alive_record.read(places) is None
        for odd in (b"[]", b'{"format_version": 2, "at": 1, "profiles": {}}', b'{"format_version": 1, "at": 1e99}'):
            note.write_bytes(odd)
            assert keep_alive_record.read(places) is None


def test_results_show_no_secret() -> None:
    """They hold a profile's name, a word and an error."""
    assert [field.name for field in dataclasses.fields(keep_alive.Result)] == ["profile", "outcome", "error"]
