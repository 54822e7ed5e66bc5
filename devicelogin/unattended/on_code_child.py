"""The process that runs the owner's command for a code, and deletes the QR code when the code is spent.

A line of JSON on stdin says what to do; the end of stdin says that the sign-in is over, or its process dead. How the
command ended is a line of JSON on stdout.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys
import threading
from typing import NoReturn

from devicelogin import core_dumps
from devicelogin.unattended import hooks


class _OverError(Exception):
    """The sign-in is over."""


def main() -> None:
    """Do the one task on stdin."""
    core_dumps.forbid()  # the task holds a code that signs in whoever enters it
    signal.signal(signal.SIGTERM, _stop)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    task = json.loads(line)
    over = threading.Event()
    try:
        threading.Thread(target=_watch, args=(over,), daemon=True).start()
        ending = hooks.run(task["command"], task["variables"])
        with contextlib.suppress(OSError):
            sys.stdout.write(json.dumps(dataclasses.asdict(ending)) + "\n")
            sys.stdout.flush()
        over.wait()
    except _OverError:
        pass  # however it came to its end, what is left to do is to clean up
    finally:
        shutil.rmtree(task["directory"], ignore_errors=True)


def _watch(over: threading.Event) -> None:
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
    over.set()
    # Only a signal gets the main thread out of waiting for the command.
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(_number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _OverError


if __name__ == "__main__":
    main()
