"""A program that saves on a disk which is full or read-only, in a mount namespace of its own; prints what happened as JSON.

unshare --mount [--map-root-user] python fill_a_disk.py file|keyring|lock DIRECTORY
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import keyring_session

from devicelogin import errors, models, secret_store
from devicelogin.settings import paths

OLD = models.SecretRecord(generation=1, text="old " * 1000)
NEW = models.SecretRecord(generation=2, text="new " * 2000)


def main() -> None:
    """Run the case that the first argument names on a small disk at the second."""
    case, directory = sys.argv[1], Path(sys.argv[2])
    disk = directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", disk], check=True)
    if case == "lock":
        profile = paths.locate({"DEVICELOGIN_HOME": str(disk)}).of("default")
        _say_what_a_read_only_disk_gets(disk, profile)
    elif case == "file":
        profile = paths.locate({"DEVICELOGIN_HOME": str(disk)}).of("default")
        location = models.StoreLocation(kind="file", key="file", bind="none")
        _save_on_a_full_disk(disk, secret_store.open_store(location, profile))
    else:
        profile = paths.locate({"DEVICELOGIN_HOME": str(directory / "home")}).of("default")
        with keyring_session.started(data=disk) as session:
            os.environ.update(session.variables)
            location = models.StoreLocation(kind="keyring", service="devicelogin", user="default")
            _save_on_a_full_disk(disk, secret_store.open_store(location, profile))


def _save_on_a_full_disk(disk: Path, store: secret_store.SecretStore) -> None:
    store.save(OLD)
    with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as file:
        while file.write(b"\0" * 512):
            pass
    failure = _failure_of(lambda: store.save(NEW))
    kept = store.load() == OLD
    (disk / "filler").unlink()
    store.save(NEW)
    print(json.dumps({"failure": failure, "kept": kept, "saved_later": store.load() == NEW}))


def _say_what_a_read_only_disk_gets(disk: Path, profile: paths.ProfilePaths) -> None:
    with secret_store.ProfileLock(profile):
        pass
    os.unlink(profile.lock)
    subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
    failure = _failure_of(lambda: secret_store.ProfileLock(profile).acquire())
    print(json.dumps({"failure": failure, "held": secret_store.held_descriptors()}))


def _failure_of(attempt: object) -> dict[str, object] | None:
    assert callable(attempt)
    try:
        attempt()
    except errors.DeviceLoginError as error:
        return error.as_json()
    return None


if __name__ == "__main__":
    main()
