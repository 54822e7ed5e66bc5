"""What the system refused at a file or directory of ours, in our words: the path, the real reason, and what leads out."""

from __future__ import annotations

import errno
import os
import shlex

from devicelogin import errors

#: What says the system where an owner or a mode stands in the way, and what where a file system cannot do something?
_REFUSALS = frozenset({errno.EACCES, errno.EPERM})
_OF_THE_OWNER = _REFUSALS | {errno.ELOOP}
#: What this process or the machine has run out of; a later try may find it.
LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_LACKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK})


def failure(what: str, path: str, error: OSError) -> errors.DeviceLoginError:
    """Return the error for the file or directory `path` that could not be "read", "write" or "delete", which is `what`.

    ConfigError for the owner or mode of what is to be read, TryLaterError for want of memory or open files,
    StoreUnusableError for everything else. A write is meant that has not replaced anything yet.
    """
    unchanged = "; what was saved before is unchanged" if what == "write" else ""
    hint = _way_out(path, error)
    if what == "delete" and error.errno in (errno.EISDIR, errno.ENOTEMPTY):
        hint = f"a directory stands in its place; move it away: mv {shlex.quote(path)} {shlex.quote(path + '.old')}"
    message = f"cannot {what} {path}: {error.strerror}{unchanged}"
    if error.errno in LIMITS:
        return errors.TryLaterError(message, hint=hint, code="no_resources")
    family = errors.ConfigError if what == "read" and error.errno in _OF_THE_OWNER else errors.StoreUnusableError
    return family(message, hint=hint)


def _way_out(path: str, error: OSError) -> str:
    """Return the hint for what the system has refused, by its reason."""
    directory = shlex.quote(os.path.dirname(path) or "/")
    if error.errno in _REFUSALS:
        return f"look at its owner and mode: ls -ld {shlex.quote(_shut(path))}"
    if error.errno in _LACKS:
        return "set DEVICELOGIN_HOME to a directory on a local disk, which can do that"
    hints = {
        errno.ENOSPC: f"free some space: df -h {directory}",
        errno.EDQUOT: "your disk quota is used up: quota -s",
        errno.EROFS: "that file system is read-only; set DEVICELOGIN_HOME to a directory on another one",
        errno.ENAMETOOLONG: "set DEVICELOGIN_HOME to a directory with a shorter path",
        errno.ELOOP: f"links lead in a circle there: ls -ld {shlex.quote(path)}",
        errno.EMFILE: "look at the limits of this session: ulimit -a",
        errno.ENFILE: "look at the limits of this machine: sysctl fs.file-nr",
        errno.ENOMEM: "look at the memory of this machine: free -h",
        errno.ENOBUFS: "look at the memory of this machine: free -h",
    }
    return hints.get(error.errno or 0, f"look at the disk: df -h {directory}; dmesg")


def _shut(path: str) -> str:
    """Return the outermost directory on the way to `path` that may not be searched, else the nearest thing that exists."""
    nearest = "/"
    for end, letter in enumerate(path + "/"):
        if letter == "/" and end:
            if not os.path.lexists(path[:end]):
                break
            nearest = path[:end]
            if os.path.isdir(nearest) and not os.access(nearest, os.X_OK):
                break
    return nearest
