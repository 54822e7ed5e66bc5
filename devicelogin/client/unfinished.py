"""What an interrupted login or move has left: two places that may hold a secret.

A trace has room for one older place, so whatever is to be written next has to settle first which secret counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from devicelogin import errors, hints, models, secret_store

if TYPE_CHECKING:
    from devicelogin.client.workplace import Workplace


def read_settled(work: Workplace) -> models.SignIn | None:
    """Return the sign-in that is really saved, None where there is none.

    What a newer secret has replaced is deleted; where a store cannot be asked, the trace stays as it is. Raises
    DataBadError where the trace or the record is damaged, TryLaterError where the profile's lock stays busy.
    """
    trace = secret_store.read_sign_in(work.paths)
    if trace is None or _is_settled(trace):
        return trace
    with secret_store.ProfileLock(work.paths):
        return settle(work)


def settle(work: Workplace) -> models.SignIn | None:
    """Do what `read_settled` does; the caller holds the profile's lock."""
    trace = secret_store.read_sign_in(work.paths)
    if trace is None or _is_settled(trace):
        return trace
    try:
        return _settled(work, trace)
    except errors.StoreUnusableError:
        return trace


def _is_settled(trace: models.SignIn) -> bool:
    return trace.state == "saved" and trace.previous is None


def _settled(work: Workplace, trace: models.SignIn) -> models.SignIn | None:
    places = [trace.location]
    if trace.previous is not None and not trace.previous.is_same_place(trace.location):
        places.append(trace.previous)
    for location in places:
        kept = dataclasses.replace(trace, location=location)
        record = work.open_store(kept).load()
        if record is not None:
            break
    else:
        # What was interrupted may have left parts of a secret that make no record.
        for location in places:
            work.open_store(dataclasses.replace(trace, location=location)).delete()
        secret_store.remove_sign_in(work.paths)
        return None
    saved = secret_store.unpack_record(record, login=hints.login(work.profile))
    found = dataclasses.replace(saved.sign_in, state="saved", previous=None)
    for other in places:
        if other is not location:
            delete_left(work, other, kept)
    secret_store.write_sign_in(work.paths, found)
    return found


def delete_left(work: Workplace, left: models.StoreLocation, kept: models.SignIn) -> None:
    """Delete all that is ours in the place `left`, for the secret that counts is that of `kept`, elsewhere.

    The caller holds the profile's lock. Raises StoreUnusableError where something remains.
    """
    there = dataclasses.replace(kept, location=left)
    _delete_elsewhere(work, work.open_store(there), kept)
    if work.given_store is not None:
        return
    work.open_store(there, name="access").delete()
    if left.kind == "file" and kept.location.kind != "file":
        secret_store.remove_key(work.paths)  # it opens nothing any more


def take_back(work: Workplace, store: secret_store.SecretStore, old: models.SignIn | None) -> None:
    """After a save into `store` that failed: no trace of what is not there, no secret without its trace.

    Where the old secret lies in the same place the store has kept it. Elsewhere, what may have been written must be
    gone before its trace goes; until then that stays as it is. A signal in the middle of a save leaves it so as well.
    """
    with contextlib.suppress(errors.DeviceLoginError):
        if old is None:
            store.delete()
            secret_store.remove_sign_in(work.paths)
            return
        if not old.location.is_same_place(store.location):
            delete_left(work, store.location, old)
        secret_store.write_sign_in(work.paths, old)


def _delete_elsewhere(work: Workplace, old: secret_store.SecretStore, kept: models.SignIn) -> None:
    """Delete the record in `old`, and see that the one of `kept` is still there.

    Two classes of keyring can be two names of one place, and nobody can tell beforehand.
    """
    store = work.open_store(kept)
    record = store.load()
    was_read = False
    with contextlib.suppress(errors.DeviceLoginError):  # what cannot be read can be deleted all the same
        found = old.load()
        if found is not None and found == record:
            return  # a record says where it was saved, so two of them are never alike
        was_read = True
    old.delete()
    if not was_read and record is not None and store.load() is None:
        store.save(record)
