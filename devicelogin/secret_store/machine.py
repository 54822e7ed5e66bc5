"""Which machine this is: its machine id, and whether it is only a container that has borrowed one."""

from __future__ import annotations

import os
import re

from devicelogin import mounts

_MACHINE_ID = re.compile(r"[0-9a-f]{32}\Z")
_CONTAINER_GROUPS = re.compile(r"/(docker|lxc|kubepods|libpod|containerd|machine\.slice|garden)\b")


def machine_id(root: str = "/") -> str | None:
    """Return the content of /etc/machine-id, None where there is no real one. `root` is for tests."""
    text = (_text_of(root, "etc/machine-id") or "").strip()
    return text if _MACHINE_ID.match(text) and text.strip("0") else None


def is_container(root: str = "/") -> bool:
    """Tell whether this is a container: its machine id may be the image's, or another one tomorrow."""
    if any(os.path.exists(os.path.join(root, mark)) for mark in (".dockerenv", "run/.containerenv")):
        return True
    if _text_of(root, "run/systemd/container"):
        return True
    environment = _text_of(root, "proc/1/environ") or ""
    if any(entry.startswith("container=") for entry in environment.split("\0")):
        return True
    return bool(_CONTAINER_GROUPS.search(_text_of(root, "proc/1/cgroup") or ""))


def why_not_lasting(root: str = "/") -> str | None:
    """Return in words why this machine has no id that it will still have after a boot; None where it has one.

    systemd puts an id of its own making into memory, over /etc/machine-id, where it cannot write that file
    (machine-id(5)): what is bound to such a one is lost with the next boot.
    """
    if machine_id(root) is None:
        return "this machine has no machine id"
    mount = mounts.mount_of("/etc/machine-id", os.path.join(root, "proc/self/mountinfo"))
    if mount is not None and mount.kind in mounts.MEMORY:
        return f"this machine makes a new one at each boot (/etc/machine-id lies in memory, {mount.kind})"
    if mount is not None and mount.kind == "overlay" and not is_container(root):
        return "this machine may make a new one at each boot (/etc/machine-id lies on an overlay)"
    return None


def binding(root: str = "/", *, wish: str | None = None) -> str:
    """Return what a new record is bound to: as the `wish` says, but never to a machine id that does not last.

    Without a wish: `machine` where that is a real one, else `none`.
    """
    if wish not in {None, "machine"}:
        return str(wish)
    if why_not_lasting(root) is not None:
        return "none"
    return wish or ("none" if is_container(root) else "machine")


def _text_of(root: str, path: str) -> str | None:
    try:
        with open(os.path.join(root, path), "rb") as file:
            return file.read(1 << 16).decode("utf-8", "replace")
    except OSError:
        return None
