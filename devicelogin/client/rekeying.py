"""A new key for the sealed file of a saved sign-in, which stays where it is.

Whoever is killed leaves a record that opens with the former key or with the new one; the next save lets one of them be the
only one.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from devicelogin import errors, hints, models, secret_store
from devicelogin.client import moving, preparing, unfinished
from devicelogin.secret_store import sealed_file
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from devicelogin.client.workplace import Workplace


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whose sign-in was sealed anew; `key_is_new` is false where its owner disposes of the key, and it is what it was."""

    sign_in: models.SignIn
    key_is_new: bool


def rekey(work: Workplace, *, wait_seconds: float = moving.WAIT_SECONDS) -> Outcome:
    """Seal the saved sign-in of the profile, and the access tokens beside it, with a new key.

    Raises LoginRequiredError where nobody is signed in, ConfigError where it lies in no sealed file or is to have another
    key source, StoreUnusableError and DataBadError where it cannot be opened or saved, LoginNotCompletedError where no
    passphrase was chosen, TryLaterError where the profile is busy; the record then opens as it did before.
    """
    if not work.paths.is_there():
        # No directory is made for a lock where nothing is saved: the name may be a slip of the keyboard.
        raise silent.not_signed_in(work.paths)
    with secret_store.ProfileLock(work.paths, path=work.paths.login_lock, wait_seconds=wait_seconds):
        found = _sealed(work, unfinished.read_settled(work))
        store = sealed_file.SealedFile(found.location, work.paths, supply=work.key_supply)
        if store.load() is None:  # here, where a person may be asked without keeping others waiting
            raise silent.not_signed_in(work.paths)
        store.choose_new_key()
        with secret_store.ProfileLock(work.paths):
            record = store.load()
            if record is None:
                raise silent.not_signed_in(work.paths)
            access = sealed_file.SealedFile(found.location, work.paths, "access", supply=work.key_supply)
            tokens = None
            with contextlib.suppress(errors.DeviceLoginError):  # derived and disposable
                tokens = access.load()
            # First of all: nothing that the former key opens may be left when that is gone.
            access.delete()
            store.rekey(record)
            if tokens is not None:
                with contextlib.suppress(errors.DeviceLoginError):
                    access.save(tokens)
    return Outcome(sign_in=found, key_is_new=found.location.key in {"file", "passphrase"})


def _sealed(work: Workplace, found: models.SignIn | None) -> models.SignIn:
    """Return `found` where it lies in a sealed file whose key source is to stay."""
    if found is None:
        raise silent.not_signed_in(work.paths)
    to_file = hints.command("store move --to file", work.profile)
    if work.given_store is not None or found.location.kind != "file":
        raise errors.ConfigError(
            f"the sign-in is in {moving.named(found.location)}, which has a key of its own; only a sealed file is sealed anew",
            hint=f"change the key of that keyring itself, or keep the sign-in in a file: {to_file}",
            code="not_sealed",
        )
    wanted = preparing.key_source(work.settings(), found)
    if wanted != found.location.key:
        raise errors.ConfigError(
            f"the profile names another key ({wanted}) than the one that the sign-in is sealed with ({found.location.key})",
            hint=f"seal it with that: {to_file}",
            code="other_key_source",
        )
    return found
