"""Our files and directories: whose they are, who may write, on which file system they lie, whether a lock can be had."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from devicelogin import errors, mounts, private_files, secret_store
from devicelogin.doctor import subject
from devicelogin.secret_store import key_file, key_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devicelogin import client, models
    from devicelogin.settings import Places, ProfilePaths

_NETWORK = re.compile(r"nfs\d?|cifs|smb3?|9p|ceph|afs|fuse\.(sshfs|glusterfs)|virtiofs")
_WITHOUT_OWNERS = re.compile(r"vfat|msdos|exfat|ntfs3?|fuseblk")


def look_at_home(places: Places, environ: Mapping[str, str]) -> models.Finding:
    """Return where our files lie and from whom the place comes."""
    about = subject.Subject(subject.MACHINE)
    if places.home is not None:
        return about.green("home", f"all files are below {places.home}; a job of cron must know DEVICELOGIN_HOME too")
    named = [name for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME") if os.path.isabs(environ.get(name, ""))]
    cron = f"; a job of cron must know {' and '.join(named)} too" if named else ""
    return about.green("home", f"files are in {places.config} and {places.state}{cron}")


def look(work: client.Workplace, *, is_saved: bool) -> Iterator[models.Finding]:
    """Yield what is found about the files of one profile; `is_saved`: it has a saved sign-in."""
    about = subject.Subject(f"profile {work.profile}")
    yield about.tried("permissions", lambda: _permissions(about, work.paths))
    yield about.tried("disk", lambda: _disk(about, work.paths, is_saved=is_saved))


def _permissions(about: subject.Subject, paths: ProfilePaths) -> models.Finding:
    paths.check_directories()
    ours = (paths.profile_file, paths.sign_in, paths.times, paths.provider, paths.record, paths.lock, paths.login_lock)
    present = [path for path in ours if private_files.read(path) is not None]
    if os.path.lexists(paths.key_file):
        key_file.KeyFile(paths, key_sources.KeySupply({})).read(None)
        present.append(paths.key_file)
    return about.green("permissions", f"{len(present)} file{'' if len(present) == 1 else 's'} checked")


def _disk(about: subject.Subject, paths: ProfilePaths, *, is_saved: bool) -> models.Finding:
    place = nearest_directory(paths.state)
    if not os.access(place, os.W_OK | os.X_OK):
        raise errors.StoreUnusableError(
            f"cannot write in {place}; what was saved before is unchanged",
            hint="set DEVICELOGIN_HOME to a directory of yours on a writable disk",
        )
    words = "can be written"
    if is_saved and os.path.exists(paths.lock):
        lock = secret_store.ProfileLock(paths)
        words = "can be written and locked"
        if lock.try_acquire():
            lock.release()
    mount = mounts.mount_of(place)
    kind = None if mount is None else mount.kind
    worry = worry_about(kind or "")
    if worry is None:
        return about.green("disk", words if kind is None else f"{words} ({kind})")
    return about.yellow("disk", f"{words}, but on {kind}: {worry[0]}", hint=worry[1])


def worry_about(kind: str) -> tuple[str, str] | None:
    """Return what is to be known of a file system, and what to do about it."""
    if _NETWORK.fullmatch(kind):
        words = "locks may not reach other machines that share it; one machine per DEVICELOGIN_HOME"
        return words, "set DEVICELOGIN_HOME to a directory on a local disk"
    if _WITHOUT_OWNERS.fullmatch(kind):
        return "it keeps no owners, so others may read it", "set DEVICELOGIN_HOME to a directory on another disk"
    if kind in mounts.MEMORY:
        return "the saved sign-in is gone at the next boot", "set DEVICELOGIN_HOME to a directory on a disk"
    if kind == "overlay":
        return "it is gone with this container", "give the container a volume and set DEVICELOGIN_HOME to it"
    return None


def nearest_directory(path: str) -> str:
    """Return `path`, or where it is missing the nearest directory above it that is there."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path
