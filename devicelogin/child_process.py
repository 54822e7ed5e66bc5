"""A command as an argument list, with a deadline, a clean environment and no way to outlive us (design decision D13)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import field
from typing import TYPE_CHECKING

from devicelogin import models

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

#: How much output do we keep of a child (bytes)? What comes after is read and forgotten: a child that talks without end
#: must not fill the memory of a small board before its deadline.
OUTPUT_LIMIT = 1 << 20

#: What does a pipe say that nobody holds at the other end, or that an interrupt has closed here before its thread began?
_CLOSED = (OSError, ValueError)

#: How long do we wait for a killed child's last words (seconds)? Whatever left its session may hold the pipes for ever.
_LAST_WORDS = 0.5


@models.short_record
class Outcome:
    """How a child ended: its exit status (None: it was killed at the deadline) and what it wrote."""

    status: int | None
    output: bytes = field(repr=False)
    diagnostics: bytes = field(repr=False)

    @property
    def timed_out(self) -> bool:
        """Tell whether the child was killed because its time was over."""
        return self.status is None


def run(
    command: Sequence[str],
    *,
    deadline_seconds: float,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    keep_descriptors: Sequence[int] = (),
    directory: str | None = None,
    umask: int = -1,
) -> Outcome:
    """Run `command` (an argument list, never a shell line) and wait for it, `deadline_seconds` at most.

    The child gets a session of its own, so that at the deadline it is killed with all that it started. `environment`
    and `directory` (to work in) replace ours where given, and `umask` where it is not -1. `keep_descriptors` stay open
    in the child. Raises OSError where it cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if environment is None else dict(environment),
        pass_fds=tuple(keep_descriptors),
        cwd=directory,
        umask=umask,
        start_new_session=True,
    )
    end = time.monotonic() + deadline_seconds
    unattended = [_pipe(stream) for stream in (process.stderr, process.stdout, process.stdin)]
    try:
        _Feeder(unattended[-1], stdin)
        unattended.pop()
        readers = []
        while unattended:
            readers.append(_Reader(unattended[-1]))
            unattended.pop()
        status = _wait(process, readers, end)
    except BaseException:
        _kill(process)
        for pipe in unattended:  # interrupted before a thread was seen to take it
            with contextlib.suppress(OSError):
                pipe.close()
        raise
    if status is None:
        _kill(process)
        _wait(process, readers, time.monotonic() + _LAST_WORDS)
    return Outcome(status, *(bytes(reader.content) for reader in readers))


class _Reader(threading.Thread):
    """Takes what a child writes, so that no full pipe ever stops it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.content = bytearray()
        self._pipe = pipe
        self.start()

    def run(self) -> None:
        with contextlib.suppress(*_CLOSED), self._pipe:
            while chunk := os.read(self._pipe.fileno(), 1 << 16):
                self.content += chunk[: OUTPUT_LIMIT - len(self.content)]


class _Feeder(threading.Thread):
    """Hands a child its input, which it need not read."""

    def __init__(self, pipe: IO[bytes], content: bytes) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._content = content
        self.start()

    def run(self) -> None:
        with contextlib.suppress(*_CLOSED), self._pipe:
            self._pipe.write(self._content)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _wait(process: subprocess.Popen[bytes], readers: Sequence[_Reader], end: float) -> int | None:
    # The ends of the pipes are waited for first: a thread wakes at once, Popen.wait() with a time-out only now and then.
    for reader in readers:
        reader.join(max(0.0, end - time.monotonic()))
    try:
        status = process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    return None if any(reader.is_alive() for reader in readers) else status


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_WORDS)
