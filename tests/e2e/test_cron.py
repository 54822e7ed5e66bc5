"""What cron is about: the real daemon runs a job of a crontab, and whatever else befalls a job in its environment."""

from __future__ import annotations

import os
import shlex
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING

import conftest
import fake_time
import hook_notes
import namespace
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How long may the daemon take until a job of the next minute has ended (seconds)?
TWO_MINUTES = 120.0

#: How long before a minute begins does the daemon believe that it starts (seconds)?
LEAD = 3

#: A machine of its own, as far as the daemon and its jobs can tell: no session, no crontab but one, its own users.
MACHINE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/spool/cron
mount -t tmpfs tmpfs /etc/cron.d
mount --bind /dev/null /etc/crontab
mount --bind "$0/passwd" /etc/passwd
mount -t tmpfs tmpfs /etc/pam.d
for kind in auth account session; do echo "$kind required pam_permit.so"; done >/etc/pam.d/cron
mkdir -p /var/spool/cron/crontabs
cp "$0/crontab" /var/spool/cron/crontabs/board
chmod 600 /var/spool/cron/crontabs/board
exec "$@"
"""


class Board:
    """A sandbox whose files lie where they lie by themselves, below the HOME of the user `board`."""

    def __init__(self, box: sandbox.Box) -> None:
        self.box = box
        box.variables = {}
        self.profile = box.home / ".config" / "devicelogin" / "default.toml"
        self.state = box.home / ".local" / "state" / "devicelogin" / "default"

    def job(self, *arguments: str) -> sandbox.Result:
        """Run `devicelogin ARGUMENTS` as a job of cron's is run, but at once."""
        command = shlex.join([sys.executable, "-m", "devicelogin", *arguments])
        environment = {
            "HOME": str(self.box.home),
            "LOGNAME": "board",
            "SHELL": "/bin/sh",
            "PATH": "/usr/bin:/bin",
            # Cron has no such variable. It names the code under test.
            "PYTHONPATH": str(sandbox.ROOT),
        }
        began = time.monotonic()
        done = subprocess.run(
            [*own_run(), "/bin/sh", "-c", command],
            env=environment,
            cwd=self.box.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=sandbox.PATIENCE,
            start_new_session=True,  # no controlling terminal
            umask=0o022,
        )
        result = sandbox.Result(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        self.box.check(result)
        return result

    def login(self) -> None:
        """Sign in with the sealed file, in a session that leaves nothing in a runtime directory."""
        self.box.emulator.approve_next()
        result = self.box.start("login", *self.box.app(), before=own_run()).finish()
        assert result.status == 0, result


def own_run() -> list[str]:
    """Return the words before a command that see no runtime directory of this machine: none survives a logout."""
    return namespace.mounting('mount -t tmpfs tmpfs /run && exec "$@"', "sh")


@pytest.fixture
def board() -> Iterator[Board]:
    with sandbox.opened() as box:
        signed_in = Board(box)
        signed_in.login()
        yield signed_in


def is_accepted(box: sandbox.Box, token: str) -> bool:
    """Ask the emulator's Graph, with nothing of ours in between."""
    request = urllib.request.Request(f"{box.emulator.graph_root}/v1.0/me", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=box.emulator.ca_file)) as answer:
        return b"Ada Lovelace" in answer.read()


def crontab(board: Board, output: Path) -> str:
    job = shlex.join([sys.executable, "-m", "devicelogin", "token", "--output-file", str(output)])
    home = board.box.home
    return f"""
MAILTO=""
PYTHONPATH={sandbox.ROOT}
* * * * * env >{home}/seen; {job} >{home}/out 2>{home}/err; echo $? >{home}/ended.new; mv {home}/ended.new {home}/ended
"""


def test_the_real_daemon_runs_a_job_that_gets_a_token(board: Board) -> None:
    """Acceptance: Debian's cron, a crontab, the next minute: the file is there, private, and Graph accepts what it holds."""
    conftest.need_root("start cron's daemon")
    home = board.box.home
    output = home / "token"
    (home / "crontab").write_text(crontab(board, output))
    (home / "passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\nboard:x:0:0::{home}:/bin/sh\n")
    program = shutil.which("cron", path=f"{os.environ['PATH']}:/usr/sbin") or "cron"
    daemon = subprocess.Popen(
        [*namespace.mounting(MACHINE, home), "env", *next_minute(), program, "-f"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + TWO_MINUTES
        while not (home / "ended").exists():
            assert time.monotonic() < end, "the job did not end"
            assert daemon.poll() is None, "the daemon ended"
            time.sleep(0.1)
    finally:
        daemon.terminate()
        daemon.wait()
    assert (home / "ended").read_text() == "0\n", (home / "err").read_text()
    assert (home / "out").read_text() == (home / "err").read_text() == ""
    assert output.stat().st_mode & 0o7777 == 0o600
    assert is_accepted(board.box, output.read_text().strip())
    seen = {line.partition("=")[0] for line in (home / "seen").read_text().splitlines()}
    assert seen <= {"HOME", "LOGNAME", "SHELL", "PATH", "PYTHONPATH", "MAILTO", "PWD", "SHLVL", "_"}


def next_minute() -> list[str]:
    """Return the variables that let the daemon believe that the next minute is near; none where the tests take their time.

    Its jobs have the machine's own clock.
    """
    if conftest.SOAK:
        return []
    ahead = (60 - LEAD - time.time()) % 60
    return [f"{name}={value}" for name, value in fake_time.variables(FAKETIME=f"+{ahead:.0f}s").items()]


def test_the_next_run_after_a_token_has_expired_refreshes(board: Board) -> None:
    """Under cron's environment there is no runtime directory; a cached token still costs no request, an expired one one."""
    emulator, output = board.box.emulator, board.box.home / "token"
    assert board.job("token", "--output-file", str(output)).status == 0
    first, refreshes = output.read_text(), emulator.count("refresh")
    assert board.job("token", "--output-file", str(output)).status == 0
    assert output.read_text() == first
    assert emulator.count("refresh") == refreshes
    emulator.access_token_lifetime = 2
    assert board.job("token", "--force-refresh", "--output-file", str(output)).status == 0
    time.sleep(2.5)
    emulator.access_token_lifetime = 3600
    expired = output.read_text()
    result = board.job("token", "--output-file", str(output))
    assert (result.status, result.out, result.err) == (0, "", "")
    assert output.read_text() != expired
    assert emulator.count("refresh") == refreshes + 2
    assert is_accepted(board.box, output.read_text().strip())


def test_after_a_revocation_every_run_says_so_in_one_line_and_the_hook_runs_once(board: Board) -> None:
    """Acceptance, G01 and G10: 4 each time, one error line, the old file stays as it was, one message to the owner."""
    output = board.box.home / "token"
    assert board.job("token", "--output-file", str(output)).status == 0
    kept = output.read_bytes()
    notes = hook_notes.Notes(board.box.home)
    hook_notes.add_to_profile(board.profile.parent, on_login_needed=notes.command())
    board.box.emulator.revoke()
    for _ in range(10):
        result = board.job("token", "--force-refresh", "--output-file", str(output))
        assert (result.status, result.out) == (4, ""), result
        assert len(result.lines("error")) == len(result.lines("hint")) == 1, result
        assert "no longer accept" in result.lines("error")[0] or "revoked" in result.lines("error")[0], result
    assert output.read_bytes() == kept
    assert len(notes.wait_for(1)) == 1
