"""`login --on-code`: the owner's command gets the code while the screen shows it, and takes nothing from the sign-in."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import hook_notes
import pytest
import sandbox
from conftest import need

from devicelogin.emulator import Fault


@pytest.fixture
def notes(box: sandbox.Box) -> hook_notes.Notes:
    return hook_notes.Notes(box.home)


def pictures(box: sandbox.Box) -> list[Path]:
    """Return what is left of QR codes."""
    return [file for file in (box.home / "all").rglob("*") if ".devicelogin-code-" in str(file)]


def login_when_run(box: sandbox.Box, notes: hook_notes.Notes, *arguments: str, **options: str | None) -> hook_notes.Run:
    """Run a `login` that is approved once the command has been run, and return that run."""
    waiting = box.start("login", *box.app(**options), *arguments)
    code = box.emulator.wait_for_code()
    [run] = notes.wait_for(1)
    box.emulator.approve(code)
    assert waiting.finish().status == 0
    return run


def test_the_command_gets_the_code_the_address_and_a_picture_of_it(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Beside the screen; the picture is private, is read to the address, and is gone when the code is spent."""
    need("zbarimg")
    waiting = box.start(
        "login", *box.app(), "--on-code", shlex.join(notes.command("a b", "$(touch made)", "; x", "'\""))
    )
    code = box.emulator.wait_for_code()
    [run] = notes.wait_for(1)
    assert run.arguments == ["a b", "$(touch made)", "; x", "'\""]
    told = {name: value for name, value in run.variables.items() if name.startswith("DEVICELOGIN_")}
    file = Path(told.pop("DEVICELOGIN_QR_FILE"))
    assert file.read_bytes() == run.picture.read_bytes()
    assert run.modes == [f"600 {os.getuid()}", f"700 {os.getuid()}"]
    read = subprocess.run(
        ["zbarimg", "--raw", "-q", "--nodbus", run.picture], capture_output=True, text=True, check=True
    )
    assert read.stdout == box.emulator.signin_uri + "\n"
    until = datetime.strptime(told.pop("DEVICELOGIN_EXPIRES_AT"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 840 < (until - datetime.now(UTC)).total_seconds() <= 900
    reason = told.pop("DEVICELOGIN_REASON")
    assert os.uname().nodename in reason
    assert "only enter this code if you started it" in reason
    assert told == {
        "DEVICELOGIN_EVENT": "code",
        "DEVICELOGIN_PROFILE": "default",
        "DEVICELOGIN_CODE": code,
        "DEVICELOGIN_URI": box.emulator.signin_uri,
        "DEVICELOGIN_HOME": box.variables["DEVICELOGIN_HOME"],
    }
    # S16: the device_code, which is worth a sign-in, is among these.
    assert not any(secret in value for secret in box.secrets() for value in run.variables.values())
    box.emulator.approve(code)
    result = waiting.finish()
    assert (result.status, result.out) == (0, "")
    assert code in result.err.replace("-", "")
    assert "said on" not in result.err
    assert not pictures(box)
    assert len(notes.runs()) == 1


def test_the_complete_address_is_given_where_the_server_sends_one(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """D10: it saves typing; the same one as in the QR code on the screen."""
    box.emulator.verification_uri_complete = True
    run = login_when_run(box, notes, "--on-code", shlex.join(notes.command()), oidc_issuer=box.emulator.oidc_issuer)
    assert run.variables["DEVICELOGIN_URI"].startswith(f"{box.emulator.signin_uri}?user_code=")


def test_an_address_on_an_unknown_host_is_given_to_no_command(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Who reads the screen sees the warning there; whoever gets the message would not."""
    box.emulator.script("devicecode", [Fault.patch({"verification_uri": "https://login.example.net/device"})])
    result = box.login("--on-code", shlex.join(notes.command()), after=2)
    assert any("on_code was not run: login.example.net" in line for line in result.lines("warning"))
    assert notes.runs() == []


def test_the_option_wins_over_the_profile_and_the_profile_serves_without_it(
    box: sandbox.Box, notes: hook_notes.Notes
) -> None:
    """A list in the profile for what a command line cannot say well."""
    other = hook_notes.Notes(box.home, name="other")
    hook_notes.add_to_profile(box.config, on_code=notes.command("of the profile", "a\nb"))
    assert login_when_run(box, notes).arguments == ["of the profile", "a\nb"]
    login_when_run(box, other, "--on-code", shlex.join(other.command()))
    assert len(notes.runs()) == 1


def test_its_output_is_for_the_log_alone(box: sandbox.Box, notes: hook_notes.Notes) -> None:
    """Under -v on stderr, never on stdout, which in --json is a stream of objects."""
    said, command = "said on stdout said on stderr", shlex.join(notes.command())
    result = hook_notes.login_until(box, said, "-v", "login", *box.app(), "--json", "--on-code", command)
    assert said in result.err
    assert "said on" not in result.out
    events = [json.loads(line)["event"] for line in result.out.splitlines()]
    assert {"code", "signed_in"} <= set(events)
    assert "on_code" not in result.out
    assert notes.runs()


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["screen", "json"])
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/nowhere/to be found"], "/nowhere/to be found could not be started: No such file"),
        (["/bin/sh", "-c", "exit 3"], "/bin/sh ended with 3"),
        (["/dev/null"], "/dev/null could not be started: Permission denied"),
    ],
    ids=["missing", "failing", "no program"],
)
def test_a_command_that_does_not_work_is_a_warning(
    box: sandbox.Box, command: list[str], words: str, form: list[str]
) -> None:
    """The sign-in goes on and succeeds."""
    told = "the sign-in goes on"
    result = hook_notes.login_until(box, told, "login", *box.app(), *form, "--on-code", shlex.join(command))
    if form:
        said = [json.loads(line) for line in result.out.splitlines()]
        warnings = [event["message"] for event in said if event["event"] == "note"]
    else:
        warnings = result.lines("warning")
    [warning] = [line for line in warnings if "on_code" in line]
    assert words in warning
    assert told in warning


def test_a_command_that_hangs_delays_nothing_and_ends_with_the_code(box: sandbox.Box) -> None:
    """Polls keep their pace meanwhile; what it had started is gone when the sign-in has ended."""
    notes = hook_notes.Notes(box.home, more='sleep 600 & echo $! >"$notes/sleeper"; wait\n')
    waiting = box.start("login", *box.app(), "--on-code", shlex.join(notes.command()))
    code = box.emulator.wait_for_code()
    [run] = notes.wait_for(1)
    sandbox.wait_for(lambda: box.emulator.count("token"), "a poll")
    assert hook_notes.is_alive(run.pid)
    box.emulator.approve(code)
    result = waiting.finish()
    assert result.status == 0
    assert "on_code" not in result.err
    hook_notes.wait_for_end(run.pid)
    hook_notes.wait_for_end(int((box.home / "hook notes" / "sleeper").read_text()))
    assert not pictures(box)


@pytest.mark.parametrize("how", ["declined", signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=str)
def test_the_picture_is_gone_however_the_sign_in_ends(box: sandbox.Box, how: str | signal.Signals) -> None:
    """Declined, interrupted, ended, killed: what watches the command sees that the sign-in is over."""
    notes = hook_notes.Notes(box.home, more="exec sleep 600\n")
    waiting = box.start("login", *box.app(), "--on-code", shlex.join(notes.command()))
    code = box.emulator.wait_for_code()
    [run] = notes.wait_for(1)
    assert pictures(box)
    if isinstance(how, signal.Signals):
        waiting.process.send_signal(how)
    else:
        box.emulator.decline(code)
    result = waiting.finish()
    assert result.status == {"declined": 5, signal.SIGKILL: -9}.get(how, 128 + int(how) if how != "declined" else 5)
    hook_notes.wait_for_end(run.pid)
    if how == signal.SIGKILL:
        sandbox.wait_for(lambda: not pictures(box), "the end of the picture")
    assert not pictures(box)


def test_a_picture_that_was_left_when_all_was_killed_is_swept_by_the_next_login(box: sandbox.Box) -> None:
    """Also by one without a command."""
    notes = hook_notes.Notes(box.home, more="exec sleep 600\n")
    waiting = box.start("login", *box.app(), "--on-code", shlex.join(notes.command()))
    box.emulator.wait_for_code()
    [run] = notes.wait_for(1)
    watcher = int(Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in (watcher, waiting.process.pid, run.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    waiting.finish()
    assert pictures(box)
    box.login()
    assert not pictures(box)


@pytest.mark.parametrize("given", ["", "  ", "show 'me"])
def test_a_command_that_is_none_is_a_wrong_argument(box: sandbox.Box, given: str) -> None:
    """2, before anything is asked for."""
    result = box.run("login", *box.app(), "--on-code", given)
    assert result.status == 2
    assert "--on-code" in result.lines("error")[0]
    assert box.emulator.count("devicecode") == 0
