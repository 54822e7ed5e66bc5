"""What a login that was killed in the middle of saving has left: two places that may hold a secret.

A trace has room for one older place, so whatever is to be written next has to settle first which secret counts.
"""

from __future__ import annotations

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
    if trace is None or (trace.state == "saved" and trace.previous is None):
        return trace
    with secret_store.ProfileLock(work.paths):
        trace = secret_store.read_sign_in(work.paths)
        return _settled(work, trace) if trace is not None else None


def _settled(work: Workplace, trace: models.SignIn) -> models.SignIn | None:
    found: models.SignIn | None = None
    places = [trace.location]
    if trace.previous is not None and not trace.previous.is_same_place(trace.location):
        places.append(trace.previous)
    for location in places:
        store = work.open_store(dataclasses.replace(trace, location=location))
        try:
            record = store.load()
            if record is None:
                continue
            if found is not None:
                delete_elsewhere(work, store, dataclasses.replace(trace, location=places[0]))
                continue
        except errors.StoreUnusableError:
            return trace
        saved = secret_store.unpack_record(record, login=hints.login(work.profile))
        found = dataclasses.replace(saved.sign_in, state="saved", previous=None)
    if found is None:
        secret_store.remove_sign_in(work.paths)
    else:
        secret_store.write_sign_in(work.paths, found)
    return found


def delete_elsewhere(work: Workplace, old: secret_store.SecretStore, kept: models.SignIn) -> None:
    """Delete the record in `old`, and see that the one of `kept` is still there; the caller holds the profile's lock.

    Two classes of keyring can be two names of one place, and nobody can tell beforehand.
    """
    store = work.open_store(kept)
    record = store.load()
    old.delete()
    if record is not None and store.load() is None:
        store.save(record)
