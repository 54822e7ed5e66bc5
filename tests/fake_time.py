"""Another wall clock for a command: libfaketime, preloaded.

Not through the program `faketime`: it leaves semaphores behind that are named by its process id, and fails when that id
comes round again. Preloaded alone, it leaves them as well where a process does not end as C wants it, so they get names of
ours, and `clean_up` deletes them.
"""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import conftest

#: Where the C library keeps semaphores and shared memory on Linux.
_SHARED = Path("/dev/shm")

#: What was made since the last `clean_up`.
_made: list[Path] = []


def variables(**settings: str) -> dict[str, str]:
    """Return the variables that give commands another wall clock, and leave them their monotonic and boot clocks.

    `settings` are those of libfaketime: FAKETIME="@1970-01-02 00:00:00", for instance. They are good until `clean_up`,
    which conftest calls after each test.
    """
    conftest.need("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    plain = {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **settings}
    return {**plain, "FAKETIME_SHARED": _shared(plain)}


def clean_up() -> None:
    """Delete what the clocks of commands share. A command that is started with them afterwards fails."""
    while _made:
        _made.pop().unlink(missing_ok=True)


def _shared(environ: dict[str, str]) -> str:
    """Return the names of a semaphore and a shared memory as libfaketime makes them: by a process that leaves its own."""
    process = subprocess.Popen(["/bin/sh", "-c", "kill -9 $$"], env=environ)
    process.wait()
    name = f"devicelogin-clock-{uuid.uuid4().hex}"
    for found, ours in ((f"sem.faketime_sem_{process.pid}", f"sem.{name}"), (f"faketime_shm_{process.pid}", name)):
        _made.append((_SHARED / found).rename(_SHARED / ours))
    return f"/{name} /{name}"
