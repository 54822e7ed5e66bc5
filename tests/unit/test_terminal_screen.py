"""What a screen knows about its stream."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal_fixtures import UTF8, pipe, terminal

from devicelogin.terminal import screen


def test_size_is_that_of_the_terminal_behind_the_stream_and_follows_a_resize():
    """The window decides, not COLUMNS, and it is asked anew each time."""
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 40, 0, 0))
        target = screen.Screen(stream, environ={**UTF8, "COLUMNS": "99", "LINES": "98"})
        assert (target.columns, target.rows) == (40, 12)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
        assert (target.columns, target.rows) == (132, 50)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert (target.columns, target.rows) == (99, 98)
        assert target.is_terminal
    os.close(master)


@pytest.mark.parametrize("told", ["", "0", "-5", "x", "²", "9" * 30])
def test_size_is_80x24_where_nobody_tells_a_usable_one(told):
    """Serial lines say 0x0, and COLUMNS may hold anything."""
    target, _ = terminal(COLUMNS=told, LINES=told)
    assert (target.columns, target.rows) == (80, 24)


@pytest.mark.parametrize(
    ("is_terminal", "environ", "expected"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": ""}, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, True),
    ],
)
def test_colours_only_where_they_are_wanted(is_terminal, environ, expected):
    """NO_COLOR, then FORCE_COLOR, then the terminal decides."""
    target, _ = terminal(**environ) if is_terminal else pipe(**environ)
    assert target.has_colours is expected
    assert target.styled("x", "bold") == ("\x1b[1mx\x1b[0m" if expected else "x")


@pytest.mark.parametrize(
    ("encoding", "environ", "expected"),
    [
        ("utf-8", {}, True),
        ("UTF8", {}, True),
        ("ascii", {}, False),
        ("latin-1", {}, False),
        ("utf-8", {"LC_ALL": "C"}, False),
        ("utf-8", {"LC_ALL": "POSIX"}, False),
        ("utf-8", {"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ("utf-8", {"LC_CTYPE": "C.UTF-8", "LANG": ""}, True),
        ("utf-8", {"LANG": ""}, True),
        ("utf-8", {"LC_ALL": "de_DE.UTF-8", "LANG": "C"}, True),
    ],
)
def test_utf8_is_judged_by_encoding_and_locale(encoding, environ, expected):
    """In the C locale Python writes UTF-8 all the same, so the locale has to be asked too."""
    target, _ = terminal(encoding=encoding, **environ)
    assert target.is_utf8 is expected


def test_writing_never_fails_for_a_character_that_the_encoding_lacks():
    """A name in another script must not end a sign-in with an exception."""
    target, stream = terminal(encoding="ascii")
    target.line("Zoë … \u4e2d \udc80")
    assert stream.text == "Zo? ~ ? ?\n"


def test_in_the_c_locale_nothing_but_ascii_is_written_and_blocks_only_where_they_are_meant():
    """Python would write UTF-8, and 0x9b in it is the beginning of a sequence for a terminal of eight bits."""
    target, stream = terminal(LC_ALL="C")
    target.line("Zo\u011b\u2026 \u2580\u2584\u2588 \ufffd")
    assert stream.text == "Zo?~ \u2580\u2584\u2588 ?\n"


def test_a_closed_stream_is_no_terminal():
    """Asking must not raise."""
    target, stream = pipe()
    stream.close()
    assert target.is_terminal is False
    assert target.is_plain is True


def test_a_write_that_fails_is_an_error_unless_the_screen_is_optional():
    """A table on stdout must not be lost silently; a countdown may."""
    stream = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115 - closing it fails
    target = screen.Screen(stream, environ=UTF8)
    with pytest.raises(OSError, match="No space left"):
        target.line("x")
    target.is_optional = True
    target.line("x")
    with pytest.raises(OSError, match="No space left"):
        stream.close()
    target.line("x")
    target.is_optional = False
    with pytest.raises(ValueError, match="closed"):
        target.line("x")


def test_cells_are_counted_as_terminals_draw_them():
    """Wide characters take two cells, combining marks none."""
    assert screen.cell_width("abc") == 3
    assert screen.cell_width("\u4e2d\u6587") == 4
    assert screen.cell_width("e\u0301") == 1
    assert screen.cell_width("\u2764\ufe0f") == 2, "some terminals draw it wide"
    assert screen.cut("\u4e2d\u6587\u4e2d", 4) == "\u4e2d…"
    assert screen.cut("abcd", 4) == "abcd"


@given(text=st.text(max_size=200), width=st.integers(2, 60))
def test_wrapped_lines_are_never_wider_than_asked_and_lose_nothing(text, width):
    """A line that is one cell too wide would tear the QR code beside it."""
    lines = screen.wrapped(text, width)
    assert all(screen.cell_width(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_the_room_never_names_sys_stdout_and_never_ends_the_process():
    """D11: only cli writes to stdout or ends the process."""
    for path in Path(screen.__file__).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        code = [line for line in source.splitlines() if not line.lstrip().startswith(("#", '"""', "`"))]
        assert not [
            line
            for line in code
            if "sys.stdout" in line.replace("`sys.stdout`", "")
            or "sys.exit" in line
            or "print(" in line.replace("drawing.print(", "")
        ], path


def test_what_no_caller_has_made_printable_steers_no_terminal():
    """The last guard: our own colors and links pass, everything else is shown as its escape; elsewhere nothing changes."""
    evil = "a\x1b]52;c;eA==\x07\x1b[2J\x1b[8m\rb\x9b31m\u202e\x1bc\x1b[H"
    target, stream = terminal()
    target.line(target.styled("red", "red") + evil)
    assert stream.text.startswith("\x1b[1;31mred\x1b[0ma\\u001b]52;")
    assert stream.text.count("\x1b") == 2
    assert not {"\x07", "\r", "\x9b", "\u202e"} & set(stream.text)
    into_file, content = pipe()
    into_file.line(evil)
    assert content.text == evil + "\n"
