"""Where cached access tokens are written: memory that is ours alone, else the secret store; never a disk in the clear."""

from __future__ import annotations

import contextlib
import os
import random
import time
from typing import TYPE_CHECKING

from devicelogin import errors, models, private_files
from devicelogin.tokens import access_cache

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.secret_store import SecretStore
    from devicelogin.settings.paths import ProfilePaths

#: Which file systems live in memory?
_MEMORY = ([b"tmpfs"], [b"ramfs"])

#: How many scope sets of one profile does the secret store keep tokens of, where there is no memory for them?
_MOST_STORED = 4


class TokenCache:
    """The cached access tokens of one profile.

    `spare` returns the secret store that serves where this machine has no private memory (design decision D5), None for
    none; it is asked each time, because a sign-in may be moved meanwhile. With `enabled` false nothing is read or written.
    `min_valid` is what the profile wants a token to last.
    """

    def __init__(
        self,
        paths: ProfilePaths,
        *,
        enabled: bool = True,
        spare: Callable[[], SecretStore | None] = lambda: None,
        min_valid: float | None = None,
    ) -> None:
        self.min_valid = min_valid
        self._paths = paths
        self._enabled = enabled
        self._spare = spare

    def read(self, asked: str) -> access_cache.Entry | None:
        """Return the entry for the scope line `asked`, None where there is none that still belongs to this sign-in."""
        if not self._enabled:
            return None
        if self._paths.cache is not None:
            found = access_cache.read(self._paths.cache, asked, self._paths.profile_file, self._paths.sign_in)
            if found is not None:
                return found
        if self._memory() is not None:
            return None
        return next((entry for entry in self._stored(self._spare()) if entry.asked == asked), None)

    def write(self, entry: access_cache.Entry) -> None:
        """Keep `entry`. Failure is silent: the caller has its token, and the next call refreshes."""
        if not self._enabled:
            return
        with contextlib.suppress(errors.DeviceLoginError):
            directory = self._memory()
            if directory is not None:
                private_files.make_directory(directory)
                private_files.sweep(directory, access_cache.is_file_name)
                private_files.replace(
                    os.path.join(directory, access_cache.file_name(entry.asked)), entry.render().encode()
                )
                return
            spare = self._spare()
            if spare is not None:
                others = [other for other in self._stored(spare) if other.asked != entry.asked]
                texts = [kept.render() for kept in [entry, *others][:_MOST_STORED]]
                spare.save(models.SecretRecord(generation=int(time.time()), text="\0".join(texts)))

    def clear(self) -> None:
        """Delete every cached token of this profile. Raises StoreUnusableError or TryLaterError where one may remain.

        SECURITY: only names of ours, and only in a directory that nobody else can have put there (D23).
        """
        try:
            directory = self._paths.usable_cache(for_sure=True)
            if directory is not None:
                private_files.remove_ours(directory, access_cache.is_file_name)
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
        finally:
            spare = self._spare()
            if spare is not None:
                spare.delete()

    def in_memory(self) -> str | None:
        """Return the directory in memory where the tokens lie, None where this machine has none for us or none is wished."""
        return self._memory() if self._enabled else None

    def _memory(self) -> str | None:
        directory = self._paths.usable_cache()
        return directory if directory is not None and is_memory(directory) else None

    def _stored(self, spare: SecretStore | None) -> list[access_cache.Entry]:
        if spare is None:
            return []
        try:
            record = spare.load()
        except errors.DeviceLoginError:
            return []  # derived and disposable: a damaged one is written anew
        entries = [access_cache.parse(text) for text in record.text.split("\0")] if record is not None else []
        files = (self._paths.profile_file, self._paths.sign_in)
        return [entry for entry in entries if entry is not None and access_cache.matches(entry, *files)]


def new_entry(
    paths: ProfilePaths,
    asked: str,
    answer: models.TokenAnswer,
    *,
    min_valid: float | None = None,
    profile_stat: str | None = None,
) -> access_cache.Entry:
    """Return the cache entry for a token just received for the scope line `asked`.

    `min_valid` is what the profile wants a token to last (seconds). `profile_stat` is the stat of the profile file that
    was acted upon; None: of the one that is there now.
    """
    boot, wall = access_cache.boot_seconds(), time.time()
    lifetime = float(answer.expires_in)
    entry = access_cache.Entry()
    entry.profile_stat = profile_stat if profile_stat is not None else access_cache.stat_line(paths.profile_file)
    entry.sign_in_stat = access_cache.stat_line(paths.sign_in)
    entry.asked = asked
    entry.granted = " ".join(answer.scopes)
    entry.boot = access_cache.boot_id()
    entry.received_boot, entry.received_wall = boot, wall
    entry.expires_boot, entry.expires_wall = boot + lifetime, wall + lifetime
    entry.expires_server = (answer.server_date if answer.server_date is not None else wall) + lifetime
    # D6: drawn, so that a fleet of jobs that start on the hour does not refresh on the hour.
    first = lifetime * 0.9
    last = max(first, lifetime - access_cache.default_min_valid(lifetime))
    entry.early = boot + random.uniform(first, last)  # noqa: S311 - spreads load, guards nothing
    entry.min_valid = min_valid
    entry.token = answer.access_token
    return entry


def is_memory(directory: str) -> bool:
    """Tell whether `directory`, or where it is to be made, lies in memory and not on a disk (Linux; elsewhere: no)."""
    while not os.path.isdir(directory) and os.path.dirname(directory) != directory:
        directory = os.path.dirname(directory)
    try:
        device = os.stat(directory).st_dev
        with open("/proc/self/mountinfo", "rb") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}".encode()
    for line in lines:
        # proc(5): the third field is the device; the type of the file system follows the lone dash.
        place, _, kind = line.partition(b" - ")
        if place.split()[2:3] == [number]:
            return kind.split()[:1] in _MEMORY
    return False
