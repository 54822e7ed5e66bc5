"""No core dumps of this process: they would hold its secrets, and land on a disk or at a crash reporter."""

from __future__ import annotations

import contextlib
import sys

#: prctl(2)
_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """Forbid core dumps of this process; on Linux also that other processes of the same user look into its memory.

    What it starts gets the limit as well, but is as open to debuggers as ever (execve(2)).
    """
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes  # 2 ms, and only a command that does not answer from the cache comes here

        # Handlers behind a pipe (core(5)) are not bound by the limit.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
