"""A machine on which jobs can be installed: crontabs, lingering and systemd as a test wants them, seen by one command at a time.

    machine = cron_machine.CronMachine(box, lingers=True)
    result = machine.run("keepalive", "install")
    assert b"devicelogin" in machine.crontab

The real `crontab` and `systemctl` run in a mount namespace of their own, in which directories of the sandbox lie over
/var/spool/cron, /var/lib/systemd and /run/systemd; nothing of the machine that runs the tests is touched.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import conftest

from devicelogin import user_session

if TYPE_CHECKING:
    from pathlib import Path

    import sandbox

_SCRIPT = """
for place in var/spool/cron var/lib/systemd run/systemd; do mount --bind "$0/$place" "/$place" || exit 99; done
exec "$@"
"""


class CronMachine:
    """The machine of one sandbox. `spool` holds the crontabs."""

    def __init__(self, box: sandbox.Box, *, lingers: bool = False, has_systemd: bool = False) -> None:
        conftest.need("unshare", "mount", "crontab")
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
        namespace = ["unshare", "--mount"] + ([] if os.getuid() == 0 else ["--map-root-user"])
        return [*namespace, "sh", "-c", _SCRIPT, str(self._root)]

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
            timeout=60,
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
