"""Key material that can be guessed, made a key by scrypt (RFC 7914), so that each guess costs memory and time.

What a person types always goes through here; what a command prints or a credential holds does unless it is a key by its
looks. The header of a sealed file says with which cost and salt, so that a record opens whatever a later version asks for.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
from typing import TYPE_CHECKING

from devicelogin import errors

if TYPE_CHECKING:
    from devicelogin.secret_store import key_sources

#: What does a guess cost? 32 MiB, which a small board has, and a third of a second on a server: the strength that OWASP's
#: Password Storage Cheat Sheet asks for.
COST = {"n": 1 << 15, "r": 8, "p": 3}
#: How much may a header ask for? What a damaged one says must not fill the memory.
_DEAREST = {"n": 1 << 17, "r": 8, "p": 4}

_SALT_LENGTH = 16
_SALT = re.compile(rf"[0-9a-f]{{{2 * _SALT_LENGTH}}}\Z")

#: How long is a key that nobody guesses (bytes)?
_KEY_LENGTH = 32
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})+\Z")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}\Z")


def is_key(material: bytes) -> bool:
    """Tell whether `material` is 32 bytes or more of hex or base64, as programs that make keys write them."""
    text = material.strip()
    if _HEX.match(text):
        return len(text) >= 2 * _KEY_LENGTH
    if not _BASE64.match(text):
        return False
    bare = text.rstrip(b"=")
    try:
        decoded = base64.b64decode(bare + b"=" * (-len(bare) % 4), altchars=b"-_" if set(bare) & set(b"-_") else None)
    except binascii.Error:
        return False
    return len(decoded) >= _KEY_LENGTH


def parameters_for(supply: key_sources.KeySupply) -> key_sources.Parameters:
    """Return what a guess costs, and a salt; the same ones for all that one command opens and seals."""
    if supply.parameters is None:
        supply.parameters = fresh()
    return supply.parameters


def fresh() -> key_sources.Parameters:
    """Return what a guess costs, and a salt that nobody has used."""
    return {"kdf": "scrypt", **COST, "salt": os.urandom(_SALT_LENGTH).hex()}


def keep(parameters: key_sources.Parameters | None, supply: key_sources.KeySupply) -> None:
    """Let what this command seals have the `parameters` of a header, so that its key need not be derived a second time.

    Only where they cost what a new header would say: else it gets that.
    """
    if supply.parameters is None and parameters is not None and COST.items() <= parameters.items():
        with contextlib.suppress(ValueError):
            check(parameters)
            supply.parameters = parameters


def stretched(material: bytes, parameters: key_sources.Parameters | None, supply: key_sources.KeySupply) -> bytes:
    """Return 32 bytes. Takes a third of a second, once for each `parameters` in a command.

    Raises ValueError where `parameters` are none that we would write, StoreUnusableError where memory does not suffice.
    """
    n, r, p, salt = check(parameters)
    known_as = (material, f"{n} {r} {p} {salt.hex()}")
    if known_as not in supply.derived:
        supply.derived[known_as] = _derive(material, n=n, r=r, p=p, salt=salt)
    return supply.derived[known_as]


def check(parameters: key_sources.Parameters | None) -> tuple[int, int, int, bytes]:
    """Return n, r, p and salt. Raises ValueError where `parameters` are none that we would write."""
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


def _derive(material: bytes, *, n: int, r: int, p: int, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf import scrypt

    try:
        return scrypt.Scrypt(salt=salt, length=_KEY_LENGTH, n=n, r=r, p=p).derive(material)
    except MemoryError:
        raise errors.StoreUnusableError(
            f"there is not enough memory to check the key: it takes {128 * n * r >> 20} MiB",
            hint="end other programs and try again",
            code="key_unusable",
        ) from None
