"""The lock of a profile: one refresh, one save, one sign-in at a time (design decision D6).

A `flock` on a file in our own private directory: free at once when its holder is killed, and held on by the child that still
writes into a keyring for a holder that was killed. Only `logout --purge` unlinks the file, while it holds it. It works between
processes and between threads of one process. It imports nothing heavy, because a hundred processes may wait for it together.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import stat
import sys
import time

from devicelogin import errors, private_files

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from devicelogin import clock
    from devicelogin.settings import paths as settings_paths

#: How long does a waiter wait before it tells its user to try later (seconds)? The design's deadline for waiters.
WAIT_SECONDS = 60.0

_FIRST_PAUSE = 0.004
_LONGEST_PAUSE = 0.1
#: How does the system say that another one has the lock? Windows has words of its own; elsewhere they mean that none can be had.
_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN} | ({errno.EACCES, errno.EDEADLK} if sys.platform == "win32" else set())

#: And how that the file system has no locks at all?
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})

#: Windows locks ranges and forbids others to read them: this one lies far behind the process id.
_WINDOWS_OFFSET = 1 << 30

#: The descriptors of the locks that this process holds, with the thread that took each.
_held: dict[int, int] = {}


class ProfileLock:
    """The lock of one profile; a context manager. One object is for one thread at a time and can be used again.

    `path` names another lock file than the profile's own, for what must run once without stopping refreshes (a login).
    """

    def __init__(
        self, paths: settings_paths.ProfilePaths, *, wait_seconds: float = WAIT_SECONDS, path: str | None = None
    ) -> None:
        self._paths = paths
        self._path = path if path is not None else paths.lock
        self._wait_seconds = wait_seconds
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Tell whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, deadline: clock.Deadline | None = None) -> None:
        """Wait for the lock until `deadline`, else for `wait_seconds`, and take it.

        Raises TryLaterError where another process keeps it, StoreUnusableError where this file system or directory
        does not allow a lock: without one nothing is refreshed or saved.
        """
        seconds = self._wait_seconds if deadline is None else deadline.remaining()
        end = time.monotonic() + seconds
        pause = _FIRST_PAUSE
        while not self.try_acquire():
            left = end - time.monotonic()
            if left <= 0:
                raise self._busy()
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def try_acquire(self) -> bool:
        """Take the lock if it is free now, and tell whether it was. Raises as `acquire` does, but never waits."""
        if self._descriptor is not None:
            raise RuntimeError("this lock object already holds its lock")
        descriptor = self._open()
        try:
            # Whoever purges a profile deletes the file while holding its lock: the next one is for a file of that name.
            taken = _take(descriptor, self._path) and os.fstat(descriptor).st_nlink > 0
        except OSError as error:
            _close(descriptor)
            raise _unusable(self._path, error) from error
        except BaseException:
            _close(descriptor)
            raise
        if not taken:
            _close(descriptor)
            return False
        self._descriptor = descriptor
        _held[descriptor] = _thread.get_ident()
        self._sign(descriptor)
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        _held.pop(descriptor, None)
        # Unlocked, not only closed: a caller that forked meanwhile has a copy of the descriptor.
        with contextlib.suppress(OSError):
            _give_back(descriptor)
        _close(descriptor)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _open(self) -> int:
        self._paths.check_directories()
        private_files.make_directory(os.path.dirname(self._path))
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            descriptor = os.open(self._path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise errors.ConfigError(
                    f"{self._path} is a link, and devicelogin uses only real files",
                    hint=f"delete the link: rm {private_files.as_word(self._path)}",
                ) from error
            is_out_of_reach = not os.access(os.path.dirname(self._path), os.X_OK)
            raise _unusable(self._path, error, is_out_of_reach=is_out_of_reach) from error
        try:
            facts = os.fstat(descriptor)
        except OSError as error:
            _close(descriptor)
            raise _unusable(self._path, error) from error
        if not stat.S_ISREG(facts.st_mode) or (hasattr(os, "getuid") and facts.st_uid != os.getuid()):
            _close(descriptor)
            raise errors.ConfigError(
                f"{self._path} is not a regular file of yours",
                hint=f"look at it: ls -l {private_files.as_word(self._path)}",
            )
        return descriptor

    def _sign(self, descriptor: int) -> None:
        # Only for the message of who waits: a full disk is no reason to fail.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())

    def _busy(self) -> errors.TryLaterError:
        holder = ""
        with contextlib.suppress(OSError, ValueError, errors.DeviceLoginError):
            holder = f" (process {int(private_files.read(self._path) or b'')})"
        return errors.TryLaterError(
            f"another devicelogin is busy with this profile{holder}",
            hint="nothing was changed; trying again later is safe",
            code="lock_busy",
        )


def held_descriptors() -> tuple[int, ...]:
    """Return the descriptors of the locks this thread holds, for a child that must keep them while it still writes.

    Those of other threads are no business of the child's, and may be closed before it has begun.
    """
    if sys.platform == "win32":
        return ()
    own = _thread.get_ident()
    return tuple(sorted(descriptor for descriptor, thread in tuple(_held.items()) if thread == own))


def _take(descriptor: int, path: str) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _WINDOWS_OFFSET, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise _unlockable(path, error) from error
    return True


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # it is closed whatever is said about it (close(2))
        os.close(descriptor)


def _give_back(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, _WINDOWS_OFFSET, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _unusable(path: str, error: OSError, *, is_out_of_reach: bool = False) -> errors.DeviceLoginError:
    from devicelogin import file_errors

    if is_out_of_reach or error.errno in file_errors.LIMITS:  # another directory would not help
        return file_errors.failure("read", path, error)
    return errors.StoreUnusableError(
        f"cannot lock {path}: {error.strerror}; nothing was changed",
        hint="set DEVICELOGIN_HOME to a directory of yours on a local, writable disk",
        code="lock_unusable",
    )


def _unlockable(path: str, error: OSError) -> errors.StoreUnusableError:
    lack = "that file system has no locks" if error.errno in _NO_LOCKS else "the system refuses the lock"
    return errors.StoreUnusableError(
        f"cannot lock {path}: {lack} ({error.strerror}); nothing was changed",
        hint="set DEVICELOGIN_HOME to a directory of yours on a local disk: without a lock nothing is refreshed or saved",
        code="lock_unusable",
    )
