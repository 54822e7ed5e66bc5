"""`devicelogin logout`: the refresh token first, whatever else fails, and everything that is left is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin import errors, secret_store
from devicelogin.client import signing_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened() as opened:
        yield opened


def record(box: sandbox.Box) -> Path:
    return box.state / "default" / "record"


def key(box: sandbox.Box) -> Path:
    return box.config / "keys" / "default.key"


def block(path: Path) -> None:
    """Put a directory that is not empty where a file of ours is to be: nobody, root included, can unlink that."""
    path.unlink(missing_ok=True)
    (path / "in-the-way").mkdir(parents=True)


#: What can be in the way, as the path of a file of ours below the home of the sandbox.
IN_THE_WAY = {
    "cached token": "runtime/default/own",
    "key": "config/keys/default.key",
    "provider": "state/default/provider",
    "login-needed": "state/default/login-needed",
    "remote-login": "state/default/remote-login",
    "times": "state/default/times",
}


@pytest.mark.parametrize("blocked", IN_THE_WAY)
def test_the_refresh_token_is_revoked_and_deleted_whatever_else_cannot_be(box: sandbox.Box, blocked: str) -> None:
    """One thing that cannot be deleted, each in turn: the secret is revoked and gone, the rest too; what is left is named."""
    box.login(oidc_issuer=box.emulator.oidc_issuer)
    every = set(IN_THE_WAY.values())
    if blocked == "key":  # without it the record cannot be opened, and so not be revoked
        shutil.copytree(box.config / "keys", box.home / "keys")
    block(box.home / "all" / IN_THE_WAY[blocked])
    result = box.run("logout")
    assert not record(box).exists()
    assert box.emulator.count("revoke") == (blocked != "key"), result
    left = {path for path in every if (box.home / "all" / path).is_file()}
    assert not left, result
    assert result.status in {0, 73}, result
    assert (result.status == 73) == (str(box.home / "all" / IN_THE_WAY[blocked]) in result.err), result
    assert box.run("token").status == 4


def test_an_odd_entry_in_the_directory_of_cached_tokens_is_left_and_stops_nobody(box: sandbox.Box) -> None:
    """A directory and a file that are not ours, of any mode: `logout` deletes what is ours, ends with 0, and so does `login`."""
    box.login()
    odd = box.runtime / "default" / "sub"
    odd.mkdir(mode=0)
    (box.runtime / "default" / "note").write_text("mine")
    (box.runtime / "default" / "note").chmod(0)
    box.login("--replace")
    assert box.token()
    result = box.run("logout")
    assert result.status == 0, result
    assert not record(box).exists()
    assert not (box.runtime / "default" / "own").exists()
    assert box.run("token").status == 4
    assert box.run("logout").status == 0


def test_a_cached_token_that_cannot_be_deleted_is_a_remark_of_a_new_sign_in(box: sandbox.Box) -> None:
    """The person has approved; the old token belongs to no sign-in any more."""
    box.login()
    block(box.runtime / "default" / "own")
    result = box.login("--replace")
    assert "not all cached tokens could be deleted" in result.err
    box.check_works()


def test_all_failures_are_in_one_error_and_a_second_run_finishes(box: sandbox.Box) -> None:
    """The gravest one first, the others in its detail; once the way is free nothing is left."""
    box.login()
    for blocked in ("cached token", "key", "provider"):
        block(box.home / "all" / IN_THE_WAY[blocked])
    with pytest.raises(errors.StoreUnusableError) as caught:
        signing_out.logout(box.workplace())
    said = f"{caught.value.message} {caught.value.detail}"
    for blocked in ("cached token", "key", "provider"):
        assert str(box.home / "all" / IN_THE_WAY[blocked]) in said
        shutil.rmtree(box.home / "all" / IN_THE_WAY[blocked])
    assert box.run("logout").status == 0
    assert not key(box).exists()


def test_a_store_that_keeps_its_secret_keeps_the_trace_and_gives_no_cached_token(box: sandbox.Box) -> None:
    """A second run can finish, and what was cached for that sign-in is not handed out in between."""
    box.login()
    cached = box.runtime / "default" / "own"
    token = cached.read_bytes()
    block(record(box))
    block(cached)
    result = box.run("logout")
    assert result.status == 73, result
    assert (box.state / "default" / "sign-in").exists()
    assert not key(box).exists()
    shutil.rmtree(cached)
    cached.write_bytes(token)  # as it is where a file could not be deleted
    cached.chmod(0o600)
    assert box.run("token").status != 0
    status = box.run("status")
    assert "devicelogin logout" in status.out, status
    assert "signed in\n" not in status.out
    assert box.run("status", "--check").status == 4
    shutil.rmtree(record(box))
    assert box.run("logout").status == 0
    assert not (box.state / "default" / "sign-in").exists()


def test_one_profile_that_cannot_be_signed_out_does_not_keep_the_others(box: sandbox.Box) -> None:
    """`logout --all`: every profile is tried, and each failure names its profile."""
    for profile in ("a", "b", "c"):
        box.login("--profile", profile)
    block(box.state / "a" / "record")
    block(box.state / "b" / "sign-in")
    result = box.run("logout", "--all")
    assert result.status == 73, result
    assert "profile a" in result.err
    for profile in ("b", "c"):
        assert not (box.state / profile / "record").exists()
        assert not (box.config / "keys" / f"{profile}.key").exists()


def test_a_logout_without_a_trace_revokes_what_a_sealed_record_says(box: sandbox.Box) -> None:
    """Its place is fixed: a trace that was lost or damaged does not keep the token alive."""
    for content in (None, "{", '{"format_version": 1}'):
        box.login("--replace", oidc_issuer=box.emulator.oidc_issuer)
        trace = box.state / "default" / "sign-in"
        trace.unlink()
        if content is not None:
            trace.write_text(content)
            trace.chmod(0o600)
        before = box.emulator.count("revoke")
        result = box.run("logout")
        assert result.status == 0, result
        assert box.emulator.count("revoke") == before + 1, result
        assert not record(box).exists()


def test_stored_access_tokens_are_deleted_where_there_is_no_memory_for_them() -> None:
    """They lie sealed beside the record, and go with it."""
    with sandbox.opened_on_disk() as box:
        box.login()
        box.token()
        assert (box.state / "default" / "record-access").exists()
        assert box.run("logout").status == 0
        assert sorted(os.listdir(box.state / "default")) == ["lock", "login-lock"]


def test_stored_access_tokens_are_deleted_from_a_keyring() -> None:
    """They lie beside the record there as well."""
    with sandbox.opened_on_disk() as box:
        box.give_odd_keyrings()
        box.login(store=sandbox.HONEST)
        box.token()
        assert any("access" in name for name in box.odd_items())
        assert box.run("logout").status == 0
        assert not box.odd_items()


def test_a_key_that_was_being_made_when_its_process_was_killed_leaves_no_second_name(box: sandbox.Box) -> None:
    """Between the link of a new key file and the end of its first name: the next login and a logout delete that."""
    for end in ("login", "logout"):
        box.login("--replace")
        second = box.config / "keys" / ".new-default.key-0123456789ab"
        os.link(key(box), second)
        if end == "login":
            box.login("--replace")
        else:
            assert box.run("logout").status == 0
        assert not second.exists(), end


def test_a_key_of_a_sign_in_that_was_killed_does_not_stay_beside_a_keyring(box: sandbox.Box) -> None:
    """The key file is made before the trace; a login into a keyring deletes one that opens nothing."""
    box.give_odd_keyrings()
    box.emulator.approve_next()
    box.login()
    for name in ("record", "sign-in", "times"):
        (box.state / "default" / name).unlink()
    assert key(box).exists()
    box.login(store=sandbox.HONEST)
    assert not key(box).exists()
    box.check_works()


def test_a_logout_of_a_plain_user_whose_cache_directory_was_closed_deletes_the_secret(box: sandbox.Box) -> None:
    """Mode 0 on the directory of cached tokens: the refresh token is gone; whatever is said, it is not 70."""
    box.login()
    closed = box.runtime / "default"
    closed.chmod(0)
    try:
        result = box.run("logout")
        assert result.status in {0, 73}, result
        assert not record(box).exists()
        assert not (box.state / "default" / "sign-in").exists()
    finally:
        if closed.exists():
            closed.chmod(0o700)


def everything(box: sandbox.Box) -> list[str]:
    return sorted(str(path.relative_to(box.home / "all")) for path in (box.home / "all").rglob("*"))


def test_a_purge_leaves_nothing_of_a_profile_and_says_what_it_removed(box: sandbox.Box) -> None:
    """Settings, key, state, locks and the directories that are empty then; another profile keeps all that is its own."""
    box.login("--profile", "work")
    kept = everything(box)
    box.login()
    result = box.run("logout", "--purge")
    assert result.status == 0, result
    assert everything(box) == kept
    for path in (box.config / "default.toml", box.state / "default", box.state / "default" / "lock"):
        assert f"devicelogin: removed: {path}\n" in result.err
    assert box.run("token", "--profile", "work", "--force-refresh").status == 0
    assert box.run("keepalive").status == 0
    assert (box.state / ".keepalive").exists()
    assert box.run("logout", "--purge", "--all").status == 0
    assert everything(box) == []
    assert box.run("logout", "--purge").status == 0, "safe to repeat"


NOTHING_IS_THERE = (
    "logout",
    "logout --purge",
    "keepalive",
    "keepalive --profile wrok",
    "token",
    "graph me",
    "store rekey",
)


@pytest.mark.parametrize("command", [*NOTHING_IS_THERE, "store move --to file", "status", "doctor"])
def test_no_directory_is_made_for_a_profile_that_is_not_there(box: sandbox.Box, command: str) -> None:
    """The name may be a slip of the keyboard, and there is nothing to lock."""
    result = box.run(*command.split(), PATH="/nowhere")
    assert result.status in {0, 4, 75}, result  # 75: `doctor` may find no network
    assert everything(box) == []
    assert "removed" not in result.err, "nothing was made that had to be removed again"


@pytest.mark.parametrize("left", ["config/keys/default.key", "runtime/default/own"])
def test_a_logout_of_what_is_not_there_deletes_a_secret_that_was_left(box: sandbox.Box, left: str) -> None:
    """Settings and state may be lost: a key file alone, or a cached token alone, is reason enough to clean up."""
    box.login()
    assert (box.home / "all" / left).exists()
    (box.config / "default.toml").unlink()
    for directory in {box.config, box.state, box.runtime} - {box.home / "all" / left.partition("/")[0]}:
        shutil.rmtree(directory)
    assert box.run("logout").status == 0
    assert not (box.home / "all" / left).exists()


def test_a_purge_of_the_last_profile_names_the_daily_job_that_is_left(box: sandbox.Box) -> None:
    """With another profile the job has work to do; without one it has none, and the command that removes it is named."""
    programs = box.home / "bin"
    programs.mkdir()
    (programs / "crontab").write_text(CRONTAB.format(home=box.home))
    (programs / "crontab").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    box.login("--profile", "work")
    box.login()
    assert box.run("keepalive", "install", PATH=path).status == 0
    assert "keepalive remove" not in box.run("logout", "--purge", PATH=path).err
    assert "to remove it: devicelogin keepalive remove\n" in box.run("logout", "-p", "work", "--purge", PATH=path).err
    assert box.run("keepalive", "remove", PATH=path).status == 0
    assert "keepalive remove" not in box.run("logout", "-p", "work", "--purge", PATH=path).err


#: A crontab(1) whose only crontab is a file of the sandbox.
CRONTAB = """#!/bin/sh
case "$1" in
    -l) cat {home}/crontab || exit 1 ;;
    -r) rm -f {home}/crontab ;;
    *) cat > {home}/crontab ;;
