"""A command as an argument list, with a deadline, a clean environment and no way to outlive us (design decision D13)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How much output do we take from a child before we stop reading (bytes)?
OUTPUT_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
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
) -> Outcome:
    """Run `command` (an argument list, never a shell line) and wait for it, `deadline_seconds` at most.

    The child gets a session of its own, so that at the deadline it is killed with all that it started. `environment`
    replaces ours where given. `keep_descriptors` stay open in the child. Raises OSError where it cannot be started.
    """
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if environment is None else dict(environment),
        pass_fds=tuple(keep_descriptors),
        start_new_session=True,
    )
    try:
        output, diagnostics = process.communicate(stdin, timeout=deadline_seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        output, diagnostics = _drain(process)
        return Outcome(None, output[:OUTPUT_LIMIT], diagnostics[:OUTPUT_LIMIT])
    except BaseException:
        _kill(process)
        raise
    return Outcome(process.returncode, output[:OUTPUT_LIMIT], diagnostics[:OUTPUT_LIMIT])


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _drain(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    # A grandchild that left the session may still hold the pipes: what it says is not waited for.
    try:
        return process.communicate(timeout=0.5)
    except subprocess.TimeoutExpired:
        return b"", b""
