"""Namespaces of its own for one command: the words before it, with which it finds another machine than the one it runs on.

    before = namespace.mounting('mount --bind "$0" /etc/machine-id && exec "$@"', path)
    before = namespace.read_only(directory)
    before = namespace.without_network()

Where none can be made, the test is skipped: a container has no right to, and some systems forbid them to ordinary users.
What is really tried, once, is what tests need: `unshare` may work where a mount inside is refused.
"""

from __future__ import annotations

import functools
import os
import subprocess
from typing import TYPE_CHECKING

import conftest
import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: What a namespace is tried with.
_TRIALS = {"mount": ("mount", "-t", "tmpfs", "tmpfs", "/mnt"), "net": ("true",)}

# A user's mount keeps the flags of the one below it, and on most machines memory has these.
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro,nosuid,nodev,noexec "$0" && exec "$@"'

# Not every machine has such a file to mount over: then all of /etc becomes a copy, for this command alone.
_MACHINE_ID = """
[ -e /etc/machine-id ] || {
    mount -t tmpfs tmpfs /mnt; cp -a /etc/. /mnt 2>/dev/null; touch /mnt/machine-id; mount --bind /mnt /etc
} || exit 99
mount --bind "$0" /etc/machine-id && exec "$@"
"""


def words(kind: str, *, maps: str = "--map-root-user") -> list[str]:
    """Return the words before a command that is to have a namespace of its own, `mount` or `net`.

    `maps` says who an ordinary user is in there.
    """
    conftest.need("unshare", "mount")
    command = ("unshare", f"--{kind}", *([] if os.geteuid() == 0 else [maps]))
    said = _refusal(command, _TRIALS[kind])
    if said:
        pytest.skip(f"{conftest.REFUSED}{said}")
    return list(command)


def mounting(script: str, *arguments: Path | str) -> list[str]:
    """Return the words before a command that run `script` first: $0 and what follows are `arguments`, then the command."""
    return [*words("mount"), "sh", "-c", script, *map(str, arguments)]


def read_only(directory: Path) -> list[str]:
    """Return the words before a command that can write nothing in `directory`, root neither."""
    return mounting(_READ_ONLY, directory)


def with_machine_id(file: Path) -> list[str]:
    """Return the words before a command that finds `file` at /etc/machine-id."""
    return mounting(_MACHINE_ID, file)


def without_network() -> list[str]:
    """Return the words before a command that has not even a loopback interface."""
    return words("net", maps="--map-current-user")


@functools.cache
def _refusal(command: tuple[str, ...], trial: tuple[str, ...]) -> str:
    """Return what is said where `command` cannot do the `trial`, nothing where it can."""
    tried = subprocess.run([*command, *trial], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"exit code {tried.returncode}"
