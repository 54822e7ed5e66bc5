"""What kind of file system a file lies on, and so whether it is still there when nobody is signed in or after a boot."""

from __future__ import annotations

import os
import re
import struct
import sys
from dataclasses import dataclass

#: Which file systems are gone after a boot?
MEMORY = frozenset({"tmpfs", "ramfs"})

#: Which file systems show a directory's files only while its owner is signed in (their PAM modules mount them)?
UNTIL_LOGOUT = frozenset({"ecryptfs", "fuse.encfs", "fuse.gocryptfs", "fuse.cryfs", "fuse.securefs"})

_ESCAPED = re.compile(r"\\([0-7]{3})")

#: ioctl_iflags(2): FS_IOC_GET_FLAGS, whose number holds the size of a long, and FS_ENCRYPT_FL in what it answers.
_GET_FLAGS = 0x80006601 | struct.calcsize("l") << 16
_ENCRYPTED = 0x800


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: its `kind` (ext4, tmpfs, ...) and where it is mounted."""

    kind: str
    place: str


def mount_of(path: str, table: str = "/proc/self/mountinfo") -> Mount | None:
    """Return the mount that `path`, or the nearest directory above it, lies on; None where this system does not say."""
    path = os.path.realpath(path)
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        # proc_pid_mountinfo(5): the fifth field is the place; the kind follows the lone dash.
        fields, _, rest = line.partition(" - ")
        words, kinds = fields.split(" "), rest.split(" ")
        place = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), words[4]) if len(words) > 4 else ""
        is_above = path == place or path.startswith(place.rstrip("/") + "/")
        # Of two on one place the later one hides the other.
        if place and is_above and (found is None or len(place) >= len(found.place)):
            found = Mount(kinds[0], place)
    return found


def is_encrypted_folder(path: str) -> bool:
    """Tell whether the file system encrypts this directory with a key of its owner's (fscrypt)."""
    if sys.platform != "linux":
        return False
    import fcntl

    answer = bytearray(struct.calcsize("l"))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, answer)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return bool(int.from_bytes(answer[:4], sys.byteorder) & _ENCRYPTED)
