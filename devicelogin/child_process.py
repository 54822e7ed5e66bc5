"""A command as an argument list, with a deadline, a clean environment and no way to outlive us (design decision D13)."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import field
from typing import TYPE_CHECKING, cast

from devicelogin import models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import IO

#: How much output do we keep of a child (bytes)? What comes after is read and forgotten: a child that talks without end
#: must not fill the memory of a small board before its deadline.
OUTPUT_LIMIT = 1 << 20

#: How long do we wait for a killed child's last words (seconds)? Whatever left its session may hold the pipes for ever.
_LAST_WORDS = 0.5

#: And how long for those of one that has ended (seconds)? What it left running, an agent, may hold its pipes for ever too.
_AFTER_ITS_END = 0.2

#: How often do we look whether a child has ended whose pipes are open still (seconds)?
_LOOK = 0.05

_CHUNK = 1 << 16

#: What waits for our end beside a child, and then kills its session. We say on its stdin which one that is; when we end,
#: however that may be, nothing more comes there.
_LEASH = ("/bin/sh", "-c", 'if read -r group; then read -r over || kill -9 "-$group"; fi')


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
    is_leashed: bool = True,
) -> Outcome:
    """Run `command` (an argument list, never a shell line) and wait for it, `deadline_seconds` at most.

    The child gets a session of its own, so that at the deadline it is killed with all that it started; so it is where we
    are killed ourselves, unless `is_leashed` is false for one that sees to that by itself. What it leaves running at its
    own end lives on. It leaves no core. `environment` and `directory` (to work in) replace ours where given, and `umask`
    where it is not -1. `keep_descriptors` stay open in the child. Raises OSError where it cannot be started.
    """
    with _leash(is_leashed) as tie:
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
        try:
            tie(process.pid)
            _forbid_core(process.pid)
            if os.name == "posix":
                return _Talk(process, stdin, deadline_seconds).outcome()
            return _simple_outcome(process, stdin, deadline_seconds)
        except BaseException:
            _kill(process)
            raise
        finally:
            for pipe in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()


class _Talk:
    """Feeds a child and takes what it writes, in one thread, so that no full pipe ever stops it or us."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, seconds: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._end = time.monotonic() + seconds
        self._input, self._unsent = process.stdin, memoryview(stdin)
        self._written = {process.stdout: bytearray(), process.stderr: bytearray()}
        self._open = selectors.DefaultSelector()
        for pipe in self._written:
            os.set_blocking(pipe.fileno(), False)
            self._open.register(pipe, selectors.EVENT_READ)
        os.set_blocking(self._input.fileno(), False)
        if stdin:
            self._open.register(self._input, selectors.EVENT_WRITE)
        else:
            self._input.close()

    def outcome(self) -> Outcome:
        """Return how the child ended, which is killed where its time is over."""
        with self._open:
            status = self._wait()
            if status is None:
                _kill(self._process)
                self._listen(time.monotonic() + _LAST_WORDS)
            return Outcome(status, *(bytes(content) for content in self._written.values()))

    def _wait(self) -> int | None:
        """Wait for the end of the child; None: its time is over. Its pipes wake us at once, a wait with a time-out late."""
        while self._is_heard():
            left = self._end - time.monotonic()
            if left <= 0:
                return None
            self._once(min(left, _LOOK))
            status = self._process.poll()
            if status is not None:
                self._listen(time.monotonic() + _AFTER_ITS_END)
                for pipe in self._written:  # what it wrote is there by now, however slow this machine is
                    self._hear(pipe, OUTPUT_LIMIT)
                return status
        try:
            return self._process.wait(max(0.0, self._end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None

    def _is_heard(self) -> bool:
        """Tell whether somebody may write to us still."""
        return not all(pipe.closed for pipe in self._written)

    def _listen(self, until: float) -> None:
        while self._is_heard() and (left := until - time.monotonic()) > 0:
            self._once(left)

    def _once(self, seconds: float) -> None:
        for key, _ in self._open.select(seconds):
            pipe = key.fileobj
            if pipe is self._input:
                self._feed()
            else:
                self._hear(cast("IO[bytes]", pipe), _CHUNK)

    def _feed(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._input.fileno(), self._unsent[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # it need not read what it is given
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._shut(self._input)

    def _hear(self, pipe: IO[bytes], most: int) -> None:
        if pipe.closed:
            return
        try:
            chunk = os.read(pipe.fileno(), most)
        except BlockingIOError:
            return
        content = self._written[pipe]
        content += chunk[: OUTPUT_LIMIT - len(content)]
        if not chunk:
            self._shut(pipe)

    def _shut(self, pipe: IO[bytes]) -> None:
        self._open.unregister(pipe)
        pipe.close()


def _simple_outcome(process: subprocess.Popen[bytes], stdin: bytes, seconds: float) -> Outcome:
    """Do as `_Talk` does where pipes cannot be waited for (Windows)."""
    try:
        output, diagnostics = process.communicate(stdin, timeout=seconds)
        return Outcome(process.returncode, output[:OUTPUT_LIMIT], diagnostics[:OUTPUT_LIMIT])
    except subprocess.TimeoutExpired:
        _kill(process)
        return Outcome(None, b"", b"")


@contextlib.contextmanager
def _leash(is_wished: bool) -> Iterator[Callable[[int], None]]:
    """Yield what ties the session of a child to our life until the end of the context, where there is a POSIX shell."""
    process = None
    if is_wished and os.name == "posix":
        with contextlib.suppress(OSError):
            process = subprocess.Popen(
                _LEASH,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
    if process is None or process.stdin is None:
        yield lambda _: None
        return
    life = process.stdin

    def tie(group: int) -> None:
        with contextlib.suppress(OSError):
            os.write(life.fileno(), b"%d\n" % group)

    try:
        yield tie
    finally:
        # Before its stdin is closed: what the child has left running is not to be killed.
        process.kill()
        process.wait()
        life.close()


def _forbid_core(pid: int) -> None:
    """Let the child `pid` write no core: what it is given and prints may be a secret."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_WORDS)
