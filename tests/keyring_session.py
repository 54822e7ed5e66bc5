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
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import jeepney
import secretstorage
from jeepney.io import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

STATES = ("unlocked", "locked", "no-collection", "absent", "hung")

_NAME = "org.freedesktop.secrets"
_PASSWORD = b"correct horse"
_PATIENCE = 20.0

_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""

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
        self._bus: subprocess.Popen[bytes] | None = None
        self._service: subprocess.Popen[bytes] | None = None

    def start_bus(self) -> None:
        """Start the session bus."""
        config = self.directory / "bus.conf"
        config.write_text(_BUS_CONFIG.format(socket=self.directory / "bus"))
        self._bus = self._start(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"])
        _wait(lambda: (self.directory / "bus").exists() and self._connects(), "the session bus")

    def start_service(self, *, unlock: bool = True) -> None:
        """Start gnome-keyring, unlocked with its password on stdin or left as it is."""
        mode = ["--unlock"] if unlock else []
        command = ["gnome-keyring-daemon", "--foreground", *mode, "--components=secrets"]
        self._service = self._start(command, stdin=_PASSWORD if unlock else b"")
        _wait(lambda: self.owner() is not None, "gnome-keyring")
        if unlock:
            _wait(lambda: self.is_locked() is False, "the login collection")

    def start_hung_service(self) -> None:
        """Start something that owns the secret service's name and never answers."""
        self._service = self._start([sys.executable, "-c", _HUNG_SERVICE, self.address])
        _wait(lambda: self.owner() is not None, "the hung service")

    def kill_service(self) -> None:
        """Kill the secret service with SIGKILL and wait until the bus has noticed."""
        _end(self._service)
        self._service = None
        _wait(lambda: self.owner() is None, "the end of the service")

    def end(self) -> None:
        """End every process of this session."""
        for process in (self._service, self._bus):
            _end(process)

    def lock(self) -> None:
        """Lock the login collection, as a desktop does when the screen is locked."""
        with self._connection() as connection:
            secretstorage.Collection(connection).lock()

    def is_locked(self) -> bool | None:
        """Tell whether the default collection is locked; None where there is none."""
        with self._connection() as connection:
            try:
                return bool(secretstorage.Collection(connection).is_locked())
            except secretstorage.ItemNotFoundException:
                return None

    def items(self, service: str | None = None) -> dict[str, str]:
        """Return all secrets by user name, of one `service` or of all: what lies there, not what a store makes of it."""
        found = {}
        with self._connection() as connection:
            for item in secretstorage.Collection(connection).get_all_items():
                attributes = item.get_attributes()
                if service is None or attributes.get("service") == service:
                    assert attributes["username"] not in found, "two items of one name"
                    found[attributes["username"]] = item.get_secret().decode()
        return found

    def owner(self) -> str | None:
        """Return the bus name of who answers for the secret service, None for nobody."""
        with self._connection() as connection:
            reply = connection.send_and_get_reply(jeepney.message_bus.GetNameOwner(_NAME))
            return None if reply.header.message_type is jeepney.MessageType.error else str(reply.body[0])

    def connections(self) -> int:
        """Return how many connections this bus has had until now, not counting those made to ask."""
        self._asked += 1
        with self._connection() as connection:
            return int(connection.unique_name.rpartition(".")[2]) - self._asked

    def _connects(self) -> bool:
        try:
            with self._connection():
                return True
        except OSError:
            return False

    @contextlib.contextmanager
    def _connection(self) -> Iterator[blocking.DBusConnection]:
        with contextlib.closing(blocking.open_dbus_connection(bus=self.address)) as connection:
            secretstorage.add_match_rules(connection)
            yield connection

    def _start(self, command: list[str], stdin: bytes = b"") -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            env={**os.environ, **self.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        return process


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


def _wait(condition: object, what: str) -> None:
    assert callable(condition)
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {_PATIENCE:.0f} s")
        time.sleep(0.01)


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    process.kill()
    process.wait()