esac
"""


def test_a_purge_leaves_what_is_not_ours_and_names_it(box: sandbox.Box) -> None:
    """Files that somebody put there stay, with their directory, also those whose names begin as ours do."""
    box.login()
    mine = ["notes", "record.bak", "refused-by-me"]
    for name in mine:
        (box.state / "default" / name).write_text("mine")
    result = box.run("logout", "--purge")
    assert result.status == 0, result
    assert everything(box) == ["state", "state/default", *(f"state/default/{name}" for name in mine)]
    assert all(str(box.state / "default" / name) in result.err for name in mine)


def test_a_purge_that_cannot_delete_the_secret_deletes_no_settings(box: sandbox.Box) -> None:
    """What is needed to finish is kept."""
    box.login()
    block(record(box))
    assert box.run("logout", "--purge").status == 73
    assert (box.config / "default.toml").exists()
    assert (box.state / "default" / "sign-in").exists()
    shutil.rmtree(record(box))
    assert box.run("logout", "--purge").status == 0
    assert everything(box) == []


def test_a_purge_of_all_knows_profiles_of_which_only_a_directory_is_left(box: sandbox.Box) -> None:
    """A logout keeps the lock; without settings nothing else names the profile."""
    box.login("--profile", "gone")
    assert box.run("logout", "--profile", "gone").status == 0
    (box.config / "gone.toml").unlink()
    assert box.run("logout", "--purge", "--all").status == 0
    assert everything(box) == []


def test_a_purge_while_somebody_signs_in_is_for_later(box: sandbox.Box) -> None:
    """75: a sign-in that is running is not pulled from under its feet."""
    box.login()
    work = box.workplace()
    with secret_store.ProfileLock(work.paths, path=work.paths.login_lock):
        assert box.run("logout", "--purge").status == 75
    assert record(box).exists()


#: A process whose lock file is deleted by another one between its opening and its lock; says whether somebody else gets it too.
LATE = """
import os, sys
from devicelogin import secret_store, settings
paths = settings.locate(os.environ).of("default")
met = []

def purge(event, arguments):
    if event == "fcntl.flock" and not met:
        met.append(event)
        os.unlink(paths.lock)

sys.addaudithook(purge)
with secret_store.ProfileLock(paths):
    print(len(met), secret_store.ProfileLock(paths).try_acquire())
"""


def test_who_had_opened_a_lock_that_is_purged_gets_one_that_counts(box: sandbox.Box) -> None:
    """The lock of a file that was deleted keeps nobody out, so it is taken for that of the name."""
    box.login()
    said = subprocess.run(
        [sys.executable, "-c", LATE], env=box.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert said == "1 False\n"
