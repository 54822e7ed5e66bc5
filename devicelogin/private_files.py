"""Files that only their owner may read or replace: opened without following links, replaced whole, or not at all.

Every file of ours but the profile's comments goes through here. The rules (design, "The way of the data"): directories
0700, files 0600, the owner checked, links not followed, a replacement is written beside the file, forced to the disk,
renamed over it, and the directory forced to the disk as well, so that a reader, a crash or a power cut sees the old
content or the new one and nothing between. All of that is done relative to one open directory (`directories`), so that
nobody can put another one in its place meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from devicelogin import errors

# What writes, and what words a failure, is imported by whom it concerns: a hundred processes may wait for a token with this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devicelogin import directories

#: How large may a file of ours be before we refuse to read it (bytes)?
SIZE_LIMIT = 1 << 20

#: What do the names of half-written files begin with?
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

    Raises ConfigError where the directory is somebody else's, open to others, out of reach or no directory,
    StoreUnusableError where it cannot be made.
    """
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        parent = os.path.dirname(path)
        if parent != path:
            make_parent(parent)
        facts = _made(path)
    except OSError as error:
        raise _failure("read", path, error) from error
    if not stat.S_ISDIR(facts.st_mode):
        raise _no_directory(path)
    _check_directory(path, facts)


def make_parent(path: str) -> None:
    """Create the directory `path` where there is none; one that exists is anybody's. Raises as `make_directory` does."""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _failure("read", path, error) from error
    make_directory(path)


def _made(path: str) -> os.stat_result:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise _no_directory(path) from None
    except OSError as error:
        raise _failure("write", path, error) from error
    else:
        with contextlib.suppress(OSError):  # what counts is the mode that it has then
            os.chmod(path, 0o700)  # whatever the umask took away
    try:
        return os.stat(path)
    except OSError as error:
        raise _failure("read", path, error) from error


def _no_directory(path: str) -> errors.ConfigError:
    # A HOME of /dev/null, as services have it, is not to be moved away.
    away = f"move it away: mv {as_word(path)} {as_word(path + '.old')}"
    other = "export DEVICELOGIN_HOME=/path/of/a/private/directory"
    return errors.ConfigError(f"{path} is not a directory", hint=away if os.path.isfile(path) else other)


def check_directory(path: str) -> None:
    """Raise ConfigError unless the directory `path` is ours, within reach, and nobody else may write into it."""
    try:
        facts = os.stat(path)
    except OSError as error:
        raise _failure("read", path, error) from error
    _check_directory(path, facts)


def check_outermost(path: str) -> None:
    """Check the directory `path`, which holds directories of ours, as `check_directory` does; it may be root's, or missing."""
    try:
        facts = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _failure("read", path, error) from error
    if hasattr(os, "getuid") and os.getuid() != facts.st_uid == 0:
        from devicelogin import directories

        if directories.is_open_to_others(path, facts):
            raise directories.open_to_others(path, "others may write into " + path, facts)
        return
    _check_directory(path, facts)


def check_inner(path: str) -> None:
    """Check the directory `path`, which is in one of ours, as `check_directory` does; it must be no link. May be missing."""
    try:
        facts = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _failure("read", path, error) from error
    if stat.S_ISLNK(facts.st_mode):
        raise errors.ConfigError(
            f"{path} is a link, and devicelogin uses only real directories", hint=f"look at it: ls -ld {as_word(path)}"
        )
    if stat.S_ISDIR(facts.st_mode):
        _check_directory(path, facts)


def _check_directory(path: str, facts: os.stat_result) -> None:
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        raise errors.ConfigError(
            f"{path} belongs to user id {facts.st_uid}, not to you",
            hint="run the command as the owner of that directory, or set DEVICELOGIN_HOME to one of yours",
        )
    if os.name == "posix" and stat.S_IMODE(facts.st_mode) & 0o022:
        raise errors.ConfigError(f"others may write into {path}", hint=_closing_hint(path))


