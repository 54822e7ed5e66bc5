"""`login --copy`: the code on the clipboard of the terminal at which a person sits."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
import threading
from typing import TYPE_CHECKING

import sandbox

from devicelogin.terminal import sign_in_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def standing_on_a_pty(columns: int, rows: int) -> Iterator[tuple[int, list[bytes]]]:
    """Give a pseudo-terminal of that size, and everything that was written to it once it is left."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    written: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):
            while part := os.read(master, 65536):
                written.append(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield slave, written
    finally:
        os.close(slave)
        reader.join(5)
        os.close(master)


def test_login_copy_sends_the_very_code_that_it_shows_and_nothing_else() -> None:
    """On a terminal, before anybody approves; the sign-in goes on as ever."""
    with sandbox.opened() as box:
        box.emulator.approve_next(after=1)
        with standing_on_a_pty(100, 40) as (terminal, written):
            running = box.start(
                "login", *box.app(), "--copy", stdin=terminal, stderr=terminal, variables={"TERM": "xterm-256color"}
            )
            result = running.finish()
        shown = b"".join(written).decode()
    assert (result.status, result.out) == (0, "")
    copied = re.findall(r"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07", shown)
    assert len(copied) == shown.count("\x1b]52") == 1
    code = base64.b64decode(copied[0]).decode()
    assert f" {sign_in_prompt.grouped(code)} " in shown
    assert "sent to your terminal's clipboard" in shown
    assert "Signed in as" in shown


def test_login_copy_without_a_terminal_says_that_nothing_was_copied() -> None:
    """And signs in all the same."""
    with sandbox.opened() as box:
        result = box.login("--copy")
    assert "not copied: no terminal with a clipboard" in result.err
    assert "\x1b" not in result.err


def test_login_copy_does_not_go_with_json() -> None:
    """Whoever reads events has the code."""
    with sandbox.opened() as box:
        result = box.run("login", *box.app(), "--copy", "--json")
    assert result.status == 2
    assert "--copy is for a person at a terminal" in result.err
