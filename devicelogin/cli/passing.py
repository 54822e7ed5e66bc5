"""The one line on a terminal that says what takes long, and is gone when that is over.

It belongs to stderr as a whole: whatever else is going to be written there, or on the same terminal, calls `end` before.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: After how long is a person told what is waited for (seconds)?
PATIENCE = 1.0

_ERASE = "\r\x1b[K"


class _Line:
    """A line that appears after a while, unless it was ended before."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lock = threading.Lock()
        self._is_over = False
        self._erase = ""
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._is_over = True
            _write(self._erase)
            self._erase = ""

    def _show(self) -> None:
        # What draws on terminals is imported for those only who do wait.
        from devicelogin.terminal import screen

        view = screen.Screen(sys.stderr, environ=os.environ)
        text = f"devicelogin: {self._text}"
        with self._lock:
            if self._is_over or not view.is_in_foreground:
                return
            if view.is_plain:  # a line that is read aloud is not taken back
                _write(text + "\n")
                return
            self._erase = _ERASE
            _write(screen.cut(text, view.columns - 1))


_lines: list[_Line] = []


@contextlib.contextmanager
def said(text: str) -> Iterator[None]:
    """Say `text` on stderr, a terminal, once the block has taken a second, and take it back at its end."""
    line = _Line(text)
    _lines.append(line)
    try:
        yield
    finally:
        _lines.remove(line)
        line.end()


def end() -> None:
    """Take back what is said now, and say it no more: something else is going to stand there."""
    for line in _lines:
        line.end()


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()
