"""Where the refresh token lies: the protocol, the OS keyring, the sealed file, the lock and the trace of a sign-in.

A refresh token lives in one of these stores and nowhere else. Which one is decided, and tried, before a person is asked
to sign in (design decision D2); it is written down in the `sign-in` file and never changed silently.

    from devicelogin import secret_store
    store = secret_store.choose_store("auto", paths)          # probes; at login
    store = secret_store.open_store(sign_in.location, paths)  # touches nothing; for silent use
    with secret_store.ProfileLock(paths):
        store.save(record)                                    # saved and read back, or the old record is intact

Names resolve on first use: who only waits for the lock imports neither stores nor their libraries.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from devicelogin.secret_store.key_file import remove_key, sweep
    from devicelogin.secret_store.key_sources import KeySupply
    from devicelogin.secret_store.keyring_store import is_of_keyring
    from devicelogin.secret_store.lock import WAIT_SECONDS, ProfileLock, held_descriptors
    from devicelogin.secret_store.protocol import SecretStore
    from devicelogin.secret_store.record import SavedSignIn, pack_record, unpack_record
    from devicelogin.secret_store.record_files import needs_other_key, remove_set_aside, set_aside
    from devicelogin.secret_store.selection import choose_store, is_record_there, keyring_location, open_store
    from devicelogin.secret_store.sign_in import (
        OLDER_COPY,
        is_older_copy,
        read_sign_in,
        read_times,
        remove_sign_in,
        write_sign_in,
        write_times,
    )

_HOMES = {
    "KeySupply": "key_sources",
    "OLDER_COPY": "sign_in",
    "ProfileLock": "lock",
    "SavedSignIn": "record",
    "SecretStore": "protocol",
    "WAIT_SECONDS": "lock",
    "choose_store": "selection",
    "held_descriptors": "lock",
    "is_of_keyring": "keyring_store",
    "is_older_copy": "sign_in",
    "is_record_there": "selection",
    "keyring_location": "selection",
    "needs_other_key": "record_files",
    "open_store": "selection",
    "pack_record": "record",
    "read_sign_in": "sign_in",
    "read_times": "sign_in",
    "remove_key": "key_file",
    "remove_set_aside": "record_files",
    "remove_sign_in": "sign_in",
    "set_aside": "record_files",
    "sweep": "key_file",
    "unpack_record": "record",
    "write_sign_in": "sign_in",
    "write_times": "sign_in",
}

__all__ = [
    "OLDER_COPY",
    "WAIT_SECONDS",
    "KeySupply",
    "ProfileLock",
    "SavedSignIn",
    "SecretStore",
    "choose_store",
    "held_descriptors",
    "is_of_keyring",
    "is_older_copy",
    "is_record_there",
    "keyring_location",
    "needs_other_key",
    "open_store",
    "pack_record",
    "read_sign_in",
    "read_times",
    "remove_key",
    "remove_set_aside",
    "remove_sign_in",
    "set_aside",
    "sweep",
    "unpack_record",
    "write_sign_in",
    "write_times",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
