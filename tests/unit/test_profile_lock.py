"""The lock of a profile: between processes, between threads, after a kill, and where there can be none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import pytest
import sandbox

from devicelogin import clock, errors, secret_store
from devicelogin.settings import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOLD = """
import sys, time
from devicelogin import secret_store
from devicelogin.settings import paths
with secret_store.ProfileLock(paths.locate({"DEVICELOGIN_HOME": sys.argv[1]}).of("default")):
    print("held", flush=True)
    time.sleep(600)
"""

_COUNT = """
import sys
from pathlib import Path
from devicelogin import secret_store
from devicelogin.settings import paths
number = Path(sys.argv[1]) / "number"
for _ in range(50):
    with secret_store.ProfileLock(paths.locate({"DEVICELOGIN_HOME": sys.argv[1]}).of("default")):
        number.write_text(str(int(number.read_text()) + 1))
"""


@pytest.fixture
def profile(tmp_path: Path) -> paths.ProfilePaths:
    """The paths of the default profile."""
    return paths.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_who_waits_in_vain_is_told_to_try_later_and_who_is_busy(
    holder: subprocess.Popen[str], profile: paths.ProfilePaths
) -> None:
    """A lock held elsewhere is 75 after the wait, with the holder's process id; not waiting says so at once."""
    assert not secret_store.ProfileLock(profile).try_acquire()
    begun = time.monotonic()
    with pytest.raises(errors.TryLaterError, match=rf"busy with this profile \(process {holder.pid}\)"):
        secret_store.ProfileLock(profile, wait_seconds=0.3).acquire()
    assert 0.3 <= time.monotonic() - begun < sandbox.SOON
    begun = time.monotonic()
    with pytest.raises(errors.TryLaterError):
        secret_store.ProfileLock(profile, wait_seconds=sandbox.LATER).acquire(clock.Deadline(0.2))
    assert time.monotonic() - begun < sandbox.SOON


def test_a_killed_holder_frees_the_lock_at_once(holder: subprocess.Popen[str], profile: paths.ProfilePaths) -> None:
    """`kill -9` of the holder lets a waiter in without any time-out."""
    threading.Timer(0.3, holder.kill).start()
    begun = time.monotonic()
    with secret_store.ProfileLock(profile, wait_seconds=sandbox.LATER):
        assert time.monotonic() - begun < sandbox.SOON


def test_processes_take_turns(profile: paths.ProfilePaths, tmp_path: Path) -> None:
    """Read, add one, write, in many processes at once: no addition is lost."""
    (tmp_path / "number").write_text("0")
    count = max(4, conftest.repetitions(20))
    processes = [subprocess.Popen([sys.executable, "-c", _COUNT, str(tmp_path)]) for _ in range(count)]
    assert [process.wait() for process in processes] == [0] * count
    assert int((tmp_path / "number").read_text()) == 50 * count
    assert os.path.exists(profile.lock), "never unlinked"


def test_threads_take_turns(profile: paths.ProfilePaths) -> None:
    """Threads of one process exclude each other as processes do."""
    inside: list[int] = []

    def work() -> None:
        for _ in range(20):
            with secret_store.ProfileLock(profile):
                inside.append(1)
                assert len(inside) == 1
                time.sleep(0.0005)
                inside.pop()

    errors_seen: list[BaseException] = []
    hook, threading.excepthook = threading.excepthook, lambda failure: errors_seen.append(failure.exc_value)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = hook
    assert errors_seen == []


def test_a_lock_can_be_used_again_and_names_its_descriptors(profile: paths.ProfilePaths) -> None:
    """After release the same object takes it anew; `held_descriptors` names what is held, and nothing else."""
    lock = secret_store.ProfileLock(profile)
    for _ in range(2):
        assert secret_store.held_descriptors() == ()
        with lock:
            assert lock.held
            (descriptor,) = secret_store.held_descriptors()
            assert os.path.samestat(os.fstat(descriptor), os.stat(profile.lock))
            with pytest.raises(RuntimeError):
                lock.try_acquire()
        assert not lock.held
    lock.release()


def test_a_child_keeps_no_lock_of_another_thread(profile: paths.ProfilePaths) -> None:
    """It would keep that profile busy for as long as it runs, or fail over a descriptor that was closed meanwhile."""
    with secret_store.ProfileLock(profile), futures.ThreadPoolExecutor(1) as pool:
        assert len(secret_store.held_descriptors()) == 1
        assert pool.submit(secret_store.held_descriptors).result() == ()


def test_a_copy_of_the_descriptor_in_a_forked_process_does_not_keep_the_lock(profile: paths.ProfilePaths) -> None:
    """Who forks while holding the lock and then releases it, releases it."""
    lock = secret_store.ProfileLock(profile)
    with lock:
        (descriptor,) = secret_store.held_descriptors()
        sleeper = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=[descriptor], stdin=subprocess.PIPE)
    assert lock.try_acquire()
    lock.release()
    sleeper.communicate(b"\n")


def test_a_link_in_place_of_the_lock_is_78(profile: paths.ProfilePaths, tmp_path: Path) -> None:
    """A lock file that is a link is refused, and what it points to is not touched."""
    os.makedirs(profile.state, mode=0o700)
    (tmp_path / "target").write_text("precious")
    os.symlink(tmp_path / "target", profile.lock)
    with pytest.raises(errors.ConfigError, match="is a link"):
        secret_store.ProfileLock(profile).acquire()
    assert (tmp_path / "target").read_text() == "precious"


def test_a_lock_file_of_somebody_else_is_78(profile: paths.ProfilePaths) -> None:
    """Who made it could hold its lock for ever, and what is no regular file locks nothing."""
    os.makedirs(profile.state, mode=0o700)
    os.mkfifo(profile.lock)
    with pytest.raises(errors.ConfigError, match="not a regular file of yours"):
        secret_store.ProfileLock(profile).acquire()
    assert secret_store.held_descriptors() == ()
    os.unlink(profile.lock)
    Path(profile.lock).touch()
    try:
        os.chown(profile.lock, 12345, 12345)
    except PermissionError:
        pytest.skip("only root can give a file to somebody else")
    with pytest.raises(errors.ConfigError, match="not a regular file of yours"):
        secret_store.ProfileLock(profile).acquire()
    assert secret_store.held_descriptors() == ()


def test_the_lock_file_is_private_whatever_the_umask(profile: paths.ProfilePaths) -> None:
    """0600 in a directory of 0700."""
    old = os.umask(0)
    try:
        with secret_store.ProfileLock(profile):
            assert os.stat(profile.lock).st_mode & 0o777 == 0o600
            assert os.stat(profile.state).st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


def test_waiting_imports_nothing_heavy() -> None:
    """A hundred waiters must start fast: no keyring, cryptography, subprocess or json comes with the lock."""
    code = (
        "import sys\nfrom devicelogin import secret_store\nsecret_store.ProfileLock\n"
        "heavy = {'keyring', 'cryptography', 'subprocess', 'json', 'dataclasses', 'secrets', 'msal'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
