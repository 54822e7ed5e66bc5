"""A program that runs `devicelogin store move` or `store rekey` again and again, each time ended by a signal, at one step or from outside.

    python move_until_killed.py

For each line `SIGNAL STEP STORE` on stdin it forks one `store move --to STORE`, or `store rekey` where STORE is `rekey`, which says `pid P` on stdout, sends SIGNAL to
itself just before its step STEP, and at its end says `ended CODE STEPS`. A step is whatever changes a file or starts a
process; STEP 0 is none. Forking makes the start cheap.
"""

from __future__ import annotations

import os
import signal
import sys

# What a move needs is imported before the fork.
import tomlkit  # noqa: F401
from cryptography.hazmat.primitives.ciphers import aead  # noqa: F401

from devicelogin.cli import main as command_line
from devicelogin.cli import store  # noqa: F401
from devicelogin.secret_store import keyring_store, sealed_file  # noqa: F401

_CHANGES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "subprocess.Popen"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> None:
    """Fork a move for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        number, step, kind = line.split()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _move(int(number), int(step), kind)


def _move(number: int, step: int, kind: str) -> None:
    steps = 0
    me = os.getpid()

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        writes = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)
        if (event in _CHANGES or writes) and os.getpid() == me:
            steps += 1
            if steps == step:
                os.kill(me, number)

    os.write(1, f"pid {me}\n".encode())
    sys.addaudithook(count)
    words = ["rekey"] if kind == "rekey" else ["move", "--to", kind]
    code = command_line.run(["-q", "store", *words])
    os.write(1, f"ended {code} {steps}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main()
