"""No crash writes a secret to a disk, and nothing that we need is lost by that."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import conftest
import pytest
import sandbox

if TYPE_CHECKING:
    from pathlib import Path

#: The smallest program that does as the command line does, and says whether it is dumpable (prctl(2), PR_GET_DUMPABLE).
PROGRAM = """
import ctypes, os, sys
from devicelogin import core_dumps
core_dumps.forbid()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
os.kill(os.getpid(), int(sys.argv[1]))
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is of Linux")


@linux_only
def test_a_process_that_crashes_leaves_no_core(tmp_path: Path) -> None:
    """Whatever limit the shell has set."""

    def allow() -> None:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    crashed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(signal.SIGSEGV))],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(sandbox.ROOT)}, capture_output=True, text=True, check=False,
        preexec_fn=allow,
    )  # fmt: skip
    assert crashed.returncode == -signal.SIGSEGV, crashed
    assert crashed.stdout.strip() == "0"
    assert list(tmp_path.iterdir()) == []


@linux_only
def test_a_login_that_waits_may_leave_no_core() -> None:
    """The command line forbids it before it has a secret."""
    with sandbox.opened() as box:
        running = box.start("login", *box.app())
        while not box.emulator.count("devicecode"):
            time.sleep(0.05)
        with open(f"/proc/{running.process.pid}/limits", encoding="ascii") as limits:
            line = next(line for line in limits if line.startswith("Max core file size"))
        running.process.terminate()
        assert running.finish().status == 143
        assert line.split()[4:6] == ["0", "0"]


@linux_only
def test_the_process_that_talks_to_a_keyring_leaves_no_core_and_is_not_looked_into() -> None:
    """It holds the refresh token as its parent does."""
    with sandbox.opened() as box:
        items = box.give_odd_keyrings()
        box.login(store="keyring:odd_keyrings.Noting")
        assert json.loads((items / "noted").read_text()) == [0, 0, 0]


@linux_only
def test_everything_works_for_a_user_whose_process_is_not_dumpable() -> None:
    """Its /proc/self belongs to root then: mounts are still seen, so tokens are cached in memory, and children start."""
    conftest.need_root("become somebody else")
    conftest.need("setpriv")
    with sandbox.opened() as box:
        for path in (box.home, *box.home.rglob("*")):
            os.chown(path, 12345, 12345)
        public = box.home / "ca.pem"
        shutil.copy(box.emulator.ca_file, public)
        public.chmod(0o644)
        box.emulator.approve_next()
        # It may still read, because the interpreter may lie in root's home.
        right = "+dac_read_search"
        become = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
        as_user: Any = {"before": [*become, f"--inh-caps={right}", f"--ambient-caps={right}"]}
        login = box.start("login", *box.app(ca_file=str(public)), **as_user).finish()
        assert login.status == 0, login
        assert box.start("token", "--force-refresh", **as_user).finish().status == 0
        assert box.start("graph", "me", **as_user).finish().status == 0
        assert (box.runtime / "default" / "own").exists() == str(box.home).startswith("/dev/shm")
        assert box.start("logout", **as_user).finish().status == 0
