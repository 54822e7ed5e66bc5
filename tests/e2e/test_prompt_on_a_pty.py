"""The prompt on a pseudo-terminal: small windows, Ctrl-C, and what is left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pyte
import pytest
import sandbox
from conftest import repetitions
from terminal_fixtures import is_whole_qr_code

PUBLIC = "https://microsoft.com/devicelogin"

#: Makes the terminal on stdin the controlling one, so that Ctrl-C is a signal, then becomes the program. Where the tests
#: run in the background, the shell has had SIGINT ignored, and that would be inherited.
BECOME = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, sys.argv[1:])
"""


class Session:
    """A program on a pseudo-terminal of `columns` x `rows`, and everything that it writes."""

    def __init__(self, tmp_path: Path, columns: int, rows: int, **environ: str) -> None:
        self.size = (columns, rows)
        self.ready = tmp_path / "ready"
        self.signed_in = tmp_path / "ready.end"
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.modes = termios.tcgetattr(self.slave)
        self.written = b""
        program = [sys.executable, str(Path(__file__).with_name("show_prompt.py")), PUBLIC, "auto", str(self.ready)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", BECOME, *program, str(sandbox.PATIENCE)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environ},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(self.master, 65536):
                self.written += part

    def wait_until_shown(self) -> None:
        sandbox.wait_for(lambda: self.ready.exists() and b"expires in" in self.written, "the prompt")

    def sign_in(self) -> None:
        """Let the program say that somebody has signed in, and end."""
        self.signed_in.touch()

    def end(self) -> int:
        """Wait for the end of the program; return its exit code."""
        code = self.process.wait(sandbox.SOON)
        assert termios.tcgetattr(self.slave) == self.modes, "the terminal's modes were changed"
        os.close(self.slave)
        self._reader.join(sandbox.SOON)
        os.close(self.master)
        return code

    @property
    def screen(self) -> pyte.Screen:
        """What stands on the terminal now."""
        emulated = pyte.Screen(*self.size)
        pyte.ByteStream(emulated).feed(self.written)
        return emulated


@pytest.mark.parametrize("number", range(repetitions(20)))
def test_ctrl_c_while_waiting_leaves_the_terminal_as_it_was(tmp_path, number):
    """The countdown is gone, the cursor is there, no mode is changed, no colour stays; exit 130."""
    session = Session(tmp_path, 80, 24)
    session.wait_until_shown()
    time.sleep(0.013 * number)
    os.write(session.master, b"\x03")
    assert session.end() == 130
    left = session.screen
    assert "Waiting" not in "".join(left.display)
    assert (left.cursor.x, left.cursor.hidden) == (0, False)
    assert (left.cursor.attrs.fg, left.cursor.attrs.bg, left.cursor.attrs.reverse) == ("default", "default", False)
    assert pyte.modes.DECAWM in left.mode


def test_a_killed_program_leaves_nothing_but_its_last_line(tmp_path):
    """SIGKILL cannot be caught, so no mode may need to be taken back."""
    session = Session(tmp_path, 80, 24)
    session.wait_until_shown()
    session.process.kill()
    assert session.end() == -signal.SIGKILL
    left = session.screen
    assert left.cursor.hidden is False
    assert (left.cursor.attrs.fg, left.cursor.attrs.bg) == ("default", "default")


def test_a_serial_line_of_40x12_shows_address_and_code_whole_and_says_why_there_is_no_qr_code(tmp_path):
    """A09."""
    session = Session(tmp_path, 40, 12)
    session.wait_until_shown()
    shown = "\n".join(session.screen.display)
    session.sign_in()
    assert session.end() == 0
    assert PUBLIC in shown
    assert "BPP-VYQ-ZMA" in shown
    assert "No QR code: this window of 40x12 is too" in shown
    assert not set("\u2580\u2584\u2588") & set(shown)


def test_a_window_resized_while_waiting_keeps_the_countdown_on_one_line(tmp_path):
    """The size is asked for each time the countdown is drawn."""
    session = Session(tmp_path, 80, 24)
    session.wait_until_shown()
    fcntl.ioctl(session.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))

    def countdowns() -> list[bytes]:
        drawn_anew = session.written.partition(b"\x1b[2J")[2]
        return re.findall(rb"\r([^\r\n\x1b]+)\x1b\[K", drawn_anew)

    sandbox.wait_for(lambda: len(countdowns()) > 1, "countdowns in the small window")
    os.write(session.master, b"\x03")
    assert session.end() == 130
    assert max(map(len, countdowns())) < 30


@pytest.mark.parametrize(
    ("columns", "rows", "environ", "has_qr"),
    [
        (80, 24, {"TERM": "vt220"}, True),
        (40, 12, {"TERM": "vt220"}, False),
        (80, 24, {"TERM": "xterm-256color", "NO_COLOR": "1"}, True),
        (80, 25, {"TERM": "linux"}, False),
        (128, 48, {"TERM": "linux"}, True),
        (100, 40, {"TERM": "xterm", "LC_ALL": "C"}, True),
        (80, 24, {"TERM": "xterm", "LC_ALL": "C"}, False),
        (80, 24, {"TERM": "screen"}, True),
        (80, 24, {"TERM": "dumb"}, False),
        (0, 0, {"TERM": "vt220", "COLUMNS": "", "LINES": ""}, True),
    ],
)
def test_every_kind_of_terminal_shows_address_and_code_and_a_whole_qr_code_or_none(
    tmp_path, columns, rows, environ, has_qr
):
    """Serial lines (the last says no size), the Linux console, no colours, an ASCII locale, a screen reader."""
    session = Session(tmp_path, columns, rows, **environ)
    session.size = (columns or 80, rows or 24)
    session.wait_until_shown()
    shown = session.screen
    session.sign_in()
    assert session.end() == 0
    text = "\n".join(shown.display)
    for part in (PUBLIC, "BPP-VYQ-ZMA", "expires in"):
        assert part in text
    assert is_whole_qr_code(shown, PUBLIC) is has_qr
    if environ.get("LC_ALL") == "C":
        assert text.isascii()
    if not has_qr and environ["TERM"] != "dumb":
        assert "No QR code: this window" in text


def test_a_window_that_is_pulled_about_has_one_whole_prompt_in_the_end(tmp_path):
    """Twenty sizes in two seconds: nothing fails, nothing is left in another mode, and the last size has it all."""
    session = Session(tmp_path, 100, 40)
    session.wait_until_shown()
    sizes = [(100 - 3 * step, 40 - step) for step in range(20)] + [(60, 20)]
    for columns, rows in sizes:
        fcntl.ioctl(session.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        time.sleep(0.07)
    session.size = (60, 20)

    drawn = []

    def stands_there() -> bool:
        drawn.append(pyte.Screen(60, 20))
        pyte.ByteStream(drawn[-1]).feed(session.written.rpartition(b"\x1b[2J")[2])
        text = "\n".join(drawn[-1].display)
        # The countdown is what is drawn last.
        return drawn[-1].display[0].strip() == PUBLIC and "BPP-VYQ-ZMA" in text and "expires in" in text

    sandbox.wait_for(stands_there, "the prompt in the last size")
    os.write(session.master, b"\x03")
    assert session.end() == 130
    assert is_whole_qr_code(drawn[-1], PUBLIC)
