"""`kill -9` before any call on a file: what is called saved works, and the next run and a logout leave no secret behind.

In sample counts, some of the calls behind which something has changed; all calls in tests/soak. Every place is searched that
the commands may write to: for names of files that hold something sealed, and for the bytes of each secret.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import conftest
import file_calls
import pytest
import sandbox

from devicelogin import errors, secret_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: How many kills does each test try in sample counts?
SAMPLE = 4

#: Which calls change something that outlives the process? And the end of a child, which may have.
CHANGES = {"write", "rename", "link", "unlink", "rmdir", "mkdir", "chmod", "fchmod", "ftruncate", "waitpid"}


class Machine:
    """A box that is brought back to its beginning before each run of a command that is killed."""

    def __init__(self, box: sandbox.Box, *command: str) -> None:
        self.box = box
        self.commands = file_calls.Commands(box)
        self._command = command
        self._copy = box.home / "copy"
        self._keys: set[bytes] = set()
        for name in ("all", "items"):
            (box.home / name).mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(box.home / name, self._copy / name)

    def begin(self) -> None:
        """Bring the box back."""
        for name in ("all", "items"):
            shutil.rmtree(self.box.home / name)
            shutil.copytree(self._copy / name, self.box.home / name)

    def run(self, *command: str, at: int = 0) -> file_calls.Outcome:
        """Run the command, or another one; with `at` it is killed before its call of that number."""
        words = command or self._command
        if words[0] == "login":
            self.box.emulator.approve_next()
        outcome = self.commands.run(*words, at=at, error=file_calls.KILL)
        key = self.box.config / "keys" / "default.key"
        if key.exists():
            self._keys.add(key.read_bytes().strip())
        return outcome

    def kill_at_any_call(self, judge: Callable[[], None]) -> None:
        """Kill the command again and again, and judge what is there each time."""
        self.begin()
        outcome = self.run()
        assert outcome.status == 0, outcome.err
        behind = [call for call in outcome.calls if call.name in CHANGES and not call.error]
        if conftest.SOAK:
            points = list(range(1, len(outcome.calls) + 1))
        else:
            points = [call.number + 1 for call in behind][:: max(1, len(behind) // SAMPLE)]
        failures = []
        for point in points:
            self.begin()
            ended = self.run(at=point)
            try:
                self._check_modes()
                judge()
            except Exception as error:
                call = outcome.calls[point - 2]
                words = f"{call.name} {call.path.removeprefix(str(self.box.home))} {call.target}"
                failures.append(f"killed ({ended.status}) behind call {point - 1}, {words}: {str(error)[:300]}")
        assert not failures, f"{len(failures)} of {len(points)} kills\n" + "\n".join(failures)

    def _check_modes(self) -> None:
        """See that nobody else may read anything, at any moment; the commands run without a umask."""
        open_to_others = [str(path) for path in (self.box.home / "all").rglob("*") if path.stat().st_mode & 0o077]
        assert not open_to_others, f"open to others: {open_to_others}"

    def check_tidy(self) -> None:
        """See that no half-written file with a secret is left, and no second name of the key."""
        harmless = (".new-default.toml", ".new-sign-in", ".new-times", ".new-probe", ".new-provider")
        left = [str(path) for path in self._files() if path.name.startswith(".new-")]
        assert not [path for path in left if not os.path.basename(path).startswith(harmless)], f"half-written: {left}"

    def check_nothing_left(self, *but: Path) -> None:
        """See that no secret lies anywhere, sealed or not, but in the files `but`."""
        names = ("record", ".new-", "own", "scopes-", "devicelogin", "default.key")
        files = [path for path in self._files() if path not in but]
        left = [str(path) for path in files if path.name.startswith(names)]
        assert not left, f"left behind: {left}"
        secrets = {secret.encode() for secret in self.box.secrets()} | self._keys
        for path in files:
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), f"a secret in {path}"

    def _files(self) -> list[Path]:
        places = (self.box.home / name for name in ("all", "items", "tmp"))
        return [path for place in places for path in place.rglob("*") if path.is_file()]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[sandbox.Box]:
    with sandbox.opened() as opened:
        monkeypatch.setenv("ODD_KEYRING_DIRECTORY", str(opened.give_odd_keyrings()))
        (opened.home / "tmp").mkdir()
        opened.variables["TMPDIR"] = str(opened.home / "tmp")
        yield opened


def is_called_saved(box: sandbox.Box) -> bool:
    """Tell whether the trace says that somebody is signed in."""
    try:
        found = secret_store.read_sign_in(box.workplace().paths)
    except errors.DeviceLoginError:
        return False
    return found is not None and found.state == "saved"


@pytest.mark.parametrize("following", ["token", "login"])
@pytest.mark.parametrize("store", ["file", sandbox.HONEST], ids=["file", "keyring"])
def test_a_first_login_that_is_killed(box: sandbox.Box, store: str, following: str) -> None:
    """Saved or not at all; whoever comes next tidies up, and after a logout nothing is left."""
    machine = Machine(box, "login", *box.app(store=store))

    def judge() -> None:
        saved = is_called_saved(box)
        ended = machine.run("token", "--force-refresh") if following == "token" else machine.run()
        assert ended.status in ({0} if saved or following == "login" else {0, 4}), ended.err
        machine.check_tidy()
        ended = machine.run("logout")
        assert ended.status == 0, ended.err
        machine.check_nothing_left()

    machine.kill_at_any_call(judge)


def test_a_token_file_whose_writer_is_killed(box: sandbox.Box) -> None:
    """The old token or the new one stands there, and the next run leaves no half-written one beside it."""
    box.sign_in()
    directory = box.home / "all" / "out"
    directory.mkdir(mode=0o700, parents=True)
    file = directory / "file"
    file.touch(mode=0o600)
    file.write_text("old")
    command = ("token", "--force-refresh", "--output-file", str(file))
    machine = Machine(box, *command)

    def judge() -> None:
        held = file.read_text()
        assert held == "old" or held.removesuffix("\n") in box.secrets()
        ended = machine.run()
        assert ended.status == 0, ended.err
        machine.check_tidy()
        assert os.listdir(directory) == ["file"]
        assert machine.run("logout").status == 0
        machine.check_nothing_left(file)

    machine.kill_at_any_call(judge)


@pytest.mark.parametrize("store", ["file", sandbox.HONEST], ids=["file", "keyring"])
@pytest.mark.parametrize("following", ["token", "logout"])
def test_a_logout_that_is_killed(box: sandbox.Box, store: str, following: str) -> None:
    """Signed in as before or signed out; a second one leaves nothing."""
    box.sign_in(store=store)
    machine = Machine(box, "logout")

    def judge() -> None:
        if following == "token":
            ended = machine.run("token", "--force-refresh")
            assert ended.status in {0, 4}, ended.err
        ended = machine.run("logout")
        assert ended.status == 0, ended.err
        machine.check_nothing_left()

    machine.kill_at_any_call(judge)


@pytest.mark.parametrize("ways", [("file", sandbox.HONEST), (sandbox.HONEST, "file")], ids=["away", "back"])
def test_a_move_that_is_killed(box: sandbox.Box, ways: tuple[str, str]) -> None:
    """The sign-in works, a second move finishes the first, and after a logout neither place holds anything."""
    box.sign_in(store=ways[0])
    machine = Machine(box, "store", "move", "--to", ways[1])

    def judge() -> None:
        ended = machine.run("token", "--force-refresh")
        assert ended.status == 0, ended.err
        machine.check_tidy()
        ended = machine.run()
        assert ended.status == 0, ended.err
        assert (box.trace().location.kind, box.trace().previous) == (ways[1], None)
        assert any("record" in name for name in box.odd_items()) == (ways[1] != "file")
        assert machine.run("logout").status == 0
        machine.check_nothing_left()

    machine.kill_at_any_call(judge)


def test_a_new_key_whose_making_is_killed(box: sandbox.Box) -> None:
    """The record opens with the key that is there, a second try finishes, and neither key is left after a logout."""
    box.sign_in()
    machine = Machine(box, "store", "rekey")

    def judge() -> None:
        ended = machine.run("token", "--force-refresh")
        assert ended.status == 0, ended.err
        machine.check_tidy()
        ended = machine.run()
        assert ended.status == 0, ended.err
        assert machine.run("token", "--force-refresh").status == 0
        assert machine.run("logout").status == 0
        machine.check_nothing_left()

    machine.kill_at_any_call(judge)
