"""Files of ours: only regular ones, only our own, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import pytest

from devicelogin import directories, errors, private_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_root = conftest.only_root("give a file away")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file of ours with content, in a directory of ours."""
    tmp_path.chmod(0o700)
    private_files.replace(f"{tmp_path}/ours", b"old")
    return f"{tmp_path}/ours"


def mode(path: str) -> int:
    """Return the permission bits of `path`."""
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    """Neither a missing file nor a missing directory is an error."""
    assert private_files.read(f"{tmp_path}/none") is None
    assert private_files.read(f"{tmp_path}/no/such/none") is None
    (tmp_path / "file").touch()
    assert private_files.read(f"{tmp_path}/file/none") is None


@pytest.mark.parametrize("target", ["ours", "none", "/etc/passwd"])
def test_a_link_is_not_followed(path: str, target: str) -> None:
    """Not to a file of ours, not into the void, not to anybody's."""
    link = f"{path}-link"
    os.symlink(target, link)
    with pytest.raises(errors.ConfigError, match="is a link"):
        private_files.read(link)


def test_replacing_a_link_replaces_the_link_and_not_its_target(path: str, tmp_path: Path) -> None:
    """Who put a link into our directory does not choose what we overwrite."""
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    os.unlink(path)
    os.symlink(other, path)
    private_files.replace(path, b"new")
    assert other.read_bytes() == b"precious"
    assert private_files.read(path) == b"new"


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    """An open of a FIFO would hang for ever."""
    os.mkfifo(f"{tmp_path}/fifo", 0o600)
    done: list[str] = []

    def read() -> None:
        try:
            private_files.read(f"{tmp_path}/fifo")
        except errors.ConfigError as error:
            done.append(error.message)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert done == [f"{tmp_path}/fifo is not a regular file"]


def test_a_directory_a_device_and_a_socket_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands in the file's place, an error of ours says so; no descriptor is left open."""
    (tmp_path / "directory").mkdir()
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        before = len(os.listdir("/proc/self/fd"))
        for strange in (f"{tmp_path}/directory", f"{tmp_path}/socket", "/dev/null"):
            with pytest.raises((errors.ConfigError, errors.StoreUnusableError)) as caught:
                private_files.read(strange)
            assert strange in caught.value.message
            assert caught.value.hint
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("bits", "fine"), [(0o600, True), (0o644, True), (0o400, True), (0o620, False), (0o602, False), (0o666, False)]
)
def test_a_file_that_others_may_write_is_refused(path: str, bits: int, fine: bool) -> None:
    """Reading by others is the caller's question, writing by others never is right."""
    os.chmod(path, bits)
    if fine:
        assert private_files.read(path) == b"old"
        return
    with pytest.raises(errors.ConfigError, match="others may write"):
        private_files.read(path)


@needs_root
def test_a_file_of_somebody_else_is_refused(path: str) -> None:
    """Even one that we could read."""
    os.chown(path, 12345, 12345)
    with pytest.raises(errors.ConfigError, match="belongs to user id 12345"):
        private_files.read(path)


@needs_root
def test_a_directory_of_somebody_else_is_not_written_into(path: str) -> None:
    """Root does not leave its files in a user's directory."""
    os.chown(os.path.dirname(path), 12345, 12345)
    with pytest.raises(errors.ConfigError, match="belongs to user id 12345"):
        private_files.replace(path, b"new")
    assert Path(path).read_bytes() == b"old"


@pytest.mark.parametrize("bits", [0o770, 0o702, 0o777, 0o1777])
def test_a_directory_that_others_may_write_into_is_refused(path: str, bits: int) -> None:
    """They could put another file in the place of ours, sticky bit or not."""
    os.chmod(os.path.dirname(path), bits)
    with pytest.raises(errors.ConfigError, match="others may write into"):
        private_files.replace(path, b"new")
    assert Path(path).read_bytes() == b"old"


