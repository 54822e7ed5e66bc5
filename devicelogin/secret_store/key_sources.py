"""Where the key of the sealed file comes from. Each source has a name, which stands in the header of what it sealed.

    file         a key file of ours, made at the first sign-in
    credential   a systemd credential, `$CREDENTIALS_DIRECTORY/devicelogin.key`
    command      what a command of the profile prints: `key = ["pass", "show", "devicelogin"]`
    passphrase   what a person types at a terminal

What can be guessed is stretched with scrypt (`stretching`); the header says how.

The source is chosen when a record is first written (`chosen_key_source`); from then on it is the one that its header names.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Protocol

from devicelogin import errors, redaction
from devicelogin.secret_store import stretching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from devicelogin.settings import paths as settings_paths

#: How short may key material be that others have made (bytes)? What is no key by its looks is stretched besides.
SHORTEST = 16
#: And how long? A key is no file.
LONGEST = 64 * 1024

#: What can the header say of how a passphrase, or what a command printed, became a key?
Parameters = dict[str, object]


class KeySource(Protocol):
    """Gives the bytes that the key of a sealed file is derived from."""

    @property
    def name(self) -> str:
        """Its name in headers and profiles."""

    @property
    def protection(self) -> str:
        """What it protects from and what not, for people."""

    @property
    def is_typed(self) -> bool:
        """Tell whether a person types it, so that it may be mistyped."""

    def new_parameters(self) -> Parameters | None:
        """Return what a new header has to say beside the name, None for nothing. Raises as `read` does."""

    def read(self, parameters: Parameters | None) -> bytes:
        """Return the bytes, the same ones each time for the same `parameters`, which are those of a header.

        Raises StoreUnusableError that names the source where it is missing, DataBadError where it is damaged,
        ValueError where `parameters` are none of this source.
        """

    def make(self) -> None:
        """Make the key where there is none and this source can do that; never replace one.

        Only where nothing is sealed with this source yet that another key would be needed for.
        """

    def candidates(self, parameters: Parameters | None) -> Iterator[bytes]:
        """Yield what `read` returns, then what else may have been it: a change of the key may have been interrupted."""

    def choose_new(self) -> None:
        """Choose another key, of which `read` is from now on. A person may be asked; nothing is written."""

    def keep_new(self) -> None:
        """Write down the key that was chosen, beside the one that the saved record needs. The caller holds the lock."""

    def settle(self, is_used: Callable[[bytes], bool]) -> None:
        """Let the key that the saved record needs be the only one, by what `is_used` says. The caller holds the lock."""


class Outside:
    """What sources have in common whose key is not in a file of ours: there is nothing to write down, and one key at a time."""

    def __init__(self, supply: KeySupply) -> None:
        self._supply = supply

    def read(self, parameters: Parameters | None) -> bytes:
        """Return the bytes, see `KeySource`."""
        raise NotImplementedError

    def candidates(self, parameters: Parameters | None) -> Iterator[bytes]:
        """Yield what `read` returns."""
        yield self.read(parameters)

    def choose_new(self) -> None:
        """Choose another salt: of the key itself its owner disposes."""
        self._supply.parameters = stretching.fresh()

    def keep_new(self) -> None:
        """Do nothing: the header says it."""

    def settle(self, is_used: Callable[[bytes], bool]) -> None:
        """Do nothing."""


class KeySupply:
    """What key sources need from outside: the environment, and a person who can be asked, if there is one.

    `ask` shows a question and returns the answer, which was not shown. Nobody is asked without it: silent use never
    prompts. A passphrase is asked for once, however many records it opens.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, *, ask: Callable[[str], str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ
        self.ask = ask
        self.passphrase: str | None = None
        #: The one that the saved record needs, while another one is taking its place.
        self.former_passphrase: str | None = None
        #: What was derived by scrypt, by material and parameters: that is slow on purpose.
        self.derived: dict[tuple[bytes, str], bytes] = {}
        #: The parameters of what is sealed in this command, so that it is derived once.
        self.parameters: Parameters | None = None


_SOURCES = {
    "file": ("key_file", "KeyFile"),
    "credential": ("key_credential", "Credential"),
    "command": ("key_command", "KeyCommand"),
    "passphrase": ("key_passphrase", "Passphrase"),
}


def names() -> tuple[str, ...]:
    """Return the names of all key sources."""
    return tuple(_SOURCES)


def of(name: str, paths: settings_paths.ProfilePaths, supply: KeySupply) -> KeySource | None:
    """Return the key source `name` of this profile, None where this version knows none of that name."""
    if name not in _SOURCES:
        return None
    module, kind = _SOURCES[name]
    source: KeySource = getattr(importlib.import_module(f"{__package__}.{module}"), kind)(paths, supply)
    return source


def chosen_key_source(wanted: str | None, supply: KeySupply) -> str:
    """Return the name of the source of a new record: `wanted`, else the credential where this unit has it, else the file.

    Raises ConfigError where `wanted` is none.
    """
    if wanted is None:
        from devicelogin.secret_store import key_credential

        return "credential" if key_credential.is_here(supply.environ) else "file"
    if wanted not in _SOURCES:
        raise errors.ConfigError(
            f"key = {redaction.printable(wanted)!r} is not a source of encryption keys", hint='write key = "file"'
        )
    return wanted


def check_length(material: bytes, giver: str) -> bytes:
    """Return key material that `giver` gave. Raises StoreUnusableError where it is too short or too long for a key."""
    if not material:
        raise errors.StoreUnusableError(f"{giver} is empty", hint=_MAKE_ONE, code="key_unusable")
    if not SHORTEST <= len(material) <= LONGEST:
        bound = f"less than {SHORTEST}" if len(material) < SHORTEST else f"more than {LONGEST}"
        raise errors.StoreUnusableError(f"{giver} has {bound} bytes", hint=_MAKE_ONE, code="key_unusable")
    return material


_MAKE_ONE = "use a random one; this prints one: openssl rand -hex 32"
