"""The backend of keyring for the Secret Service (gnome-keyring, KeePassXC and others), on one connection for a whole process.

keyring connects to the session bus anew for each get, set and delete: some forty times in a sign-in. That is slow, and it is
not harmless. gnome-keyring 42 to 50 registers a new client in an idle callback of a higher priority than the request's; if
it is woken by one connection's end in the very moment in which the next one's first request comes in, it handles the
request first, finds no client and aborts, and the desktop's keyring is gone ("gkd_secret_service_get_pkcs11_session:
assertion 'client' failed": <https://github.com/basecamp/hey-cli/issues/352>). On a busy machine that was one `login` in fifty.
So there is one connection, and what it asks first is a question that needs no client.
"""

from __future__ import annotations

from typing import Any

import jeepney
import secretstorage
from keyring import errors as keyring_errors
from keyring.backends import SecretService

_PING = jeepney.new_method_call(
    jeepney.DBusAddress(
        "/org/freedesktop/secrets", bus_name="org.freedesktop.secrets", interface="org.freedesktop.DBus.Peer"
    ),
    "Ping",
)


class Keyring(SecretService.Keyring):
    """The default collection of the Secret Service. Raises RuntimeError, as `priority` does, where there is none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring has no types there
        try:
            connection = secretstorage.dbus_init()
            if not secretstorage.check_service_availability(connection):
                raise RuntimeError("the Secret Service is neither running nor can the bus start it")
            connection.send_and_get_reply(_PING)  # an error is an answer as well
        except secretstorage.SecretStorageException as error:
            raise RuntimeError("the session bus cannot be reached") from error
        self._connection: Any = _KeptOpen(connection)
        self._collection: secretstorage.Collection | None = None

    def get_preferred_collection(self) -> secretstorage.Collection:
        """Return the default collection, unlocked. Raises keyring's InitError and KeyringLocked."""
        if self._collection is None:
            try:
                collection = secretstorage.get_default_collection(self._connection)
            except secretstorage.SecretStorageException as error:
                raise keyring_errors.InitError("Failed to create the collection") from error
            if collection.is_locked():
                collection.unlock()
                if collection.is_locked():
                    raise keyring_errors.KeyringLocked("Failed to unlock the collection!")
            self._collection = collection
        return self._collection


class _KeptOpen:
    """A connection that whoever borrows it cannot close: keyring closes its connection after each call."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        """Leave it open; it ends with the process."""
