"""Wrong clocks under the real command: boards at 1970, clocks ahead, behind and going back between two runs (H01 to H07)."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import TYPE_CHECKING

import conftest
import fake_time
import pytest
import sandbox
from test_bad_input import is_told

if TYPE_CHECKING:
    from collections.abc import Iterator

#: No certificate is valid yet: the emulator's begin with 1970, real ones much later.
NOT_YET = "@1969-12-30 00:00:00"
BOARD = "@1970-01-02 00:00:00"
#: The emulator's certificates have expired by then.
FAR_AHEAD = "@2121-01-01 00:00:00"


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened() as opened:
        opened.sign_in()
        yield opened


class Board:
    """The wall clock of the commands of a sandbox, to be set while they run."""

    def __init__(self, box: sandbox.Box, moment: str) -> None:
        self._file = box.home / "moment"
        self.set(moment)
        box.variables |= fake_time.variables(FAKETIME_TIMESTAMP_FILE=str(self._file), FAKETIME_NO_CACHE="1")

    def set(self, moment: str) -> None:
        new = self._file.with_name("moment.new")
        new.write_text(moment + "\n")
        new.rename(self._file)


@pytest.mark.faketime
@pytest.mark.parametrize(
    "command",
    [
        ["token", "--force-refresh"],
        ["graph", "me"],
        ["token", "--output-file", "token", "--min-valid", "86400"],
        ["keepalive", "--older-than", "0"],
    ],
    ids=" ".join,
)
def test_a_command_waits_for_the_clock_and_goes_on_within_a_second(box: sandbox.Box, command: list[str]) -> None:
    """H01: a board that boots at 1970 with the network up runs this from an @reboot line of its crontab."""
    board = Board(box, BOARD)
    running = box.start(*command, "--wait-for-clock", "600")
    time.sleep(2)
    assert box.emulator.count("refresh") == box.emulator.count("graph") == 0
    assert running.process.poll() is None
    board.set("+0")
    began = time.monotonic()
    result = running.finish()
    assert result.status == 0, result
    assert time.monotonic() - began < sandbox.SOON
    assert result.err == "" or "lasts" in result.err


@pytest.mark.faketime
def test_a_clock_that_is_not_set_in_time_is_75_by_its_name(box: sandbox.Box) -> None:
    """The ordinary error, after the wait and not before; verification is never switched off."""
    Board(box, NOT_YET)
    result = box.run("token", "--force-refresh", "--wait-for-clock", "2")
    is_told(result, 75, "this machine's clock says 1969-12-30", "--wait-for-clock")
    assert 2 <= result.seconds < sandbox.SOON
    assert box.emulator.count("refresh") == 0
    assert json.loads(box.run("token", "--force-refresh", "--json").err)["code"] == "clock_wrong"


@pytest.mark.faketime
@pytest.mark.parametrize("scopes", [{}, {"DEVICELOGIN_SCOPE": "User.Read"}], ids=["short way", "full way"])
def test_a_cached_token_is_printed_without_waiting_for_the_clock(box: sandbox.Box, scopes: dict[str, str]) -> None:
    """Within a boot the boot clock says that it is good."""
    box.variables |= scopes
    token = box.token()
    requests = len(box.emulator.requests)
    Board(box, BOARD)
    result = box.run("token", "--wait-for-clock", "600")
    assert (result.status, result.out.strip(), result.err) == (0, token, "")
    assert result.seconds < sandbox.SOON
    assert len(box.emulator.requests) == requests


@pytest.mark.faketime
def test_a_clock_that_a_certificate_proves_wrong_is_waited_for(box: sandbox.Box) -> None:
    """It looks like a date of today's world, so only the server tells; the same when it stands far ahead."""
    board = Board(box, FAR_AHEAD)
    running = box.start("token", "--force-refresh", "--wait-for-clock", "60")
    time.sleep(3)
    assert running.process.poll() is None
    assert box.emulator.count("refresh") == 0
    board.set("+0")
    result = running.finish()
    assert result.status == 0, result


@pytest.mark.faketime
def test_a_login_waits_for_the_clock(box: sandbox.Box) -> None:
    """For a board that is set up by a script as soon as it has started."""
    board = Board(box, BOARD)
    requests = len(box.emulator.requests)
    box.emulator.approve_next()
    running = box.start("login", *box.app(), "--wait-for-clock", "60")
    time.sleep(1.5)
    assert len(box.emulator.requests) == requests
    board.set("+0")
    assert running.finish().status == 0


