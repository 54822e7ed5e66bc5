"""Files that only their owner may read or replace: opened without following links, replaced whole, or not at all.

Every file of ours but the profile's comments goes through here. The rules (design, "The way of the data"): directories
0700, files 0600, the owner checked, links not followed, a replacement is written beside the file, forced to the disk,
renamed over it, and the directory forced to the disk as well, so that a reader, a crash or a power cut sees the old
content or the new one and nothing between.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys

from devicelogin import errors

if sys.platform != "win32":
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How large may a file of ours be before we refuse to read it (bytes)?
SIZE_LIMIT = 1 << 20

#: What do the names of half-written files begin with? Their writers hold a lock on them, which a crash gives back: so
#: `sweep` knows what was left from what is being written.
TEMPORARY_PREFIX = ".new-"

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def as_word(path: str) -> str:
    """Return `path` as one word of a command to be pasted, whatever characters it has."""
    import shlex  # only who fails pays for it

    return shlex.quote(path)


def make_directory(path: str) -> None:
    """Create the directory `path` and what is missing above it, 0700; check the owner and mode of one that exists.

    Raises ConfigError where the directory is somebody else's, open to others or no directory, StoreUnusableError where
    it cannot be made.
    """
    if not os.path.isdir(path):
        parent = os.path.dirname(path)
        if parent and not os.path.isdir(parent):
            make_directory(parent)
        try:
            os.mkdir(path, 0o700)
            os.chmod(path, 0o700)  # whatever the umask took away
        except FileExistsError:
            if not os.path.isdir(path):
                # A HOME of /dev/null, as services have it, is not to be moved away.
                away = f"move it away: mv {as_word(path)} {as_word(path + '.old')}"
                other = "export DEVICELOGIN_HOME=/path/of/a/private/directory"
                hint = away if os.path.isfile(path) else other
                raise errors.ConfigError(f"{path} is not a directory", hint=hint) from None
        except OSError as error:
            raise _unwritable(path, error) from error
    check_directory(path)


def check_directory(path: str) -> None:
    """Raise ConfigError unless the directory `path` is ours and nobody else may write into it."""
    _check_directory(path, os.stat(path))


def check_outermost(path: str) -> None:
    """Check the directory `path`, which holds directories of ours, as `check_directory` does; it may be root's, or missing."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _check_directory(path, os.stat(path), root_may_own=True)


