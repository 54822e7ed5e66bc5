"""Which machine this is: its machine id, and whether it is only a container that has borrowed one."""

from __future__ import annotations

import os
import re

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


def binding(root: str = "/") -> str:
    """Return what a new record is bound to when nobody said: `machine` where that is a real one, else `none`."""
    return "machine" if machine_id(root) and not is_container(root) else "none"


def _text_of(root: str, path: str) -> str | None:
    try:
        with open(os.path.join(root, path), "rb") as file:
            return file.read(1 << 16).decode("utf-8", "replace")
    except OSError:
        return None