def read(path: str, *, private_as: str = "") -> bytes | None:
    """Return the content of `path`, or None where there is no such file.

    `private_as` is what a file is called that others must not be able to read either: "the key file".

    Raises ConfigError where it is a link, no regular file, somebody else's, open to others, over 1 MiB or out of reach,
    and StoreUnusableError where it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | _CLOEXEC | _NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise errors.ConfigError(
                f"{path} is a link, and devicelogin uses only real files", hint=f"look at it: ls -l {as_word(path)}"
            ) from error
        raise _failure("read", path, error) from error
    return _content(descriptor, path, private_as=private_as)


def _content(descriptor: int, path: str, *, private_as: str = "") -> bytes:
    """Return what the open file holds, once its owner and mode are right, and close it."""
    try:
        # SECURITY: of the file that is read, not of whatever has its name by now.
        _check_file(path, os.fstat(descriptor), private_as=private_as)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise _failure("read", path, error) from error
    finally:
        with contextlib.suppress(OSError):  # what was read was read
            os.close(descriptor)
    if len(content) > SIZE_LIMIT:
        raise errors.ConfigError(f"{path} is larger than {SIZE_LIMIT} bytes", hint=f"look at it: ls -l {as_word(path)}")
    return content


def replace(path: str, content: bytes, *, check: Callable[[bytes], None] | None = None) -> None:
    """Replace the file `path` by one of mode 0600 that holds `content`, whole or not at all.

    `check` is given what was read back from the disk before the old file is replaced; if it raises, the old file stays.
    Raises StoreUnusableError where the disk is full, read-only or otherwise unwilling.
    """
    directory, name = os.path.split(path)
    make_directory(directory)
    try:
        with _opened(directory) as place:
            _replace(place, name, content, check)
    except OSError as error:
        raise _failure("write", path, error) from error


def replace_beside(path: str, content: bytes, *, check: Callable[[bytes], None] | None = None) -> None:
    """Do what `replace` does in a directory that need not be ours alone. Raises OSError where that fails."""
    directory, name = os.path.split(path)
    from devicelogin import directories

    with directories.Directory(directory) as place:
        _replace(place, name, content, check)


def _replace(place: directories.Directory, name: str, content: bytes, check: Callable[[bytes], None] | None) -> None:
    with _temporary(place, name, content) as temporary:
        if check is not None:
            check(_read_back(place, temporary))
        place.rename(temporary, name)
        place.force()


def try_out(path: str, content: bytes, *, check: Callable[[bytes], None] = lambda _: None) -> None:
    """Write `content` beside `path`, hand `check` what was read back, and delete it. Raises as `replace` does."""
    directory = os.path.dirname(path)
    make_directory(directory)
    try:
        with _opened(directory) as place, _temporary(place, "probe", content) as temporary:
            check(_read_back(place, temporary))
    except OSError as error:
        raise _failure("write", path, error) from error


def _read_back(place: directories.Directory, name: str) -> bytes:
    return _content(place.open(name, os.O_RDONLY), os.path.join(place.path, name))


def create(path: str, content: bytes) -> bool:
    """Make the file `path`, mode 0600, that holds `content`, whole or not at all; tell whether there was none before.

    Of two processes at once, one makes it. Raises as `replace` does.
    """
    directory, name = os.path.split(path)
    make_directory(directory)
    try:
        with _opened(directory) as place, _temporary(place, name, content) as temporary:
            place.link(temporary, name)
            place.force()
    except FileExistsError:
        return False
    except OSError as error:
        raise _failure("write", path, error) from error
    return True


def remove(path: str) -> None:
    """Delete the file `path`; it is no error if there is none.

    Raises ConfigError where its directory is not ours alone, StoreUnusableError where it cannot be deleted.
    """
    directory, name = os.path.split(path)
    try:
        with _opened(directory) as place:
            place.unlink(name)
            place.force()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _failure("delete", path, error) from error


def remove_ours(directory: str, is_ours: Callable[[str], bool]) -> None:
    """Delete every file in `directory` whose name is one of ours, and what crashes left of such; others stay.

    No error where there is no such directory. Raises ConfigError where it is not ours alone, StoreUnusableError with the
    first one that cannot be deleted, when all of them were tried.
    """
    failed: errors.DeviceLoginError | None = None
    try:
        with _opened(directory) as place:
            for name in place.names():
                if is_ours(name) or is_ours(_what_becomes_of(name)):
                    try:
                        place.unlink(name)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        failed = failed or _failure("delete", os.path.join(directory, name), error)
            place.force()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _failure("delete", directory, error) from error
    if failed is not None:
        raise failed


def sweep(directory: str, is_ours: Callable[[str], bool] = bool) -> None:
    """Delete the half-written files that crashes left in `directory`, and none that somebody is writing just now.

    `is_ours` is asked for the name that such a file was to have. Never raises: what cannot be swept stays, and so does all
    in a directory that is not ours alone.
    """
    from devicelogin import directories

    with contextlib.suppress(OSError, errors.DeviceLoginError), _opened(directory) as place:
        directories.sweep(place, lambda name: is_ours(_what_becomes_of(name)))


def sweep_beside(path: str) -> None:
    """Delete what crashes left of writing the file `path`, in a directory that need not be ours alone. Never raises."""
    from devicelogin import directories

    directory, wanted = os.path.split(path)
    with contextlib.suppress(OSError, errors.DeviceLoginError), directories.Directory(directory) as place:
        directories.sweep(place, lambda name: _what_becomes_of(name) == wanted)


@contextlib.contextmanager
def marked(directory: str, beginning: str, content: bytes) -> Iterator[None]:
    """Keep a file of `content` in `directory`, whose name begins with `beginning`, as long as the block runs.

    A process that is killed leaves it, and `abandoned` finds it. Where it cannot be made, there is none.
    """
    from devicelogin import directories

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, errors.DeviceLoginError):
            place = stack.enter_context(_opened(directory))
            stack.enter_context(directories.temporary(place, beginning, content))
        yield


def abandoned(directory: str, beginning: str) -> Iterator[bytes]:
    """Yield what the files hold that killed processes have left `marked`; each is deleted when the next one is asked for."""
    from devicelogin import directories

    with contextlib.suppress(OSError, errors.DeviceLoginError), _opened(directory) as place:
        for name in place.names():
            if name.startswith(beginning + "-"):
                with contextlib.suppress(OSError), directories.taken(place, name) as content:
                    yield content


def _opened(directory: str) -> directories.Directory:
    """Open a directory of ours. Raises ConfigError where it is not ours alone, OSError where it cannot be opened."""
    from devicelogin import directories

    return directories.Directory(directory, _check_directory)


def _temporary(place: directories.Directory, name: str, content: bytes) -> contextlib.AbstractContextManager[str]:
    from devicelogin import directories

    return directories.temporary(place, TEMPORARY_PREFIX + name, content)


def _what_becomes_of(name: str) -> str:
    """Return what the half-written file `name` was to become; empty where it is none."""
    wanted, dash, digits = name.removeprefix(TEMPORARY_PREFIX).rpartition("-")
    is_one = name.startswith(TEMPORARY_PREFIX) and dash and len(digits) == 12 and set(digits) <= set("0123456789abcdef")
    return wanted if is_one else ""


def _failure(what: str, path: str, error: OSError) -> errors.DeviceLoginError:
    from devicelogin import file_errors

    return file_errors.failure(what, path, error)


def _closing_hint(path: str) -> str:
    from devicelogin import directories

    return f"take that away: {directories.closing_command(path)}"


def _check_file(path: str, facts: os.stat_result, *, private_as: str = "") -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise errors.ConfigError(f"{path} is not a regular file", hint=f"look at it: ls -l {as_word(path)}")
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        raise errors.ConfigError(
            f"{path} belongs to user id {facts.st_uid}, not to you", hint="run the command as the owner of that file"
        )
    if os.name == "posix" and stat.S_IMODE(facts.st_mode) & 0o022:
        raise errors.ConfigError(f"others may write to {path}", hint=_closing_hint(path))
    if private_as and os.name == "posix" and stat.S_IMODE(facts.st_mode) & 0o077:
        raise errors.ConfigError(
            f"others may read {private_as} {path}", hint=f"take that away: chmod 600 {as_word(path)}"
        )
