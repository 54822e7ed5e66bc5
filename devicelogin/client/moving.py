"""A saved sign-in on its way to another store: copied, read back, and only then deleted where it was.

At every moment the trace says which of the two places counts and names the other one, so whoever is killed leaves a
sign-in that works and no secret that is forgotten; running it again finishes it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from devicelogin import errors, hints, models, secret_store, settings
from devicelogin.client import leftovers, preparing, unfinished
from devicelogin.secret_store import machine
from devicelogin.tokens import cache_directory, silent

if TYPE_CHECKING:
    from devicelogin.client.workplace import Workplace
    from devicelogin.settings import resolve

#: How long does a move wait for a sign-in or another move that is running (seconds)? A move takes a few.
WAIT_SECONDS = 20.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where the sign-in is now and what protects it there; `moved` is false where it was there already."""

    sign_in: models.SignIn
    protection: str
    moved: bool
    notes: tuple[str, ...] = ()


def move(work: Workplace, *, patient: bool = False, wait_seconds: float = WAIT_SECONDS) -> Outcome:
    """Move the saved sign-in of the profile to the store that the settings of `work` name. Safe to repeat.

    `patient`: a person sits at a display and may type the keyring's password. Raises LoginRequiredError where nobody is
    signed in, StoreUnusableError and DataBadError where one of the two stores fails, TryLaterError where the profile is
    busy; the sign-in is then where it was, unless the error says that only the old copy remains.
    """
    chosen = work.settings()
    if not work.paths.is_there():
        # No directory is made for a lock where nothing is saved: the name may be a slip of the keyboard.
        raise silent.not_signed_in(work.paths)
    with secret_store.ProfileLock(work.paths, path=work.paths.login_lock, wait_seconds=wait_seconds):
        leftovers.sweep(work.paths)
        # A sign-in that is running has noted where the old secret lies; it must not be elsewhere when it ends.
        found = _signed_in(work, unfinished.read_settled(work))
        target = None
        if not _is_there(work, chosen, found):
            target = _tried_out(work, chosen, found, patient=patient)
        elif found.location.key != "passphrase":  # nobody is asked for one that is not needed
            _load(work, found, patient=patient)
        with secret_store.ProfileLock(work.paths):
            found = _signed_in(work, unfinished.settle(work))
            if target is not None:
                preparing.check_room(work, target, found)
                found = _copied(work, found, target)
            notes = _write_profile(work, chosen.store.value, moved=target is not None)
            if target is not None:
                notes += _forget_derived(work, found)
            found = _without_old_copy(work, found)
    protection = work.open_store(found).protection
    return Outcome(sign_in=found, protection=protection, moved=target is not None, notes=notes)


def _signed_in(work: Workplace, found: models.SignIn | None) -> models.SignIn:
    if found is None:
        raise silent.not_signed_in(work.paths)
    return found


def _is_there(work: Workplace, chosen: resolve.Settings, found: models.SignIn) -> bool:
    """Tell whether the sign-in lies where it is wished, sealed as the profile wishes if it wishes anything."""
    place = found.location
    if place.kind != chosen.store.value or place.kind != "file":
        return place.kind == chosen.store.value
    wanted = (preparing.key_source(chosen, found), machine.binding(wish=chosen.bind.value or place.bind))
    return wanted == (place.key, place.bind) and not secret_store.needs_other_key(work.paths, place)


def _tried_out(
    work: Workplace, chosen: resolve.Settings, found: models.SignIn, *, patient: bool
) -> secret_store.SecretStore:
    """Return the store to move to. Whatever can fail, fails here, and whoever can be asked, is, before anything changes."""
    preparing.try_profile(work, chosen)
    _load(work, found, patient=patient)
    try:
        return preparing.choose_store(work, chosen, found, patient=patient)
    except errors.StoreUnusableError as error:
        if chosen.store.value != "file":
            # The store's own advice is for who signs in: to take the sealed file.
            error.hint = f"it stays in {named(found.location)}; run this again in a session where the keyring opens"
        raise


def _load(work: Workplace, found: models.SignIn, *, patient: bool) -> None:
    """See that the saved record can be read. Raises StoreUnusableError, DataBadError; LoginRequiredError where it is gone."""
    source = secret_store.open_store(found.location, work.paths, patient=patient, supply=work.key_supply)
    try:
        record = source.load()
    except errors.StoreUnusableError as error:
        # What was seen may be half of a logout, which deletes the key before the trace; behind its lock it is over.
        with secret_store.ProfileLock(work.paths):
            _signed_in(work, secret_store.read_sign_in(work.paths))
        raise silent.out_of_reach(error, found.location, work.profile) from error
    if record is None:
        raise silent.not_signed_in(work.paths)


