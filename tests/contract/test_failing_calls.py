"""Each call on a file of ours fails once, with each error that a disk has: no bug, no lost sign-in, nothing untrue, no secret said.

In sample counts, one call of each kind on each file with one error; all calls with all errors in tests/soak.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import shutil
from typing import TYPE_CHECKING

import conftest
import file_calls
import pytest
import sandbox

from devicelogin.client import moving, signing_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ERRORS = (errno.ENOSPC, errno.EIO, errno.EINTR, errno.EACCES, errno.EMFILE, errno.ENOMEM, errno.ESTALE)

#: How many calls of one command fail in sample counts?
SAMPLE = 6

#: The unusable store, the output that could not be written, and settings that cannot be read; and a limit of the session.
ENDINGS = {0, 73, 74, 78}
LIMITS = {errno.EMFILE, errno.ENOMEM}


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What failed: the call `number` of those that a run without faults makes, with `error`."""

    number: int
    error: int
    words: str


class Machine:
    """A box that is brought back to its beginning before each run of a command, in which one call fails."""

    def __init__(self, box: sandbox.Box, *command: str) -> None:
        self.box = box
        self.before: dict[str, bytes] = {}
        self.fault: Fault | None = None
        self._commands = file_calls.Commands(box)
        self._command = command
        self._copy = box.home / "copy"
        for name in ("all", "items"):
            (box.home / name).mkdir(mode=0o700, exist_ok=True)
        shutil.copytree(box.home / "all", self._copy / "all")
        shutil.copytree(box.home / "items", self._copy / "items")

    def run(self, fault: Fault | None = None) -> file_calls.Outcome:
        """Run the command from the same beginning, with `fault`."""
        for name in ("all", "items"):
            shutil.rmtree(self.box.home / name)
            shutil.copytree(self._copy / name, self.box.home / name)
        self.before = self.files()
        if self._command[0] == "login":
            self.box.emulator.approve_next()
        at, error = (fault.number, fault.error) if fault is not None else (0, 0)
        return self._commands.run(*self._command, at=at, error=error)

    def files(self) -> dict[str, bytes]:
        """Return the content of all files of ours, by path, but of locks and of what is noted by the way."""
        found = (path for path in (self.box.home / "all").rglob("*") if path.is_file())
        notes = ("lock", ".keepalive", "provider")
        return {str(path): path.read_bytes() for path in found if not path.name.endswith(notes)}

    def faults(self) -> list[Fault]:
        """Return the faults to try: each call with each error, or a sample."""
        outcome = self.run()
        assert outcome.status == 0, outcome.err
        calls = [call for call in outcome.calls if call.name != "waitpid"]
        if conftest.SOAK:
            chosen = [(call, error) for call in calls for error in ERRORS]
        else:
            kinds = {(call.name, role(call.path), role(call.target)): call for call in calls}
            some = list(kinds.values())[:: max(1, len(kinds) // SAMPLE)]
            chosen = [(call, ERRORS[turn % len(ERRORS)]) for turn, call in enumerate(some)]
        return [
            Fault(call.number, error, f"{call.name} {role(call.path)} (number {call.number}): {os.strerror(error)}")
            for call, error in chosen
        ]

    def sweep(self, judge: Callable[[file_calls.Outcome], None]) -> None:
        """Let the faults happen one by one, and judge each end."""
        failures = []
        for fault in self.faults():
            outcome, self.fault = None, fault
            try:
                outcome = self.run(fault)
                self._check(outcome, fault)
                judge(outcome)
            except Exception as error:
                said = outcome.err.strip() if outcome is not None else ""
                failures.append(f"{fault.words}\n    {str(error).splitlines()[:1]}\n    {said}")
        assert not failures, f"{len(failures)} faults were not borne\n" + "\n".join(failures)

    def _check(self, outcome: file_calls.Outcome, fault: Fault) -> None:
        """See that a command ended as commands may end when a disk fails, and that its words are true."""
        assert outcome.status in ENDINGS or (outcome.status == 75 and fault.error in LIMITS), f"exit {outcome.status}"
        assert outcome.status == 0 or not outcome.out, "there is a result although it failed"
        if self._command[0] != "token":
            assert not any(secret in outcome.out for secret in self.box.secrets()), "a secret on stdout"
        check_words(outcome, self.before, self.files())


def role(path: str) -> str:
    """Return the end of `path`, without what is drawn by lot in the names of half-written files."""
    return re.sub(r"-[0-9a-f]{12}$", "", "/".join(path.split("/")[-2:]))


def check_words(outcome: file_calls.Outcome, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """See that what is said is true: what is called unchanged is, and what could not be deleted is there."""
    for path in re.findall(r"cannot write (\S+): [^\n]*unchanged", outcome.err):
        assert after.get(path) == before.get(path), f"{path} is called unchanged"
    for path in re.findall(r"cannot delete (\S+): ", outcome.err):
        assert os.path.lexists(path) or path not in before, f"{path} is deleted, and said not to be"
    if re.search("nothing was (changed|saved)", outcome.err):
        assert after == before
    errors = re.findall("^devicelogin: error: .*(?:\n.*)?", outcome.err, re.MULTILINE)
    assert bool(errors) == bool(outcome.status), "an error is said if and only if there is one"
    assert all("devicelogin: hint: " in error or error.count("; ") or "noted" in error for error in errors), "no hint"


def sealed(box: sandbox.Box) -> set[str]:
    """Return what lies anywhere that is a secret or may be one, by name: records, tokens, half-written files."""
    places = [*(box.home / "all").rglob("*"), *(box.home / "items").iterdir()]
    names = ("record", "own", "scopes-", ".new-")
    return {path.name for path in places if path.is_file() and path.name.startswith((*names, "devicelogin"))}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[sandbox.Box]:
    with sandbox.opened() as opened:
        monkeypatch.setenv("ODD_KEYRING_DIRECTORY", str(opened.give_odd_keyrings()))
        yield opened


@pytest.mark.parametrize(
    "command", ["token --force-refresh", "graph me", "keepalive --older-than 0", "status", "token"], ids=str
)
def test_no_call_that_fails_costs_a_sign_in_that_is_used(box: sandbox.Box, command: str) -> None:
    """A token comes all the same, or an error that says what failed; and afterwards the sign-in works as before."""
    box.sign_in()
    machine = Machine(box, *command.split())

    def judge(outcome: file_calls.Outcome) -> None:
        if command.startswith("token") and outcome.status == 0:
            assert outcome.out.removesuffix("\n") in box.secrets()
        assert box.access_token(force=True).token

    machine.sweep(judge)


def test_no_call_that_fails_leaves_half_a_token_file(box: sandbox.Box) -> None:
    """It has the new token or what it held before, and beside it lies nothing once the command has run again."""
    box.sign_in()
    directory = box.home / "all" / "out"
    directory.mkdir()
    file = directory / "file"
    file.write_text("old")
    command = ("token", "--output-file", str(file))
    machine = Machine(box, *command)

    def judge(outcome: file_calls.Outcome) -> None:
        held = file.read_text()
        assert held.removesuffix("\n") in box.secrets() if outcome.status == 0 else held == "old"
        assert box.run(*command).status == 0
        assert os.listdir(directory) == ["file"]
        assert file.read_text().removesuffix("\n") in box.secrets()

    machine.sweep(judge)


def test_without_a_lock_nothing_is_refreshed_or_deleted(box: sandbox.Box) -> None:
    """Two who refresh at once lose a one-time token: where there are no locks it is 73, and nobody goes on without one."""
    box.sign_in()
    commands = file_calls.Commands(box)
    begun, trace = len(box.emulator.requests), box.trace()
    for reason in (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        for command in ("token --force-refresh", "logout", "store move --to file"):
            outcome = commands.run(*command.split(), at=file_calls.EACH, error=reason, only=["flock"])
            assert (outcome.status, outcome.out) == (73, ""), outcome
            assert "cannot lock" in outcome.err
    assert (len(box.emulator.requests), box.trace()) == (begun, trace)
    box.check_works()


def test_a_limit_of_open_files_is_told_as_one_whichever_file_meets_it(box: sandbox.Box) -> None:
    """75 and where to look; another directory or another file would not help."""
    box.sign_in()
    commands = file_calls.Commands(box)
    output = box.home / "all" / "token"
    for command, name in ((f"token --output-file {output}", ".new-token"), ("store move --to file", "login-lock")):
        calls = commands.run(*command.split()).calls
        at = next(call.number for call in calls if call.name == "open" and name in os.path.basename(call.path))
        outcome = commands.run(*command.split(), at=at, error=errno.EMFILE)
        assert (outcome.status, outcome.out) == (75, ""), outcome
        assert "ulimit -a" in outcome.err


def test_a_file_is_private_from_its_making_on(box: sandbox.Box) -> None:
    """Not only once its mode was changed, which some file systems refuse: without a umask all is saved, and for us alone."""
    box.sign_in()
    commands = file_calls.Commands(box)
    outcome = commands.run("token", "--force-refresh", at=file_calls.EACH, error=errno.EPERM, only=["fchmod", "chmod"])
    assert (outcome.status, outcome.err) == (0, "")
    assert not [path for path in (box.home / "all").rglob("*") if path.stat().st_mode & 0o077]


def test_no_call_that_fails_leaves_half_a_first_sign_in(box: sandbox.Box) -> None:
    """It is saved and works, or there is no secret, and whoever tries again succeeds."""
    machine = Machine(box, "login", *box.app())

    def judge(outcome: file_calls.Outcome) -> None:
        if outcome.status == 0:
            # Without its settings it does not know the certificates of the emulator, and says so.
            assert "settings could not be written" in outcome.err or box.access_token(force=True).token
            return
        assert sealed(box) == set()
        box.sign_in()
        assert box.access_token(force=True).token

    machine.sweep(judge)


@pytest.mark.parametrize("store", ["file", sandbox.HONEST], ids=["in place", "elsewhere"])
def test_no_call_that_fails_in_a_second_sign_in_costs_the_first(box: sandbox.Box, store: str) -> None:
    """One of the two works, and where the second one failed it is the first."""
    box.sign_in()
    machine = Machine(box, "login", *box.app(store=store))

    def judge(outcome: file_calls.Outcome) -> None:
        assert box.access_token(force=True).token
        assert box.trace().location.kind == (store if outcome.status == 0 else "file")

    machine.sweep(judge)


def test_no_call_that_fails_keeps_a_secret_from_being_deleted(box: sandbox.Box) -> None:
    """After a logout that worked nothing is left, and after one that failed, a second one does the rest."""
    box.sign_in()
    machine = Machine(box, "logout")

    def judge(outcome: file_calls.Outcome) -> None:
        if outcome.status:
            signing_out.logout(box.workplace())
        # A runtime directory that may not be searched is taken for none of ours: no command ends for want of a cache.
        is_shut = machine.fault is not None and machine.fault.error == errno.EACCES
        assert sealed(box) <= ({"own"} if is_shut else set())
        assert not (box.config / "keys" / "default.key").exists()
        assert box.status().state == "signed-out"

    machine.sweep(judge)


def test_a_cache_that_could_not_be_looked_at_is_not_said_to_be_empty(box: sandbox.Box) -> None:
    """For want of memory nothing is known of it: a logout that leaves a token there does not end with 0."""
    box.sign_in()
    machine = Machine(box, "logout")
    looks = [call for call in machine.run().calls if call.name == "stat" and "/runtime" in call.path]
    assert looks
    for call in looks:
        outcome = machine.run(Fault(call.number, errno.ENOMEM, ""))
        assert (outcome.status, "own" in sealed(box)) in {(0, False), (75, True), (75, False)}, (call, outcome.err)


@pytest.mark.parametrize("ways", [("file", sandbox.HONEST), (sandbox.HONEST, "file")], ids=["away", "back"])
def test_no_call_that_fails_in_a_move_costs_the_sign_in(box: sandbox.Box, ways: tuple[str, str]) -> None:
    """It works in one of the two places, and a second move finishes the first."""
    box.sign_in(store=ways[0])
    machine = Machine(box, "store", "move", "--to", ways[1])

    def judge(_: file_calls.Outcome) -> None:
        assert box.access_token(force=True).token
        moving.move(box.workplace({"store": ways[1]}))
        assert (box.trace().location.kind, box.trace().previous) == (ways[1], None)
        assert any(name == "record" for name in sealed(box)) == (ways[1] == "file")
        assert any("record" in name for name in box.odd_items()) == (ways[1] != "file")

    machine.sweep(judge)


def test_no_call_that_fails_in_a_change_of_key_costs_the_sign_in(box: sandbox.Box) -> None:
    """The record opens with the old key or the new one, and a second try finishes."""
    box.sign_in()
    machine = Machine(box, "store", "rekey")

    def judge(_: file_calls.Outcome) -> None:
        assert box.access_token(force=True).token
        assert box.run("store", "rekey").status == 0
        assert box.access_token(force=True).token

    machine.sweep(judge)
