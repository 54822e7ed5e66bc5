"""Two hundred processes at once, a holder that is killed, short-lived tokens: one refresh each, and nothing lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import sandbox
from conftest import SOAK

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 200

#: How often is each kind of fleet let loose?
TIMES = 20 if SOAK else 1

#: Waits for a line of the FIFO, then becomes the command: so that all of them begin at one moment.
HELD = 'read -r _ < "$0"; exec "$@" </dev/null'


class Fleet:
    """Processes that ask for a token; `released` together, or one after the other as fast as they can be started."""

    def __init__(self, box: sandbox.Box, *, at_once: bool) -> None:
        gate = box.home / "gate"
        gate.unlink(missing_ok=True)
        os.mkfifo(gate)
        # Open to the end: who comes to it late finds its line, and none of them waits for somebody at the other end.
        self._gate = os.open(gate, os.O_RDWR)
        before = ["/bin/sh", "-c", HELD, str(gate)] if at_once else []
        self._outputs = [box.home / f"answer-{number}" for number in range(SIZE)]
        self._errors = [box.home / f"errors-{number}" for number in range(SIZE)]
        command = [*before, sys.executable, "-m", "devicelogin", "token"]
        self.processes = []
        for output, errors in zip(self._outputs, self._errors, strict=True):
            with open(output, "wb") as out, open(errors, "wb") as err:
                self.processes.append(
                    subprocess.Popen(
                        command, env=box.environment(), cwd=box.home, stdin=subprocess.DEVNULL, stdout=out, stderr=err
                    )
                )
        if at_once:
            time.sleep(1)  # until every shell has come to its read
            os.write(self._gate, b"\n" * SIZE)

    def finish(self) -> list[tuple[int, str, str]]:
        """Wait for all; return exit status, stdout and stderr of each."""
        for process in self.processes:
            process.wait(sandbox.PATIENCE)
        os.close(self._gate)
        return [
            (process.returncode, output.read_text(), errors.read_text())
            for process, output, errors in zip(self.processes, self._outputs, self._errors, strict=True)
        ]


def slow_refreshes(box: sandbox.Box) -> None:
    """Let every answer of the token endpoint take a tenth of a second, as round trips do: that is when processes meet."""
    box.emulator.script("token", [Fault.delay(0.1)] * 50)


@pytest.mark.parametrize(
    ("mode", "at_once"),
    [
        pytest.param("entra", True, id="entra-barrier"),
        pytest.param("entra", False, id="entra-natural", marks=pytest.mark.soak),
        pytest.param("strict", True, id="strict-barrier", marks=pytest.mark.soak),
        pytest.param("strict", False, id="strict-natural"),
    ],
)
def test_two_hundred_processes_with_an_expired_token_make_one_refresh(mode: str, *, at_once: bool) -> None:
    """One request, two hundred times the same token, exit 0, and the sign-in still works afterwards."""
    for _ in range(TIMES):
        with sandbox.opened(mode=mode) as box:
            box.sign_in()
            box.expire_cached()
            slow_refreshes(box)
            ended = Fleet(box, at_once=at_once).finish()
            assert [one for one in ended if one[0] != 0] == []
            assert len({out for _, out, _ in ended}) == 1
            assert box.emulator.count("refresh") == 1
            assert box.access_token(force=True).token


def holder(lock: Path) -> int | None:
    """Return the process that holds the flock on `lock`, None where none does (proc_locks(5))."""
    with contextlib.suppress(OSError):
        inode = os.stat(lock).st_ino
        with open("/proc/locks") as locks:
            for line in locks:
                words = line.split()
                if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                    return int(words[4])
    return None


@pytest.mark.parametrize("mode", ["entra", "strict"])
def test_a_holder_that_is_killed_costs_nobody_else_anything(mode: str) -> None:
    """`kill -9` of whoever refreshes, at a random moment: all others get a token, and the sign-in lives.

    With one-time refresh tokens there is a window between the answer and the end of the save in which a kill loses the
    sign-in; a kill in there is seen by the second request, and then everybody else says that a person is needed.
    """
    kills = 0
    for _ in range(10 * TIMES):
        with sandbox.opened(mode=mode) as box:
            kills += killed_once(box, mode)
        if kills == TIMES:
            return
    pytest.fail(f"only {kills} holders were met while they held the lock")


def killed_once(box: sandbox.Box, mode: str) -> bool:
    """Let a fleet loose, kill its holder, and look at the others; False where the holder was quicker."""
    box.sign_in()
    box.expire_cached()
    slow_refreshes(box)
    fleet = Fleet(box, at_once=True)
    killed = kill_the_holder(box, fleet)
    ended = fleet.finish()
    others = [one for process, one in zip(fleet.processes, ended, strict=True) if process.pid != killed]
    requests = box.emulator.count("refresh")
    if mode == "strict" and requests > 1:
        assert {status for status, _, _ in others} <= {0, 4}
        return killed is not None
    assert [one for one in others if one[0] != 0] == []
    assert requests <= 2
    assert len({out for _, out, _ in others}) <= requests
    assert box.access_token(force=True).token
    return killed is not None


def kill_the_holder(box: sandbox.Box, fleet: Fleet) -> int | None:
    """Kill the process of `fleet` that holds the lock, some moment after it took it; return which, None if it was quicker."""
    ours = {process.pid for process in fleet.processes}
    end = time.monotonic() + sandbox.SOON
    while time.monotonic() < end:
        found = holder(box.state / "default" / "lock")
        if found in ours:
            time.sleep(random.uniform(0, 0.3))
            if holder(box.state / "default" / "lock") != found:
                return None
            os.kill(found, signal.SIGKILL)
            return found
        if all(process.poll() is not None for process in fleet.processes):
            return None
    return None


@pytest.mark.parametrize("lifetime", [60, 300])
def test_tokens_that_live_shortly_are_not_refreshed_again_and_again(lifetime: int) -> None:
    """Twenty calls in a row make one request at most, and say at most one warning each time nothing longer was to be had."""
    with sandbox.opened(access_token_lifetime=lifetime) as box:
        box.sign_in()
        (box.runtime / "default" / "own").unlink()
        results = [box.run("token") for _ in range(20)]
        assert {result.status for result in results} == {0}
        assert box.emulator.count("refresh") == 1
        assert sum(len(result.lines("warning")) for result in results) == 0
        asked = box.run("token", "--min-valid", "900")
        assert asked.status == 0
        assert len(asked.lines("warning")) == 1
        assert box.emulator.count("refresh") == 2


class Environments:
    """Three ways to be the same user: two sessions with a runtime directory each, and cron with none."""

    def __init__(self, box: sandbox.Box) -> None:
        self.box = box
        home = box.home / "person"
        home.mkdir(mode=0o700)
        here, there = home / "run-1", home / "run-2"
        here.mkdir(mode=0o700)
        there.mkdir(mode=0o700)
        box.variables = {"HOME": str(home)}
        self.session = {"XDG_RUNTIME_DIR": str(here)}
        self.other_session = {"XDG_RUNTIME_DIR": str(there)}
        self.cron: dict[str, str] = {}

    def all(self) -> Iterator[dict[str, str]]:
        """Return the variables of each."""
        yield from (self.session, self.other_session, self.cron)


@pytest.fixture
def environments() -> Iterator[Environments]:
    """Somebody is signed in, and each of the environments has that person's token in its cache."""
    with sandbox.opened(interval=1) as box:
        three = Environments(box)
        box.emulator.approve_next()
        signed_in = box.run("login", *box.app(), **three.session)
        assert signed_in.status == 0, signed_in
        for variables in three.all():
            box.token(**variables)
        yield three


