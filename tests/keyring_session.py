"""A real gnome-keyring on a D-Bus session of its own, in the states that a keyring can be in; for tests of any room.

    with keyring_session.started("unlocked") as session:
        subprocess.run(command, env={**os.environ, **session.variables})
        assert session.items("devicelogin") == {...}

or, for calls in this process, `keyring_session.make_current(session, monkeypatch)`. The states:

    unlocked        the login collection exists and is open
    locked          it exists and is locked; nobody answers its prompt
    no-collection   the service runs, but was never set up (a plain SSH session)
    absent          a session bus without any secret service
    hung            somebody owns org.freedesktop.secrets and never answers

The bus starts nothing by itself, so a state is what it says on a desktop as well. HOME, XDG_DATA_HOME and XDG_RUNTIME_DIR are
the session's own; nothing of the person who runs the tests is touched, and every process ends with the context.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import jeepney
import sandbox
import secretstorage
import session_bus

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    import pytest

STATES = ("unlocked", "locked", "no-collection", "absent", "hung")

_NAME = "org.freedesktop.secrets"
_HUNG_SERVICE = """
import sys, time
import jeepney
from jeepney.io import blocking
connection = blocking.open_dbus_connection(bus=sys.argv[1])
connection.send_and_get_reply(jeepney.message_bus.RequestName("org.freedesktop.secrets"))
while True:
    time.sleep(3600)
"""


class KeyringSession:
    """A running session bus, with or without a secret service. `variables` is what a process needs to see it."""

    def __init__(self, directory: Path, data: Path | None = None) -> None:
        self.directory = directory
        self.data = data or directory / "data"
        self.address = f"unix:path={directory / 'bus'}"
        self.variables = {
            "HOME": str(directory / "home"),
            "XDG_DATA_HOME": str(self.data),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "XDG_CONFIG_HOME": str(directory / "home" / ".config"),
            "DBUS_SESSION_BUS_ADDRESS": self.address,
        }
        for name in ("home", "run"):
            (directory / name).mkdir(mode=0o700)
        self.data.mkdir(mode=0o700, exist_ok=True)
        self._asked = 0
        self._bus: list[subprocess.Popen[bytes]] = []
        self._service: list[subprocess.Popen[bytes]] = []

    def start_bus(self) -> None:
        """Start the session bus."""
        socket = self.directory / "bus"
        self._bus.append(self._start(session_bus.command(socket.with_name("bus.conf"), socket, starts_services=False)))
        sandbox.wait_for(lambda: session_bus.answers(self.address), "the session bus")

    def start_service(self, *, unlock: bool = True) -> None:
        """Start gnome-keyring, unlocked with its password on stdin or left as it is."""
        mode = ["--unlock"] if unlock else []
        command = ["gnome-keyring-daemon", "--foreground", *mode, "--components=secrets"]
        self._service.append(self._start(command, stdin=session_bus.PASSWORD if unlock else b""))
        sandbox.wait_for(lambda: self.owner() is not None, "gnome-keyring")
        if unlock:
            sandbox.wait_for(lambda: self.is_locked() is False, "the login collection")

    def start_hung_service(self) -> None:
        """Start something that owns the secret service's name and never answers."""
        self._service.append(self._start([sys.executable, "-c", _HUNG_SERVICE, self.address]))
        sandbox.wait_for(lambda: self.owner() is not None, "the hung service")

    def kill_service(self) -> None:
        """Kill the secret service with SIGKILL and wait until the bus has noticed."""
        session_bus.end(self._service)
        sandbox.wait_for(lambda: self.owner() is None, "the end of the service")

    def end(self) -> None:
        """End every process of this session."""
        session_bus.end(self._service)
        session_bus.end(self._bus)

    def lock(self) -> None:
        """Lock the login collection, as a desktop does when the screen is locked."""
        with session_bus.connection(self.address) as connection:
            secretstorage.Collection(connection).lock()

    def is_locked(self) -> bool | None:
        """Tell whether the default collection is locked; None where there is none."""
        with session_bus.connection(self.address) as connection:
            try:
                return bool(secretstorage.Collection(connection).is_locked())
            except secretstorage.ItemNotFoundException:
                return None

    def items(self, service: str | None = None) -> dict[str, str]:
        """Return all secrets by user name, of one `service` or of all: what lies there, not what a store makes of it."""
        found = {}
        with session_bus.connection(self.address) as connection:
            for item in secretstorage.Collection(connection).get_all_items():
                attributes = item.get_attributes()
                if service is None or attributes.get("service") == service:
                    assert attributes["username"] not in found, "two items of one name"
                    found[attributes["username"]] = item.get_secret().decode()
        return found

    def owner(self) -> str | None:
        """Return the bus name of who answers for the secret service, None for nobody."""
        with session_bus.connection(self.address) as connection:
            reply = connection.send_and_get_reply(jeepney.message_bus.GetNameOwner(_NAME))
            return None if reply.header.message_type is jeepney.MessageType.error else str(reply.body[0])

    def connections(self) -> int:
        """Return how many connections this bus has had until now, not counting those made to ask."""
        self._asked += 1
        with session_bus.connection(self.address) as connection:
            return int(connection.unique_name.rpartition(".")[2]) - self._asked

    def _start(self, command: list[str], stdin: bytes = b"") -> subprocess.Popen[bytes]:
        return session_bus.start(command, {**os.environ, **self.variables}, stdin)


@contextlib.contextmanager
def started(state: str = "unlocked", *, data: Path | None = None) -> Iterator[KeyringSession]:
    """Start a session in `state`, one of STATES; skip the test where the programs are missing.

    `data` is where gnome-keyring keeps its file, for instance a disk that is full.
    """
    assert state in STATES
    conftest.need("gnome-keyring-daemon", "dbus-daemon")
    # Not under pytest's directory: the path of a socket has 107 characters at most.
    directory = Path(tempfile.mkdtemp(prefix="keyring-"))
    session = KeyringSession(directory, data)
    try:
        session.start_bus()
        if state in {"unlocked", "locked"}:
            session.start_service()
        if state == "locked":
            session.kill_service()
        if state in {"locked", "no-collection"}:
            session.start_service(unlock=False)
        if state == "hung":
            session.start_hung_service()
        yield session
    finally:
        session.end()
        shutil.rmtree(directory, ignore_errors=True)


def make_current(session: KeyringSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `session` the one that this process and its children see, until the test ends."""
    for name, value in session.variables.items():
        monkeypatch.setenv(name, value)
