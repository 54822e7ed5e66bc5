"""Somebody is told that a person is needed: once per episode, by whatever command meets it, and without waiting for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hook_notes
import pytest
import sandbox
from conftest import repetitions

from devicelogin.emulator import Fault
from devicelogin.unattended import login_needed

#: How often does a job fail before somebody comes?
RUNS = 10

#: What a job of cron has, beside what brings a sandbox to our command.
CRON: dict[str, str | None] = {"PATH": "/usr/bin:/bin", "LOGNAME": "ada", "SHELL": "/bin/sh", "LANG": None}


@pytest.fixture
def notes(box: sandbox.Box) -> hook_notes.Notes:
    return hook_notes.Notes(box.home)


def sign_in(box: sandbox.Box, command: list[str]) -> None:
    box.sign_in()
    hook_notes.add_to_profile(box.config, on_login_needed=command)


def held_to_four(result: sandbox.Result) -> None:
    """4, and one line that says what to do."""
    assert (result.status, result.out) == (4, "")
    assert len(result.lines("error")) == len(result.lines("hint")) == 1, result
    assert "warning" not in result.err


def settled(box: sandbox.Box) -> None:
    """Wait until nothing of this sandbox tells anybody any more: whatever was started has been counted then."""
    home = box.variables["DEVICELOGIN_HOME"].encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = b"login_needed_child" in (process / "cmdline").read_bytes()
            if ours and home in (process / "environ").read_bytes():
                hook_notes.wait_for_end(int(process.name))


def outcome(box: sandbox.Box) -> login_needed.Told:
    """Wait until it is noted how the command ended, and no other one runs."""
    settled(box)
    end = time.monotonic() + hook_notes.PATIENCE
    while (told := login_needed.told(box.workplace().paths)) is None or told.outcome is None:
        assert time.monotonic() < end, told
        time.sleep(0.02)
    return told


def test_ten_jobs_of_cron_fail_with_4_and_somebody_is_told_once(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Acceptance: one after the other, each with its one line; after a login, and the next end of it, once more."""
    sign_in(box, notes.command())
    box.emulator.revoke()
    for _ in range(RUNS):
        held_to_four(box.run("token", **CRON))
    assert outcome(box).outcome == "it ended with 0"
    assert len(notes.runs()) == 1
    box.sign_in()
    assert login_needed.told(box.workplace().paths) is None
    box.emulator.revoke()
    (box.runtime / "default" / "own").unlink()
    held_to_four(box.run("token", **CRON))
    assert len(notes.wait_for(2)) == 2
    held_to_four(box.run("graph", "me", **CRON))
    outcome(box)
    assert len(notes.runs()) == 2


