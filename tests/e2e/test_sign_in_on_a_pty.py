"""`devicelogin login` on a pseudo-terminal, to each of its ends: the terminal is as it was, and the exit code is right."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import random
import signal
import struct
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING, Any

import pyte
import pytest
import sandbox
from conftest import SOAK
from test_prompt_on_a_pty import BECOME

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Callable


COUNTDOWN = "Waiting for you to sign in"
QUESTION = "The code has expired. Enter: a new one; Ctrl-C: end"
#: What is said last, on a line of its own, when a signal has ended it?
GOODBYES = [f"devicelogin: {how}; what was saved before is unchanged" for how in ("interrupted", "ended by a signal")]

ASKING = "devicelogin: asking for a new code"

_STARTED = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.execv(sys.executable, sys.argv[1:])
"""

#: Becomes the program in the background of the terminal on stdin, as `devicelogin login &` does; tells by 99 that it was
#: stopped, which is what happens there to who reads.
IN_THE_BACKGROUND = f"""{_STARTED}
_, status = os.waitpid(child, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.kill(child, 9)
    sys.exit(99)
sys.exit(os.waitstatus_to_exitcode(status))
"""

#: The same, and whoever presses Enter at the shell gets the program to the foreground, as `fg` does.
BROUGHT_BACK = f"""{_STARTED}
os.read(0, 1)
os.tcsetpgrp(0, child)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

#: How long may it take until something is on the terminal (seconds)?
PATIENCE = sandbox.SOON


class Session:
    """A `login` whose controlling terminal is a pseudo-terminal, and everything that it writes there."""

    def __init__(self, box: sandbox.Box, *more: str, become: str = BECOME, before: tuple[str, ...] = ()) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(80, 24)
        self.modes = termios.tcgetattr(self.slave)
        self.written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        streams: dict[str, Any] = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave}
        self.running = box.start(
            *before,
            "login",
            *box.app(),
            *more,
            before=(sys.executable, "-c", become),
            variables={"TERM": "xterm-256color"},
            **streams,
        )

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(self.master, 65536):
                self.written += part

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until `text` was written so often."""
        end = time.monotonic() + PATIENCE
        while self.written.decode(errors="replace").count(text) < times:
            assert time.monotonic() < end, self.written
            time.sleep(0.01)

    def resize(self, columns: int, rows: int) -> None:
        """Pull at the window."""
        self.size = (columns, rows)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        """Type `keys`."""
        os.write(self.master, keys)

    def end(self, *, left_by_keys: int = 0) -> tuple[int, list[str]]:
        """Wait for the end; hold it to what every end leaves, and return the exit code and the lines that stand there.

        Whoever presses Enter beside a countdown leaves it standing: the terminal goes to the next line by itself.
        """
        status = self.running.finish().status
        assert termios.tcgetattr(self.slave) == self.modes, "the terminal's modes were changed"
        os.close(self.slave)
        self._reader.join(PATIENCE)
        os.close(self.master)
        emulated = pyte.Screen(*self.size)
        pyte.ByteStream(emulated).feed(self.written)
        lines = [line.rstrip() for line in emulated.display]
        assert "Traceback" not in "\n".join(lines), lines
        assert (emulated.cursor.x, lines[emulated.cursor.y]) == (0, ""), f"a line is half drawn: {lines}"
        assert emulated.cursor.hidden is False
        assert b"\x1b[?25l" not in self.written
        assert b"\x1b[?1049h" not in self.written
        attributes = emulated.cursor.attrs
        assert (attributes.fg, attributes.bg, attributes.reverse) == ("default", "default", False)
        assert "\n".join(lines).count(COUNTDOWN) == left_by_keys, f"a countdown counts for nobody: {lines}"
        return status, [line for line in lines if line]


def test_signed_in(box: sandbox.Box) -> None:
    """Exit 0."""
    session = Session(box)
    session.wait_for(COUNTDOWN)
    box.emulator.approve(box.emulator.wait_for_code())
    status, lines = session.end()
    assert status == 0
    assert "Signed in as" in "\n".join(lines)


def test_a_log_has_its_lines_for_itself(box: sandbox.Box) -> None:
    """With -v a line is written for each poll: none of them behind a countdown."""
    session = Session(box, before=("-v",))
    session.wait_for("/token 400", times=2)
    box.emulator.approve(box.emulator.wait_for_code())
    assert session.end()[0] == 0
    written = session.written.decode().splitlines()
    assert [line for line in written if "devicelogin.http" in line and not line.startswith("devicelogin: ")] == []


def test_declined_is_said_at_once(box: sandbox.Box) -> None:
    """Exit 5, with the next poll."""
    session = Session(box)
    session.wait_for(COUNTDOWN)
    box.emulator.decline(box.emulator.wait_for_code())
    polled = box.emulator.count("token")
    status, lines = session.end()
    assert status == 5
    assert box.emulator.count("token") <= polled + 1
    assert any(line.startswith("devicelogin: error: the sign-in was declined") for line in lines), lines


def test_when_the_code_has_expired_enter_brings_a_new_one(box: sandbox.Box) -> None:
    """One key, and not one that was pressed before the question was there; the second code is approved.

    Meanwhile the window is resized, and the provider takes its time, which is said.
    """
    # Enough for two keys to be pressed before, also on a busy machine.
    box.emulator.script("devicecode", [Fault.patch({"expires_in": 5}), Fault.delay(2)])
    session = Session(box)
    session.wait_for(COUNTDOWN)
    first = box.emulator.wait_for_code()
    session.press(b"\n\n")
    session.wait_for(QUESTION)
    time.sleep(0.3)
    assert box.emulator.count("devicecode") == 1
    session.resize(100, 40)
    session.press(b"\n")
    session.wait_for(ASKING)
    second = box.emulator.wait_for_code()
    assert second != first
    box.emulator.approve(second)
    status, lines = session.end(left_by_keys=1)
    assert status == 0
    assert "Signed in as" in "\n".join(lines)
    assert ASKING not in "\n".join(lines), "that is taken back"


