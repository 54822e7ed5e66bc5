"""A terminal without a window, for commands in a sandbox: what they write there, and somebody who types.

    with pseudo_terminal.opened() as terminal:
        running = box.start("login", *box.app(), stdin=terminal.slave, stderr=terminal.slave)
        terminal.wait_for("Client id: ")
        terminal.type("board\\n")
        result = running.finish()
    assert "Signed in" in terminal.text

What is drawn by a real one stands in `x_terminal`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import termios
import threading
from typing import TYPE_CHECKING

import pyte
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


class PseudoTerminal:
    """A pseudo-terminal; `slave` is for commands, `written` all that they wrote."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.size = (columns, rows)
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What was written, as text."""
        return self.written.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """The lines that stand on it, but for empty ones."""
        emulated = pyte.Screen(*self.size)
        pyte.ByteStream(emulated).feed(self.written)
        return [line.rstrip() for line in emulated.display if line.strip()]

    def wait_for(self, words: str) -> None:
        """Wait until `words` are in the text."""
        try:
            sandbox.wait_for(lambda: words in self.text, repr(words))
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.text}") from None

    def type(self, words: str) -> None:
        """Type `words`; a newline is the key Enter."""
        os.write(self._master, words.encode())

    def close(self) -> None:
        """Read what there is, up to the end of the last command on it, and close it."""
        os.close(self.slave)
        self._reader.join(sandbox.SOON)
        os.close(self._master)

    def _read(self) -> None:
        # Linux says by an error that the last one has closed the other end.
        with contextlib.suppress(OSError):
            while part := os.read(self._master, 65536):
                self.written += part


@contextlib.contextmanager
def opened(columns: int = 80, rows: int = 24) -> Iterator[PseudoTerminal]:
    """Open a pseudo-terminal of that size. All that was written to it is known when it is closed."""
    terminal = PseudoTerminal(columns, rows)
    try:
        yield terminal
    finally:
        terminal.close()
