"""`keepalive`: quiet while all is well, one line for each profile that is not, and a person asked from afar."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING

import conftest
import hook_notes
import inbox as inboxes
import pytest
import sandbox

from devicelogin import client, secret_store, settings
from devicelogin.client import observing, signing_in
from devicelogin.unattended import keep_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

WEBHOOK = sandbox.ROOT / "docs" / "hooks" / "webhook.py"
DAY = 86_400


def sign_in(box: sandbox.Box, profile: str, user: str | None = None) -> None:
    """Sign `user` in to `profile`, without waiting between polls."""
    flags = {name: getattr(box.emulator, name) for name in ("client_id", "authority", "ca_file", "graph_root")}
    box.emulator.approve_next(user=user)
    work = client.Workplace(profile, flags={**flags, "store": "file"}, environ=box.environment())
    signing_in.login(work, sandbox.quick(), observing.Calling(lambda _: None))


def age(box: sandbox.Box, days: float, profile: str = "default") -> None:
    """Let the last refresh of a profile be so long ago."""
    paths = settings.locate(box.environment()).of(profile)
    times = secret_store.read_times(paths)
    assert times is not None
    secret_store.write_times(paths, dataclasses.replace(times, last_refreshed=int(time.time() - days * DAY)))


def days_since_refresh(box: sandbox.Box, profile: str = "default") -> int:
    """Return how many whole days ago the profile was refreshed."""
    times = secret_store.read_times(settings.locate(box.environment()).of(profile))
    assert times is not None
    return int((time.time() - times.last_refreshed) // DAY)


def is_silent(result: sandbox.Result) -> bool:
    """Tell whether all was well and nothing was said: cron would mail it."""
    return (result.status, result.out, result.err) == (0, "", "")


def last_run(box: sandbox.Box) -> dict[str, object]:
    """Return what `show` knows of the last run."""
    shown = json.loads(box.run("keepalive", "show", "--json", PATH="/nowhere").out)
    return shown["last_run"]


def test_what_is_a_week_old_is_refreshed_in_silence(box: sandbox.Box) -> None:
    """Nothing before, one request then, nothing after; each time that it ran is noted."""
    box.sign_in()
    before = secret_store.read_sign_in(box.workplace().paths)
    assert is_silent(box.run("keepalive"))
    assert box.emulator.count("refresh") == 0
    assert last_run(box)["profiles"]["default"]["outcome"] == "not-due"
    assert box.run("-v", "keepalive").err == "devicelogin: profile default: not due\n"
    age(box, 7)
    assert is_silent(box.run("keepalive"))
    assert (box.emulator.count("refresh"), days_since_refresh(box)) == (1, 0)
    assert last_run(box)["profiles"]["default"] == {"outcome": "refreshed", "exit_code": 0, "message": None}
    assert is_silent(box.run("keepalive"))
    assert box.emulator.count("refresh") == 1
    assert secret_store.read_sign_in(box.workplace().paths) == before
    assert box.token("--force-refresh")


def test_one_that_fails_does_not_stop_the_others(box: sandbox.Box) -> None:
    """One line for each, on stderr; the exit code is the most important one; who signed out is not missed."""
    grace = box.emulator.users[1].user_principal_name
    assert grace == "grace@contoso.example"
    sign_in(box, "a-damaged")
    sign_in(box, "b-revoked", grace)
    sign_in(box, "c-well")
    sign_in(box, "d-gone")
    sign_in(box, "e-well")
    assert box.run("logout", "--profile", "d-gone").status == 0
    for profile in ("a-damaged", "b-revoked", "c-well", "e-well"):
        age(box, 30, profile)
    (box.state / "a-damaged" / "record").write_bytes(b"nothing of ours")
    box.emulator.revoke(grace)
    result = box.run("keepalive")
    assert (result.status, result.out) == (4, ""), result
    lines = result.lines("error")
    assert [line.split(":")[0] for line in lines] == ["profile a-damaged", "profile b-revoked"]
    assert len(result.err.splitlines()) == 2
    assert lines[1].endswith("devicelogin login --profile b-revoked")
    assert (days_since_refresh(box, "c-well"), days_since_refresh(box, "e-well")) == (0, 0)
    noted = last_run(box)["profiles"]
    assert {name: each["outcome"] for name, each in noted.items()} == {
        "a-damaged": "failed", "b-revoked": "failed", "c-well": "refreshed", "d-gone": "signed-out", "e-well": "refreshed",
    }  # fmt: skip
    shown = box.run("keepalive", "show", PATH="/nowhere").out
    assert re.search(r"^last run   .*: 2 failed, 2 refreshed, 1 signed out$", shown, re.MULTILINE)
    assert "failed     profile b-revoked (4): " in shown


def test_what_only_fails_for_now_is_75(box: sandbox.Box) -> None:
    """The next run tries again; nothing is lost, and nobody is called."""
    box.sign_in()
    notes = hook_notes.Notes(box.home)
    hook_notes.add_to_profile(box.config, on_login_needed=notes.command())
    age(box, 30)
    box.emulator.break_for(600)
    result = box.run("keepalive")
    assert (result.status, len(result.err.splitlines())) == (75, 1), result
    assert notes.runs() == []


def test_a_refresh_that_cannot_be_saved_is_a_failure(box: sandbox.Box) -> None:
    """The token would be good for an hour; the sign-in would still die. So 73, though the provider gave all it was asked for."""
    box.sign_in()
    age(box, 30)
    before = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"]
    result = box.start("keepalive", before=before).finish()
    assert box.emulator.count("refresh") == 1
    assert (result.status, result.out) == (73, ""), result
    assert "could not be saved" in result.lines("error")[0]
    assert days_since_refresh(box) == 30


def test_one_profile_can_be_named(box: sandbox.Box) -> None:
    """Only that one is refreshed, and it does not count as the daily run."""
    box.sign_in()
    sign_in(box, "work")
    age(box, 30)
    age(box, 30, "work")
    assert is_silent(box.run("keepalive", "--profile", "work"))
    assert (days_since_refresh(box), days_since_refresh(box, "work")) == (30, 0)
    assert last_run(box) is None
    for name in ("show", "install", "remove"):
        result = box.run("keepalive", "--profile", "work", name)
        assert (result.status, result.lines("hint")) == (2, [f"leave --profile out: devicelogin keepalive {name}"])


def test_a_profile_that_is_named_and_signed_out_is_4(box: sandbox.Box) -> None:
    """A job with a mistyped name must not be silent until the sign-in that was meant has died."""
    sign_in(box, "work")
    result = box.run("keepalive", "--profile", "wrok")
    assert result.status == 4, result
    assert result.err == (
        "devicelogin: error: profile wrok: there is no profile wrok; there is work; name it: --profile work\n"
    )
    assert is_silent(box.run("keepalive", "--profile", "work"))


def test_two_at_once_are_one(box: sandbox.Box) -> None:
    """The second ends at once and in silence: what it would do is being done."""
    box.sign_in()
    age(box, 30)
    lock = keep_alive.run_lock(settings.locate(box.environment()))
    lock.acquire()
    try:
        assert is_silent(box.run("keepalive"))
        assert "another keepalive is at work" in box.run("-v", "keepalive").err
    finally:
        lock.release()
    assert (box.emulator.count("refresh"), last_run(box)) == (0, None)


def test_one_that_was_told_to_do_more_waits_for_the_other(box: sandbox.Box) -> None:
    """The daily run leaves alone what is not a week old, so it does not do what `--older-than 0` was typed for."""
    box.sign_in()
    lock = keep_alive.run_lock(settings.locate(box.environment()))
    lock.acquire()
    try:
        running = box.start("-v", "keepalive", "--older-than", "0")
        assert running.process.stderr is not None
        assert any("waiting for it" in line for line in running.process.stderr)
        assert box.emulator.count("refresh") == 0
    finally:
        lock.release()
    assert running.finish().status == 0
    assert box.emulator.count("refresh") == 1


def test_nobody_signed_in_is_no_failure(box: sandbox.Box) -> None:
    """A job that is installed before the first login waits for it, and makes nothing where there is nothing of ours."""
    assert is_silent(box.run("keepalive"))
    assert last_run(box) is None
    box.state.mkdir(parents=True, mode=0o700)
    assert is_silent(box.run("keepalive"))
    assert last_run(box)["profiles"] == {}


def test_nothing_is_left_behind_by_many_runs(box: sandbox.Box) -> None:
    """A year of daily runs: the same files as after the first."""
    box.sign_in()
    assert is_silent(box.run("keepalive"))
    files = sorted(path for path in box.home.rglob("*") if path.is_file())
    for _ in range(conftest.repetitions(30)):
        assert is_silent(box.run("keepalive"))
    age(box, 8)
    assert is_silent(box.run("keepalive"))
    assert sorted(path for path in box.home.rglob("*") if path.is_file()) == files


@pytest.fixture(name="inbox")
def open_inbox() -> Iterator[inboxes.Inbox]:
    with inboxes.opened() as elsewhere:
        yield elsewhere


def opt_in(box: sandbox.Box, inbox: inboxes.Inbox, notes: hook_notes.Notes) -> None:
    """Let the owner wish to be told, and to be asked from afar."""
    hook_notes.add_to_profile(
        box.config,
        remote_login=True,
        on_code=[sys.executable, str(WEBHOOK), inbox.url],
        on_login_needed=notes.command(),
    )


def test_a_keepalive_run_gets_the_box_signed_in_again_from_afar(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Acceptance: the refresh token is dead, the hook posts the code, somebody approves it, the next job succeeds."""
    box.sign_in()
    notes = hook_notes.Notes(box.home)
    opt_in(box, inbox, notes)
    sign_in(box, "other")
    age(box, 8)
    age(box, 8, "other")
    box.emulator.revoke()
    sign_in(box, "other")
    age(box, 8, "other")
    running = box.start("keepalive")
    message = inbox.messages.get(timeout=hook_notes.PATIENCE)
    assert (message["event"], message["profile"]) == ("code", "default")
    # The others are not kept waiting for a person, and neither is the owner who wants to know.
    assert days_since_refresh(box, "other") == 0
    [told] = notes.wait_for(1)
    assert told.variables["DEVICELOGIN_EVENT"] == "login_needed"
    assert running.process.poll() is None
    inboxes.approve_on_the_page(box, message, "ada@contoso.example")
    assert is_silent(running.finish())
    assert {name: each["outcome"] for name, each in last_run(box)["profiles"].items()} == {
        "default": "signed-in",
        "other": "refreshed",
    }
    assert box.token("--force-refresh")
    assert len(notes.runs()) == 1


def test_another_account_replaces_nothing(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Acceptance: whoever else approves the code, all is as it was, the run ends with 4 and says what happened."""
    box.sign_in()
    notes = hook_notes.Notes(box.home)
    opt_in(box, inbox, notes)
    age(box, 8)
    box.emulator.revoke()
    assert box.run("token", "--force-refresh").status == 4
    kept = {path: path.read_bytes() for path in (box.state / "default").iterdir() if path.name in {"sign-in", "record"}}
    running = box.start("keepalive")
    message = inbox.messages.get(timeout=hook_notes.PATIENCE)
    inboxes.approve_on_the_page(box, message, "grace@contoso.example")
    result = running.finish()
    assert (result.status, result.out) == (4, ""), result
    [line] = result.lines("error")
    assert "asked from afar: grace@contoso.example signed in, but ada@contoso.example was asked to" in line
    assert {path: path.read_bytes() for path in kept} == kept
    assert box.run("status", "--check").status == 4
    # The next run asks nobody: once in six hours is enough.
    asked = box.emulator.count("devicecode")
    assert box.run("keepalive").status == 4
    assert (box.emulator.count("devicecode"), len(notes.runs())) == (asked, 1)
    assert os.path.exists(box.state / "default" / "record")
