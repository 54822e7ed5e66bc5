"""What a killed command leaves: half-written files, some of which hold a token or a key, and where to look for them.

Most of them lie in our own directories. Where `token --output-file` writes is its caller's choice, so while it does, a note
in the profile's state directory names that file; a kill leaves the note behind, and the next command like it, a login or a
logout follows it.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from devicelogin import private_files, secret_store
from devicelogin.tokens import access_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.settings import paths as settings_paths

#: What do the names of those notes begin with?
_NOTE = ".output"


def sweep(paths: settings_paths.ProfilePaths) -> None:
    """Delete what killed commands of this profile have left, anywhere. Never raises: what cannot be deleted stays."""
    secret_store.sweep(paths)
    private_files.sweep(paths.places.config)
    cache = paths.usable_cache()
    if cache is not None:
        private_files.sweep(cache, access_cache.is_file_name)
    sweep_outputs(paths)


def sweep_outputs(paths: settings_paths.ProfilePaths) -> None:
    """Delete what was left beside files of `token --output-file`. Never raises."""
    for content in private_files.abandoned(paths.state, _NOTE):
        private_files.sweep_beside(os.fsdecode(content))


@contextlib.contextmanager
def noted(paths: settings_paths.ProfilePaths, path: str) -> Iterator[None]:
    """Note that the file `path` is being written, as long as the block runs, or if it is killed in there, until a sweep.

    Where no note can be made, nothing is noted.
    """
    sweep_outputs(paths)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # the working directory may be gone; who writes says so
            whole = os.path.abspath(path)
            private_files.sweep_beside(whole)
            stack.enter_context(private_files.marked(paths.state, _NOTE, os.fsencode(whole)))
        yield
