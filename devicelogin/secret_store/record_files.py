"""The files of sealed records: what they are called, and a damaged one that is out of the way of a new sign-in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from devicelogin import errors, private_files
from devicelogin.secret_store import sealed_header

if TYPE_CHECKING:
    from devicelogin import models
    from devicelogin.settings import paths as settings_paths


def path_of(paths: settings_paths.ProfilePaths, name: str) -> str:
    """Return the file of the record `name`: `record` for the sign-in, `record-NAME` for others."""
    return paths.record if name == "record" else f"{paths.record}-{name}"


def set_aside(paths: settings_paths.ProfilePaths) -> bool:
    """Move a damaged record out of the way of a new sign-in, as `record.damaged`; tell whether there was one.

    It is deleted by `remove_set_aside` once the new one is read back. Raises StoreUnusableError.
    """
    try:
        os.replace(paths.record, aside(paths.record))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise errors.StoreUnusableError(
            f"cannot move {paths.record} aside: {error.strerror}",
            hint=f"look at its owner and mode: ls -l {private_files.as_word(paths.record)}",
        ) from error
    return True


def remove_set_aside(paths: settings_paths.ProfilePaths) -> None:
    """Delete the record that was set aside; no error if there is none. Raises StoreUnusableError."""
    private_files.remove(aside(paths.record))


def needs_other_key(paths: settings_paths.ProfilePaths, location: models.StoreLocation) -> bool:
    """Tell whether the saved record of this profile needs another key source than `location` names."""
    if location.kind != "file" or not os.path.lexists(paths.record):
        return False
    named = sealed_header.key_named_in(paths.record)
    return named is not None and named != location.key


def aside(path: str) -> str:
    """Return where the record `path` is moved when it is damaged."""
    return path + ".damaged"
