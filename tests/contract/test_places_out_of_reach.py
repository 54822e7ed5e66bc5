"""Directories that cannot be read, searched or written, that are somebody else's, links or full: what every command says of them.

The commands are an ordinary user's: root may do anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import file_calls
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Whom the commands are run as where the tests are root's.
SOMEBODY = 12345

#: Which directories, below the home.
NEEDED = (".", ".config", ".config/devicelogin", ".config/devicelogin/keys", ".local/state/devicelogin/default")
NEEDED += (".local", ".local/state", ".local/state/devicelogin")
OPTIONAL = ("run", "run/devicelogin", "run/devicelogin/default")

COMMANDS = {
    "token": ("token",),
    "refresh": ("token", "--force-refresh"),
    "graph": ("graph", "me"),
    "status": ("status",),
    "json": ("status", "--json"),
    "show": ("keepalive", "show"),
    "keepalive": ("keepalive", "--older-than", "0"),
    "doctor": ("doctor",),
    "if-needed": ("login", "--if-needed"),
    "completion": ("completion", "bash"),
    "help": ("token", "--help"),
    "move": ("store", "move", "--to", "file"),
    "logout": ("logout",),
}

#: Those that touch no directory of ours.
ALWAYS = {"completion", "help"}


def ordinary_user() -> int | None:
    """Return as whom the commands are run; None: as whoever runs the tests."""
    if os.getuid() != 0:
        return None
    # Where the interpreter lies in root's home, nobody else can run it: then root does, without its rights.
    program = [sys.executable, "-c", "import resource, devicelogin.doctor"]
    environment = {"PYTHONPATH": str(sandbox.ROOT), "PATH": os.environ["PATH"]}
    try:
        tried = subprocess.run(
            program, user=SOMEBODY, group=SOMEBODY, extra_groups=[], env=environment, cwd="/", check=False
        )
    except OSError:
        return 0
    return SOMEBODY if tried.returncode == 0 else 0


class User:
    """Somebody with a home of their own, signed in there."""

    def __init__(self, box: sandbox.Box) -> None:
        self.box = box
        self.user = ordinary_user()
        self.home = box.home / "person"
        self._whole = box.home / "whole"
        box.variables = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home / "run")}
        box.home.chmod(0o755)
        Path(box.emulator.ca_file or "").parent.chmod(0o755)
        self.home.mkdir(mode=0o700)
        (self.home / "run").mkdir(mode=0o700)
        self.commands = file_calls.Commands(box, user=self.user)
        self._give(self.home)
        box.emulator.approve_next()
        done = self.run("login", *box.app())
        assert done.status == 0, done
        assert self.run("token").status == 0
        assert (self.home / OPTIONAL[-1]).is_dir() == os.path.isdir("/dev/shm")
        shutil.copytree(self.home, self._whole)

    def run(self, *arguments: str) -> file_calls.Outcome:
        """Run `devicelogin ARGUMENTS` as this user."""
        return self.commands.run(*arguments)

    def restore(self) -> None:
        """Let the home be as it was after the sign-in."""
        for directory, _, _ in os.walk(self.home):
            os.chmod(directory, 0o700)
        for file in self.home.rglob("*"):
            if file.is_dir() and not file.is_symlink():
                file.chmod(0o700)
        shutil.rmtree(self.home)
        shutil.copytree(self._whole, self.home)
        self._give(self.home)

    def _give(self, top: Path) -> None:
        if self.user is not None:
            for path in (top, *top.rglob("*")):
                os.chown(path, self.user, self.user, follow_symlinks=False)


@pytest.fixture(scope="module")
def somebody() -> Iterator[User]:
    with sandbox.opened() as box:
        yield User(box)


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _take(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip(f"{conftest.ONLY_ROOT}give a directory away")
    os.chown(path, 54321, 54321)


TROUBLES: dict[str, Callable[[Path], None]] = {
    "unreadable": lambda path: path.chmod(0o300),
    "unsearchable": lambda path: path.chmod(0o600),
    "shut": lambda path: path.chmod(0o000),
    "read-only": lambda path: path.chmod(0o500),
    "open": lambda path: path.chmod(0o777),
    "foreign": _take,
    "linked": _link,
}


def sample(places: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return each place with one trouble by turns; in the soak, with each."""
    troubles = list(TROUBLES)
    if conftest.SOAK:
        return [(place, trouble) for place in places for trouble in troubles]
    return [(place, troubles[(2 * index + 1) % len(troubles)]) for index, place in enumerate(places)]


@pytest.mark.parametrize(("place", "trouble"), sample(NEEDED))
def test_a_directory_that_is_not_right_is_named_by_every_command(somebody: User, place: str, trouble: str) -> None:
    """78 or 73 with a path and a hint, or it works all the same; never a bug, and what prints a text prints it."""
    if place == "." and trouble == "linked":
        pytest.skip("a home may be a link")
    somebody.restore()
    TROUBLES[trouble](somebody.home / place)
    for name, command in COMMANDS.items():
        outcome = somebody.run(*command)
        assert outcome.status in ({0} if name in ALWAYS else {0, 73, 74, 78}), (name, outcome)
        if outcome.status and name != "doctor":
            assert str(somebody.home) in outcome.err, (name, outcome)
            assert "hint" in outcome.err or name == "keepalive", (name, outcome)
        if outcome.status == 78 and "Permission denied" in outcome.err:
            assert "look at its owner and mode: ls -ld " in outcome.err, (name, outcome)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no memory for cached tokens here")
@pytest.mark.parametrize(("place", "trouble"), sample(OPTIONAL))
def test_a_cache_that_cannot_be_used_stops_no_command(somebody: User, place: str, trouble: str) -> None:
    """It is optional: every command ends as it would without one, and says nothing of it."""
    somebody.restore()
    TROUBLES[trouble](somebody.home / place)
    for name, command in COMMANDS.items():
        outcome = somebody.run(*command)
        assert outcome.status == 0 or name == "doctor", (name, outcome)
        assert outcome.status != 70, outcome
        if name != "doctor":
            assert str(somebody.home / "run") not in outcome.err, (name, outcome)