def exit_code_as_nobody(work: Callable[[], object]) -> int:
    """Return the exit code of the error that `work` raises (0: none) in a child without root's rights."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(12345)
                os.setuid(12345)
            work()
            code = 0
        except errors.DeviceLoginError as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_file_that_may_not_be_read_is_78() -> None:
    """Wrong permissions are a configuration error in the table of exit codes."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        private_files.replace(f"{directory}/shut", b"x")
        os.chmod(f"{directory}/shut", 0)
        assert exit_code_as_nobody(lambda: private_files.read(f"{directory}/shut")) == 78
        assert exit_code_as_nobody(lambda: private_files.read(f"{directory}/none")) == 0


def test_a_write_that_is_cut_short_keeps_the_old_content(path: str) -> None:
    """A file size limit is a full disk for one process: 73, the old file whole, no rest of the new one."""

    def write() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        private_files.replace(path, b"x" * 5000)

    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(errors.StoreUnusableError):
            write()
            os._exit(1)
        os._exit(73)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 73
    assert os.listdir(os.path.dirname(path)) == ["ours"]
    assert private_files.read(path) == b"old"


def test_a_file_over_a_mebibyte_is_refused(path: str) -> None:
    """Nobody fills our memory by growing a file of ours."""
    private_files.replace(path, b"x" * private_files.SIZE_LIMIT)
    assert private_files.read(path) == b"x" * private_files.SIZE_LIMIT
    private_files.replace(path, b"x" * (private_files.SIZE_LIMIT + 1))
    with pytest.raises(errors.ConfigError, match="larger than"):
        private_files.read(path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o377])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    """Directories 0700, files 0600, whatever the shell's habits; missing directories are made."""
    before = os.umask(umask)
    try:
        private_files.replace(f"{tmp_path}/a/b/file", b"x")
    finally:
        os.umask(before)
    assert [mode(f"{tmp_path}/a{end}") for end in ("", "/b", "/b/file")] == [0o700, 0o700, 0o600]


def test_a_replacement_is_another_file_of_mode_0600(path: str) -> None:
    """Who holds the old file open keeps reading the old content; a wide mode is not inherited."""
    os.chmod(path, 0o644)
    with open(path, "rb") as old:
        private_files.replace(path, b"new")
        assert (old.read(), private_files.read(path), mode(path)) == (b"old", b"new", 0o600)
    assert os.listdir(os.path.dirname(path)) == ["ours"]


def test_a_check_that_fails_keeps_the_old_file(path: str) -> None:
    """What was read back is judged before the old content is gone; nothing half-written stays."""
    seen: list[bytes] = []

    def refuse(written: bytes) -> None:
        seen.append(written)
        raise errors.DataBadError("not what was written")

    with pytest.raises(errors.DataBadError):
        private_files.replace(path, b"new", check=refuse)
    assert seen == [b"new"]
    assert private_files.read(path) == b"old"
    assert os.listdir(os.path.dirname(path)) == ["ours"]


def test_readers_see_the_old_content_or_the_new_and_nothing_between(path: str) -> None:
    """While one writes, another reads whole contents only."""
    contents = [bytes([letter]) * 50_000 for letter in b"abcdef"]
    private_files.replace(path, contents[0])
    seen: set[bytes | None] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(private_files.read(path))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(10):
        for content in contents:
            private_files.replace(path, content)
    stop.set()
    reader.join()
    assert seen
    assert seen <= set(contents)


def test_create_makes_a_file_once(tmp_path: Path) -> None:
    """Of many at once, one makes it, and its content is whole."""
    tmp_path.chmod(0o700)
    made: list[int] = []
    barrier = threading.Barrier(8)

    def create(number: int) -> None:
        barrier.wait()
        if private_files.create(f"{tmp_path}/key", b"%d" % number * 1000):
            made.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert private_files.read(f"{tmp_path}/key") == b"%d" % made[0] * 1000
    assert mode(f"{tmp_path}/key") == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_create_does_not_touch_what_is_there(path: str) -> None:
    """Not even a link into the void."""
    assert not private_files.create(path, b"new")
    assert private_files.read(path) == b"old"
    os.symlink("nowhere", f"{path}-link")
    assert not private_files.create(f"{path}-link", b"new")
    assert not os.path.exists(f"{path}-link")


