"""Another wall clock for a command: libfaketime, preloaded.

Not through the program `faketime`: it leaves semaphores behind that are named by its process id, and fails when that id
comes round again.
"""

from __future__ import annotations

from pathlib import Path

import conftest


def variables(**settings: str) -> dict[str, str]:
    """Return the variables that give a command another wall clock, and leave it its monotonic and boot clocks.

    `settings` are those of libfaketime: FAKETIME="@1970-01-02 00:00:00", for instance.
    """
    conftest.need("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **settings}
