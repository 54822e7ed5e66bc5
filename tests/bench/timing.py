"""Whole processes, measured: user and system CPU from wait4(), wall from a monotonic clock, peak memory apart.

One run of a command says little on a machine that does other things as well. So every command of a table is started once
per round, each round begins with another one, and a ratio is the median of the ratios within each round.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pty
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Reads the peak memory of a command. It forks, and does not spawn: a child that shares its parent's memory until exec
#: is charged with its parent's peak, and a forked one only with what the parent has written to.
_MEMORY_LAUNCHER = """
import posix, sys
pid = posix.fork()
if not pid:
    null = posix.open("/dev/null", posix.O_RDWR)
    for stream in (0, 1, 2):
        posix.dup2(null, stream)
    posix.execve(sys.argv[1], sys.argv[1:], posix.environ)
status, usage = posix.wait4(pid, 0)[1:]
print(usage.ru_maxrss)
sys.exit(posix.waitstatus_to_exitcode(status))
"""


class BenchmarkError(Exception):
    """Something that was to be measured does not work."""


@dataclasses.dataclass(frozen=True)
class Command:
    """What is measured: `arguments` begins with the path of a program, `environment` is all that it sees."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str = "/"
    #: Called before every run, outside the measurement.
    prepare: Callable[[], None] | None = None
    #: What it says when the measurement is over: it runs on a terminal of 40 lines and 100 columns, and is killed then.
    until: str | None = None

    def output(self) -> str:
        """Return what it prints. Raises BenchmarkError where it fails: what does not work is not worth measuring."""
        if self.until is not None:
            return _run_until_said(self)[1]
        if self.prepare is not None:
            self.prepare()
        # Into files, not pipes: an agent that goes into the background keeps a pipe open.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            try:
                status = subprocess.run(
                    self.arguments,
                    env=dict(self.environment),
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    check=False,
                    timeout=120,
                ).returncode
            except subprocess.TimeoutExpired:
                raise BenchmarkError(f"{self.name} did not end within 120 s") from None
            printed, said = _content(out), _content(err)
        if status != 0:
            raise BenchmarkError(f"{self.name} ended with {status}: {said.strip()[-600:]}")
        return printed


@dataclasses.dataclass(frozen=True)
class Sample:
    """One run: seconds of CPU, the children it waited for included, and of wall clock."""

    cpu: float
    wall: float


Samples = dict[str, list[Sample]]


def _content(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def run(command: Command) -> Sample:
    """Run `command` once with its output thrown away."""
    if command.until is not None:
        return _run_until_said(command)[0]
    if command.prepare is not None:
        command.prepare()
    os.chdir(command.directory)
    streams = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)]
    began = time.monotonic()
    pid = os.posix_spawn(command.arguments[0], list(command.arguments), command.environment, file_actions=streams)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - began
    if status != 0:
        raise BenchmarkError(f"{command.name} failed while it was measured")
    return Sample(usage.ru_utime + usage.ru_stime, wall)


def _run_until_said(command: Command) -> tuple[Sample, str]:
    """Run `command` on a terminal until it says what is awaited; return what that took, and what stood there."""
    assert command.until is not None
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 100))
    os.chdir(command.directory)
    streams = [(os.POSIX_SPAWN_DUP2, terminal, stream) for stream in (0, 1, 2)]
    began = time.monotonic()
    pid = os.posix_spawn(command.arguments[0], list(command.arguments), command.environment, file_actions=streams)
    os.close(terminal)
    said = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has the terminal open any more
        while command.until.encode() not in said and (more := os.read(screen, 65536)):
            said += more
    wall = time.monotonic() - began
    os.kill(pid, signal.SIGKILL)
    usage = os.wait4(pid, 0)[2]  # with the children that it has waited for itself
    os.close(screen)
    if command.until.encode() not in said:
        raise BenchmarkError(f"{command.name} never said {command.until!r}: {said.decode(errors='replace')[-600:]}")
    return Sample(usage.ru_utime + usage.ru_stime, wall), said.decode(errors="replace")


def rounds(commands: Sequence[Command], count: int, warm_up: int = 1) -> Samples:
    """Run every command once per round, `count` rounds and some before that do not count."""
    samples: Samples = {command.name: [] for command in commands}
    for number in range(-warm_up, count):
        first = number % len(commands)
        for command in [*commands[first:], *commands[:first]]:
            sample = run(command)
            if number >= 0:
                samples[command.name].append(sample)
    return samples


def median(samples: Samples, name: str, what: str = "cpu") -> float:
    """Return the median in milliseconds."""
    return statistics.median(getattr(sample, what) for sample in samples[name]) * 1000


def ratio(samples: Samples, name: str, base: str, what: str = "cpu") -> float:
    """Return the median of the per-round ratios of `name` to `base`."""
    return statistics.median(_ratios(samples, name, base, what))


def middle_half(samples: Samples, name: str, base: str, what: str = "cpu") -> tuple[float, float]:
    """Return between which values the middle half of the per-round ratios lies."""
    ratios = _ratios(samples, name, base, what)
    if len(ratios) < 4:
        return min(ratios), max(ratios)
    first, _, third = statistics.quantiles(ratios, n=4)
    return first, third


def _ratios(samples: Samples, name: str, base: str, what: str) -> list[float]:
    pairs = zip(samples[name], samples[base], strict=True)
    return [getattr(one, what) / getattr(other, what) for one, other in pairs]


def peak_memory(command: Command, times: int = 5) -> float:
    """Return the median peak of resident memory in MB; of a child if one of its children takes more."""
    peaks = []
    for _ in range(times):
        if command.prepare is not None:
            command.prepare()
        launcher = [sys.executable, "-I", "-S", "-c", _MEMORY_LAUNCHER, *command.arguments]
        done = subprocess.run(
            launcher, env=dict(command.environment), cwd=command.directory, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BenchmarkError(f"{command.name} failed while its memory was measured")
        peaks.append(int(done.stdout))
    return statistics.median(peaks) / 1024
