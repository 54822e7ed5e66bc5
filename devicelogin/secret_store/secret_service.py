"""The Secret Service (gnome-keyring, KeePassXC and others) as `slots.Items`: keyring's items, on one connection for all.

Items are those that keyring's own backend makes and finds, so `keyring get devicelogin NAME` shows them. It is not that
backend which is used, because it connects to the session bus anew for each get, set and delete: some fifty times in a trial.
That is slow, and it is not harmless. gnome-keyring 42 to 50 registers a new client in an idle callback of a higher priority
than the request's; if it is woken by one connection's end in the very moment in which the next one's first request comes
in, it handles the request first, finds no client and aborts, and the desktop's keyring is gone
("gkd_secret_service_get_pkcs11_session: assertion 'client' failed": <https://github.com/basecamp/hey-cli/issues/352>). On a
busy machine that was one `login` in fifty. So there is one connection, and what it asks first needs no client.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import jeepney
import secretstorage
from secretstorage import dhcrypto, util

from devicelogin.secret_store.refusal import IS_LOCKED, RefusedError

if TYPE_CHECKING:
    from jeepney.io import blocking

#: The attribute by which keyring marks its items.
_APPLICATION = "Python keyring library"

_PING = jeepney.new_method_call(
    jeepney.DBusAddress(
        "/org/freedesktop/secrets", bus_name="org.freedesktop.secrets", interface="org.freedesktop.DBus.Peer"
    ),
    "Ping",
)


class Items:
    """The items of one service in the default collection. Raises RefusedError, and what `secretstorage` raises.

    A lookup is two calls on the bus: whether items are there and open shows by itself, so nobody is asked before.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._connection = _connected()
        path = _default_collection(self._connection).collection_path
        self._collection = util.DBusAddressWrapper(path, secretstorage.collection.COLLECTION_IFACE, self._connection)
        self._agreed: dhcrypto.Session | None = None

    def get(self, name: str) -> str | None:
        """Return the text saved as `name`, None where there is none."""
        for item in self._found(name):
            item.session = self._session()
            try:
                return item.get_secret().decode()
            except jeepney.DBusErrorResponse as error:
                if error.name != IS_LOCKED:
                    raise
            item.unlock()  # some services lock items one by one
            if item.is_locked():
                raise RefusedError("locked")
            return item.get_secret().decode()
        return None

    def set(self, name: str, value: str) -> None:
        """Save `value` as `name`."""
        properties = {
            "org.freedesktop.Secret.Item.Label": ("s", f"Password for '{name}' on '{self._service}'"),
            "org.freedesktop.Secret.Item.Attributes": (
                "a{ss}",
                {**self._attributes(name), "application": _APPLICATION},
            ),
        }
        secret = util.format_secret(self._session(), value.encode(), "text/plain")
        path, prompt = self._collection.call("CreateItem", "a{sv}(oayays)b", properties, secret, True)
        if path == "/" and util.exec_prompt(self._connection, prompt)[0]:
            raise RefusedError("locked")

    def delete(self, name: str) -> bool:
        """Delete `name`, and tell whether it was there."""
        was_there = False
        for item in self._found(name):
            item.delete()
            was_there = True
        return was_there

    def _found(self, name: str) -> list[_Item]:
        (paths,) = self._collection.call("SearchItems", "a{ss}", self._attributes(name))
        return [_Item(self._connection, path) for path in paths]

    def _session(self) -> dhcrypto.Session:
        """Return what encrypts secrets on the bus; otherwise each item would agree on a key of its own."""
        if self._agreed is None:
            self._agreed = util.open_session(self._connection)
        return self._agreed

    def _attributes(self, name: str) -> dict[str, str]:
        return {"service": self._service, "username": name}


class _Item(secretstorage.Item):
    """An item that was just found, so it is not asked for its label to see that it is there, nor whether it is open."""

    def __init__(self, connection: blocking.DBusConnection, path: str) -> None:
        self.connection, self.item_path, self.session = connection, path, None
        self._item = util.DBusAddressWrapper(path, secretstorage.item.ITEM_IFACE, connection)

    def ensure_not_locked(self) -> None:
        """Leave that to the call that follows."""


def _connected() -> blocking.DBusConnection:
    """Return a connection to a session bus that has a secret service, or can start one."""
    try:
        connection = secretstorage.dbus_init()
    except secretstorage.SecretServiceNotAvailableException as error:
        raise RefusedError("dead-bus" if os.environ.get("DBUS_SESSION_BUS_ADDRESS") else "no-bus") from error
    if not secretstorage.check_service_availability(connection):
        raise RefusedError("no-backend")
    connection.send_and_get_reply(_PING)  # an error is an answer as well
    return connection


def _default_collection(connection: blocking.DBusConnection) -> secretstorage.Collection:
    """Return the default collection, unlocked, if need be by a person."""
    try:
        collection = secretstorage.get_default_collection(connection)
    except secretstorage.SecretServiceNotAvailableException as error:
        raise RefusedError("died") from error
    except secretstorage.SecretStorageException as error:
        raise RefusedError("no-collection") from error
    if collection.is_locked():
        collection.unlock()
        if collection.is_locked():
            raise RefusedError("locked")
    return collection
