"""The key source `passphrase`: what a person types at a terminal, made a key by scrypt (RFC 7914)."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING

from devicelogin import errors

if TYPE_CHECKING:
    from devicelogin.secret_store import key_sources
    from devicelogin.settings import paths as settings_paths

#: How short may a passphrase be (characters)? Whoever has a copy of the file can try them all at leisure.
SHORTEST = 12
#: How often may a new one be typed before we give up?
ATTEMPTS = 3

#: What does a guess cost? 32 MiB, which a small board has, and a third of a second on a server: the strength that OWASP's
#: Password Storage Cheat Sheet asks for.
COST = {"n": 1 << 15, "r": 8, "p": 3}
#: How much may a header ask for? What a damaged one says must not fill the memory.
_DEAREST = {"n": 1 << 17, "r": 8, "p": 4}

_SALT_LENGTH = 16
_SALT = re.compile(rf"[0-9a-f]{{{2 * _SALT_LENGTH}}}\Z")


class Passphrase:
    """A passphrase and the salt of a header. Who has typed it once is not asked again in this command."""

    name = "passphrase"
    is_typed = True
    protection = (
        "encrypted with a passphrase, so it needs a person at a terminal: protects the disk and its copies as well as the "
        "passphrase is long; does not protect against root or code running as you while it is typed"
    )

    def __init__(self, paths: settings_paths.ProfilePaths, supply: key_sources.KeySupply) -> None:
        self._paths = paths
        self._supply = supply

    def new_parameters(self) -> key_sources.Parameters | None:
        """Return what a guess costs, and a fresh salt; the same ones for all that one command seals."""
        if self._supply.parameters is None:
            self._supply.parameters = {"kdf": "scrypt", **COST, "salt": os.urandom(_SALT_LENGTH).hex()}
        return self._supply.parameters

    def read(self, parameters: key_sources.Parameters | None) -> bytes:
        """Return 32 bytes. Takes a third of a second. Raises StoreUnusableError where nobody can be asked."""
        n, r, p, salt = _checked(parameters)
        if self._supply.passphrase is None:
            self._supply.passphrase = self._ask(f"Passphrase of the saved sign-in ({self._paths.profile}): ")
        passphrase, derived = _normal(self._supply.passphrase), self._supply.derived
        known_as = (passphrase, f"{n} {r} {p} {salt.hex()}")
        if known_as not in derived:
            derived[known_as] = _derive(passphrase, n=n, r=r, p=p, salt=salt)
        return derived[known_as]

    def make(self) -> None:
        """Have a new passphrase typed twice, where none was typed yet."""
        if self._supply.passphrase is not None:
            return
        wish = f"Choose a passphrase of {SHORTEST} characters or more: "
        question = wish
        for _ in range(ATTEMPTS):
            first = _normal(self._ask(question))
            if len(first) < SHORTEST:
                question = f"That has {len(first)}. {wish}"
            elif _normal(self._ask("The same again: ")) != first:
                question = f"The two differ. {wish}"
            else:
                self._supply.passphrase = first
                return
        raise errors.LoginNotCompletedError(
            "no passphrase was chosen; nothing was changed",
            hint=f"think of {SHORTEST} characters or more and try again",
        )

    def _ask(self, question: str) -> str:
        if self._supply.ask is None:
            raise errors.StoreUnusableError(
                "the key of the sealed file is a passphrase, and nobody is here to type it",
                hint='run it at a terminal; for jobs write key = "file" into '
                f"{self._paths.profile_file} and sign in again: devicelogin login",
                code="key_passphrase",
            )
        return self._supply.ask(question)


def _checked(parameters: key_sources.Parameters | None) -> tuple[int, int, int, bytes]:
    """Return n, r, p and salt. Raises ValueError where the header says nothing that we would write."""
    given = dict(parameters or {})
    salt = given.pop("salt", None)
    if given.pop("kdf", None) != "scrypt" or given.keys() != COST.keys():
        raise ValueError
    numbers = {name: value for name, value in given.items() if type(value) is int and 1 <= value <= _DEAREST[name]}
    if numbers.keys() != COST.keys() or not isinstance(salt, str) or not _SALT.match(salt):
        raise ValueError
    n = numbers["n"]
    if n < 2 or n & (n - 1):
        raise ValueError
    return n, numbers["r"], numbers["p"], bytes.fromhex(salt)


def _derive(passphrase: str, *, n: int, r: int, p: int, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf import scrypt

    try:
        return scrypt.Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase.encode("utf-8", "surrogatepass"))
    except MemoryError:
        raise errors.StoreUnusableError(
            f"there is not enough memory to check the passphrase: it takes {128 * n * r >> 20} MiB",
            hint="end other programs and try again",
            code="key_unusable",
        ) from None


def _normal(typed: str) -> str:
    # One character can be typed as one or as two; RFC 8265 section 4.2.2 makes them one.
    return unicodedata.normalize("NFC", typed)
