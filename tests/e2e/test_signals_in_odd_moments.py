"""A signal that comes where Python drops what its handler raises: the command ends all the same, and says nothing odd."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import keyring_session
import login_events
import pytest
import sandbox

PROGRAM = """
import os, signal, sys, time
from devicelogin.cli import ending, events, invocation

def while_a_module_is_found(seconds=20):
    # As the interpreter calls it, with the frame that it has interrupted: one of the import system.
    class Finder:
        def find_spec(self, *_):
            signal.getsignal(signal.SIGTERM)(signal.SIGTERM, sys._getframe(1))
    sys.meta_path.insert(0, Finder())
    try:
        import this_is_nowhere
    except BaseException:  # as a callback of the import system loses it
        sys.meta_path.pop(0)
    time.sleep(seconds)

def just_before_it_is_saved():
    # A busy machine may take longer to the next line than the signal is put off.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    while_a_module_is_found(0)
    ending.see_it_through()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    time.sleep(0.2)

def where_it_is_lost():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except invocation.Ended:
        pass
    for _ in range(3):
        events.EventStream().waiting(900.0)
    time.sleep(600)

act = globals()[sys.argv[1]]
sys.exit(ending.run(invocation.Invocation(), act))
"""


def run(box: sandbox.Box, moment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, moment],
        env=box.environment(),
        capture_output=True,
        text=True,
        timeout=sandbox.PATIENCE,
        check=False,
    )


def test_a_signal_that_was_put_off_is_too_late_as_well(box: sandbox.Box) -> None:
    """It comes twenty milliseconds later; by then the sign-in may have been saved."""
    ran = run(box, "just_before_it_is_saved")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("moment", ["while_a_module_is_found", "where_it_is_lost"])
def test_a_signal_is_not_lost(box: sandbox.Box, moment: str) -> None:
    """143 at once, or with the next tick of a wait; one line on stderr."""
    ran = run(box, moment)
    assert (ran.returncode, ran.stdout) == (143, ""), ran
    assert ran.stderr == "devicelogin: ended by a signal; what was saved before is unchanged\n"


def test_who_is_signed_in_by_then_is_told_so(box: sandbox.Box) -> None:
    """A signal that comes after the new secret was saved is too late: no last line says that nothing has changed."""
    with keyring_session.started("unlocked") as session:
        box.variables |= session.variables
        box.login(store="keyring")
        session.kill_service()
        session.start_hung_service()  # deleting the old secret takes until its deadline
        box.emulator.approve_next()
        running = box.start("login", "--json", *box.app(store="file"))
        trace, end = box.state / "default" / "sign-in", time.monotonic() + sandbox.SOON
        while json.loads(trace.read_text())["location"]["kind"] != "file" or '"pending"' in trace.read_text():
            assert time.monotonic() < end
            time.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        result = running.finish()
        events = login_events.held(result)
        session.kill_service()
    assert (result.status, events[-1]["event"]) == (0, "signed_in")
    assert box.run("token", "--force-refresh").status == 0
