"""No secret where it does not belong: every command at its most verbose, failing, interrupted, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sandbox

from devicelogin.emulator import Fault


class Watcher(threading.Thread):
    """Reads the arguments and the environment of every process in a sandbox, again and again."""

    def __init__(self, box: sandbox.Box) -> None:
        super().__init__(daemon=True)
        self._box = box
        self.home = os.fsencode(box.home)
        self.seen: set[bytes] = set()
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    environment, arguments = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
                except OSError:
                    continue
                if self.home in environment:
                    self.seen |= {environment, arguments}

    def end(self, wanted: bytes, *command: str) -> None:
        """Run `command` until something with `wanted` was seen: on a busy machine a short process may be missed."""

        def is_seen() -> bool:
            if any(wanted in seen for seen in self.seen.copy()):
                return True
            self._box.run(*command)
            return False

        sandbox.wait_for(is_seen, "a sight of the process")
        self.ended.set()
        self.join()


def clean(box: sandbox.Box, text: str, what: object) -> None:
    """Every secret that the emulator ever issued, and everything that looks like a JSON web token."""
    assert "eyJ" not in text, what
    assert not any(secret in text for secret in box.secrets()), what
    assert not any(secret[:40] in text for secret in box.refresh_tokens()), what


#: Commands, with what goes wrong meanwhile at the endpoint `refresh`, `me` or `discovery`.
COMMANDS: list[tuple[list[str], dict[str, Fault]]] = [
    (["status"], {}),
    (["status", "--json"], {}),
    (["doctor"], {}),
    (["doctor", "--json"], {"discovery": Fault.html()}),
    (["keepalive", "--older-than", "0"], {"refresh": Fault.oauth("invalid_grant", 700082)}),
    (["keepalive", "--older-than", "0"], {}),
    (["graph", "me"], {}),
    (["graph", "me"], {"me": Fault.status(401)}),
    (["graph", "me"], {"me": Fault.html(500)}),
    (["graph", "/users/nobody"], {}),
    (["token", "--force-refresh"], {"refresh": Fault.status(503)}),
    (["token", "--force-refresh"], {"refresh": Fault.html()}),
    (["token", "--force-refresh"], {"refresh": Fault.oauth("invalid_grant", 700082)}),
    (["token", "--force-refresh", "--json"], {"refresh": Fault.oauth("invalid_client", 7000218)}),
    (["token", "--force-refresh"], {"refresh": Fault.patch({"token_type": "mac"})}),
    (["token", "--force-refresh"], {"refresh": Fault.patch({"access_token": "two words"})}),
    (
        ["token", "--force-refresh"],
        {"refresh": Fault.patch({"expires_in": {}, "client_info": "x", "id_token": "a.b.c"})},
    ),
    (["token", "--scope", "Mail.Read", "--json"], {"refresh": Fault.truncate(900)}),
    (["login", "--json"], {"devicecode": Fault.oauth("invalid_client", 7000218)}),
    (["logout"], {}),
]


def test_no_command_shows_a_secret_where_it_does_not_belong(box: sandbox.Box) -> None:
    """stderr and logs never; stdout for `token` only; no arguments, no environment, no file but the allowed ones."""
    watcher = Watcher(box)
    watcher.start()
    box.sign_in()
    login = box.login("--json", after=1)
    clean(box, login.out, "login --json")
    box.emulator.approve_next(after=1)
    verbose = box.run("-v", "login", *box.app())
    assert verbose.status == 0
    assert "devicelogin.http" in verbose.err, "this test needs a log to look into"
    for command, faults in COMMANDS:
        for endpoint, fault in faults.items():
            box.emulator.script(endpoint, [fault] * 2)
        result = box.run("-v", *command)  # `run` looks at stderr
        for endpoint in faults:
            box.emulator.script(endpoint, [])
        if command[0] != "token" or result.status != 0:
            clean(box, result.out, command)
        for file in (box.home / "all").rglob("*"):
            if file.is_file() and box.runtime not in file.parents:
                clean(box, file.read_bytes().decode("latin-1"), file)
    watcher.end(b"force-refresh", "token", "--force-refresh")
    for seen in watcher.seen:
        clean(box, seen.decode("latin-1"), "argv or environment")


def test_a_keyring_call_shows_no_secret_from_outside(box: sandbox.Box) -> None:
    """The child process that talks to the keyring gets the record on its stdin, not in arguments or environment."""
    box.give_odd_keyrings()
    watcher = Watcher(box)
    watcher.start()
    box.login(store=sandbox.HONEST)
    watcher.end(b"keyring_child", "token", "--force-refresh")
    for seen in watcher.seen:
        clean(box, seen.decode("latin-1"), "argv or environment")


def wait_for_handlers(process: int) -> None:
    """Wait until it handles SIGTERM, which Python by itself does not: from there on an interruption is ours to report."""
    end = time.monotonic() + sandbox.SOON
    while time.monotonic() < end:
        with open(f"/proc/{process}/status") as status:
            caught = next((line for line in status if line.startswith("SigCgt:")), "SigCgt: 0")
        if int(caught.split()[1], 16) & 1 << signal.SIGTERM - 1:
            return
        time.sleep(0.005)


@pytest.mark.parametrize("after", [0, 0.1, 0.25, 0.5, 1.1])
def test_ctrl_c_at_any_moment_shows_nothing(box: sandbox.Box, after: float) -> None:
    """130, one line, no traceback, no secret; the sign-in saved before works."""
    box.sign_in()
    box.emulator.script("refresh", [Fault.delay(3)])
    for command in (["-v", "token", "--force-refresh"], ["-v", "login", *box.app()]):
        running = box.start(*command)
        wait_for_handlers(running.process.pid)
        time.sleep(after)
        running.process.send_signal(signal.SIGINT)
        result = running.finish()
        assert result.status in {130, 0}, result
        assert len(result.err.splitlines()) < 30
    box.emulator.script("refresh", [])
    assert box.access_token(force=True).token


PROGRAM = """
import logging, sys, traceback
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
import devicelogin
person = devicelogin.DeviceLogin()
token = person.access_token(min_valid=7200)  # longer than any lasts: a refresh
for thing in (person, token, person.status()):
    print(repr(thing), str(thing), file=sys.stderr)
try:
    person.access_token(["Mail.Read"])
except devicelogin.DeviceLoginError:
    traceback.print_exc()
print("done", token.expires_at)
"""


def test_a_program_that_logs_everything_logs_no_secret(box: sandbox.Box) -> None:
    """With DEBUG on every logger, with `repr` of every object and with a traceback: nothing."""
    box.sign_in()
    box.emulator.script("refresh", [None, Fault.oauth("invalid_grant", 65001, suberror="consent_required")])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=box.environment(),
        cwd=box.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.startswith("done"), ran
    assert "DEBUG:" in ran.stderr
    assert "LoginRequiredError" in ran.stderr
    clean(box, ran.stderr, ran)
