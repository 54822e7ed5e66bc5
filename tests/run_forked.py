"""A program that runs commands of devicelogin in forks of itself, with `file_calls.c` before libc; see `file_calls.py`.

    LD_PRELOAD=file_calls.so python run_forked.py DIRECTORY

Each line on stdin is a task as JSON: `arguments`, `directory`, `variables` and what `file_calls_arm` is given; for each, a line
with `pid`, `status`, `out` and `err` is said when the command has ended. DIRECTORY takes what it writes. A task with a `user` is
run with that user id and the group of the same number; 0 is root without what root may do beyond others.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import signal
import sys
from pathlib import Path
from typing import Any

import devicelogin
from devicelogin import __main__ as entry_point

#: What the rooms import where they need it, and the rooms in which no command that is run so has business.
_OUTSIDE = ("cryptography.hazmat.primitives.ciphers.aead", "jwt", "msal", "requests", "tomlkit", "truststore")
_NOT_RUN = ("devicelogin.emulator", "devicelogin.doctor")

#: How long may a command take before it is ended by SIGALRM (seconds)?
_SECONDS = 180


def main() -> None:
    """Import all, and fork a command for each line."""
    for name in _OUTSIDE:
        importlib.import_module(name)
    for found in pkgutil.walk_packages(devicelogin.__path__, "devicelogin."):
        if not found.name.startswith(_NOT_RUN) and not found.name.endswith(("__main__", "_child")):
            importlib.import_module(found.name)
    written = Path(sys.argv[1])
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line), written)
        _, status = os.waitpid(pid, 0)
        said = {name: (written / name).read_bytes().decode("utf-8", "replace") for name in ("out", "err")}
        print(json.dumps({"pid": pid, "status": os.waitstatus_to_exitcode(status), **said}), flush=True)


def _run(task: dict[str, Any], written: Path) -> None:
    for number, name in ((0, os.devnull), (1, written / "out"), (2, written / "err")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    preloaded = os.environ["LD_PRELOAD"]
    os.environ.clear()
    os.environ.update(task["variables"])
    os.chdir(task["directory"])
    _become(task.get("user"))
    os.umask(0)  # what is private is so by its own mode, at every moment
    signal.alarm(_SECONDS)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = task["arguments"]
    ctypes.CDLL(preloaded).file_calls_arm(*(word.encode() for word in task["arm"]))
    status = 1
    try:
        entry_point.main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become(user: int | None) -> None:
    if user:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    elif user == 0:
        nothing = ctypes.create_string_buffer(24)  # capset(2): two sets of three words, all of them empty
        version_3 = ctypes.create_string_buffer((0x20080522).to_bytes(4, sys.byteorder) + bytes(4), 8)
        if ctypes.CDLL(None, use_errno=True).capset(version_3, nothing) != 0:
            raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    main()
