"""Directories: whether nobody but us and root can put another one in the place of ours, and what is done in an open one.

Whoever may write into a directory above ours chooses what we read. So every one of them is looked at before anything is read
or made, and what is written and deleted is named relative to an open directory (design decision D23). What a file system
does not have is told from what fails:

    fsync of a directory   gone on without: the new content is in its place, and was forced to the disk itself
    hard links             a name is claimed by an empty file instead
    modes                  gone on without where the file is private all the same, else refused
    locks                  `secret_store.lock` refuses; a half-written file is then never swept
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shlex
import stat
import sys

from devicelogin import errors, file_errors

if sys.platform != "win32":
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

#: How much of a file is given to whoever takes it away (bytes)? The longest path.
_MOST_NOTED = 4096

#: How many links may stand on the way to a directory? As many as Linux follows.
_MOST_LINKS = 40

_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def check_way(path: str) -> None:
    """Raise ConfigError unless nobody but us and root can put something else in the place of the directory `path`.

    Looks at every directory above it and at every link on the way, as sshd and gnupg do; `path` itself need not exist, and
    is for `check_directory` to judge. Raises ConfigError as well where one of them is out of reach.
    """
    if not hasattr(os, "getuid"):
        return
    place, left, links = "/", [name for name in path.split("/") if name not in ("", ".")], 0
    # Whoever owns the root directory could change all of them. In a user namespace that is root, under another number.
    trusted = {os.getuid(), 0, os.stat(place).st_uid}
    while left:
        _check_above(place, path, trusted)
        name = left.pop(0)
        if name == "..":
            place = os.path.dirname(place)
            continue
        following = os.path.join(place, name)
        try:
            facts = os.lstat(following)
            target = os.readlink(following) if stat.S_ISLNK(facts.st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise file_errors.failure("read", following, error) from error
        if target is None:
            place = following
            continue
        links += 1
        if facts.st_uid not in trusted or links > _MOST_LINKS:
            whose = f"belongs to user id {facts.st_uid}, neither to you nor to root"
            raise errors.ConfigError(
                f"{following} is a link on the way to {path} that {whose if links <= _MOST_LINKS else 'leads in a circle'}",
                hint="set DEVICELOGIN_HOME to a directory that only you can change",
            )
        left[:0] = [name for name in target.split("/") if name not in ("", ".")]
        place = "/" if target.startswith("/") else place


def _check_above(place: str, path: str, trusted: set[int]) -> None:
    try:
        facts = os.stat(place)
    except OSError as error:
        raise file_errors.failure("read", place, error) from error
    if not stat.S_ISDIR(facts.st_mode):
        return  # a HOME of /dev/null, as services have it: nothing is found there, and what would be made there says why not
    if facts.st_uid not in trusted:
        raise errors.ConfigError(
            f"{place}, above {path}, belongs to user id {facts.st_uid}, neither to you nor to root",
            hint="run the command as that user, or set DEVICELOGIN_HOME to a directory that only you can change",
        )
    if is_open_to_others(place, facts):
        raise open_to_others(place, f"others may write into {place}, above {path}", facts)


def open_to_others(place: str, message: str, facts: os.stat_result) -> errors.ConfigError:
    """Return the error `message` for the directory `place`, with a hint that whoever runs this can follow."""
    hint = f"take that away: {closing_command(place)}"
    if os.getuid() not in (0, facts.st_uid):
        hint = "set DEVICELOGIN_HOME to a directory that only you can change"
    return errors.ConfigError(message, hint=hint)


def closing_command(path: str) -> str:
    """Return the command that takes `path` away from others; one for all of ours, where it is not the only one.

    A Kubernetes volume with an fsGroup, and files that were copied with a lax umask, are open throughout: one command
    then mends all, and not one after the other.
    """
    root = _root_of_ours(path)
    if root is None or sum(1 for _ in itertools.islice(_open_below(root), 2)) < 2:
        return f"chmod go-w {shlex.quote(path)}"
    if os.access(root, os.W_OK) and os.stat(root).st_uid == os.getuid():
        return f"chmod -R go-rwx {shlex.quote(root)}"
    return f"chmod -R go-rwx {shlex.quote(root)}/*"  # the volume itself is root's


def _root_of_ours(path: str) -> str | None:
    """Return the directory that holds all of ours around `path`."""
    home = os.environ.get("DEVICELOGIN_HOME", "").rstrip("/")
    if home and (path == home or path.startswith(home + "/")):
        return home
    before, ours, _ = path.rpartition("/devicelogin/")
    return before + ours.rstrip("/") if ours else None


def _open_below(root: str) -> Iterator[str]:
    """Yield what is ours in `root`, and itself, that others may write; of a large one only the beginning is looked at."""
    names = itertools.chain.from_iterable(
        (where, *(os.path.join(where, name) for name in files)) for where, _, files in os.walk(root)
    )
    for path in itertools.islice(names, 1000):
        with contextlib.suppress(OSError):
            facts = os.lstat(path)
            if facts.st_uid == os.getuid() and not stat.S_ISLNK(facts.st_mode) and facts.st_mode & 0o022:
                yield path


def is_open_to_others(path: str, facts: os.stat_result) -> bool:
    """Tell whether somebody else than root and us may delete and rename what is ours in the directory `path`."""
    if facts.st_mode & stat.S_ISVTX or not facts.st_mode & 0o022:
        return False
    # A volume that a container was given is root's, and open to all as those are: nobody else is in the container.
    if facts.st_uid == 0 and os.path.ismount(path):
        return False
    return bool(facts.st_mode & 0o002) or not _is_group_of_ours(facts.st_gid)


def _is_group_of_ours(number: int) -> bool:
    """Tell whether nobody but root and us is in a group: many systems give each user one, and a umask that lets it write."""
    import grp
    import pwd

    own = {os.getuid(), 0}
    try:
        names = set(grp.getgrgid(number).gr_mem)
    except KeyError:
        return False
    accounts = [account for account in pwd.getpwall() if account.pw_gid == number or account.pw_name in names]
    known = {account.pw_name for account in accounts}
    return bool(accounts) and names <= known and all(account.pw_uid in own for account in accounts)


class Directory:
    """An open directory; a context manager. What is done in it is done there, whatever takes its place meanwhile.

    `check` is given its path and stat; it must then be no link but one that we or root made. Without it, it is anybody's.
    Raises what `check` raises, ConfigError for such a link, and OSError where it cannot be opened. Systems without such
    descriptors (Windows) get whole paths.
    """

    def __init__(self, path: str, check: Callable[[str, os.stat_result], None] | None = None) -> None:
        self.path = path
        self.descriptor: int | None = None
        if os.open not in os.supports_dir_fd:
            os.stat(path)  # the error that is due where there is none
            return
        self.descriptor = _open(path, follow=check is None)
        try:
            if check is not None:
                check(path, os.fstat(self.descriptor))
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            with contextlib.suppress(OSError):  # it is closed whatever is said about it (close(2))
                os.close(self.descriptor)

    def names(self) -> list[str]:
        """Return the names of what is in here."""
        return os.listdir(self.path if self.descriptor is None else self.descriptor)

    def at(self, name: str) -> str:
        """Return what names the file `name` in here, beside `dir_fd`."""
        return os.path.join(self.path, name) if self.descriptor is None else name

    def open(self, name: str, flags: int, mode: int = 0) -> int:
        """Open the file `name`, which must be no link, and return its descriptor."""
        return os.open(self.at(name), flags | _NOFOLLOW | _CLOEXEC | _NONBLOCK, mode, dir_fd=self.descriptor)

    def unlink(self, name: str) -> None:
        """Delete the file `name`."""
        os.unlink(self.at(name), dir_fd=self.descriptor)

    def rename(self, old: str, new: str) -> None:
        """Let the file `old` take the place of `new`."""
        os.replace(self.at(old), self.at(new), src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def link(self, old: str, new: str) -> None:
        """Give a file a second name. Where there are no hard links, claim the name and rename; then `old` is gone.

        Raises FileExistsError where there is one of that name already that is not empty: an empty one is a claim that a
        crash left.
        """
        sides = {"src_dir_fd": self.descriptor, "dst_dir_fd": self.descriptor}
        try:
            os.link(self.at(old), self.at(new), follow_symlinks=False, **sides)
        except OSError:  # each file system without them has another word for it
            try:
                os.close(self.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                facts = os.stat(self.at(new), dir_fd=self.descriptor, follow_symlinks=False)
                if facts.st_size or not stat.S_ISREG(facts.st_mode):
                    raise
            self.rename(old, new)

    def force(self) -> None:
        """Have the names in here written to the disk, where this file system can do that for a directory."""
        # What was renamed is in its place by now: no failure here makes that undone, or an error of the whole.
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self.descriptor)


def _open(path: str, *, follow: bool) -> int:
    flags = _DIRECTORY | _CLOEXEC
    if not follow:
        if os.path.islink(path):
            check_way(path)
            path = os.path.realpath(path)
        flags |= _NOFOLLOW
    try:
        return os.open(path, os.O_RDONLY | flags)
    except PermissionError:
        # One that may be written into and not listed, as a drop box is.
        return os.open(path, getattr(os, "O_PATH", os.O_RDONLY) | flags)


@contextlib.contextmanager
def temporary(place: Directory, beginning: str, content: bytes) -> Iterator[str]:
    """Yield the name of a new file that holds `content`, forced to the disk; gone afterwards unless it was renamed.

    Its name is `beginning`, a dash and 12 digits. It is locked meanwhile, which a crash gives back: so `sweep` knows what was
    left from what is being written. Raises OSError.
    """
    name, descriptor = _open_temporary(place, beginning)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            _make_private(descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if sys.platform == "win32":
            os.close(descriptor)  # an open file cannot be renamed there
            descriptor = -1
        yield name
    finally:
        with contextlib.suppress(OSError):  # its content was forced to the disk, so this has no say
            os.close(descriptor)
        with contextlib.suppress(OSError):
            place.unlink(name)


def _open_temporary(place: Directory, beginning: str) -> tuple[str, int]:
    while True:
        name = f"{beginning}-{os.urandom(6).hex()}"
        descriptor = place.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if _is_held(descriptor):
            return name, descriptor
        os.close(descriptor)


def _is_held(descriptor: int) -> bool:
    """Lock a file that was just made; False where a sweeper was faster, which may have deleted it."""
    return try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0


def _make_private(descriptor: int) -> None:
    """Give a file that was just made the mode 0600. Raises OSError where others could read it all the same."""
    if not hasattr(os, "fchmod"):
        return
    # Some file systems have no modes and refuse, others pretend: what counts is the mode that the file has then.
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
        raise OSError(errno.EOPNOTSUPP, "that file system keeps no modes, so others could read the file")


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


def sweep(place: Directory, is_wanted: Callable[[str], bool]) -> None:
    """Delete the half-written files whose names `is_wanted` takes, and none that somebody is writing just now.

    Raises OSError where the directory cannot be listed; what cannot be swept stays.
    """
    for name in place.names():
        if is_wanted(name):
            with contextlib.suppress(OSError):
                _sweep_one(place, name)


def _sweep_one(place: Directory, name: str) -> None:
    with taken(place, name):
        pass


@contextlib.contextmanager
def taken(place: Directory, name: str) -> Iterator[bytes]:
    """Give what the file `name` holds, which nobody is writing just now, and delete it at the end of the block.

    Raises OSError where somebody is, and for what is no regular file of ours.
    """
    descriptor = place.open(name, os.O_RDWR)  # which a lock over NFS needs
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or (hasattr(os, "getuid") and facts.st_uid != os.getuid()):
            raise PermissionError(errno.EPERM, "not a regular file of ours", name)
        if sys.platform == "win32":
            yield os.read(descriptor, _MOST_NOTED)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield os.read(descriptor, _MOST_NOTED)
            # Before the lock is given back: a writer that got it now would lose its file.
            place.unlink(name)
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    if sys.platform == "win32":  # which deletes no file that is open
        place.unlink(name)
