"""Enough address space for what cannot be told of its lack: Rust ends the process, OpenSSL blames certificates."""

from __future__ import annotations

import sys

from devicelogin import errors

#: How much does a sign-in take after its command is known, with all it loads and the stacks of its threads (bytes)?
_NEEDED_BYTES = 64 << 20


def require() -> None:
    """Raise TryLaterError where a limit of this session leaves too little address space for a command (`ulimit -v`).

    What is refused here would come to its end in a library, which aborts or sees a wrong certificate in it.
    """
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return
    import mmap

    try:
        # Read-only, so that it counts as address space and not as memory.
        mmap.mmap(-1, _NEEDED_BYTES, prot=mmap.PROT_READ).close()
    except (OSError, MemoryError):
        raise errors.TryLaterError(
            f"this process has reached a limit of memory: {limit >> 20} MiB of address space are too little",
            hint="nothing saved was deleted; look at the limits of this session: ulimit -a",
            detail=f"RLIMIT_AS {limit}",
            code="no_resources",
        ) from None
