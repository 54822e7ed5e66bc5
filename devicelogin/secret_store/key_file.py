"""The key source `file`: 32 random bytes in a file of ours, for machines that have nothing better."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from devicelogin import errors, private_files

if TYPE_CHECKING:
    from devicelogin.secret_store import key_sources
    from devicelogin.settings import paths as settings_paths

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

    def new_parameters(self) -> key_sources.Parameters | None:
        """Return None."""
        return None

    def read(self, _: key_sources.Parameters | None) -> bytes:
        """Return the 32 bytes. Raises ConfigError where others may read the file."""
        # SECURITY: the mode is that of the very file that is read.
        content = private_files.read(self._path, private_as="the key file")
        if content is None:
            raise errors.StoreUnusableError(
                f"the key file {self._path} of the saved sign-in is missing",
                hint="put it back from a backup; without it: devicelogin logout, then devicelogin login",
                code="key_missing",
            )
        if not _KEY_TEXT.match(content):
            raise errors.DataBadError(
                f"the key file {self._path} is damaged",
                hint="put it back from a backup; without one: "
                f"rm {private_files.as_word(self._path)}, then devicelogin logout and devicelogin login",
                code="key_damaged",
            )
        return bytes.fromhex(content.decode("ascii"))

    def make(self) -> None:
        """Make the file where there is none. Two at once end with one key. Sweeps what killed ones left."""
        private_files.sweep(os.path.dirname(self._path))
        if not os.path.lexists(self._path) or os.path.getsize(self._path) == 0:
            private_files.create(self._path, os.urandom(32).hex().encode("ascii") + b"\n")


def remove_key(paths: settings_paths.ProfilePaths) -> None:
    """Delete the key file of a profile and what crashes left of one; no error if there is none. Raises StoreUnusableError.

    A crash while a key is made leaves it under a second name as well.
    """
    private_files.remove(paths.key_file)
    private_files.sweep(os.path.dirname(paths.key_file))
