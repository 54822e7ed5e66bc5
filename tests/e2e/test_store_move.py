"""`devicelogin store move`: what it says, what it leaves, what it refuses, and that nothing is lost beside other commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from typing import TYPE_CHECKING

import conftest
import keyring_session
import namespace
import pytest
import sandbox

from devicelogin import errors, secret_store
from devicelogin.client import moving, signing_out
from devicelogin.secret_store import machine
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: One that says it deleted and did not.
UNDELETING = "keyring:mean_keyrings.KeepsWhatItHas"

#: Keyrings that pass their probe and fail afterwards.
MEAN = """
import os
import odd_keyrings

class KeepsWhatItHas(odd_keyrings.Honest):
    priority = 1

    def delete_password(self, service, username):
        if "probe" in username or os.path.exists(os.path.join(os.environ["ODD_KEYRING_DIRECTORY"], "mended")):
            super().delete_password(service, username)

class Full(odd_keyrings.Honest):
    priority = 1

    def set_password(self, service, username, password):
        if "probe" not in username and len(password) < 1000:
            raise OSError("no room")
        super().set_password(service, username, password)
"""


@pytest.fixture
def box(odd_box: sandbox.Box) -> sandbox.Box:
    return odd_box


@pytest.fixture
def session(box: sandbox.Box, monkeypatch: pytest.MonkeyPatch) -> Iterator[keyring_session.KeyringSession]:
    """A real keyring that the commands of `box` see."""
    with keyring_session.started() as started:
        keyring_session.make_current(started, monkeypatch)
        box.variables["DBUS_SESSION_BUS_ADDRESS"] = started.address
        yield started


def write_profile(box: sandbox.Box, line: str) -> None:
    with (box.config / "default.toml").open("a") as profile:
        profile.write(line + "\n")


def snapshot(directory: Path) -> dict[str, bytes]:
    """Return every file under `directory` but for locks, which say who was last."""
    return {
        str(file): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file() and not file.name.endswith("lock")
    }


def move(box: sandbox.Box, kind: str, *more: str, **variables: str | None) -> sandbox.Result:
    result = box.run("store", "move", "--to", kind, *more, **variables)
    assert result.out == "", "stdout is for results"
    return result


@pytest.mark.keyring
def test_a_move_there_and_back_leaves_nothing_behind(box: sandbox.Box, session: keyring_session.KeyringSession) -> None:
    """K05, the real keyring: no byte of a secret remains at the place it left, and the sentence names the new one."""
    box.login()
    times = (box.state / "default" / "times").read_bytes()
    box.token()
    result = move(box, "keyring")
    assert result.status == 0, result
    assert "the sign-in of ada@contoso.example (profile default) was moved; it is now in the OS keyring" in result.err
    assert set(os.listdir(box.state / "default")) == {"lock", "login-lock", "provider", "sign-in", "times"}
    assert not list((box.config / "keys").iterdir()), "a key that opens nothing any more"
    assert not any(secret.encode() in content for content in snapshot(box.home).values() for secret in box.secrets())
    assert (box.state / "default" / "times").read_bytes() == times
    assert 'store = "keyring"' in (box.config / "default.toml").read_text()
    box.check_works()
    result = move(box, "file")
    assert result.status == 0, result
    assert "it is now in the sealed file, encrypted with a key file" in result.err
    assert session.items() == {}
    assert (box.trace().location.kind, box.trace().previous, box.trace().state) == ("file", None, "saved")
    box.check_works()


def test_a_move_to_where_it_lies_writes_nothing(box: sandbox.Box) -> None:
    """Exit 0, it says so, and not one file is touched; `-q` says nothing."""
    box.login()

    def written() -> dict[Path, tuple[int, int, int]]:
        files = [file for file in box.home.rglob("*") if file.is_file() and "lock" not in file.name]
        return {file: (file.stat().st_ino, file.stat().st_mtime_ns, file.stat().st_ctime_ns) for file in files}

    before = written()
    result = move(box, "file")
    assert result.status == 0
    assert "was there already, and nothing was moved; it is in the sealed file, encrypted with a key file" in result.err
    assert box.run("-q", "store", "move", "--to", "file").err == ""
    assert written() == before


def test_a_named_keyring_and_another_profile_can_be_moved_to(box: sandbox.Box) -> None:
    """`--to keyring:module.Class`; the option `--profile` stands after the command, and other profiles stay."""
    box.login()
    box.login("--profile", "work")
    result = move(box, sandbox.HONEST, "--profile", "work")
    assert result.status == 0, result
    assert "(profile work) was moved; it is now in the keyring backend odd_keyrings.Honest" in result.err
    assert box.trace().location.kind == "file"
    assert all("work" in name for name in box.odd_items())
    assert box.run("token", "--force-refresh", "--profile", "work").status == 0
    box.check_works()


def test_two_names_of_one_keyring_do_not_lose_the_sign_in(box: sandbox.Box) -> None:
    """The copy is not taken for the original and deleted."""
    box.login(store=sandbox.HONEST)
    for kind in (sandbox.NOSY, sandbox.HONEST):
        assert move(box, kind).status == 0
        assert (box.trace().location.kind, box.trace().previous) == (kind, None)
        box.check_works()


@pytest.mark.parametrize(
    ("line", "has"),
    [('bind = "machine"', ("file", "machine")), ('key = ["cat", "/etc/hostname-of-tests"]', ("command", "none"))],
    ids=["bind", "key"],
)
def test_a_move_within_the_file_seals_it_anew(box: sandbox.Box, line: str, has: tuple[str, str]) -> None:
    """`--to file` with another key or binding in the profile: sealed with that, and an old key file goes."""
    if "machine" in line and machine.machine_id() is None:
        pytest.skip("this machine has no id to bind to")
    key = box.home / "key of tests"
    key.write_bytes(os.urandom(32))
    box.login()
    write_profile(box, line.replace("/etc/hostname-of-tests", str(key)) + ('\nbind = "none"' if "key" in line else ""))
    result = move(box, "file")
    assert result.status == 0, result
    assert "was moved" in result.err
    assert (box.trace().location.key, box.trace().location.bind, box.trace().previous) == (*has, None)
    assert (box.config / "keys" / "default.key").exists() == (has[0] == "file")
    box.check_works()
    assert "was there already" in move(box, "file").err


@pytest.mark.parametrize(
    ("damage", "status", "words"),
    [("key", 73, "is missing"), ("record", 65, "is damaged"), ("command", 65, "the command in the profile")],
)
def test_what_lies_there_already_and_cannot_be_opened_is_no_success(
    box: sandbox.Box, damage: str, status: int, words: str
) -> None:
    """A move that has nothing to do says so only of a sign-in that can be read; nothing changes."""
    keys = [box.home / name for name in ("first key", "second key")]
    for key in keys:
        key.write_bytes(os.urandom(32))
    box.login()
    if damage == "key":
        (box.config / "keys" / "default.key").unlink()
    elif damage == "record":
        (box.state / "default" / "record").write_bytes(b'{"magic"')
    else:
        write_profile(box, f'key = ["cat", "{keys[0]}"]')
        assert move(box, "file").status == 0
        profile = box.config / "default.toml"
        profile.write_text(profile.read_text().replace(keys[0].name, keys[1].name))
    before = snapshot(box.home / "all")
    result = move(box, "file")
    assert result.status == status, result
    assert words in result.lines("error")[0]
    assert "was there already" not in result.err
    assert snapshot(box.home / "all") == before


@pytest.mark.keyring
def test_a_keyring_that_is_locked_is_no_place_where_it_is_already(
    box: sandbox.Box, session: keyring_session.KeyringSession
) -> None:
    """`--to keyring` where it lies in a keyring that does not open: 73, as every command that needs it."""
    box.login(store="keyring")
    assert move(box, "keyring").status == 0
    session.lock()
    result = move(box, "keyring")
    assert result.status == 73, result
    assert "is locked" in result.lines("error")[0]


def test_nobody_signed_in_is_4(box: sandbox.Box) -> None:
    """With the command that signs in; no store is asked."""
    result = move(box, "keyring")
    assert result.status == 4
    assert result.lines("hint") == ["sign in once at a terminal: devicelogin login"]


@pytest.mark.parametrize("kind", ["auto", "vault", "keyring:", ""])
def test_a_store_that_is_none_is_2(box: sandbox.Box, kind: str) -> None:
    """And so is a command without its option or a group without its command is help."""
    assert move(box, kind).status == 2
    assert box.run("store", "move").status == 2
    assert "move" in box.run("store").out


def test_a_target_that_fails_is_73_and_nothing_changes(box: sandbox.Box) -> None:
    """No bus, a class that is refused, and a keyring that is full half-way: the sign-in is as it was, to the byte."""
    (box.home / "mean_keyrings.py").write_text(MEAN)
    box.variables["PYTHONPATH"] = box.environment()["PYTHONPATH"] + os.pathsep + str(box.home)
    box.login()
    before = snapshot(box.home / "all")
    result = move(box, "keyring")
    assert result.status == 73
    assert "there is no session bus" in result.lines("error")[0]
    assert result.lines("hint") == ["it stays in the sealed file; run this again in a session where the keyring opens"]
    assert move(box, "keyring:keyring.backends.null.Keyring").status == 73
    assert snapshot(box.home / "all") == before
    assert move(box, "keyring:mean_keyrings.Full").status == 73
    assert snapshot(box.home / "all") == before
    assert not [name for name in box.odd_items() if "probe" not in name]
    box.check_works()


@pytest.mark.parametrize("damage", ["record", "sign-in"])
def test_what_is_damaged_is_65_and_stays(box: sandbox.Box, damage: str) -> None:
    """Nothing is moved that cannot be read."""
    box.login()
    (box.state / "default" / damage).write_bytes(b'{"magic"')
    before = snapshot(box.home / "all")
    assert move(box, sandbox.HONEST).status == 65
    assert snapshot(box.home / "all") == before
    assert not [name for name in box.odd_items() if "probe" not in name]


@pytest.mark.keyring
def test_a_source_that_cannot_be_read_is_73_and_nothing_changes(
    box: sandbox.Box, session: keyring_session.KeyringSession
) -> None:
    """Locked, then dead: no half of a move, not even a key file; and `token` names the move."""
    box.login(store="keyring")
    before = snapshot(box.home / "all")
    session.lock()
    for words in ("is locked", "no OS keyring runs"):
        result = move(box, "file")
        assert result.status == 73
        assert words in result.lines("error")[0]
        assert snapshot(box.home / "all") == before
        result = box.run("token", "--force-refresh")
        assert result.status == 73
        assert result.lines("error")[0].startswith(
            "this profile's sign-in is in a keyring that cannot be read from here: "
        )
        assert result.lines("hint")[0].endswith(": devicelogin store move --to file")
        session.kill_service()


@pytest.mark.keyring
def test_cron_is_told_of_the_move_and_works_after_it(box: sandbox.Box, session: keyring_session.KeyringSession) -> None:
    """E18: without the session's bus `token` and `graph` are 73 with the command; run in the session, it mends them."""
    box.login(store="keyring")
    for command in (["token", "--force-refresh"], ["graph", "me"]):
        shutil.rmtree(box.runtime / "default", ignore_errors=True)
        result = box.run(*command, DBUS_SESSION_BUS_ADDRESS=None)
        assert result.status == 73, result
        assert "there is no session bus" in result.lines("error")[0]
        assert result.lines("hint")[0].endswith(": devicelogin store move --to file")
    assert move(box, "file", DBUS_SESSION_BUS_ADDRESS=None).status == 73
    assert move(box, "file").status == 0
    session.end()
    assert box.run("token", "--force-refresh", DBUS_SESSION_BUS_ADDRESS=None).status == 0


