"""A machine on which jobs can be installed: crontabs, lingering and systemd as a test wants them, seen by one command at a time.

    machine = cron_machine.CronMachine(box, lingers=True)
    result = machine.run("keepalive", "install")
    assert b"devicelogin" in machine.crontab

The real `crontab` and `systemctl` run in a mount namespace of their own, in which directories of the sandbox lie over
/var/spool/cron, /var/lib/systemd and /run/systemd; nothing of the machine that runs the tests is touched. Each command has
a namespace of its own, so it needs no root; what has to last from one command to the next (sessions, buses, a boot) needs
root and is `other_machine`.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from typing import TYPE_CHECKING

import conftest
import namespace
import pytest
import sandbox

from devicelogin import user_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCRIPT = """
for place in var/spool/cron var/lib/systemd run/systemd; do mount --bind "$0/$place" "/$place" || exit 99; done
exec "$@"
"""


class CronMachine:
    """The machine of one sandbox. `spool` holds the crontabs."""

    def __init__(self, box: sandbox.Box, *, lingers: bool = False, has_systemd: bool = False) -> None:
        conftest.need("crontab")
        self._words = namespace.mounting(_SCRIPT, box.home / "machine")
        self._box = box
        self._root = box.home / "machine"
        self.spool = self._root / "var" / "spool" / "cron" / "crontabs"
        for place in (self.spool, self._root / "var/lib/systemd/linger", self._root / "run/systemd"):
            place.mkdir(parents=True)
        self.spool.chmod(0o1730)
        if has_systemd or lingers:
            (self._root / "run/systemd/system").mkdir()
        if lingers:
            self.linger.touch()

    @property
    def linger(self) -> Path:
        """The file by which systemd knows that this user's services go on."""
        return self._root / "var/lib/systemd/linger" / user_session.user_name()

    @property
    def before(self) -> list[str]:
        """The words before a command that is to see this machine."""
        return self._words

    def run(self, *arguments: str, **variables: str | None) -> sandbox.Result:
        """Run `devicelogin ARGUMENTS` on this machine."""
        return self._box.start(*arguments, before=self.before, variables=variables).finish()

    def shell(self, script: str, *words: str, **variables: str | None) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script on this machine, with `words` as its arguments."""
        return subprocess.run(
            [*self.before, "sh", "-c", script, "sh", *words],
            env=self._box.environment(variables),
            cwd=self._box.home,
            capture_output=True,
            check=False,
            timeout=sandbox.PATIENCE,
        )

    @property
    def crontab(self) -> bytes | None:
        """What `crontab -l` says, None where there is no crontab."""
        done = self.shell("crontab -l")
        assert done.returncode == 0 or b"no crontab for" in done.stderr, done
        return done.stdout if done.returncode == 0 else None

    def write_crontab(self, content: bytes) -> None:
        """Make `content` the crontab."""
        file = self._box.home / "crontab"
        file.write_bytes(content)
        done = self.shell(f"crontab {shlex.quote(str(file))}")
        assert done.returncode == 0, done

    @property
    def units(self) -> Path:
        """Where the user's own units lie."""
        return self._box.home / ".config" / "systemd" / "user"


#: Starts the user's service manager in a control group of its own, which is all that it sees of them: it moves what it finds
#: in the outermost one. Ends when its standard input does, and cleans up.
_MANAGER = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 98
export group=/sys/fs/cgroup/devicelogin-test-$$
mkdir "$group" || exit 97
(echo 0 >"$group/cgroup.procs" && exec unshare --mount --cgroup sh -c '
    mount --bind "$group" /sys/fs/cgroup && exec /lib/systemd/systemd --user --log-target=console') &
read -r end
kill $!; wait $!
find "$group" -depth -type d -exec rmdir {} ";"
"""


_CONTROL_GROUP = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup && group=/sys/fs/cgroup/devicelogin-trial-$$ && mkdir "$group" && rmdir "$group"
"""


@contextlib.contextmanager
def service_manager(box: sandbox.Box, machine: CronMachine) -> Iterator[dict[str, str]]:
    """Run a real `systemd --user` on the machine; give the variables by which commands find it."""
    conftest.need("systemctl")
    conftest.need_root("give a service manager its control group")
    trial = namespace.mounting(_CONTROL_GROUP)
    if (tried := subprocess.run(trial, capture_output=True, text=True, check=False)).returncode != 0:
        pytest.skip(f"no control groups (version 2) that can be written: {tried.stderr.strip()}")
    runtime = box.home / "run"
    runtime.mkdir(mode=0o700)
    variables = {"XDG_RUNTIME_DIR": str(runtime)}
    log = (box.home / "manager.log").open("wb")
    process = subprocess.Popen(
        [*machine.before, "sh", "-c", _MANAGER],
        env=box.environment(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=log,
    )
    log.close()
    assert process.stdin is not None
    try:
        end = time.monotonic() + sandbox.PATIENCE
        while machine.shell("systemctl --user is-system-running", **variables).stdout.strip() not in {
            b"running",
            b"degraded",
        }:
            assert process.poll() is None, (box.home / "manager.log").read_text()
            assert time.monotonic() < end, (box.home / "manager.log").read_text()
            time.sleep(0.05)
        yield variables
    finally:
        process.stdin.close()
        process.wait(sandbox.PATIENCE)
