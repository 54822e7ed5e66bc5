"""`login --copy`: the code on the clipboard of the terminal at which a person sits."""

from __future__ import annotations

import base64
import re

import pseudo_terminal
import sandbox

from devicelogin.terminal import sign_in_prompt


def test_login_copy_sends_the_very_code_that_it_shows_and_nothing_else() -> None:
    """On a terminal, before anybody approves; the sign-in goes on as ever."""
    with sandbox.opened() as box:
        box.emulator.approve_next(after=1)
        with pseudo_terminal.opened(100, 40) as terminal:
            streams = {"stdin": terminal.slave, "stderr": terminal.slave}
            running = box.start("login", *box.app(), "--copy", **streams, variables={"TERM": "xterm-256color"})
            result = running.finish()
        shown = terminal.text
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