def _copied(work: Workplace, found: models.SignIn, target: secret_store.SecretStore) -> models.SignIn:
    """Save the record of `found` in `target` and let that one count; return the new trace, which names the old place."""
    record = work.open_store(found).load()
    if record is None:
        raise silent.not_signed_in(work.paths)
    saved = secret_store.unpack_record(record, login=hints.login(work.profile))
    moved = dataclasses.replace(saved.sign_in, state="saved", location=target.location, previous=None)
    copy = secret_store.pack_record(dataclasses.replace(saved, sign_in=moved), generation=record.generation)
    # Within one place the store replaces the record whole, and there is no second one to name.
    elsewhere = not target.location.is_same_place(found.location)
    if elsewhere:
        # Not "pending" with the new place first, as a login writes it: the old one still counts, also where the new one
        # cannot be asked.
        secret_store.write_sign_in(work.paths, dataclasses.replace(found, previous=target.location))
    try:
        target.save(copy)
        if target.load() != copy:
            raise errors.StoreUnusableError(
                f"{named(target.location)} lost what it was given; the sign-in stays where it was",
                hint="look at what keeps it, or choose another store",
                code="lost",
            )
        moved_from = found.location if elsewhere else None
        secret_store.write_sign_in(work.paths, dataclasses.replace(moved, previous=moved_from))
    except errors.DeviceLoginError:
        if elsewhere:
            unfinished.take_back(work, target, found)
        raise
    return dataclasses.replace(moved, previous=moved_from)


def _without_old_copy(work: Workplace, found: models.SignIn) -> models.SignIn:
    """Delete what the old place still holds. Raises StoreUnusableError, and the trace goes on naming it."""
    if found.previous is None:
        return found
    again = hints.command(f"store move --to {found.location.kind}", work.profile)
    try:
        unfinished.delete_left(work, found.previous, found)
    except errors.DeviceLoginError as error:
        raise errors.StoreUnusableError(
            f"the sign-in is in {named(found.location)} now and works; its old copy in {named(found.previous)} could not be "
            f"deleted: {error.message}",
            hint=f"delete that where it can be reached: {again}",
            detail=error.detail,
            code=error.code,
        ) from error
    settled = dataclasses.replace(found, previous=None)
    try:
        secret_store.write_sign_in(work.paths, settled)
    except errors.DeviceLoginError as error:
        reason = error.message.partition(";")[0]  # what was there before is not what counts any more
        now = f"the sign-in is in {named(found.location)} now and works"
        error.message = f"{now}, but its trace names the old place as well: {reason}"
        error.hint = f"when that is mended: {again}"
        raise
    return settled


def _write_profile(work: Workplace, kind: str, *, moved: bool) -> tuple[str, ...]:
    """Let the profile name the new store; return a remark where it cannot be written."""
    try:
        written = settings.read_profile(work.paths).values.get("store")
        if moved or written is not None:
            settings.write_profile(work.paths, {"store": kind})
    except errors.DeviceLoginError as error:
        return (f"the profile could not be written, so the next login may choose another store: {error.message}",)
    return ()


def _forget_derived(work: Workplace, found: models.SignIn) -> tuple[str, ...]:
    """Delete the cached access tokens, which the new trace made void, and what is left of keys that open nothing any more.

    What fails is a remark: the sign-in has been moved.
    """
    notes = []
    try:
        cache_directory.TokenCache(work.paths, spare=lambda: work.open_store(found, name="access")).clear()
    except errors.DeviceLoginError as error:
        notes.append(f"not all cached tokens could be deleted; none of them is used any more: {error.message}")
    if found.location.key != "file" and (found.previous is None or found.previous.kind != "file"):
        try:
            secret_store.remove_key(work.paths)
        except errors.DeviceLoginError as error:
            notes.append(f"the key file, which opens nothing any more, could not be deleted: {error.message}")
    return tuple(notes)


def named(place: models.StoreLocation) -> str:
    """Return the words for a place: `the sealed file`."""
    if place.kind == "file":
        return "the sealed file"
    return "the OS keyring" if place.kind == "keyring" else f"the keyring {place.kind.removeprefix('keyring:')}"
