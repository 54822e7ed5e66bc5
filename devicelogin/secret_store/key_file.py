"""The key source `file`: 32 random bytes in a file of ours, for machines that have nothing better."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from devicelogin import errors, private_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devicelogin.secret_store import key_sources
    from devicelogin.settings import paths as settings_paths

_LENGTH = 32
_KEY_TEXT = re.compile(rb"[0-9a-f]{64}\n?\Z")


class KeyFile:
    """A file of 32 random bytes, written as text, 0600, in the configuration directory."""

    name = "file"
    is_typed = False
    protection = (
        "encrypted with a key file on the same disk: does not protect against root, "
        "code running as you, or theft of the whole disk"
    )

    def __init__(self, paths: settings_paths.ProfilePaths, _: key_sources.KeySupply) -> None:
        self._path = paths.key_file
        self._next = _next(paths)
        self._chosen: bytes | None = None

    def new_parameters(self) -> key_sources.Parameters | None:
        """Return None."""
        return None

    def read(self, _: key_sources.Parameters | None) -> bytes:
        """Return the 32 bytes. Raises ConfigError where others may read the file."""
        return self._chosen if self._chosen is not None else self._read()

    def candidates(self, parameters: key_sources.Parameters | None) -> Iterator[bytes]:
        """Yield the key, the one of the file where another was chosen, and one that was to take its place."""
        yield self.read(parameters)
        if self._chosen is not None:
            yield self._read()
        following = _key_in(private_files.read(self._next, private_as="the key file"))
        if following is not None:
            yield following

    def choose_new(self) -> None:
        """Choose another key."""
        self._chosen = os.urandom(_LENGTH)

    def keep_new(self) -> None:
        """Write it into a file beside the present one's, which stays until the record is sealed with the new one."""
        if self._chosen is not None:
            private_files.replace(self._next, _as_text(self._chosen))

    def settle(self, is_used: Callable[[bytes], bool]) -> None:
        """Let the new key take the place of the former one where the record needs it; else forget it."""
        self._chosen = None
        content = private_files.read(self._next, private_as="the key file")
        if content is None:
            return
        following = _key_in(content)
        if following is not None and is_used(following):
            private_files.replace(self._path, content)
        private_files.remove(self._next)

    def _read(self) -> bytes:
        # SECURITY: the mode is that of the very file that is read.
        content = private_files.read(self._path, private_as="the key file")
        if content is None:
            raise errors.StoreUnusableError(
                f"the key file {self._path} of the saved sign-in is missing",
                hint="put it back from a backup; without it: devicelogin logout, then devicelogin login",
                code="key_missing",
            )
        key = _key_in(content)
        if key is None:
            raise errors.DataBadError(
                f"the key file {self._path} is damaged",
                hint="put it back from a backup; without one: "
                f"rm {private_files.as_word(self._path)}, then devicelogin logout and devicelogin login",
                code="key_damaged",
            )
        return key

    def make(self) -> None:
        """Make the file where there is none. Two at once end with one key. Sweeps what killed ones left."""
        private_files.sweep(os.path.dirname(self._path))
        if _is_missing(self._path):
            private_files.create(self._path, _as_text(os.urandom(_LENGTH)))


def _is_missing(path: str) -> bool:
    """Tell whether there is no key; an empty file is a name that was claimed for one that never came."""
    try:
        return os.lstat(path).st_size == 0
    except OSError:
        return True  # whoever makes it says what is wrong


def remove_key(paths: settings_paths.ProfilePaths) -> None:
    """Delete the key file of a profile and what crashes left of one; no error if there is none. Raises StoreUnusableError.

    A crash while a key is made leaves it under a second name as well.
    """
    private_files.remove(paths.key_file)
    private_files.remove(_next(paths))
    private_files.sweep(os.path.dirname(paths.key_file))


def sweep(paths: settings_paths.ProfilePaths) -> None:
    """Delete what a login or a move that was killed may have left: half of a record or of a key. Never raises."""
    for directory in (paths.state, os.path.dirname(paths.key_file)):
        private_files.sweep(directory)


def _next(paths: settings_paths.ProfilePaths) -> str:
    """Return the file of a key that is to take the place of the present one."""
    return f"{paths.key_file}.next"


def _as_text(key: bytes) -> bytes:
    return key.hex().encode("ascii") + b"\n"


def _key_in(content: bytes | None) -> bytes | None:
    """Return the key that a file of this source holds, None where it holds none."""
    return bytes.fromhex(content.decode("ascii")) if content is not None and _KEY_TEXT.match(content) else None
