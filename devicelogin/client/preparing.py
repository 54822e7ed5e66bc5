"""What is looked at before a person is asked to sign in: the old sign-in, the profile, the store, room for a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin import errors, hints, models, private_files, redaction, secret_store
from devicelogin.client import unfinished
from devicelogin.secret_store import key_sources, machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.client.workplace import Workplace
    from devicelogin.settings import resolve


def old_sign_in(work: Workplace, note: Callable[[str], None]) -> models.SignIn | None:
    """Return the sign-in that is saved now, None where there is none or its trace cannot be read, which `note` is told."""
    try:
        return unfinished.read_settled(work)
    except errors.DataBadError as error:
        note(f"{error.message}; this sign-in replaces it")
        return None


def other_place(new: models.StoreLocation, old: models.SignIn | None) -> models.StoreLocation | None:
    """Return the place besides `new` in which a secret lies, None where there is none."""
    candidates = (old.location, old.previous) if old is not None else ()
    return next((place for place in candidates if place is not None and not place.is_same_place(new)), None)


def check_room(work: Workplace, store: secret_store.SecretStore, old: models.SignIn | None) -> None:
    """Raise StoreUnusableError where secrets lie in two other places already: a trace names one older place."""
    if old is None or old.previous is None:
        return
    if not any(place.is_same_place(store.location) for place in (old.location, old.previous)):
        raise errors.StoreUnusableError(
            "an older saved sign-in of this profile could not be deleted yet and would be forgotten",
            hint=f"delete both first: {hints.command('logout', work.profile)}",
        )


def try_profile(work: Workplace, chosen: resolve.Settings) -> None:
    """See that the profile could be written, before a person is asked. Raises StoreUnusableError or ConfigError."""
    private_files.try_out(work.paths.profile_file, b"")
    try:
        "".join(str(value) for value in chosen.profile_changes().values()).encode()
    except UnicodeEncodeError:
        raise errors.ConfigError(
            "one of the settings holds bytes that are not text, so it cannot be written into the profile",
            hint="rename that file, so that its path is UTF-8",
        ) from None


def sign_in_of_record(work: Workplace, store: secret_store.SecretStore) -> models.SignIn | None:
    """Return what the record in `store` says, where its trace was lost or is damaged: whose it is still counts (D14)."""
    try:
        record = store.load()
        if record is None:
            return None
        return secret_store.unpack_record(record, login=hints.login(work.profile)).sign_in
    except errors.DataBadError:
        return None


def choose_store(
    work: Workplace, chosen: resolve.Settings, old: models.SignIn | None, *, patient: bool
) -> secret_store.SecretStore:
    """Return the store, tried out before anybody is asked (D2). Without a wish, a new sign-in goes where the old one is."""
    if work.given_store is not None:
        work.given_store.probe()
        return work.given_store
    wanted = chosen.store.value
    if wanted == "auto" and old is not None:
        wanted = old.location.kind
    return secret_store.choose_store(
        wanted,
        work.paths,
        key=key_source(chosen, old),
        bind=chosen.bind.value,
        patient=patient,
        service=work.keyring_service,
        supply=work.key_supply,
    )


def unbound(chosen: resolve.Settings, place: models.StoreLocation) -> str | None:
    """Return the remark that a sealed file will not be bound to this machine, where its owner may think that it is."""
    wished = chosen.bind.value == "machine"
    why = machine.why_not_lasting()
    if (place.kind, place.bind) != ("file", "none") or why is None or chosen.bind.value == "none":
        return None
    if machine.is_container() and not wished:
        return None  # nobody expects that of a container
    given = ', although bind = "machine" is set' if wished else ""
    return f"the sealed file is not bound to a machine id{given}: {why}"


def key_source(chosen: resolve.Settings, old: models.SignIn | None) -> str | None:
    """Return the key source of a sealed file: the profile's, else that of the saved sign-in; None: the best that is here."""
    if chosen.key.explicit:
        return chosen.key.value if isinstance(chosen.key.value, str) else "command"
    kept = old.location.key if old is not None and old.location.kind == "file" else None
    return kept if kept in key_sources.names() else None


def new_key_source(work: Workplace) -> str:
    """Return the key source of a sealed file where none is yet. Raises ConfigError."""
    return key_sources.chosen_key_source(key_source(work.settings(for_login=True), None), work.key_supply)


def is_expected(account: models.Account, wanted: str) -> bool:
    """Tell whether `wanted`, a user name, an object id or a subject as a person typed it, names `account`."""
    return account.is_named(redaction.unmistakable(redaction.printable(wanted, limit=200)))