@pytest.mark.faketime
def test_a_token_of_1970_is_refreshed_once_when_the_clock_jumps(box: sandbox.Box) -> None:
    """H02: refreshed while the clock stood at 1970; after the jump one refresh more, and the times saved are the provider's."""
    board = Board(box, BOARD)
    box.token("--force-refresh")
    box.token()
    assert box.emulator.count("refresh") == 1
    assert json.loads(box.run("status", "--json").out)["profiles"][0]["last_refreshed"] > "2020"
    board.set("+0")
    box.token()
    box.token()
    assert box.emulator.count("refresh") <= 2


@pytest.mark.faketime
@pytest.mark.parametrize("moment", ["+1d", "+10y", "@2040-06-01 00:00:00"])
def test_a_clock_ahead_costs_one_refresh_and_no_more(box: sandbox.Box, moment: str) -> None:
    """H03 and H07: the cached token seems expired, so it is refreshed once; what follows comes from the cache."""
    before = box.emulator.count("refresh")
    Board(box, moment)
    answer = json.loads(box.run("token", "--json", "--wait-for-clock", "60").out)
    assert box.emulator.count("refresh") == before + 1
    assert 3000 < answer["expires_in"] <= 3600, "by the clock that does not jump"
    assert abs(answer["expires_on"] - time.time() - 3600) < 60, "by the provider's clock"
    assert box.token() == answer["access_token"]
    assert json.loads(box.run("graph", "me").out)["displayName"] == "Ada Lovelace"
    assert box.emulator.count("refresh") == before + 1


@pytest.mark.faketime
def test_a_clock_behind_costs_one_forced_refresh(box: sandbox.Box) -> None:
    """H04: the cached token seems good, Graph refuses it, one refresh and one more try."""
    box.token()
    before = box.emulator.count("refresh")
    box.emulator.clock.advance(7200)
    Board(box, "-1d")
    assert json.loads(box.run("graph", "me").out)["displayName"] == "Ada Lovelace"
    assert box.emulator.count("refresh") == before + 1


@pytest.mark.faketime
def test_a_clock_that_goes_to_and_fro_never_makes_an_old_secret_the_newer_one() -> None:
    """H05: a provider that takes each refresh token once is given the newest, whatever the clock says."""
    with sandbox.opened(mode="strict") as box:
        box.sign_in()
        board = Board(box, "+0")
        for moment in ("+1d", "-1d", "+10y", "@1970-01-03 00:00:00", "-2y", "+0")[: max(4, conftest.repetitions(60))]:
            board.set(moment)
            box.token("--force-refresh")
        used = [request.form["refresh_token"] for request in box.emulator.requests if request.endpoint == "refresh"]
        assert used == box.refresh_tokens()[: len(used)]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns", "UTC+12", "Europe/Berlin", "no/such"])
def test_the_time_zone_changes_nothing(box: sandbox.Box, zone: str) -> None:
    """H06: a cached token is as good in one zone as in another, and moments are written in UTC."""
    here = json.loads(box.run("token", "--json").out)
    there = json.loads(box.run("token", "--json", TZ=zone).out)
    assert {**here, "expires_in": 0} == {**there, "expires_in": 0}
    assert abs(here["expires_in"] - there["expires_in"]) < sandbox.SOON
    assert box.run("status", "--json").out == box.run("status", "--json", TZ=zone).out


@pytest.mark.faketime
@pytest.mark.parametrize(("moment", "wall"), [(BOARD, 86_400), ("@2033-05-18 03:33:20", 2_000_000_000)])
def test_a_program_with_a_wrong_clock_is_told_when_its_token_ends_by_that_clock(
    box: sandbox.Box, moment: str, wall: int
) -> None:
    """`expires_at_local` follows this machine's clock, `expires_at` the server's; of a cached token as well."""
    board = fake_time.variables(FAKETIME=moment)
    before = time.time()
    for options in (["--force-refresh"], []):
        told = json.loads(box.run("token", "--json", *options, **board).out)
        local, by_server = (seconds_of(told[name]) for name in ("expires_at_local", "expires_at"))
        # The command's clock began to run at `wall` when the command did.
        assert 0 <= local - told["expires_in"] - wall < sandbox.PATIENCE
        assert 0 < told["expires_in"] <= 3599
        assert before + 3598 <= by_server <= time.time() + 3600


def seconds_of(moment: str) -> float:
    """Return the seconds since 1970 of a moment as JSON has it."""
    return dt.datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp()
