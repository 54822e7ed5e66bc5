"""Who answers for the keyring on a session bus, and what of it outlives the session."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

#: How long may the bus take for one answer (seconds)?
_PATIENCE = 2.0

#: Which names on the bus are the keyrings' that we use, and by which backends?
_SECRETS = "org.freedesktop.secrets"
_WALLETS = ("org.kde.kwalletd6", "org.kde.kwalletd5")

#: Where does a bus look who to start for the secret service?
_ACTIVATION = ("/usr/share/dbus-1/services/org.freedesktop.secrets.service",)

#: How does gnome-keyring begin a keyring file that has an empty password? It does not encrypt that one.
_PLAIN = b"[keyring]"


@dataclass(frozen=True, slots=True)
class Service:
    """A running keyring service: its process, the name and the arguments of its program, its control groups."""

    pid: int
    program: str
    arguments: tuple[str, ...]
    groups: str

    @property
    def is_gnome_keyring(self) -> bool:
        """Tell whether it is gnome-keyring, whose habits are known here."""
        return self.program == "gnome-keyring-daemon"

    @property
    def is_started_by_pam(self) -> bool:
        """Tell whether PAM started it for a session, and so ends it with that one (pam_gnome_keyring)."""
        return self.is_gnome_keyring and bool({"--login", "-l"} & set(self.arguments))

    @property
    def session(self) -> str | None:
        """The session's scope that systemd counts it to, None where it is none of a session's."""
        parts = self.groups.replace("\n", "/").split("/")
        return next((part for part in parts if part.startswith("session-") and part.endswith(".scope")), None)


def find(address: str, *, is_wallet: bool = False) -> Service | None:
    """Return the keyring service on the bus at `address`; None where there is none or the bus does not answer."""
    with contextlib.suppress(Exception):  # a bus may be anything: absent, hung, no bus at all
        import jeepney
        from jeepney.io import blocking

        connection = blocking.open_dbus_connection(bus=address, auth_timeout=_PATIENCE)
        with contextlib.closing(connection):
            for name in _WALLETS if is_wallet else (_SECRETS,):
                question = jeepney.message_bus.GetConnectionUnixProcessID(name)
                reply = connection.send_and_get_reply(question, timeout=_PATIENCE)
                if reply.header.message_type is not jeepney.MessageType.error:
                    return _describe(int(reply.body[0]))
    return None


def opens_without_password(home: str) -> str | None:
    """Return the file of gnome-keyring's default keyring if that has an empty password and a bus starts its service.

    Such a keyring is open at once whenever somebody asks for it, and its secrets lie unencrypted in that file.
    """
    directory = os.path.join(home, ".local", "share", "keyrings")
    name = _read(os.path.join(directory, "default")).strip().decode("utf-8", "replace") or "login"
    file = os.path.join(directory, os.path.basename(name) + ".keyring")
    is_started = any(b"gnome-keyring-daemon" in _read(service) for service in _ACTIVATION)
    return file if is_started and _read(file).startswith(_PLAIN) else None


def _describe(pid: int) -> Service:
    words = [word.decode("utf-8", "replace") for word in _read(f"/proc/{pid}/cmdline").split(b"\0") if word]
    groups = _read(f"/proc/{pid}/cgroup").decode("utf-8", "replace")
    return Service(pid, os.path.basename(words[0]) if words else "", tuple(words[1:]), groups)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16)
    except OSError:
        return b""
