"""Which store: chosen and probed at login, opened by its written-down location ever after (design decision D2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin import errors, hints, models, redaction
from devicelogin.secret_store import key_sources, machine

if TYPE_CHECKING:
    from devicelogin.secret_store import protocol
    from devicelogin.settings import paths as settings_paths


def open_store(
    location: models.StoreLocation,
    paths: settings_paths.ProfilePaths,
    *,
    name: str = "record",
    patient: bool = False,
    supply: key_sources.KeySupply | None = None,
) -> protocol.SecretStore:
    """Return the store at `location`, untouched. `name` is `record` for the sign-in, `access` for access tokens.

    `supply` is what the key source of a sealed file needs from outside; without one nobody is asked.

    Raises ConfigError or DataBadError where this version cannot tell what `location` means.
    """
    # Each store brings what the other does not need, and `status` must be quick.
    if location.kind == "file":
        from devicelogin.secret_store import sealed_file

        return sealed_file.SealedFile(location, paths, name, supply=supply)
    if location.kind == "keyring" or location.kind.startswith("keyring:"):
        from devicelogin.secret_store import keyring_store

        return keyring_store.KeyringStore(location, paths, name, patient=patient)
    raise _unknown_store(location.kind)


def is_record_there(location: models.StoreLocation, paths: settings_paths.ProfilePaths) -> bool | None:
    """Tell whether a record lies at `location`; None where that cannot be told without reading a secret (keyrings).

    Raises what opening it would, as far as that shows from outside: DataBadError, StoreUnusableError, ConfigError.
    """
    if location.kind != "file":
        return None
    from devicelogin.secret_store import sealed_file

    return sealed_file.SealedFile(location, paths).is_there()


def keyring_location(paths: settings_paths.ProfilePaths, *, service: str | None = None) -> models.StoreLocation:
    """Return where the OS keyring keeps the records of this profile, whether or not there are any."""
    from devicelogin.secret_store import keyring_store

    return keyring_store.new_location("keyring", paths, service or keyring_store.SERVICE)


def choose_store(
    wanted: str,
    paths: settings_paths.ProfilePaths,
    *,
    key: str | None = None,
    bind: str | None = None,
    patient: bool = False,
    service: str | None = None,
    supply: key_sources.KeySupply | None = None,
) -> protocol.SecretStore:
    """Return the store that `wanted` names, after it passed its probe.

    `wanted` is `auto`, `keyring`, `file` or `keyring:module.Class`. `auto` is the OS keyring; where that does not work
    the error says why and which command takes the sealed file: never silently another store. `patient`: a person sits
    at a display and may type the keyring's password, so 60 s instead of 5. `service` names the items in a keyring. `key`
    is the key source of a sealed file, None for the best that is here. Raises StoreUnusableError, ConfigError; DataBadError
    for a passphrase that does not open what is saved.
    """
    supply = key_sources.KeySupply() if supply is None else supply
    if wanted == "file":
        location = models.StoreLocation(
            kind="file", key=key_sources.chosen_key_source(key, supply), bind=machine.binding(wish=bind)
        )
    elif wanted in {"auto", "keyring"} or wanted.startswith("keyring:"):
        from devicelogin.secret_store import keyring_store

        location = keyring_store.new_location(
            "keyring" if wanted == "auto" else wanted, paths, service or keyring_store.SERVICE
        )
    else:
        raise _unknown_store(wanted)
    store = open_store(location, paths, patient=patient, supply=supply)
    try:
        store.probe()
    except errors.StoreUnusableError as error:
        if wanted == "auto":
            error.hint = hints.for_profile(
                "keep the sign-in in a sealed file instead: devicelogin login --store file", paths.profile
            )
        raise
    return store


def _unknown_store(kind: str) -> errors.ConfigError:
    return errors.ConfigError(
        f"store = {redaction.printable(kind)!r} is unknown",
        hint='write store = "keyring", "file" or "keyring:module.Class"',
    )
