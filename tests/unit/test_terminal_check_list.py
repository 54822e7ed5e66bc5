"""The list of a doctor's findings: as wide as the terminal, coloured where that is wanted, whole lines elsewhere."""

from __future__ import annotations

import pytest
import terminal_fixtures
from terminal_fixtures import MemoryStream

from devicelogin import models
from devicelogin.terminal import check_list, screen

LONG = "a sealed file, encrypted with a key file on the same disk: does not protect against root or theft"


def _finding(level: str, name: str = "store", about: str = "profile default", **more: object) -> models.Finding:
    return models.Finding(about=about, name=name, level=level, message=LONG, **more)  # type: ignore[arg-type]


FINDINGS = [
    _finding("green", "session bus", "this machine"),
    _finding("yellow", "clock", "this machine", hint="sudo timedatectl set-ntp true"),
    _finding("red", hint="devicelogin login --store file " + "--scope Mail.Read " * 8, exit_code=73),
    _finding("skipped", "sign-in", details=("client_id = x (default)",)),
]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_nothing_is_wider_than_the_terminal(columns: int) -> None:
    """Not one line reaches the last column; every word is there."""
    out, stream = terminal_fixtures.terminal(columns, 24, NO_COLOR="1")
    check_list.show(out, FINDINGS, with_details=True)
    assert all(screen.cell_width(line) < columns for line in stream.text.splitlines()), stream.text
    assert " ".join(stream.text.split()).count("does not protect") == len(FINDINGS) or columns == 40
    assert "\x1b" not in stream.text


def test_elsewhere_a_finding_is_one_line() -> None:
    """A pipe gets no colour, no line that was broken, and the word that tells the colour."""
    stream = MemoryStream(is_terminal=False)
    check_list.show(screen.Screen(stream, environ={}), FINDINGS)
    lines = stream.text.splitlines()
    assert lines[0] == "this machine"
    assert lines[1].split()[:3] == ["ok", "session", "bus"]
    assert [line for line in lines if line.startswith("  FAIL")] == [f"  FAIL  store        {LONG}"]
    assert f"        hint: {' '.join((FINDINGS[2].hint or '').split())}" in lines
    assert lines[-1] == "1 FAIL, 1 warn, 1 ok"
    assert "client_id" not in stream.text


@pytest.mark.parametrize(("variable", "is_terminal", "coloured"), [("FORCE_COLOR", False, True), ("NO_COLOR", True, False), ("X", True, True)])  # fmt: skip
def test_colours_are_there_where_they_are_wanted(variable: str, is_terminal: bool, coloured: bool) -> None:
    """NO_COLOR and FORCE_COLOR are obeyed; the words are the same with and without."""
    stream = MemoryStream(is_terminal=is_terminal)
    check_list.show(screen.Screen(stream, environ={"TERM": "xterm", variable: "1"}), FINDINGS)
    assert ("\x1b[1;31mFAIL\x1b[0m" in stream.text) is coloured
    assert "FAIL" in stream.text


def test_ascii_is_enough() -> None:
    """An encoding of ASCII gets every line; what it lacks is replaced, and no text steers the terminal."""
    stream = MemoryStream(is_terminal=False, encoding="ascii")
    strange = models.Finding(
        about="profile b\u00f6x", name="disk", level="red", message="\x1b[2J\u202ebad", hint="\x07x"
    )
    check_list.show(screen.Screen(stream, environ={"LC_ALL": "C"}), [strange])
    assert "profile b?x" in stream.text
    assert "\x1b" not in stream.text
    assert "\x07" not in stream.text
