"""What is done on a file system that lacks something: SMB has no fsync of a directory, FAT no links and no modes, NFS may have no locks.

Each call of that kind on our files fails, in commands that run as ever else.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import conftest
import file_calls
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How file systems say that they cannot do something; and what a sandbox says.
LACKS = ("EINVAL", "ENOTSUP", "EPERM", "ENOSYS", "EACCES")

#: Each call with one of them by turns, and all with all in the soak.
BY_TURNS = [
    (call, lack)
    for index, call in enumerate(("fsync", "link", "fchmod", "chmod"))
    for lack in (LACKS if conftest.SOAK else (LACKS[index],))
]


@pytest.fixture
def commands(box: sandbox.Box) -> file_calls.Commands:
    box.give_odd_keyrings()
    return file_calls.Commands(box)


def story(box: sandbox.Box) -> list[Sequence[str]]:
    """Return the commands of a sign-in's whole life, for which somebody approves."""
    box.emulator.approve_next()
    return [
        ("login", *box.app()),
        ("token", "--force-refresh"),
        ("token", "--output-file", str(box.home / "token")),
        ("store", "move", "--to", sandbox.HONEST),
        ("store", "move", "--to", "file"),
        ("token", "--force-refresh"),
        ("logout",),
    ]


@pytest.mark.parametrize(("call", "lack"), BY_TURNS)
def test_what_a_file_system_lacks_stops_nothing_that_can_be_done_without(
    box: sandbox.Box, commands: file_calls.Commands, call: str, lack: str
) -> None:
    """Every command works, and leaves what it leaves elsewhere: the token 0600, and after the logout no secret."""
    failed = 0
    for command in story(box):
        wanted = {"at": file_calls.EACH, "error": getattr(errno, lack), "only": (call,)}
        if call == "fsync":
            # Of a file it is what a save rests on; of a directory, what is gone on without. So one after the other.
            once = commands.run(*command, only=("fsync",))
            assert once.status == 0, (command, once.err)
            numbers = [made.number for made in once.calls if (box.home / made.path).is_dir()]
            if command[0] in {"login", "logout", "store"} or not numbers:
                continue
            wanted["at"] = numbers[-1]
        outcome = commands.run(*command, **wanted)
        assert outcome.status == 0, (command, outcome.err)
        failed += sum(made.error == getattr(errno, lack) for made in outcome.calls)
    assert failed, f"no {call} failed, so this proves nothing"
    assert (box.home / "token").stat().st_mode & 0o777 == 0o600
    assert not list((box.state / "default").glob("record*"))
    assert not list(box.config.glob("keys/*"))
    assert not list(box.home.rglob(".new-*"))


@pytest.mark.parametrize("lack", LACKS if conftest.SOAK else LACKS[::2])
def test_a_first_sign_in_goes_on_where_no_directory_can_be_forced_to_the_disk(
    box: sandbox.Box, commands: file_calls.Commands, lack: str
) -> None:
    """Each of its directories once: the sign-in is saved and works."""
    box.emulator.approve_next()
    counted = commands.run("login", *box.app(), only=("fsync",))
    numbers = [made.number for made in counted.calls if (box.home / made.path).is_dir()]
    assert counted.status == 0
    assert numbers
    for number in numbers if conftest.SOAK else numbers[:: max(1, len(numbers) // 3)]:
        assert commands.run("logout").status == 0
        box.emulator.approve_next()
        outcome = commands.run("login", *box.app(), at=number, error=getattr(errno, lack), only=("fsync",))
        assert outcome.status == 0, outcome.err
        box.check_works()


@pytest.mark.parametrize("lack", [*LACKS, "ENOLCK"])
def test_without_locks_nothing_is_begun_and_the_lack_is_named(
    box: sandbox.Box, commands: file_calls.Commands, lack: str
) -> None:
    """73 at once: nobody is asked to sign in, nothing is refreshed, and what is saved goes on to work elsewhere."""
    number = getattr(errno, lack)
    outcome = commands.run("login", *box.app(), at=file_calls.EACH, error=number, only=("flock",))
    assert outcome.status == 73, outcome
    box.sign_in()
    sent = len(box.emulator.requests)
    for command in (("token", "--force-refresh"), ("logout",), ("store", "move", "--to", sandbox.HONEST)):
        outcome = commands.run(*command, at=file_calls.EACH, error=number, only=("flock",))
        assert outcome.status == 73, (command, outcome)
        assert "cannot lock" in outcome.err
        assert "owner" not in outcome.err
        refused = lack in {"EPERM", "EACCES"}
        assert ("the system refuses the lock" if refused else "that file system has no locks") in outcome.err
    assert len(box.emulator.requests) == sent
    box.check_works()
