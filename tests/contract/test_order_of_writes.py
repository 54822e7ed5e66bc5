"""What survives a power cut: the order in which files are written, forced to the disk and renamed, and deletions forced as well.

A disk may keep what was not forced in any order or not at all, so the calls themselves are looked at.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import file_calls
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from file_calls import Call


@pytest.fixture
def commands(box: sandbox.Box) -> file_calls.Commands:
    box.give_odd_keyrings()
    return file_calls.Commands(box)


def run(commands: file_calls.Commands, *arguments: str) -> tuple[Call, ...]:
    """Return the calls that did something, of a command that must succeed."""
    outcome = commands.run(*arguments)
    assert outcome.status == 0, outcome.err
    return tuple(call for call in outcome.calls if not call.error)


def place(calls: Sequence[Call], name: str, path: object, after: int = -1) -> int:
    """Return where in `calls`, behind `after`, the next call `name` on the file `path` is."""
    found = [at for at, call in enumerate(calls) if (call.name, call.path) == (name, str(path)) and at > after]
    assert found, f"no {name} of {path}"
    return found[0]


def published(calls: Sequence[Call]) -> dict[str, int]:
    """Return where in `calls` each file got its name, by rename or link; see that it was durable, and became so at once."""
    found = {}
    for at, call in enumerate(calls):
        if call.name not in {"rename", "link"} or not os.path.basename(call.path).startswith(".new-"):
            continue
        about = [(where, other.name) for where, other in enumerate(calls[:at]) if other.path == call.path]
        assert any(other.makes for other in calls[:at] if other.path == call.path), f"{call.path} may have been there"
        written = [where for where, name in about if name == "write"]
        forced = [where for where, name in about if name == "fsync"]
        assert forced, f"{call.target} got its name before its content was forced to the disk"
        assert max(written, default=-1) < forced[-1], f"{call.target} was written to after it was forced to the disk"
        assert_forced_next(calls, at, call.target)
        found[call.target] = at
    return found


def deleted(calls: Sequence[Call]) -> dict[str, int]:
    """Return where in `calls` each file of a fixed name was deleted; see that the deletion was forced to the disk at once."""
    found = {}
    for at, call in enumerate(calls):
        if call.name == "unlink" and not os.path.basename(call.path).startswith(".new-"):
            found[call.path] = at
            assert_forced_next(calls, at, call.path)
    return found


def assert_forced_next(calls: Sequence[Call], at: int, path: str) -> None:
    """See that the directory of `path`, changed by the call `at`, is forced to the disk before anything else changes."""
    forced = place(calls, "fsync", os.path.dirname(path), at)
    between = [call for call in calls[at + 1 : forced] if call.makes or call.name in {"rename", "link", "unlink"}]
    assert not between, f"the directory of {path} was not forced to the disk before {between}"


def test_what_a_login_saves_survives_a_power_cut_in_an_order_that_loses_nothing(
    box: sandbox.Box, commands: file_calls.Commands
) -> None:
    """The key before what it opens, "pending" before the secret, the secret before "saved"; each forced to the disk."""
    box.emulator.approve_next()
    calls = run(commands, "login", *box.app())
    state, config = box.state / "default", box.config
    named = published(calls)
    assert {str(state / name) for name in ("record", "sign-in", "times")} <= named.keys()
    assert {str(config / "keys" / "default.key"), str(config / "default.toml")} <= named.keys()
    traces = [at for at, call in enumerate(calls) if call.name == "rename" and call.target == str(state / "sign-in")]
    assert named[str(config / "keys" / "default.key")] < named[str(state / "record")]
    assert traces[0] < named[str(state / "record")] < traces[1]


@pytest.mark.parametrize("command", ["token --force-refresh", "keepalive --older-than 0"])
def test_what_a_refresh_saves_survives_a_power_cut(
    box: sandbox.Box, commands: file_calls.Commands, command: str
) -> None:
    """A one-time refresh token that is lost with the power is a sign-in that is lost."""
    box.sign_in()
    named = published(run(commands, *command.split()))
    assert {str(box.state / "default" / name) for name in ("record", "times")} <= named.keys()


def test_a_token_file_survives_a_power_cut(box: sandbox.Box, commands: file_calls.Commands) -> None:
    """Whoever reads it after the power came back finds the old token or the new one."""
    box.sign_in()
    assert str(box.home / "file") in published(run(commands, "token", "--output-file", str(box.home / "file")))


@pytest.mark.parametrize("ways", [("file", sandbox.HONEST), (sandbox.HONEST, "file")], ids=["away", "back"])
def test_a_move_deletes_the_old_copy_when_the_new_one_is_safe(
    box: sandbox.Box, commands: file_calls.Commands, ways: tuple[str, str]
) -> None:
    """The trace names both places before there are two, and the old one until the new one counts; all of it on the disk."""
    box.login(store=ways[0])
    calls = run(commands, "store", "move", "--to", ways[1])
    named = published(calls)
    record, trace = str(box.state / "default" / "record"), str(box.state / "default" / "sign-in")
    traces = [at for at, call in enumerate(calls) if call.name == "rename" and call.target == trace]
    assert len(traces) == 3
    if ways[1] == "file":
        assert named[str(box.config / "keys" / "default.key")] < named[record]
        assert traces[0] < named[record] < traces[1]
    else:
        assert traces[1] < deleted(calls)[record] < traces[2]
        assert str(box.config / "keys" / "default.key") in deleted(calls)


def test_what_a_logout_deletes_stays_deleted_after_a_power_cut(box: sandbox.Box, commands: file_calls.Commands) -> None:
    """The refresh token goes first, and does not come back with the power; the trace, which tells where it may be, last."""
    box.login()
    gone = deleted(run(commands, "logout"))
    state = box.state / "default"
    kept = {str(state / "record"), str(box.config / "keys" / "default.key"), str(state / "sign-in")}
    assert kept <= gone.keys()
    assert gone[str(state / "record")] == min(gone.values())
    assert max(gone[name] for name in kept) == gone[str(state / "sign-in")]


def test_a_login_elsewhere_deletes_the_old_secret_when_the_new_one_is_saved(
    box: sandbox.Box, commands: file_calls.Commands
) -> None:
    """Between the two, the trace names both."""
    box.login()
    box.emulator.approve_next()
    calls = run(commands, "login", *box.app(store=sandbox.HONEST))
    published(calls)
    trace = str(box.state / "default" / "sign-in")
    traces = [at for at, call in enumerate(calls) if call.name == "rename" and call.target == trace]
    assert len(traces) == 3
    assert traces[1] < deleted(calls)[str(box.state / "default" / "record")] < traces[2]