def check_inner(path: str) -> None:
    """Check the directory `path`, which is in one of ours, as `check_directory` does; it must be no link. May be missing."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        facts = os.lstat(path)
        if stat.S_ISLNK(facts.st_mode):
            raise errors.ConfigError(
                f"{path} is a link; a directory of ours is never one", hint=f"look at it: ls -ld {as_word(path)}"
            )
        if stat.S_ISDIR(facts.st_mode):
            _check_directory(path, facts)


def _check_directory(path: str, facts: os.stat_result, *, root_may_own: bool = False) -> None:
    if hasattr(os, "getuid") and facts.st_uid != os.getuid() and not (root_may_own and facts.st_uid == 0):
        raise errors.ConfigError(
            f"{path} belongs to user id {facts.st_uid}, not to you",
            hint="run the command as the owner of that directory, or set DEVICELOGIN_HOME to one of yours",
        )
    if root_may_own and hasattr(os, "getuid") and os.getuid() != facts.st_uid == 0:
        return  # a volume that a container was given, open to all as those are; what lies in it is ours, and looked at
    if os.name == "posix" and stat.S_IMODE(facts.st_mode) & 0o022:
        raise errors.ConfigError(f"others may write into {path}", hint=f"take that away: chmod go-w {as_word(path)}")


def read(path: str) -> bytes | None:
    """Return the content of `path`, or None where there is no such file.

    Raises ConfigError where it is a link, no regular file, somebody else's, writable by others or over 1 MiB, and
    StoreUnusableError where it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | _CLOEXEC | _NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise errors.ConfigError(
                f"{path} is a link; a file of ours is never one", hint=f"look at it: ls -l {as_word(path)}"
            ) from error
        family = errors.ConfigError if error.errno in (errno.EACCES, errno.EPERM) else errors.StoreUnusableError
        raise family(
            f"cannot read {path}: {error.strerror}", hint=f"look at its owner and mode: ls -l {as_word(path)}"
        ) from error
    try:
        _check_file(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise errors.StoreUnusableError(
            f"cannot read {path}: {error.strerror}", hint="look at the disk: dmesg"
        ) from error
    finally:
        os.close(descriptor)
    if len(content) > SIZE_LIMIT:
        raise errors.ConfigError(f"{path} is larger than {SIZE_LIMIT} bytes", hint=f"look at it: ls -l {as_word(path)}")
    return content


def replace(path: str, content: bytes, *, check: Callable[[bytes], None] | None = None) -> None:
    """Replace the file `path` by one of mode 0600 that holds `content`, whole or not at all.

    `check` is given what was read back from the disk before the old file is replaced; if it raises, the old file stays.
    Raises StoreUnusableError where the disk is full, read-only or otherwise unwilling.
    """
    make_directory(os.path.dirname(path))
    try:
        replace_beside(path, content, check=check)
    except OSError as error:
        raise _unwritable(path, error) from error


def replace_beside(path: str, content: bytes, *, check: Callable[[bytes], None] | None = None) -> None:
    """Do what `replace` does in a directory that need not be ours alone. Raises OSError where that fails."""
    directory, name = os.path.split(path)
    with _temporary(directory, name, content) as temporary:
        if check is not None:
            written = read(temporary)
            check(written if written is not None else b"")
        os.replace(temporary, path)
        _force_directory(directory)


def try_out(directory: str, content: bytes, *, check: Callable[[bytes], None]) -> None:
    """Write `content` into `directory`, hand `check` what was read back, and delete it. Raises as `replace` does."""
    make_directory(directory)
    try:
        with _temporary(directory, "probe", content) as temporary:
            written = read(temporary)
            check(written if written is not None else b"")
    except OSError as error:
        raise _unwritable(os.path.join(directory, "record"), error) from error


def create(path: str, content: bytes) -> bool:
    """Make the file `path`, mode 0600, that holds `content`, whole or not at all; tell whether there was none before.

    Of two processes at once, one makes it. Raises as `replace` does.
    """
    directory = os.path.dirname(path)
    make_directory(directory)
    try:
        with _temporary(directory, os.path.basename(path), content) as temporary:
            os.link(temporary, path, follow_symlinks=False)
            _force_directory(directory)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unwritable(path, error) from error
    return True


def remove(path: str) -> None:
    """Delete the file `path`; it is no error if there is none. Raises StoreUnusableError where it cannot be deleted."""
    try:
        os.unlink(path)
        _force_directory(os.path.dirname(path))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise errors.StoreUnusableError(
            f"cannot delete {path}: {error.strerror}", hint=f"delete it yourself: rm {as_word(path)}"
        ) from error


def try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; False: another process has the lock. Where there are no locks, nobody has one."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def sweep(directory: str) -> None:
    """Delete the half-written files that crashes left in `directory`, and none that somebody is writing just now."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(directory):
            if name.startswith(TEMPORARY_PREFIX):
                with contextlib.suppress(OSError):
                    _sweep_one(os.path.join(directory, name))


def _sweep_one(path: str) -> None:
    if sys.platform == "win32":
        os.unlink(path)  # which Windows refuses while the file is open
        return
    descriptor = os.open(path, os.O_RDWR | _NOFOLLOW | _CLOEXEC | _NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _check_file(path: str, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise errors.ConfigError(f"{path} is not a regular file", hint=f"look at it: ls -l {as_word(path)}")
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        raise errors.ConfigError(
            f"{path} belongs to user id {facts.st_uid}, not to you", hint="run the command as the owner of that file"
        )
    if os.name == "posix" and stat.S_IMODE(facts.st_mode) & 0o022:
        raise errors.ConfigError(f"others may write to {path}", hint=f"take that away: chmod go-w {as_word(path)}")


@contextlib.contextmanager
def _temporary(directory: str, name: str, content: bytes) -> Iterator[str]:
    """Yield the path of a new file that holds `content`, forced to the disk; gone afterwards unless it was renamed."""
    path, descriptor = _open_temporary(directory, name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, 0o600)  # whatever the umask took away
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            if sys.platform == "win32":
                file.close()  # an open file cannot be renamed there
            yield path
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _open_temporary(directory: str, name: str) -> tuple[str, int]:
    while True:
        path = os.path.join(directory, f"{TEMPORARY_PREFIX}{name}-{os.urandom(6).hex()}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC, 0o600)
        if _is_held(descriptor):
            return path, descriptor
        os.close(descriptor)


def _is_held(descriptor: int) -> bool:
    """Lock a file that was just made; False where a sweeper was faster, which may have deleted it."""
    return try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0


def _force_directory(path: str) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | _CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: str, error: OSError) -> errors.StoreUnusableError:
    hints = {
        errno.ENOSPC: f"free some space: df -h {os.path.dirname(path) or '/'}",
        errno.EDQUOT: "your disk quota is used up: quota -s",
        errno.EROFS: "that file system is read-only; set DEVICELOGIN_HOME to a directory on another one",
    }
    return errors.StoreUnusableError(
        f"cannot write {path}: {error.strerror}; what was saved before is unchanged",
        hint=hints.get(error.errno or 0, f"look at the owner and mode: ls -ld {as_word(os.path.dirname(path))}"),
    )
