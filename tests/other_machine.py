"""A machine whose user signs in and out and that is booted anew: a mount namespace with its own /run/user, /etc/passwd,
lingering and crontabs, in which real buses, keyrings and commands run. Needs root.

    with other_machine.started(lingers=True) as machine:
        machine.sign_in("gnome-keyring")
        machine.login("keyring")
        machine.log_out()
        assert machine.cron("token").status == 0

Its user is root with another home, which lies on a disk. What a desktop, PAM and systemd do with buses and keyrings is done
here by hand: started, ended, and their files removed with them.
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
import namespace
import sandbox
import secretstorage
import session_bus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.emulator import Emulator

#: How the keyring comes to a session: as a service of the user's own bus, by PAM, on a bus that is nobody else's, with an
#: empty password, or not at all.
KEYRINGS = ("gnome-keyring", "pam", "private bus", "no password", "none")

# What has to be somewhere else than on the machine that runs the tests. It ends with its stdin.
_NAMESPACE = """
set -e
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/systemd/linger
if [ -d /run/user ]; then mount -t tmpfs tmpfs /run/user; else mount -t tmpfs tmpfs /run; mkdir /run/user; fi
if [ -d /var/spool/cron ]; then mount -t tmpfs tmpfs /var/spool/cron; mkdir -m 1730 /var/spool/cron/crontabs; fi
mount --bind "$1/passwd" /etc/passwd
echo ready
cat >/dev/null
"""

# Cron has no PYTHONPATH, and this checkout need not be the one that is installed.
_COMMAND = "import sys; sys.path.insert(0, {root!r}); from devicelogin.__main__ import main; main()"


class Machine:
    """One machine. `box` is the sandbox whose home is the user's; `runtime` is the user's runtime directory."""

    def __init__(self, directory: Path, emulator: Emulator, *, lingers: bool) -> None:
        self.box = sandbox.Box(directory / "home", emulator)
        self.box.home.mkdir(mode=0o700)
        self.box.variables = {}
        self.lingers = lingers
        self._directory = directory
        self._user_bus: list[subprocess.Popen[bytes]] = []
        self._session: list[subprocess.Popen[bytes]] = []
        (directory / "passwd").write_text(f"root:x:0:0::{self.box.home}:/bin/sh\nmessagebus:x:100:100::/:/bin/false\n")
        self._holder = subprocess.Popen(
            namespace.mounting(_NAMESPACE, "sh", directory),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self._root = Path(f"/proc/{self._holder.pid}/root")
        self.inside = ("nsenter", "--target", str(self._holder.pid), "--mount", "--")
        if lingers:
            (self._root / "var/lib/systemd/linger/root").touch()
            self._start_user_bus()

    def sign_in(self, keyring: str) -> None:
        """Begin a session with one of KEYRINGS."""
        assert keyring in KEYRINGS
        address = f"unix:path={self._user_socket}"
        if keyring == "private bus":
            address = f"unix:path={self._directory / 'bus'}"
            self._session.append(self._bus(self._directory / "bus"))
        elif not self._user_bus:
            self._start_user_bus()
        self.box.variables = {"XDG_RUNTIME_DIR": str(self._user_socket.parent), "DBUS_SESSION_BUS_ADDRESS": address}
        if keyring == "no password":
            keyrings = self.box.home / ".local/share/keyrings"
            keyrings.mkdir(mode=0o700, parents=True)
            (keyrings / "login.keyring").write_text("[keyring]\ndisplay-name=Login\nctime=0\nmtime=0\n")
        elif keyring == "pam":
            # pam_gnome_keyring starts it with the password, the session then puts it on the bus.
            self._session.append(self._start(["gnome-keyring-daemon", "--foreground", "--login"], session_bus.PASSWORD))
            control = self._root / "run/user/0/keyring/control"
            sandbox.wait_for(control.exists, "the keyring that PAM starts")
            self._start(["gnome-keyring-daemon", "--start", "--components=secrets"]).wait()
        elif keyring != "none":
            command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
            process = self._start(command, session_bus.PASSWORD)
            (self._session if keyring == "private bus" else self._user_bus).append(process)
        if keyring not in {"none", "no password"}:
            sandbox.wait_for(lambda: self._is_open(address), "the open keyring")

    def log_out(self) -> None:
        """End the session as PAM and logind do: without lingering the user's bus and runtime directory go with it."""
        session_bus.end(self._session)
        self.box.variables = {}
        if not self.lingers:
            self._end_user_bus()

    def reboot(self, *forgotten: Path) -> None:
        """End everything, empty what lies in memory (and `forgotten`), and start what starts without anybody."""
        session_bus.end(self._session)
        self.box.variables = {}
        self._end_user_bus()
        for directory in forgotten:
            for path in directory.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if self.lingers:
            self._start_user_bus()

    def run(self, *arguments: str, **variables: str | None) -> sandbox.Result:
        """Run `devicelogin ARGUMENTS` in the session."""
        return self.box.start(*arguments, before=self.inside, variables=variables).finish()

    def login(self, store: str) -> sandbox.Result:
        """Sign in with a phone; it must succeed."""
        self.box.emulator.approve_next()
        result = self.run("login", *self.box.app(store=store))
        assert result.status == 0, result
        return result

    def cron(self, *arguments: str, **more: str) -> sandbox.Result:
        """Run `devicelogin ARGUMENTS` as cron does: with its four variables, no terminal, and nothing of the session's."""
        began = time.monotonic()
        environment = {"HOME": str(self.box.home), "LOGNAME": "root", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-P", "-c", _COMMAND.format(root=str(sandbox.ROOT)), *arguments]
        done = subprocess.run(
            [shutil.which(self.inside[0]) or "", *self.inside[1:], *command],
            env={**environment, **more},
            cwd=self.box.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            umask=0o077,
            start_new_session=True,
            timeout=sandbox.PATIENCE,
            check=False,
        )
        result = sandbox.Result(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        self.box.check(result)
        return result

    def gives_token(self, **more: str) -> bool:
        """Tell whether a refresh under cron brings a token: the deed."""
        result = self.cron("token", "--force-refresh", **more)
        assert (result.status == 0) is (result.out.strip() in self.box.secrets()), result
        return result.status == 0

    def mount_memory(self, directory: Path) -> Path:
        """Put a file system in memory on `directory`, and return its path as seen from here."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.do("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(directory))
        return self._root / directory.relative_to("/")

    def do(self, *command: str) -> None:
        """Run a command in the namespace; it must succeed."""
        subprocess.run([*self.inside, *command], check=True)

    def end(self) -> None:
        """End everything; the namespace goes with its last process."""
        session_bus.end(self._session)
        session_bus.end(self._user_bus)
        self._holder.communicate()

    @property
    def _user_socket(self) -> Path:
        return Path("/run/user/0/bus")

    def _start_user_bus(self) -> None:
        runtime = self._root / "run/user/0"
        runtime.mkdir(mode=0o700, exist_ok=True)
        self._user_bus.append(self._bus(self._user_socket))

    def _end_user_bus(self) -> None:
        session_bus.end(self._user_bus)
        shutil.rmtree(self._root / "run/user/0", ignore_errors=True)

    def _bus(self, socket: Path) -> subprocess.Popen[bytes]:
        config = self._directory / f"{'session' if socket.is_relative_to(self._directory) else 'user'}.conf"
        process = self._start(session_bus.command(config, socket, starts_services=True), address=socket)
        sandbox.wait_for(lambda: session_bus.answers(self._from_here(f"unix:path={socket}")), "the bus")
        return process

    def _start(self, command: list[str], stdin: bytes = b"", address: Path | None = None) -> subprocess.Popen[bytes]:
        given = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={address}"} if address is not None else self.box.variables
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.box.home),
            "XDG_RUNTIME_DIR": "/run/user/0",
            **given,
        }
        return session_bus.start([*self.inside, *command], environment, stdin)

    def _is_open(self, address: str) -> bool:
        with session_bus.connection(self._from_here(address)) as connection:
            question = jeepney.message_bus.NameHasOwner("org.freedesktop.secrets")
            if not connection.send_and_get_reply(question).body[0]:
                return False
            try:
                return not secretstorage.Collection(connection).is_locked()
            except secretstorage.ItemNotFoundException:
                return False

    def _from_here(self, address: str) -> str:
        return address.replace("path=/", f"path={self._root}/")


@contextlib.contextmanager
def started(*, lingers: bool = False) -> Iterator[Machine]:
    """Start a machine whose user's services go on without a session, or do not. Skips the test without root."""
    conftest.need("unshare", "nsenter", "mount", "dbus-daemon", "gnome-keyring-daemon")
    conftest.need_root("put another /run/user and /etc/passwd over this machine's")
    directory = Path(tempfile.mkdtemp(prefix="dl-", dir=sandbox.disk()))
    try:
        with sandbox.emulator_in(str(directory), interval=0) as emulator:
            machine = Machine(directory, emulator, lingers=lingers)
            try:
                yield machine
            finally:
                machine.end()
    finally:
        sandbox.remove(directory)
