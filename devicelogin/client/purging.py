"""What a logout leaves of a profile on purpose, deleted as well: its settings, its locks, directories that are empty then."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING

from devicelogin import private_files, secret_store, settings
from devicelogin.client import signing_out
from devicelogin.settings import paths as settings_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.client.workplace import Workplace

#: How long do we wait for a sign-in of that profile that is running (seconds)?
WAIT_SECONDS = 5.0

#: Our files in the state directory, but for the locks.
_OURS = frozenset(
    {"sign-in", "times", "provider", "login-needed", "login-needed-lock", "remote-login", "remote-login-lock"}
)
_OURS |= {"refused", "record", "record.damaged", "record-access"}

#: How the names of the others begin: notes of `leftovers`, and half-written files.
_BEGINNINGS = (".output-", private_files.TEMPORARY_PREFIX)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the logout did, what was deleted besides, and what stays because it is none of ours, or in use."""

    logout: signing_out.Outcome
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def purge(work: Workplace) -> Outcome:
    """End the sign-in of the profile and delete all that is ours of it. Safe to repeat.

    Raises what `signing_out.logout` raises, and nothing else is deleted then; TryLaterError where somebody signs in to it
    just now; StoreUnusableError where a file stays.
    """
    paths = work.paths
    if work.given_store is None and not paths.is_there():
        return Outcome(logout=signing_out.Outcome())
    with secret_store.ProfileLock(paths, path=paths.login_lock, wait_seconds=WAIT_SECONDS):
        done = signing_out.logout(work)
        with secret_store.ProfileLock(paths):
            # The locks last, and held: who waits for one of them sees that it is gone, and makes a new one.
            mine = [
                name
                for name in settings_paths.names_in(paths.state)
                if name not in {"lock", "login-lock"} and _is_ours(name)
            ]
            files = [paths.profile_file, *(os.path.join(paths.state, name) for name in sorted(mine))]
            removed = [path for path in files if _has_removed(path)]
            removed += [path for path in (paths.login_lock, paths.lock) if _has_removed(path)]
    left = tuple(os.path.join(paths.state, name) for name in sorted(settings_paths.names_in(paths.state)))
    for directory in _directories(paths):
        with contextlib.suppress(OSError):  # something is in it, or it was never there
            os.rmdir(directory)
            removed.append(directory)
    return Outcome(logout=done, removed=tuple(removed), left=left)


def profile_names(places: settings.Places) -> tuple[str, ...]:
    """Return the names of all profiles of which anything is here, sorted."""
    names = set(places.profile_names())
    names |= {
        name
        for name in settings_paths.names_in(places.state)
        if os.path.lexists(os.path.join(places.state, name, "lock"))
    }
    return tuple(sorted(name for name in names if settings_paths.is_profile_name(name)))


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith(_BEGINNINGS)


def _has_removed(path: str) -> bool:
    if not os.path.lexists(path):
        return False
    private_files.remove(path)
    return True


def _directories(paths: settings_paths.ProfilePaths) -> Iterator[str]:
    """Yield the directories that may be empty now, the inner ones first; never one that somebody else chose."""
    yield paths.state
    yield os.path.dirname(paths.key_file)
    places = paths.places
    yield from (directory for directory in (places.config, places.state, places.runtime) if directory is not None)
