"""A disk that says it kept what it was given, and did not: found out before the only good copy goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import file_calls
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    # "strict": a refresh token works once, so an old copy that comes back is found out.
    with sandbox.opened(mode="strict") as opened:
        yield opened


def write_of(commands: file_calls.Commands, name: str, *command: str) -> int:
    """Return the number of the first write of `.new-NAME-...` among the calls of a command."""
    for call in commands.run(*command).calls:
        if call.name == "write" and os.path.basename(call.path).startswith(f".new-{name}-"):
            return call.number
    raise AssertionError(f"{command} writes no {name}")


@pytest.mark.parametrize(
    "lie", [file_calls.LIE, file_calls.OLD], ids=["one bit is another", "an old record comes back"]
)
def test_a_record_that_the_disk_did_not_keep_does_not_replace_the_old_one(box: sandbox.Box, lie: int) -> None:
    """What was written is opened and compared before the rename; the token at hand is printed, and the loss is said."""
    box.sign_in()
    commands = file_calls.Commands(box)
    command = ("token", "--force-refresh")
    commands.run(*command)
    number = write_of(commands, "record", *command)
    record = box.state / "default" / "record"
    old = box.home / "old"
    old.write_bytes(record.read_bytes())
    outcome = commands.run(*command, at=number, error=lie, FILE_CALLS_OLD=str(old))
    assert outcome.status == 0, outcome.err
    assert "could not be saved" in outcome.err
    assert record.read_bytes() == old.read_bytes()


@pytest.mark.parametrize(
    "lie", [file_calls.LIE, file_calls.OLD], ids=["one bit is another", "an old record comes back"]
)
def test_a_login_on_such_a_disk_ends_before_anybody_is_asked_or_keeps_the_old_sign_in(
    box: sandbox.Box, lie: int, tmp_path: Path
) -> None:
    """Neither the trial nor the record itself is believed without being read."""
    commands = file_calls.Commands(box)
    box.sign_in()
    old = tmp_path / "old"
    old.write_bytes((box.state / "default" / "record").read_bytes())
    for name, asked in (("probe", 0), ("record", 1)):
        box.emulator.approve_next()
        number = write_of(commands, name, "login", *box.app())
        before = (box.state / "default" / "record").read_bytes()
        begun = box.emulator.count("devicecode")
        if asked:
            box.emulator.approve_next()
        outcome = commands.run("login", *box.app(), at=number, error=lie, FILE_CALLS_OLD=str(old))
        assert outcome.status in {65, 73}, outcome
        assert box.emulator.count("devicecode") == begun + asked
        assert (box.state / "default" / "record").read_bytes() == before
    box.check_works()


def test_a_half_written_file_that_somebody_sweeps_away_is_written_again(box: sandbox.Box) -> None:
    """Between its making and its lock it looks like what a crash has left."""
    box.sign_in()
    commands = file_calls.Commands(box)
    command = ("token", "--force-refresh")
    locks = [call for call in commands.run(*command).calls if call.name == "flock" and ".new-" in call.path]
    assert len(locks) >= 2
    for call in locks:
        outcome = commands.run(*command, at=call.number, error=file_calls.GONE)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.calls[call.number].error == 0
