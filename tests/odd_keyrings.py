"""Keyring backends that misbehave in one way each, for `keyring:odd_keyrings.CLASS`; real classes in a real child process.

They keep their items in the directory that ODD_KEYRING_DIRECTORY names.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import time
from pathlib import Path

from keyring import backend, errors
from keyring.backends import null


class Honest(backend.KeyringBackend):
    """Keeps each item in a file; does nothing wrong. The others are made from it."""

    priority = 1  # type: ignore[assignment]

    def _file(self, service: str, name: str) -> Path:
        return Path(os.environ["ODD_KEYRING_DIRECTORY"]) / f"{service} {name}".replace("/", "%")

    def get_password(self, service: str, username: str) -> str | None:
        file = self._file(service, username)
        return file.read_text() if file.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file(service, username).write_text(password)

    def delete_password(self, service: str, username: str) -> None:
        try:
            self._file(service, username).unlink()
        except FileNotFoundError:
            raise errors.PasswordDeleteError("not there") from None


class Noting(Honest):
    """Notes in a file whether its process may be looked into and may leave a core (Linux)."""

    def set_password(self, service: str, username: str, password: str) -> None:
        dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)  # PR_GET_DUMPABLE
        limit = resource.getrlimit(resource.RLIMIT_CORE)
        (Path(os.environ["ODD_KEYRING_DIRECTORY"]) / "noted").write_text(json.dumps([dumpable, *limit]))
        super().set_password(service, username, password)


class Forgetful(Honest):
    """Says it saved and did not, as null and broken services do."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Forget."""


class Shortening(Honest):
    """Keeps only the first 200 characters."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password[:200])


class Undeleting(Honest):
    """Never deletes, and does not say so."""

    def delete_password(self, service: str, username: str) -> None:
        """Keep."""


class Blabbing(Honest):
    """Raises an exception of no known family that quotes the secret, and prints it as well."""

    def set_password(self, service: str, username: str, password: str) -> None:
        print("stdout says", password, flush=True)
        os.write(2, password.encode())
        raise LookupError(f"could not save {password}")


class DiesOnce(Honest):
    """Loses its service in the first call of all, as a daemon that is being restarted does."""

    def get_password(self, service: str, username: str) -> str | None:
        mark = Path(os.environ["ODD_KEYRING_DIRECTORY"]) / "died"
        if not mark.exists():
            mark.touch()
            raise ConnectionResetError("gone")
        return super().get_password(service, username)


class AbsentMinded(Honest):
    """Does not know its own collection in the first call of all, as gnome-keyring under load does."""

    def get_password(self, service: str, username: str) -> str | None:
        mark = Path(os.environ["ODD_KEYRING_DIRECTORY"]) / "forgot"
        if not mark.exists():
            mark.touch()
            raise errors.InitError("Failed to create the collection: Prompt dismissed..")
        return super().get_password(service, username)


class DiesAlways(Honest):
    """Loses its service in every call, by killing the process that talks to it."""

    def get_password(self, service: str, username: str) -> str | None:
        os._exit(9)


class Nosy(Honest):
    """Notes what its process can be seen with from outside: arguments, environment, open files."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password)
        seen = {
            "cmdline": Path("/proc/self/cmdline").read_text(),
            "environ": dict(os.environ),
            "open": [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")],
        }
        (Path(os.environ["ODD_KEYRING_DIRECTORY"]) / "seen").write_text(json.dumps(seen))


class Slow(Honest):
    """Waits long before it writes; notes that it has begun."""

    def set_password(self, service: str, username: str, password: str) -> None:
        directory = Path(os.environ["ODD_KEYRING_DIRECTORY"])
        (directory / "begun").write_text(str(os.getpid()))
        time.sleep(1)
        super().set_password(service, username, password)
        (directory / "written").touch()


class DisguisedNull(null.Keyring):
    """The null keyring under another name."""

    priority = 5  # type: ignore[assignment]


Alias = null.Keyring


class NoKeyring:
    """Not a keyring at all."""
