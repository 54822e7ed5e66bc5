"""Where the key of the sealed file comes from. Each source has a name, which stands in the header of what it sealed."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Protocol

from devicelogin import errors, private_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.settings import paths as settings_paths

_KEY_TEXT = re.compile(rb"[0-9a-f]{64}\n?\Z")


class KeySource(Protocol):
    """Gives the bytes that the key of a sealed file is derived from."""

    @property
    def name(self) -> str:
        """Its name in headers and profiles."""

    @property
    def protection(self) -> str:
        """What it protects from and what not, for people."""

    def read(self) -> bytes:
        """Return the bytes, the same ones each time.

        Raises StoreUnusableError that names the source where it is missing, DataBadError where it is damaged.
        """

    def make(self) -> None:
        """Make the key where there is none and this source can do that; never replace one.

        Only for a first save: nothing is sealed yet that another key would be needed for.
        """


class KeyFile:
    """A file of 32 random bytes, written as text, 0600, in the configuration directory."""

    name = "file"
    protection = (
        "encrypted with a key file on the same disk: does not protect against root, "
        "code running as you, or theft of the whole disk"
    )

    def __init__(self, paths: settings_paths.ProfilePaths) -> None:
        self._path = paths.key_file

    def read(self) -> bytes:
        """Return the 32 bytes. Raises ConfigError where others may read the file."""
        content = private_files.read(self._path)
        if content is None:
            raise errors.StoreUnusableError(
                f"the key file {self._path} of the saved sign-in is missing",
                hint="put it back from a backup; without it: devicelogin logout, then devicelogin login",
                code="key_missing",
            )
        if os.name == "posix" and stat.S_IMODE(os.lstat(self._path).st_mode) & 0o077:
            raise errors.ConfigError(
                f"others may read the key file {self._path}", hint=f"take that away: chmod 600 {self._path}"
            )
        if not _KEY_TEXT.match(content):
            raise errors.DataBadError(
                f"the key file {self._path} is damaged",
                hint="put it back from a backup; without one: "
                f"rm {self._path}, then devicelogin logout and devicelogin login",
                code="key_damaged",
            )
        return bytes.fromhex(content.decode("ascii"))

    def make(self) -> None:
        """Make the file where there is none. Two at once end with one key."""
        if not os.path.lexists(self._path):
            private_files.create(self._path, os.urandom(32).hex().encode("ascii") + b"\n")


_SOURCES: dict[str, Callable[[settings_paths.ProfilePaths], KeySource]] = {KeyFile.name: KeyFile}


def names() -> tuple[str, ...]:
    """Return the names of all key sources."""
    return tuple(_SOURCES)


def of(name: str, paths: settings_paths.ProfilePaths) -> KeySource | None:
    """Return the key source `name` of this profile, None where this version knows none of that name."""
    make = _SOURCES.get(name)
    return None if make is None else make(paths)
