"""Lets any call of a command on its files fail, or ends the command there; and tells which calls it made, in their order.

    commands = file_calls.Commands(box)
    calls = commands.run("token", "--force-refresh").calls
    outcome = commands.run("token", "--force-refresh", at=3, error=errno.ENOSPC)

`file_calls.c` stands before libc in each of them and counts what is done to files below the home of the box, by whichever name
or descriptor. The commands run in forks of one process that has imported all: a sweep starts hundreds.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import line_program
import run_forked
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCE = Path(__file__).with_suffix(".c")

#: What happens at the chosen call instead of an error: the command is killed there; the disk keeps one bit otherwise than it
#: was written; the disk keeps what the file that the variable FILE_CALLS_OLD names holds; somebody else deletes the file.
KILL = -9
LIE = -1
OLD = -2
GONE = -3

#: The chosen call is each of them.
EACH = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A call on a file: `flags` are those of an open, `target` is where a rename or a link goes, `error` 0 where it worked."""

    number: int
    name: str
    path: str
    target: str
    flags: int
    error: int

    @property
    def makes(self) -> bool:
        """Tell whether it opens a file that must not be there yet."""
        return self.name == "open" and bool(self.flags & os.O_EXCL)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended (negative: by a signal), what it wrote, and its calls on files as long as it lived."""

    status: int
    out: str
    err: str
    calls: tuple[Call, ...]


@functools.cache
def _library() -> str:
    """Build what stands before libc and return its path. Skips where there is no compiler."""
    compiler = next((name for name in ("tcc", "cc", "gcc") if shutil.which(name)), None)
    if compiler is None:
        conftest.need("tcc")
    built = os.path.join(_directory(), "file_calls.so")
    subprocess.run([str(compiler), "-shared", "-nostdlib", "-fPIC", "-o", built, SOURCE], check=True)
    return built


@functools.cache
def _directory() -> str:
    directory = tempfile.mkdtemp(prefix="devicelogin-file-calls-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@functools.cache
def _program() -> line_program.LineProgram:
    """Start what forks the commands of all tests of this process."""
    variables = {
        "PATH": os.environ["PATH"],
        "LD_PRELOAD": _library(),
        "PYTHONPATH": os.pathsep.join([str(sandbox.ROOT), str(sandbox.ROOT / "tests")]),
    }
    program = line_program.LineProgram([sys.executable, run_forked.__file__, _directory()], variables)
    atexit.register(program.end)
    return program


class Commands:
    """Runs commands of one box, one at a time."""

    def __init__(self, box: sandbox.Box, *more: Path, user: int | None = None) -> None:
        """`more`: directories beside the home of the box, on the files of which calls count as well.

        With `user` the commands are that user's, and which calls they make is not told; 0: root's, without its rights.
        """
        self._box = box
        self._user = user
        self._below = "".join(f"{path}:" for path in (box.home, *more))

    def run(
        self, *arguments: str, at: int = 0, error: int = 0, only: Iterable[str] = (), **variables: str | None
    ) -> Outcome:
        """Run `devicelogin ARGUMENTS`; its call number `at` ends with `error` (`at` 0: none does).

        `only`: the names of the calls that are counted; none: all are.
        """
        log = os.path.join(_directory(), "log")
        names = "".join(f",{name}" for name in only)
        task = {
            "arguments": arguments,
            "arm": [str(at), str(error), f"{names}," if names else "", log, self._below],
            "directory": str(self._box.home),
            "variables": self._box.environment(variables),
            "user": self._user,
        }
        program = _program()
        program.tell(json.dumps(task))
        ended = json.loads(program.line())
        outcome = Outcome(ended["status"], ended["out"], ended["err"], tuple(_calls(log, ended["pid"])))
        self._box.check(sandbox.Result(outcome.status, outcome.out, outcome.err, 0.0))
        return outcome


def _calls(log: str, pid: int) -> list[Call]:
    if not os.path.exists(log):
        return []
    lines = [line.split("\t") for line in Path(log).read_text().splitlines()]
    os.unlink(log)
    return [
        Call(int(number), name, path, target, int(flags), int(error))
        for whose, number, name, path, target, flags, error in lines
        if int(whose) == pid
    ]
