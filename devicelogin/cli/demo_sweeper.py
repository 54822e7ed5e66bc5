"""Removes what a demo made, also when the demo was killed: a process that waits for the end of the one that started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from devicelogin import client, errors
from devicelogin.client import signing_out

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long may the sweeping take before the demo ends without waiting for it (seconds)?
_SECONDS = 20.0


@contextlib.contextmanager
def watching(home: str) -> Iterator[None]:
    """Have `home`, and the sign-in saved under it, removed when the block ends, and when this process does."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "devicelogin.cli.demo_sweeper", home],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C goes to everybody in the terminal's foreground; this one has to stay.
        start_new_session=True,
    )
    try:
        yield
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS)


def sweep(home: str) -> None:
    """Delete the sign-in saved under `home`, which is this process's DEVICELOGIN_HOME, then `home` itself."""
    with contextlib.suppress(errors.DeviceLoginError):
        signing_out.logout(client.Workplace("default", flags={}, environ=os.environ))
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.buffer.read()  # ends when the demo closes the pipe, or dies
    if os.environ.get("DEVICELOGIN_HOME") == sys.argv[1]:
        sweep(sys.argv[1])
