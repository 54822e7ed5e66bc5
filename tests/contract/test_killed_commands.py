"""Commands that are killed at any call on their files leave nothing secret behind: the next one like it sweeps, and so does a logout."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import conftest
import file_calls
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: At which calls is a command killed? Those that change something.
CHANGES = ("open", "write", "fsync", "rename", "link", "unlink", "mkdir", "rmdir")

#: How many of them are tried?
SAMPLE = 8


@pytest.fixture
def commands(box: sandbox.Box) -> file_calls.Commands:
    box.give_odd_keyrings()
    (box.home / "outputs").mkdir()
    return file_calls.Commands(box)


def moments(calls: Sequence[file_calls.Call]) -> list[int]:
    """Return before which calls to kill: all in the soak, else those that publish or delete something, and some others."""
    numbers = [call.number for call in calls]
    if conftest.SOAK:
        return numbers
    telling = [call.number for call in calls if call.name in {"rename", "link", "unlink"} and ".new-" in call.path]
    return sorted({*numbers[:: max(1, len(numbers) // SAMPLE)], *telling[:: max(1, len(telling) // SAMPLE)]})


def secret(box: sandbox.Box) -> set[Path]:
    """Return what holds a secret, sealed or not, and what a kill has left."""
    tokens = [token.encode() for token in box.secrets()]
    found = set()
    for path in box.home.rglob("*"):
        if not path.is_file():
            continue
        is_known = path.name.startswith(("record", ".new-", ".output")) or path.parent.name in {"keys", "items"}
        if is_known or any(token in path.read_bytes() for token in tokens):
            found.add(path)
    return found


def test_a_first_sign_in_that_is_killed_leaves_nothing_after_a_logout(
    box: sandbox.Box, commands: file_calls.Commands
) -> None:
    """Nor after another sign-in and a logout: no half of a key, no second name of it, no token."""
    box.emulator.approve_next()
    calls = commands.run("login", *box.app(), only=CHANGES).calls
    for number in moments(calls):
        assert commands.run("logout").status == 0
        assert secret(box) == set(), number
        box.emulator.approve_next()
        killed = commands.run("login", *box.app(), at=number, error=file_calls.KILL, only=CHANGES)
        assert killed.status in {0, -9}, killed
        if number % 2:
            box.emulator.approve_next()
            assert commands.run("login", *box.app()).status == 0
            assert not list(box.home.rglob(".new-*")), number
    assert commands.run("logout").status == 0
    assert secret(box) == set()


@pytest.mark.parametrize("following", ["token", "logout"])
def test_a_killed_output_file_leaves_no_token_beside_it(
    box: sandbox.Box, commands: file_calls.Commands, following: str
) -> None:
    """The next `token --output-file` sweeps, of the same file or another one; a logout as well, wherever it was."""
    box.sign_in()
    outputs = box.home / "outputs"
    command = ("token", "--output-file", str(outputs / "token"))
    calls = commands.run(*command, only=CHANGES).calls
    seen = 0
    for number in moments(calls):
        (outputs / ".new-others-0123456789ab").write_text("not ours to delete")
        assert commands.run(*command, at=number, error=file_calls.KILL, only=CHANGES).status == -9
        seen += len(list(outputs.glob(".new-token-*")))
        if following == "token":
            other = outputs / "other" if number % 2 else outputs / "token"
            assert commands.run("token", "--output-file", str(other)).status == 0
            assert not list((box.state / "default").glob(".output*")), number
        else:
            assert commands.run("logout").status == 0
            assert secret(box) <= {outputs / "token", outputs / ".new-others-0123456789ab"}, number
            box.sign_in()
        assert {path.name for path in outputs.glob(".new-*")} == {".new-others-0123456789ab"}, number
    assert seen, "no kill left anything, so this proves nothing"


def test_what_was_left_beside_an_output_file_without_a_note_is_swept_with_that_file(box: sandbox.Box) -> None:
    """Another home, or the power cut that took the note along, does not keep a token alive."""
    box.sign_in()
    left = box.home / ".new-token-0123456789ab"
    left.write_text("a token")
    assert box.run("token", "--output-file", str(box.home / "token")).status == 0
    assert not left.exists()


def test_half_a_key_that_was_left_is_swept_by_the_next_refresh(box: sandbox.Box) -> None:
    """Also where the sign-in is in a keyring, whose use writes no key."""
    box.give_odd_keyrings()
    box.login(store=sandbox.HONEST)
    left = box.config / "keys" / ".new-default.key-0123456789ab"
    left.parent.mkdir(mode=0o700, exist_ok=True)
    left.write_text("half a key")
    assert box.run("token", "--force-refresh").status == 0
    assert not left.exists()


def test_a_sweep_leaves_what_another_command_is_writing(box: sandbox.Box, commands: file_calls.Commands) -> None:
    """Its lock tells; and a file of the same kind of name that is somebody's link is no file of ours."""
    box.sign_in()
    outputs = box.home / "outputs"
    command = ("token", "--output-file", str(outputs / "token"))
    calls = commands.run(*command, only=CHANGES).calls
    renamed = next(call.number for call in calls if call.name == "rename" and "token" in call.target)
    assert commands.run(*command, at=renamed, error=file_calls.KILL, only=CHANGES).status == -9
    (left,) = outputs.glob(".new-token-*")
    (outputs / ".new-token-0123456789ab").symlink_to(outputs / "token")
    with left.open() as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert commands.run(*command).status == 0
        assert left.exists()
    assert commands.run(*command).status == 0
    assert not left.exists()
    assert (outputs / ".new-token-0123456789ab").is_symlink()


@pytest.mark.parametrize("command", ["logout", "move"])
def test_a_logout_and_a_move_that_are_killed_are_finished_by_a_logout(
    box: sandbox.Box, commands: file_calls.Commands, command: str
) -> None:
    """Whatever was deleted already, all of it is gone afterwards."""
    words = ("logout",) if command == "logout" else ("store", "move", "--to", sandbox.HONEST)
    box.sign_in()
    box.access_token()
    calls = commands.run(*words, only=CHANGES).calls
    for number in moments(calls):
        assert commands.run("logout").status == 0
        assert secret(box) == set(), number
        box.sign_in()
        box.access_token()
        assert commands.run(*words, at=number, error=file_calls.KILL, only=CHANGES).status in {0, -9}
    assert commands.run("logout").status == 0
    assert secret(box) == set()


def test_the_mode_of_the_key_is_that_of_the_file_that_is_read(box: sandbox.Box, commands: file_calls.Commands) -> None:
    """By its descriptor and before its content: by name it may be another file by then."""
    box.sign_in()
    key = str(box.config / "keys" / "default.key")
    made = [call.name for call in commands.run("token", "--force-refresh").calls if call.path == key]
    assert "read" in made
    assert "stat" not in made
    assert made.index("open") < made.index("fstat") < made.index("read")