def test_a_file_in_place_of_a_directory_is_an_error_of_ours(tmp_path: Path) -> None:
    """Somebody's file where our directory should be is neither removed nor a traceback."""
    (tmp_path / "a").write_bytes(b"mine")
    for name in ("a/file", "a/b/file"):
        with pytest.raises((errors.ConfigError, errors.StoreUnusableError)) as caught:
            private_files.replace(f"{tmp_path}/{name}", b"x")
        assert caught.value.hint
    assert (tmp_path / "a").read_bytes() == b"mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(place)]
    conftest.need_root("mount a small file system")
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small tmpfs here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_keeps_the_old_content(small_disk: Path) -> None:
    """73, the old file whole, no rest of the new one, and a hint that says to free space."""
    path = f"{small_disk}/ours"
    private_files.replace(path, b"old")
    with pytest.raises(errors.StoreUnusableError, match="No space left") as caught:
        private_files.replace(path, b"x" * 200_000)
    assert "df -h" in (caught.value.hint or "")
    assert "unchanged" in caught.value.message
    assert os.listdir(small_disk) == ["ours"]
    assert private_files.read(path) == b"old"
    private_files.replace(path, b"new")
    assert private_files.read(path) == b"new"


def test_a_read_only_disk_is_73(small_disk: Path) -> None:
    """The hint names a way out, and what is there can still be read."""
    path = f"{small_disk}/ours"
    private_files.replace(path, b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for attempt in (lambda: private_files.replace(path, b"new"), lambda: private_files.remove(path)):
        with pytest.raises(errors.StoreUnusableError, match="Read-only"):
            attempt()
    with pytest.raises(errors.StoreUnusableError) as caught:
        private_files.replace(f"{small_disk}/deeper/file", b"new")
    assert "DEVICELOGIN_HOME" in (caught.value.hint or "")
    assert private_files.read(path) == b"old"


def test_remove_deletes_and_does_not_mind_nothing(path: str) -> None:
    """A second logout is not an error; a link is removed, not its target."""
    os.symlink(path, f"{path}-link")
    private_files.remove(f"{path}-link")
    assert private_files.read(path) == b"old"
    private_files.remove(path)
    private_files.remove(path)
    private_files.remove(f"{path}/below")
    assert os.listdir(os.path.dirname(path)) == []


def test_remove_that_cannot_is_73(path: str) -> None:
    """A directory in the file's place is not removed."""
    os.mkdir(f"{path}-directory")
    with pytest.raises(errors.StoreUnusableError, match="cannot delete"):
        private_files.remove(f"{path}-directory")


def test_sweep_takes_what_a_crash_left_and_nothing_else(path: str) -> None:
    """A writer killed before its rename leaves a file that the next one finds by its name."""
    directory = os.path.dirname(path)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            private_files.replace(path, b"new", check=lambda _: os._exit(0))
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    left = sorted(os.listdir(directory))
    assert len(left) == 2
    assert left[0].startswith(private_files.TEMPORARY_PREFIX)
    private_files.sweep(directory)
    assert os.listdir(directory) == ["ours"]
    assert private_files.read(path) == b"old"
    private_files.sweep(f"{directory}/none")


def test_a_directory_that_may_be_written_into_and_not_listed_takes_a_file(path: str) -> None:
    """As a drop box does, for an output file; root may list every directory, so this is for ordinary users."""
    directory = Path(path).parent
    directory.chmod(0o300)
    try:
        private_files.replace_beside(path, b"new")
        private_files.replace(path, b"newer")
        private_files.sweep_beside(path)
    finally:
        directory.chmod(0o700)
    assert os.listdir(directory) == ["ours"]
    assert private_files.read(path) == b"newer"


@needs_root
def test_sweep_leaves_what_belongs_to_somebody_else(path: str) -> None:
    """Beside the file of a caller, in a directory that others share, a half-written file of that name may be theirs."""
    theirs = f"{os.path.dirname(path)}/.new-ours-0123456789ab"
    Path(theirs).touch()
    os.chown(theirs, 12345, 12345)
    private_files.sweep(os.path.dirname(path))
    private_files.sweep_beside(path)
    assert os.path.exists(theirs)


@pytest.mark.parametrize(
    "delete", [private_files.remove, lambda path: private_files.remove_ours(os.path.dirname(path), bool)]
)
def test_nothing_is_deleted_where_others_may_write(path: str, delete: Callable[[str], None]) -> None:
    """What has the name of a file of ours there may be anybody's."""
    os.chmod(os.path.dirname(path), 0o777)
    with pytest.raises(errors.ConfigError, match="others may write into"):
        delete(path)
    assert os.path.exists(path)


@pytest.mark.parametrize(("owner", "is_open"), [(0, False), (12345, True)])
def test_a_mount_point_that_all_may_write_into_is_private_if_it_is_that_of_root(owner: int, *, is_open: bool) -> None:
    """A container's volume is: nobody else is in there. One that a user has mounted is that user's."""
    facts = os.stat_result((stat.S_IFDIR | 0o777, 1, 1, 2, owner, 0, 0, 0, 0, 0))
    assert directories.is_open_to_others("/", facts) is is_open


def test_sweep_leaves_what_somebody_is_writing(path: str) -> None:
    """Many write into one directory without a common lock: none of them loses its file to another's sweep."""
    directory = os.path.dirname(path)
    private_files.replace(path, b"new", check=lambda _: private_files.sweep(directory))
    assert private_files.read(path) == b"new"


def test_what_is_swept_is_gone_before_its_lock_is(path: str) -> None:
    """Else a writer in its very first moment could get the lock of a file that is deleted right afterwards."""
    name = f"{private_files.TEMPORARY_PREFIX}ours-{'0' * 12}"
    file = Path(path).parent / name
    file.write_bytes(b"half")
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            writer, was_locked = os.open(file, os.O_RDWR), []

            def look(event: str, arguments: tuple[object, ...]) -> None:
                if event == "os.remove" and str(arguments[0]).endswith(name):
                    try:
                        fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        was_locked.append(False)
                    except BlockingIOError:
                        was_locked.append(True)

            sys.addaudithook(look)
            private_files.sweep(os.path.dirname(path))
            os._exit(0 if was_locked == [True] and not file.exists() else 2)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_writer_that_a_sweeper_meets_at_its_very_beginning_begins_again(path: str) -> None:
    """Between making a file and locking it there is a moment; a sweep in it costs nothing."""
    directory = os.path.dirname(path)
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            private_files.sweep(directory)

    sweepers = [threading.Thread(target=sweep) for _ in range(3)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for number in range(300):
            private_files.replace(path, b"%d" % number)
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.join()
    assert os.listdir(directory) == ["ours"]


def test_a_path_in_a_hint_can_be_pasted(tmp_path: Path) -> None:
    """A space in it makes no second word, for `rm` least of all."""
    directory = tmp_path / "with a space"
    directory.mkdir(mode=0o700)
    file = directory / "file"
    file.write_bytes(b"x")
    file.chmod(0o666)
    for check in (lambda: private_files.read(str(file)), lambda: private_files.make_directory(str(file))):
        with pytest.raises(errors.ConfigError) as caught:
            check()
        command = (caught.value.hint or "").partition(": ")[2]
        assert subprocess.run(["sh", "-c", command], check=False).returncode == 0, command
    assert not file.exists()
    assert (directory / "file.old").stat().st_mode & 0o777 == 0o644