def ctrl_c(session: Session) -> None:
    session.press(b"\x03")


def ctrl_d(session: Session) -> None:
    session.press(b"\x04")


def hang_up(session: Session) -> None:
    session.running.process.send_signal(signal.SIGHUP)


def terminate(session: Session) -> None:
    session.running.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(("act", "status"), [(ctrl_d, 5), (ctrl_c, 130), (hang_up, 129), (terminate, 143)])
def test_expired_and_no_new_one_wanted(box: sandbox.Box, act: Callable[[Session], None], status: int) -> None:
    """Ctrl-D says no: exit 5 with the words of old. Signals end the question as they end everything."""
    box.emulator.device_code_lifetime = 2
    session = Session(box)
    session.wait_for(QUESTION)
    act(session)
    ended, lines = session.end()
    assert ended == status
    assert box.emulator.count("devicecode") == 1
    if status != 5:
        assert lines[-1] in GOODBYES
    else:
        assert any(line.startswith("devicelogin: error: the code was not entered in time") for line in lines), lines


@pytest.mark.parametrize(("act", "status"), [(ctrl_c, 130), (hang_up, 129), (terminate, 143)])
def test_ended_by_a_signal_at_a_question(box: sandbox.Box, act: Callable[[Session], None], status: int) -> None:
    """The goodbye stands on a line of its own, and where nothing was shown of what is typed, it is again."""
    box.sign_in()
    session = Session(box)
    box.emulator.approve(box.emulator.wait_for_code(), user="grace@contoso.example")
    session.wait_for("[y/N]")
    act(session)
    ended, lines = session.end()
    assert (ended, lines[-1]) == (status, GOODBYES[status != 130])
    profile = box.config / "secret.toml"
    profile.write_text('key = "passphrase"\n')
    profile.chmod(0o600)
    session = Session(box, "--profile", "secret")
    session.wait_for("assphrase")
    act(session)
    ended, lines = session.end()
    assert (ended, lines[-1]) == (status, GOODBYES[status != 130])


def test_in_the_background_nobody_is_asked(box: sandbox.Box) -> None:
    """Whoever reads from there is stopped by the system: the expired code is the end, with 5, at once."""
    box.emulator.device_code_lifetime = 2
    session = Session(box, become=IN_THE_BACKGROUND)
    status, lines = session.end()
    assert status == 5
    assert QUESTION not in "\n".join(lines)


def test_a_countdown_stands_in_the_foreground_alone(box: sandbox.Box) -> None:
    """Behind `&` or `bg` somebody types at a shell: once a minute they are told, by a line. After `fg` it counts again."""
    session = Session(box, become=BROUGHT_BACK)
    session.wait_for("Waiting; the code expires in 15 minutes")
    code = box.emulator.wait_for_code()
    session.press(b"half a comm")
    polls, end = box.emulator.count("token"), time.monotonic() + PATIENCE
    while box.emulator.count("token") < polls + 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert session.written.endswith(b"half a comm")
    session.press(b"\n")
    session.wait_for("Waiting for you to sign in; the code expires in 14:")
    box.emulator.approve(code)
    status, lines = session.end()
    assert status == 0
    assert "Signed in as" in "\n".join(lines)


@pytest.mark.parametrize(("act", "status"), [(hang_up, 129), (terminate, 143)])
def test_ended_by_a_signal_while_waiting(box: sandbox.Box, act: Callable[[Session], None], status: int) -> None:
    """A service manager's end, and a window that is closed."""
    session = Session(box)
    session.wait_for(COUNTDOWN)
    act(session)
    ended, lines = session.end()
    assert ended == status
    assert lines[-1] in GOODBYES


def test_ctrl_c_while_the_program_is_being_loaded(box: sandbox.Box) -> None:
    """130 without a word, and the shell's next prompt does not stand behind what the terminal shows for Ctrl-C."""
    slow = box.home / "slow"
    slow.mkdir()
    (slow / "click.py").write_text("import sys, time\nprint('loading', file=sys.stderr)\ntime.sleep(60)\n")
    box.variables["PYTHONPATH"] = f"{slow}{os.pathsep}{box.environment()['PYTHONPATH']}"
    session = Session(box)
    session.wait_for("loading")
    session.press(b"\x03")
    assert session.end() == (130, ["loading", "^C"])


@pytest.mark.parametrize("number", range(20 if SOAK else 4))
def test_ctrl_c_at_random_moments(box: sandbox.Box, number: int) -> None:
    """From the first request to two seconds of waiting: exit 130, and one line that says so."""
    session = Session(box)
    end = time.monotonic() + PATIENCE
    while not box.emulator.count():
        assert time.monotonic() < end, session.written
        time.sleep(0.005)
    # Half of them fall into the quarter of a second in which the code is fetched and drawn.
    moment = random.uniform(0, 0.25 if number % 2 == 0 else 2)
    time.sleep(moment)
    session.press(b"\x03")
    status, lines = session.end()
    assert status == 130, f"after {moment} s"
    assert lines[-1] in GOODBYES