def test_a_source_that_keeps_its_copy_is_73_until_a_second_move_deletes_it(
    box: sandbox.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new place counts, the old one stays traced, and the message says both."""
    (box.home / "mean_keyrings.py").write_text(MEAN)
    box.variables["PYTHONPATH"] = box.environment()["PYTHONPATH"] + os.pathsep + str(box.home)
    monkeypatch.syspath_prepend(str(box.home))
    box.login(store=UNDELETING)
    for _ in range(2):
        result = move(box, "file")
        assert result.status == 73, result
        assert "the sign-in is in the sealed file now and works; its old copy" in result.lines("error")[0]
        assert result.lines("hint") == ["delete that where it can be reached: devicelogin store move --to file"]
        found = box.trace()
        assert (found.state, found.location.kind, found.previous and found.previous.kind) == (
            "saved",
            "file",
            UNDELETING,
        )
        box.check_works()
    (box.home / "items" / "mended").touch()
    assert move(box, "file").status == 0
    assert not box.odd_items()
    assert box.trace().previous is None


@pytest.mark.keyring
def test_a_logout_that_cannot_reach_the_older_copy_deletes_the_rest_and_says_what_is_left(
    box: sandbox.Box, session: keyring_session.KeyringSession
) -> None:
    """A sign-in made anew into the file while the keyring was away: what could be deleted is gone, and that is not denied."""
    box.login(store="keyring")
    box.variables["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere/bus"
    box.login()
    result = box.run("logout")
    assert result.status == 73, result
    assert not (box.state / "default" / "record").exists()
    assert "nothing was deleted" not in result.err
    assert result.lines("hint") == ["repeat this where that keyring is open, and what is left goes: devicelogin logout"]
    box.variables["DBUS_SESSION_BUS_ADDRESS"] = session.address
    assert box.run("logout").status == 0
    assert session.items("devicelogin") == {}


@pytest.fixture
def disk() -> Iterator[str]:
    """A directory on a disk, where no access token lies in the clear."""
    with tempfile.TemporaryDirectory(dir=sandbox.disk()) as directory:
        yield directory


def test_access_tokens_kept_in_the_store_go_as_well(box: sandbox.Box, disk: str) -> None:
    """Without memory for them they lie beside the sign-in; a move leaves none, and the next one lies at the new place."""
    if not sandbox.has_memory():
        pytest.skip("needs a file system in memory to be beside")
    # DEVICELOGIN_HOME on a disk has no memory for tokens.
    box.variables["DEVICELOGIN_HOME"] = f"{disk}/all"
    box.login(store=sandbox.HONEST)
    assert any("access" in name for name in box.odd_items())
    assert move(box, "file").status == 0
    assert not box.odd_items()
    first = box.token()
    assert os.path.exists(f"{disk}/all/state/default/record-access")
    assert box.token() == first
    assert move(box, sandbox.HONEST).status == 0
    assert not os.path.exists(f"{disk}/all/state/default/record-access")
    assert not any("access" in name for name in box.odd_items())
    assert box.token() != first


def test_a_refresh_that_began_before_a_move_keeps_its_token_where_the_sign_in_is(box: sandbox.Box) -> None:
    """Who waited for the lock meanwhile does not write an access token to the place that was just emptied."""
    box.variables["DEVICELOGIN_HOME"] = os.path.expanduser("~/all")
    box.sign_in(store=sandbox.HONEST)
    begun = box.workplace().silent_tokens()
    moving.move(box.workplace({"store": "file"}))
    assert begun.access_token(silent.Wish(force=True)).token
    assert not box.odd_items()


def test_two_moves_at_once_end_with_one_sign_in(box: sandbox.Box) -> None:
    """The same way and opposite ways: each ends well, one after the other, and one place holds the secret."""
    box.login()
    for turn in range(conftest.repetitions(20)):
        other = sandbox.HONEST if turn % 2 else "file"
        running = [box.start("store", "move", "--to", kind) for kind in (sandbox.HONEST, other)]
        assert [one.finish().status for one in running] == [0, 0]
        kind = box.trace().location.kind
        assert box.trace().previous is None
        assert (kind == sandbox.HONEST) == bool(box.odd_items()) != (box.state / "default" / "record").exists()
        box.check_works()


def test_twenty_refreshes_during_moves_lose_nothing(box: sandbox.Box) -> None:
    """With one-time refresh tokens: whatever a refresh saves, it saves where the sign-in then is."""
    box.login()
    running = [box.start("token", "--force-refresh") for _ in range(10)]
    moves = [box.start("store", "move", "--to", sandbox.HONEST)]
    running += [box.start("token", "--force-refresh") for _ in range(10)]
    moves.append(box.start("store", "move", "--to", "file"))
    assert [one.finish().status for one in running] == [0] * 20
    for one, kind in zip(moves, (sandbox.HONEST, "file"), strict=True):
        # A move waits twenty seconds for its turn, which is little among so many on a slow machine.
        status = one.finish().status
        assert (status if status != 75 else move(box, kind).status) == 0
    assert box.trace().previous is None
    assert (box.trace().location.kind == sandbox.HONEST) == bool(box.odd_items())
    box.check_works()


def test_a_logout_during_a_move_is_not_undone(box: sandbox.Box) -> None:
    """F11: the move ends first or finds nobody signed in; afterwards there is no secret anywhere."""
    for _ in range(conftest.repetitions(20)):
        box.sign_in()
        with futures.ThreadPoolExecutor(1) as pool:
            moved = pool.submit(moving.move, box.workplace({"store": sandbox.HONEST}))
            signing_out.logout(box.workplace())
            error = moved.exception()
        assert error is None or isinstance(error, errors.LoginRequiredError)
        assert box.status().state == "signed-out"
        assert not [name for name in box.odd_items() if "probe" not in name]
        assert not (box.state / "default" / "record").exists()


def test_a_move_that_sees_half_of_a_logout_says_that_nobody_is_signed_in(box: sandbox.Box) -> None:
    """Not that the key file is missing, which was just deleted, and which no backup should bring back."""
    box.sign_in()
    paths = box.workplace().paths
    with secret_store.ProfileLock(paths):
        os.unlink(paths.key_file)
        moving_on = box.start("store", "move", "--to", sandbox.HONEST)
        time.sleep(1)
        secret_store.remove_sign_in(paths)
    result = moving_on.finish()
    assert result.status == 4, result
    assert "nobody is signed in" in result.lines("error")[0]


def test_a_move_waits_for_no_sign_in_that_takes_minutes(box: sandbox.Box) -> None:
    """A sign-in knows where the old secret lies; moved meanwhile, that would be forgotten: 75, and it was not moved."""
    box.login()
    work = box.workplace({"store": sandbox.HONEST})
    with (
        secret_store.ProfileLock(work.paths, path=work.paths.login_lock),
        pytest.raises(errors.TryLaterError, match="busy with this profile"),
    ):
        moving.move(work, wait_seconds=0.1)
    assert box.trace().location.kind == "file"
    assert not box.odd_items()


@pytest.mark.parametrize("failing", ["state", "config"])
def test_a_read_only_directory_is_73_and_nothing_changes(box: sandbox.Box, failing: str) -> None:
    """Neither the trace nor the profile can be written: found before anything is copied."""
    box.login()
    before = snapshot(box.home / "all")
    directory = box.state if failing == "state" else box.config
    result = moved(box, namespace.read_only(directory))
    assert result.returncode == 73, result
    assert "ead-only" in result.stderr
    assert snapshot(box.home / "all") == before
    assert not [name for name in box.odd_items() if "probe" not in name]
    box.check_works()


def test_a_full_disk_is_73_and_the_source_stays(box: sandbox.Box) -> None:
    """The file does not fit: the keyring keeps its record, and the trace names it and nothing else."""
    box.login(store=sandbox.HONEST)
    state = box.state / "default"
    before = snapshot(state)
    # The disk takes the trace and some more, until it is full.
    script = (
        'cp -a "$0" "$0.kept" && mount -t tmpfs -o size=48k,mode=0700 tmpfs "$0" && cp -a "$0.kept/." "$0/" && '
        'head -c 28000 /dev/zero > "$0/filler"; "$@"; code=$?; rm -f "$0/filler"; cp -a "$0/." "$0.kept/"; exit $code'
    )
    result = moved(box, namespace.mounting(script, state), kind="file")
    kept = box.state / "default.kept"
    assert result.returncode == 73, result
    assert "No space left on device" in result.stderr
    assert "lock" in os.listdir(kept)
    assert {name.rpartition("/")[2] for name in snapshot(kept)} <= {name.rpartition("/")[2] for name in before}
    data = json.loads((kept / "sign-in").read_text())
    assert (data["location"]["kind"], data["previous"] and data["previous"]["kind"]) in {
        (sandbox.HONEST, None),
        (sandbox.HONEST, "file"),
    }
    box.check_works()


def moved(box: sandbox.Box, before: list[str], kind: str = sandbox.HONEST) -> subprocess.CompletedProcess[str]:
    """Run a move on the machine that the words `before` make."""
    command = [sys.executable, "-m", "devicelogin", "store", "move", "--to", kind]
    return subprocess.run([*before, *command], env=box.environment(), check=False, capture_output=True, text=True)


def test_a_trace_of_an_interrupted_move_prints_no_token_it_does_not_vouch_for(box: sandbox.Box) -> None:
    """The warm path: a token cached before the move is not printed after it."""
    box.login()
    first = box.token()
    kept = {file: file.read_bytes() for file in (box.runtime / "default").iterdir()}
    assert move(box, sandbox.HONEST).status == 0
    assert not (box.runtime / "default").exists()
    (box.runtime / "default").mkdir(mode=0o700)
    for file, content in kept.items():
        file.touch(mode=0o600)
        file.write_bytes(content)
    assert box.token() != first