def tokens_of(three: Environments) -> set[str]:
    return {three.box.run("token", **variables).out for variables in three.all()} - {""}


def test_after_a_logout_elsewhere_nobody_prints_the_old_token(environments: Environments) -> None:
    """Whoever logs out in one session has logged out in all of them, and in cron."""
    box = environments.box
    assert box.run("logout", **environments.other_session).status == 0
    for variables in environments.all():
        result = box.run("token", **variables)
        assert (result.status, result.out) == (4, "")


def test_after_a_login_elsewhere_nobody_prints_the_old_persons_token(environments: Environments) -> None:
    """A sign-in as somebody else is seen at once, from wherever it was made."""
    box = environments.box
    old = tokens_of(environments)
    box.emulator.approve_next(user="grace@contoso.example")
    result = box.run("login", *box.app(), "--replace", **environments.cron)
    assert result.status == 0, result
    new = tokens_of(environments)
    assert new
    assert not new & old


def test_after_an_edit_of_the_profile_nobody_prints_a_token_of_the_old_one(environments: Environments) -> None:
    """What the owner wrote into the profile holds from the next call on, in every environment."""
    box = environments.box
    old = tokens_of(environments)
    profile = box.home / "person" / ".config" / "devicelogin" / "default.toml"
    text = profile.read_text()
    assert '"User.Read"' in text
    profile.write_text(text.replace('"User.Read"', '"User.Read", "Mail.Read"'))
    for variables in environments.all():
        result = box.run("token", **variables)
        assert result.status in {0, 4}
        assert result.out not in old


def test_after_a_move_elsewhere_nobody_prints_the_old_token(environments: Environments) -> None:
    """A move to another store makes the cached tokens void wherever they lie; the sign-in goes on."""
    box = environments.box
    old = tokens_of(environments)
    box.give_odd_keyrings()
    moved = box.run("store", "move", "--to", sandbox.HONEST, **environments.session)
    assert moved.status == 0, moved
    for variables in environments.all():
        result = box.run("token", **variables)
        assert result.status == 0, result
        assert result.out not in old
