"""What tests seal records with: a key of every source, and the person, unit or profile that has it.

supply = sealing.prepared(home, "passphrase")
sealing.sealed(home, "passphrase", supply).save(sealing.RECORD)
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import sandbox

from devicelogin import models
from devicelogin.secret_store import key_credential, key_sources, sealed_file
from devicelogin.settings import paths

RECORD = models.SecretRecord(generation=7, text="canary-refresh-token-0123456789")
PASSPHRASE = "correct horse battery"
KEY = b"0123456789abcdef0123456789abcdef"


class Person:
    """Somebody at a terminal, who answers with what they were given, in that order."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0)


def profile_paths(home: Path, profile: str = "default") -> paths.ProfilePaths:
    """Return the paths of `profile` under `home`."""
    return paths.locate({"DEVICELOGIN_HOME": str(home)}).of(profile)


def give_credential(home: Path, content: bytes = KEY, name: str = key_credential.ID) -> dict[str, str]:
    """Make a directory as systemd makes it for a unit, and return the environment that names it."""
    directory = home / "credentials"
    sandbox.remove(directory)
    directory.mkdir(mode=0o700)
    file = directory / name
    file.write_bytes(content)
    file.chmod(0o400)
    directory.chmod(0o500)
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def write_command(home: Path, *command: str, profile: str = "default") -> None:
    """Write `key = [...]` into the profile."""
    file = Path(profile_paths(home, profile).profile_file)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text(f"key = {json.dumps(command)}\n")


def sealed(home: Path, key: str, supply: key_sources.KeySupply | None = None) -> sealed_file.SealedFile:
    """Open a sealed file of the key source `key`."""
    location = models.StoreLocation(kind="file", key=key, bind="none")
    return sealed_file.SealedFile(location, profile_paths(home), supply=supply)


def prepared(home: Path, key: str) -> key_sources.KeySupply:
    """Return a supply with which the key source `key` works for the profiles `default` and `work`."""
    supply = key_sources.KeySupply(give_credential(home) if key == "credential" else {"PATH": os.environ["PATH"]})
    if key == "command":
        for profile in ("default", "work"):
            write_command(home, "printf", "%s", KEY.decode(), profile=profile)
    if key == "passphrase":
        supply.passphrase = PASSPHRASE
    return supply
