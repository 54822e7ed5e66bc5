"""The key source `passphrase`: what a person types at a terminal, made a key by scrypt (RFC 7914)."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from devicelogin import errors
from devicelogin.secret_store import key_sources, stretching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.settings import paths as settings_paths

#: How short may a passphrase be (characters)? Whoever has a copy of the file can try them all at leisure.
SHORTEST = 12
#: How often may a new one be typed before we give up?
ATTEMPTS = 3


class Passphrase(key_sources.Outside):
    """A passphrase and the salt of a header. Who has typed it once is not asked again in this command."""

    name = "passphrase"
    is_typed = True
    protection = (
        "encrypted with a passphrase, so it needs a person at a terminal: protects the disk and its copies as well as the "
        "passphrase is long; does not protect against root or code running as you while it is typed"
    )

    def __init__(self, paths: settings_paths.ProfilePaths, supply: key_sources.KeySupply) -> None:
        self._paths = paths
        super().__init__(supply)

    def new_parameters(self) -> key_sources.Parameters | None:
        """Return what a guess costs, and a salt; the same ones for all that one command opens and seals."""
        return stretching.parameters_for(self._supply)

    def read(self, parameters: key_sources.Parameters | None) -> bytes:
        """Return 32 bytes. Takes a third of a second. Raises StoreUnusableError where nobody can be asked."""
        stretching.check(parameters)  # before anybody is asked
        if self._supply.passphrase is None:
            self._supply.passphrase = self._ask(f"Passphrase of the saved sign-in ({self._paths.profile}): ")
        return self._stretched(self._supply.passphrase, parameters)

    def candidates(self, parameters: key_sources.Parameters | None) -> Iterator[bytes]:
        """Yield what `read` returns, then the same for the passphrase of before."""
        yield self.read(parameters)
        if self._supply.former_passphrase is not None:
            yield self._stretched(self._supply.former_passphrase, parameters)

    def choose_new(self) -> None:
        """Have another passphrase typed, twice. Raises LoginNotCompletedError where none was."""
        super().choose_new()
        self._supply.former_passphrase, self._supply.passphrase = self._supply.passphrase, None
        self.make()

    def _stretched(self, passphrase: str, parameters: key_sources.Parameters | None) -> bytes:
        return stretching.stretched(_normal(passphrase).encode("utf-8", "surrogatepass"), parameters, self._supply)

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


def _normal(typed: str) -> str:
    # One character can be typed as one or as two; RFC 8265 section 4.2.2 makes them one.
    return unicodedata.normalize("NFC", typed)
