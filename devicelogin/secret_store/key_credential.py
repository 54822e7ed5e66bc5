"""The key source `credential`: what systemd hands to a unit as `devicelogin.key` (systemd.exec(5), LoadCredential=).

With `LoadCredentialEncrypted=` it lies on the disk encrypted to the TPM or to root's key of this machine, and in the clear
only in memory, for the one unit, while that runs.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
import sys
from typing import TYPE_CHECKING

from devicelogin import errors, file_errors, private_files
from devicelogin.secret_store import key_sources, stretching

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicelogin.settings import paths as settings_paths

#: What is the credential called?
ID = "devicelogin.key"

#: Which variables say where our files are? A unit has none of a person's.
_PLACES = ("DEVICELOGIN_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")


class Credential(key_sources.Outside):
    """The bytes of the credential; stretched unless they are a key, for they may be a password that somebody chose."""

    name = "credential"
    is_typed = False
    protection = (
        "encrypted with a systemd credential: theft of the disk is covered if that is sealed to a TPM; "
        "does not protect against root or code running in the same unit"
    )

    def __init__(self, _: settings_paths.ProfilePaths, supply: key_sources.KeySupply) -> None:
        self._environ = supply.environ
        super().__init__(supply)

    def new_parameters(self) -> key_sources.Parameters | None:
        """Return what a guess costs, and a salt; None where the credential holds a key. Raises as `read` does."""
        return None if stretching.is_key(self._content()) else stretching.parameters_for(self._supply)

    def read(self, parameters: key_sources.Parameters | None) -> bytes:
        """Return the bytes, stretched where `parameters` say so.

        Raises StoreUnusableError outside of the unit, ConfigError where others may get at them.
        """
        content = self._content()
        return content if parameters is None else stretching.stretched(content, parameters, self._supply)

    def _content(self) -> bytes:
        path = _path(self._environ)
        if path is None:
            raise _missing("no unit of systemd gave credentials to this process", self._environ)
        try:
            content = _read(path)
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(f"this unit has no {path}", self._environ) from None
        except OSError as error:
            if error.errno in file_errors.LIMITS:
                raise file_errors.failure("read", path, error) from None
            reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
            raise errors.StoreUnusableError(
                f"cannot read the systemd credential {path}: {reason}",
                hint=f"look at its owner and mode: ls -l {private_files.as_word(path)}",
                code="key_unusable",
            ) from None
        return key_sources.check_length(content, f"the systemd credential {path}")

    def make(self) -> None:
        """Do nothing: only root makes credentials."""


def is_here(environ: Mapping[str, str]) -> bool:
    """Tell whether this process was given the credential; other ones do not count."""
    path = _path(environ)
    return path is not None and os.path.lexists(path)


def _path(environ: Mapping[str, str]) -> str | None:
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    return os.path.join(directory, ID) if os.path.isabs(directory) else None


def _read(path: str) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise errors.ConfigError(
                f"{path} is not a regular file", hint=f"look at it: ls -l {private_files.as_word(path)}"
            )
        # Whose it is does not matter: systemd leaves it root's and lets the unit's user read it by an access list, which
        # shows in the bits of the group. What everybody can reach is no key.
        if facts.st_mode & 0o006 and os.stat(os.path.dirname(path)).st_mode & 0o001:
            raise errors.ConfigError(
                f"everybody may read or change the systemd credential {path}",
                hint=f"take that away: chmod o= {private_files.as_word(path)}",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(key_sources.LONGEST + 1)
    finally:
        os.close(descriptor)


def _missing(why: str, environ: Mapping[str, str]) -> errors.StoreUnusableError:
    return errors.StoreUnusableError(
        f"the key of the sealed file is the systemd credential {ID}, which is not here: {why}",
        hint=f"run it in the unit that has this credential, or by hand: {_by_hand(environ)}",
        code="key_missing",
    )


def _by_hand(environ: Mapping[str, str]) -> str:
    """Return the command that signs in with the credential, with our files where they are now."""
    words = ["sudo", "systemd-run", "--pty", "-p", f"LoadCredentialEncrypted={ID}:/etc/credstore.encrypted/{ID}"]
    places = [f"{name}={environ[name]}" for name in _PLACES if os.path.isabs(environ.get(name, ""))]
    # With a home of its own for all of it, what XDG says does not count.
    for place in places[:1] if places and places[0].startswith(_PLACES[0]) else places:
        words += ["-E", place]
    script = os.path.abspath(sys.argv[0])
    program = [script] if os.path.basename(script) == "devicelogin" else [sys.executable, "-m", "devicelogin"]
    # $USER is for the shell to fill in.
    return f"{shlex.join(words)} -p User=$USER {shlex.join([*program, 'login'])}"
