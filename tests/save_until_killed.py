"""A program that saves records until it is killed, for the test of what a `kill -9` leaves behind.

    python save_until_killed.py LOCATION HOME

LOCATION is a StoreLocation as JSON. For each line `N` on stdin it forks a saver, which holds the profile's lock over each save
of generation N, N+1, ... and says so on stdout: `pid P` once, `saved N` after each. Forking makes the start as cheap as a
thousand starts have to be.
"""

from __future__ import annotations

import json
import os
import signal
import sys

# What a saver needs is imported before the fork.
import devicelogin.secret_store.keyring_store
import devicelogin.secret_store.sealed_file  # noqa: F401
from devicelogin import models, secret_store
from devicelogin.settings import paths


def text_of(generation: int) -> str:
    """Return the text of record `generation`: longer than one part, and each with its own length."""
    return f"{generation} " * (300 + generation % 7 * 150)


def store_at(location: str, home: str) -> tuple[secret_store.SecretStore, paths.ProfilePaths]:
    """Return the store and the paths that the two arguments mean."""
    profile = paths.locate({"DEVICELOGIN_HOME": home}).of("default")
    return secret_store.open_store(models.StoreLocation(**json.loads(location)), profile), profile


def main() -> None:
    """Fork a saver for each line."""
    store, profile = store_at(*sys.argv[1:3])
    store.load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _save_for_ever(store, profile, int(line))


def _save_for_ever(store: secret_store.SecretStore, profile: paths.ProfilePaths, generation: int) -> None:
    os.write(1, f"pid {os.getpid()}\n".encode())
    while True:
        with secret_store.ProfileLock(profile):
            store.save(models.SecretRecord(generation=generation, text=text_of(generation)))
            os.write(1, f"saved {generation}\n".encode())
        generation += 1


if __name__ == "__main__":
    main()
