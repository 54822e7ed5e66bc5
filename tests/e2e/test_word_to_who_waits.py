"""What takes longer than a second says so on a terminal, in one line that is gone afterwards."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pseudo_terminal
import pytest
import sandbox

from devicelogin import secret_store
from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A command, the endpoint that keeps it waiting, and what it says meanwhile.
CASES = {
    "token --force-refresh": (
        "refresh",
        "devicelogin: getting a token from the identity provider; it takes 75 seconds",
    ),
    "token --force-refresh --json": ("refresh", "devicelogin: getting a token from the identity provider; it takes 75"),
    "graph me": ("me", "devicelogin: waiting for Microsoft Graph"),
    "keepalive --older-than 0": ("refresh", "devicelogin: refreshing the saved sign-ins"),
    "login --if-needed": ("refresh", "devicelogin: trying the saved sign-in"),
}


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened() as opened:
        opened.sign_in()
        yield opened


class OnTerminal:
    """How a command ended whose stderr is a terminal, and what it wrote there; its stdout is a pipe."""

    def __init__(
        self,
        box: sandbox.Box,
        *words: str,
        columns: int = 80,
        during: Callable[[pseudo_terminal.PseudoTerminal], None] = lambda _: None,
        **more: str,
    ) -> None:
        with pseudo_terminal.opened(columns) as terminal:
            variables = {"TERM": "xterm-256color", **more}
            running = box.start(*words, stdin=terminal.slave, stderr=terminal.slave, variables=variables)
            during(terminal)
            self.result = running.finish()
        self.written = terminal.text
        self.left = terminal.lines


@pytest.mark.parametrize("command", CASES)
def test_what_takes_long_says_so_and_takes_it_back(box: sandbox.Box, command: str) -> None:
    """After a second, on stderr alone; nothing of it is left at the end, and the command works as ever."""
    endpoint, words = CASES[command]
    shutil.rmtree(box.runtime)
    box.emulator.script(endpoint, [Fault.delay(2.2)])
    done = OnTerminal(box, *command.split())
    assert done.result.status == 0, done.written
    assert done.written.count(words) == 1
    assert not any(words in line for line in done.left)
    assert words not in done.result.out


def test_the_word_is_gone_when_the_code_appears(box: sandbox.Box) -> None:
    """A slow provider before the first code: then the screen is the sign-in's alone."""
    box.emulator.script("devicecode", [Fault.delay(2.2)])
    box.emulator.approve_next(after=0.5)
    done = OnTerminal(box, "login", *box.app())
    assert done.result.status == 0, done.written
    before, _, after = done.written.partition("devicelogin: asking for a code")
    assert "To sign in" not in before
    assert after.startswith("\r\x1b[K")
    assert "asking for a code" not in "".join([after, *done.left])


def test_a_logout_that_revokes_says_so(box: sandbox.Box) -> None:
    """A provider may take twenty seconds for it."""
    box.sign_in(sandbox.quick(replace=True), oidc_issuer=box.emulator.oidc_issuer)
    box.emulator.script("revoke", [Fault.delay(2)])
    done = OnTerminal(box, "logout")
    assert "devicelogin: deleting the saved sign-in (profile default)\r\x1b[K" in done.written
    assert done.left[0].startswith("devicelogin: the sign-in of ")


def test_who_waits_for_another_process_is_told_so(box: sandbox.Box) -> None:
    """The one that refreshes may take as long as a network does."""

    def another_process(terminal: pseudo_terminal.PseudoTerminal) -> None:
        try:
            terminal.wait_for("devicelogin: getting a token")
        finally:
            lock.release()

    lock = secret_store.ProfileLock(box.workplace().paths)
    assert lock.try_acquire()
    done = OnTerminal(box, "token", "--force-refresh", during=another_process)
    assert done.result.status == 0, done.written
    assert done.left == []


@pytest.mark.parametrize(
    "words", [["-q", "token", "--force-refresh"], ["-v", "token", "--force-refresh"]], ids=" ".join
)
def test_who_does_not_want_to_know_is_not_told(box: sandbox.Box, words: list[str]) -> None:
    """-q wants silence, -v has the log."""
    box.emulator.script("refresh", [Fault.delay(2)])
    assert "getting a token" not in OnTerminal(box, *words).written


def test_where_nobody_sits_nothing_is_said(box: sandbox.Box) -> None:
    """A cron mail holds errors alone."""
    box.emulator.script("refresh", [Fault.delay(2)])
    result = box.run("token", "--force-refresh")
    assert (result.status, result.err) == (0, "")


def test_a_line_that_is_read_aloud_stays(box: sandbox.Box) -> None:
    """TERM=dumb: a whole line, and no sequence that takes it back."""
    box.emulator.script("refresh", [Fault.delay(2)])
    done = OnTerminal(box, "token", "--force-refresh", TERM="dumb")
    assert "devicelogin: getting a token from the identity provider; it takes 75 seconds at most\r\n" in done.written
    assert "\x1b" not in done.written


def test_a_narrow_window_keeps_the_line_in_one_row(box: sandbox.Box) -> None:
    """What had gone on in the next row could not be taken back."""
    box.emulator.script("refresh", [Fault.delay(2)])
    done = OnTerminal(box, "token", "--force-refresh", columns=40)
    assert "devicelogin: getting a token from the" in done.written
    assert done.left == []


def test_an_error_stands_alone(box: sandbox.Box) -> None:
    """The line is gone before the reason is written."""
    box.emulator.script("discovery", [Fault.delay(2)])
    done = OnTerminal(box, "login", *box.app(client_id="00000000-0000-0000-0000-000000000000"))
    assert done.result.status == 78
    assert "asking for a code" in done.written
    assert [line for line in done.left if "asking for a code" in line] == []
    assert any(line.startswith("devicelogin: error: ") for line in done.left)
