"""A program that is told lines on its stdin and says lines on its stdout; it starts what a test kills.

program = line_program.LineProgram([sys.executable, save_until_killed.__file__], environment)
program.tell("1")
assert program.line().startswith("pid ")
"""

from __future__ import annotations

import os
import select
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class LineProgram:
    """One such program. What it started may outlive it, and then says its lines in its place."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._said = b""

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def line(self) -> str:
        """Wait for the next line and return it."""
        while b"\n" not in self._said:
            self._read()
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def lines_so_far(self) -> list[str]:
        """Return what it has said by now and was not asked for yet. To be asked only when nobody writes any more."""
        while select.select([self._output], [], [], 0)[0]:
            self._read()
        said, self._said = self._said, b""
        return said.decode().splitlines()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    def _read(self) -> None:
        chunk = os.read(self._output, 1 << 16)
        assert chunk, "the program has ended"
        self._said += chunk
