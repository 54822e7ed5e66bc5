"""`devicelogin doctor` on a pseudo-terminal of 80 columns: nothing is wider, colours, and a word when it takes long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pseudo_terminal
import pytest
import sandbox

from devicelogin.emulator import Fault
from devicelogin.terminal import screen

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened() as opened:
        opened.sign_in()
        yield opened


def on_a_terminal(box: sandbox.Box, **variables: str) -> tuple[int, str]:
    """Run `doctor` on a terminal of 80x24; return its exit code and everything that it wrote there."""
    with pseudo_terminal.opened() as terminal:
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.slave)
        status = box.start("doctor", **streams, variables={"TERM": "xterm-256color", **variables}).finish().status
    return status, terminal.text


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}, {"TERM": "dumb"}])
def test_no_line_is_wider_than_the_window(box: sandbox.Box, variables: dict[str, str]) -> None:
    """Red, yellow and green lines fit 80 columns, with colours only where they are wanted."""
    (box.config / "keys" / "default.key").unlink()
    status, written = on_a_terminal(box, **variables)
    assert status == 73
    lines = _SEQUENCE.sub("", written).splitlines()
    assert max(screen.cell_width(line) for line in lines) <= 80, written
    assert any(line.startswith("  FAIL  store") for line in lines)
    assert any(line.startswith("  ok    terminal") or "TERM says" in line or "ASCII" in line for line in lines)
    assert ("\x1b[1;31mFAIL" in written) is (variables in ({}, {"LC_ALL": "C"}))


def test_who_waits_is_told_so(box: sandbox.Box) -> None:
    """After a second a line says that it goes on; where nobody sits at a terminal it is not written."""
    note = "looking at this machine; it takes half a minute at most"
    box.emulator.script("discovery", [Fault.delay(2.5)])
    assert note in on_a_terminal(box)[1]
    box.emulator.script("discovery", [Fault.delay(1.5)])
    assert box.run("doctor").err == ""


def test_a_silent_server_ends_in_time(box: sandbox.Box) -> None:
    """75 after the fifteen seconds that a network has, and every other line is there."""
    box.emulator.script("discovery", [Fault.delay(sandbox.LATER)])
    result = box.run("doctor")
    assert result.status == 75
    assert result.seconds < sandbox.SOON
    assert "no answer in time" in result.out
    assert "  ok    sign-in" in result.out