def test_of_ten_jobs_that_fail_at_once_one_tells(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """However many find it out in the same moment."""
    sign_in(box, notes.command())
    box.emulator.revoke()
    jobs = [box.start("token", variables=CRON) for _ in range(RUNS)]
    for job in jobs:
        held_to_four(job.finish())
    outcome(box)
    assert len(notes.runs()) == 1


#: Fails as a command does, at the moment in which all others do that wait for the file `go`.
FAILS = """
import os, sys
from devicelogin import client, errors
from devicelogin.unattended import login_needed
work = client.Workplace("default", flags={}, environ=os.environ)
work.settings()
login_needed.is_needed(work.paths)
print("ready", flush=True)
while not os.path.exists("go"):
    pass
login_needed.notify(work, errors.LoginRequiredError("nobody is signed in"))
"""


def test_in_the_very_same_moment_one_tells(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Refreshes wait for each other, and so hide a race: without them two processes are here within microseconds."""
    hook_notes.add_to_profile(box.config, on_login_needed=notes.command())
    for round_number in range(1, repetitions(80) + 1):
        (box.state / "default" / "login-needed").unlink(missing_ok=True)
        command = [sys.executable, "-c", FAILS]
        both = [
            subprocess.Popen(command, env=box.environment(), cwd=box.home, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for process in both:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        (box.home / "go").touch()
        assert [process.communicate(timeout=sandbox.PATIENCE)[0] for process in both] == ["", ""]
        (box.home / "go").unlink()
        outcome(box)
        assert len(notes.runs()) == round_number


def test_a_refresh_that_works_again_ends_the_episode(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Nobody signed in anew: an administrator let the person in again, and shut them out a second time."""
    sign_in(box, notes.command())
    for count in (1, 2):
        box.emulator.script("refresh", [Fault.oauth("invalid_grant", 70043)])
        held_to_four(box.run("token", "--force-refresh"))
        notes.wait_for(count)
        outcome(box)
        time.sleep(1.1 if count == 1 else 0)  # times are noted in whole seconds
        box.forget_refusals()
        assert box.token("--force-refresh")
        assert login_needed.told(box.workplace().paths) is None
    assert len(notes.runs()) == 2


def test_the_command_that_failed_does_not_wait_for_a_command_that_hangs(box: sandbox.Box) -> None:
    """It has ended, its pipes are closed, and the other one still sleeps."""
    notes = hook_notes.Notes(box.home, more="exec sleep 600\n")
    sign_in(box, notes.command())
    box.emulator.revoke()
    held_to_four(box.run("token"))  # reads both pipes to their ends
    [run] = notes.wait_for(1)
    assert hook_notes.is_alive(run.pid)
    held_to_four(box.run("token"))
    told = login_needed.told(box.workplace().paths)
    assert told is not None
    assert told.outcome is None  # it is known that it still runs
    assert hook_notes.is_alive(run.pid)
    os.kill(run.pid, signal.SIGKILL)
    assert outcome(box).failed
    assert len(notes.runs()) == 1


def test_the_command_is_told_the_facts_and_no_secret(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """S16: event, profile and reason; no code, also where a hook around us has left one; nothing the provider gave us."""
    sign_in(box, notes.command())
    issued = box.secrets()
    box.emulator.revoke()
    held_to_four(box.run("token", DEVICELOGIN_CODE="OLD", DEVICELOGIN_QR_FILE="/old", MINE="kept"))
    [run] = notes.wait_for(1)
    told = {name: value for name, value in run.variables.items() if name.startswith("DEVICELOGIN_")}
    assert set(told) == {"DEVICELOGIN_EVENT", "DEVICELOGIN_PROFILE", "DEVICELOGIN_REASON", "DEVICELOGIN_HOME"}
    assert (told["DEVICELOGIN_EVENT"], told["DEVICELOGIN_PROFILE"]) == ("login_needed", "default")
    reason = told["DEVICELOGIN_REASON"]
    assert os.uname().nodename in reason
    assert "ada@contoso.example" in reason
    assert "devicelogin login" in reason
    assert run.variables["MINE"] == "kept"
    everything = "\n".join([*run.variables.values(), *run.arguments])
    assert not any(secret in everything for secret in issued)
    assert "eyJ" not in everything


CORPUS = ["two words", '"', "'", "$(touch made)", "`touch made`", "; touch made", "a\nb", "*", "~", "", "-n", "%s", "\\", "ä€"]  # fmt: skip


def test_no_argument_is_read_by_a_shell(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """S35: each arrives as it stands in the profile."""
    sign_in(box, notes.command(*CORPUS))
    box.emulator.revoke()
    held_to_four(box.run("token"))
    [run] = notes.wait_for(1)
    assert run.arguments == CORPUS
    outcome(box)
    assert not list(box.home.rglob("made"))


def broken(box: sandbox.Box, kind: str) -> list[str]:
    file = box.home / "broken"
    file.write_text("#!/bin/sh\nexit 3\n" if kind == "failing" else "#!/bin/sh\nkill -9 $$\n")
    file.chmod(0o700 if kind in {"failing", "killed"} else 0o600)
    return [str(file if kind != "missing" else box.home / "missing")]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "could not be started: No such file"),
        ("not executable", "could not be started: Permission denied"),
        ("failing", "ended with 3"),
        ("killed", "was ended by signal 9"),
    ],
)
def test_a_command_that_does_not_work_is_noted_and_changes_nothing(box: sandbox.Box, kind: str, words: str) -> None:
    """The job says what it would have said without it; `told` knows."""
    sign_in(box, broken(box, kind))
    box.emulator.revoke()
    held_to_four(box.run("token"))
    told = outcome(box)
    assert told.failed
    assert words in (told.outcome or "")
    [warning] = box.run("status").lines("warning")
    assert warning.startswith("profile default: on_login_needed told nobody: ")
    [known] = json.loads(box.run("status", "--json").out)["profiles"]
    assert words in known["told_outcome"]
    assert (known["told_failed"], known["told_at"].endswith("Z")) == (True, True)
    assert box.run("status", "--check").err == ""


def test_where_nobody_ever_signed_in_somebody_is_told_as_well(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """A profile that was written by hand begins with an episode; a login ends it, and after a logout there is another."""
    hook_notes.add_to_profile(box.config, on_login_needed=notes.command())
    for command in (["token"], ["token"], ["graph", "me"]):
        held_to_four(box.run(*command))
    notes.wait_for(1)
    outcome(box)
    box.login()
    assert box.run("logout").status == 0
    held_to_four(box.run("graph", "me"))
    notes.wait_for(2)
    outcome(box)
    held_to_four(box.run("token"))
    assert len(notes.runs()) == 2


def test_a_secret_that_is_gone_from_its_store_is_an_episode(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Only its trace is left; `status` says so from then on, too."""
    sign_in(box, notes.command())
    (box.state / "default" / "record").unlink()
    for _ in range(2):
        held_to_four(box.run("token", "--force-refresh"))
    notes.wait_for(1)
    outcome(box)
    assert box.run("status", "--check").status == 4
    assert len(notes.runs()) == 1


@pytest.mark.parametrize("name", ["record", "sign-in"])
def test_a_sign_in_that_cannot_be_read_is_an_episode(box: sandbox.Box, notes: hook_notes.Notes, name: str) -> None:
    """65, whose way out is a login as that of 4 is: somebody is told once, and `status` knows whether that worked."""
    sign_in(box, notes.command())
    (box.state / "default" / name).write_bytes(b"damaged")
    (box.runtime / "default" / "own").unlink()
    assert box.run("token").status == 65
    notes.wait_for(1)
    for command in (["graph", "me"], ["keepalive"]):
        assert box.run(*command).status == 65
    assert outcome(box).outcome == "it ended with 0"
    [run] = notes.runs()
    assert "devicelogin login" in run.variables["DEVICELOGIN_REASON"]
    assert box.login().status == 0
    assert login_needed.told(box.workplace().paths) is None


@pytest.mark.parametrize(
    ("arguments", "fault", "status"),
    [
        (["--scope", "Mail.Read"], Fault.oauth("invalid_grant", 65001, suberror="consent_required"), 4),
        (["--force-refresh"], Fault.oauth("invalid_grant", 53003), 77),
        (["--force-refresh"], Fault.status(503), 75),
    ],
    ids=["another scope", "an administrator", "later"],
)
def test_what_is_not_the_end_of_the_sign_in_tells_nobody(
    box: sandbox.Box, notes: hook_notes.Notes, arguments: list[str], fault: Any, status: int
) -> None:
    """Another scope that needs a consent, an administrator, a server that is down: the sign-in may be as good as ever."""
    sign_in(box, notes.command())
    box.emulator.script("refresh", [fault] * 3)
    assert box.run("token", *arguments).status == status
    assert login_needed.told(box.workplace().paths) is None
    assert not (box.state / "default" / "login-needed").exists()
    assert notes.runs() == []


def test_what_cannot_be_noted_is_not_done(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Else it would be done with every run: here a directory lies where the note belongs."""
    sign_in(box, notes.command())
    box.emulator.revoke()
    (box.state / "default" / "login-needed").mkdir()
    for _ in range(2):
        held_to_four(box.run("token"))
    assert notes.runs() == []


def test_under_json_the_error_is_the_same_object(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """G10: a program reads a reason that is the same from run to run."""
    sign_in(box, notes.command())
    box.emulator.revoke()
    first, second = (json.loads(box.run("token", "--json").err) for _ in range(2))
    assert {**first, "correlation_id": None} == {**second, "correlation_id": None}
    assert (first["exit"], first["human_needed"]) == (4, True)
    notes.wait_for(1)
    outcome(box)


def test_a_program_in_the_home_is_found_there(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """`~/` means what it means in a shell, though no shell reads it."""
    program, *words = notes.command()
    (box.home / "tell").symlink_to(program)
    sign_in(box, ["~/tell", *words])
    box.emulator.revoke()
    held_to_four(box.run("token", **CRON))
    assert outcome(box).outcome == "it ended with 0"
    assert len(notes.runs()) == 1
