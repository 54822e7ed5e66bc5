"""`login --qr-image`: a picture that is there exactly as long as the code is good, and harms no other file."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from typing import TYPE_CHECKING

import browser
import conftest
import login_events
import pytest
import sandbox
from conftest import need

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from pathlib import Path


def start(box: sandbox.Box, file: Path, *more: str, **options: object) -> sandbox.Running:
    return box.start("login", *box.app(), "--qr-image", str(file), *more, **options)


def wait_until(there: bool, file: Path) -> None:
    sandbox.wait_for(lambda: file.exists() is there, f"{file}" if there else f"the end of {file}")


def left(file: Path) -> list[str]:
    """Return what lies beside the picture, half-written files included."""
    return [entry.name for entry in file.parent.iterdir() if "code" in entry.name]


def scanned(picture: Path) -> str:
    """Return what a scanner reads in a picture; an SVG is shown by a browser."""
    if picture.suffix == ".svg":
        picture = browser.screenshot(f"file://{picture}", picture.parent)
    return browser.decoded(picture)


@pytest.mark.screen
@pytest.mark.parametrize("name", ["code.png", "a code.SVG"])
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["screen", "json"])
def test_the_picture_is_there_while_the_code_is_good(box: sandbox.Box, name: str, form: list[str]) -> None:
    """It is read to exactly the address; when somebody has signed in, it is gone and nothing is left beside it."""
    need("zbarimg", "chromium")
    file = box.home / name
    waiting = start(box, file, *form)
    code = box.emulator.wait_for_code()
    wait_until(there=True, file=file)
    copy = box.home / f"kept{file.suffix.lower()}"
    copy.write_bytes(file.read_bytes())
    assert scanned(copy) == box.emulator.signin_uri
    box.emulator.approve(code)
    assert waiting.finish().status == 0
    assert left(file) == []


@pytest.mark.parametrize("how", ["declined", "expired", signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["screen", "json"])
def test_it_is_gone_however_the_sign_in_ends(box: sandbox.Box, how: str | signal.Signals, form: list[str]) -> None:
    """Declined, expired, interrupted, ended."""
    file = box.home / "code.svg"
    if how == "expired":
        box.emulator.device_code_lifetime = 2
    waiting = start(box, file, *form)
    if how != "expired":  # which does not wait for us
        code = box.emulator.wait_for_code()
        wait_until(there=True, file=file)
    if isinstance(how, signal.Signals):
        waiting.process.send_signal(how)
    elif how == "declined":
        box.emulator.decline(code)
    result = waiting.finish()
    assert result.status == (128 + how if isinstance(how, signal.Signals) else 5)
    assert left(file) == []


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=str)
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_second_signal_interrupts_no_goodbye(box: sandbox.Box, first: signal.Signals, second: signal.Signals) -> None:
    """`timeout` sends two, a terminal's Ctrl-C and a service manager one each: one last event, the exit code, no picture."""
    file = box.home / "code.svg"
    for number in range(100 if conftest.SOAK else 3):
        waiting = start(box, file, "--json")
        box.emulator.wait_for_code()
        wait_until(there=True, file=file)
        waiting.process.send_signal(first)
        time.sleep(number % 10 * 0.0005)
        waiting.process.send_signal(second)
        result = waiting.finish()
        assert result.status in {128 + first, 128 + second}
        assert login_events.held(result)[-1]["code"] == "interrupted"
        assert left(file) == []


def test_the_event_comes_when_the_picture_is_there_and_each_code_has_its_own(box: sandbox.Box) -> None:
    """Who reads `code` or `renewed` finds the picture; who reads that no time is left finds none."""
    box.emulator.verification_uri_complete = True  # then the picture holds the code
    # Enough for the first picture to be drawn and read, also on a busy machine.
    box.emulator.script("devicecode", [Fault.patch({"expires_in": 5})])
    file = box.home / "code.svg"
    options = box.app(oidc_issuer=box.emulator.oidc_issuer)
    waiting = box.start("login", "--json", "--renew", *options, "--qr-image", str(file))
    assert waiting.process.stdout is not None
    pictures = []
    while len(pictures) < 2:
        event = login_events.read(waiting.process.stdout.readline())
        if event["event"] in {"code", "renewed"}:
            pictures.append(file.read_bytes())
            assert event["user_code"] in event["qr_text"]
    assert pictures[0] != pictures[1]
    box.emulator.approve(event["user_code"])
    assert waiting.finish().status == 0
    assert left(file) == []


def test_no_picture_stands_of_a_code_that_has_expired(box: sandbox.Box) -> None:
    """Also where the provider is out of reach and the new code takes its time."""
    box.emulator.script("devicecode", [Fault.patch({"expires_in": 4})])
    file = box.home / "code.svg"
    waiting = start(box, file, "--renew")
    box.emulator.wait_for_code()
    wait_until(there=True, file=file)
    box.emulator.break_for(3600)
    wait_until(there=False, file=file)
    box.emulator.break_for(0)
    box.emulator.approve(box.emulator.wait_for_code())
    assert waiting.finish().status == 0


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_its_mode_is_what_the_umask_leaves(box: sandbox.Box, umask: int, mode: int) -> None:
    """A display program of another user may read it, unless the person said otherwise; nobody else may write it."""
    file = box.home / "code.png"
    waiting = start(box, file, umask=umask)
    code = box.emulator.wait_for_code()
    wait_until(there=True, file=file)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    box.emulator.approve(code)
    assert waiting.finish().status == 0


@pytest.mark.parametrize("kind", ["directory", "link", "fifo", "no directory", "a file for a directory", "of another"])
def test_what_is_not_ours_to_replace_is_refused_before_anything_is_sent(box: sandbox.Box, kind: str) -> None:
    """74, the stream ends with `failed`, and what lies there is as it was."""
    file = box.home / "code.png"
    target = box.home / "precious"
    target.write_text("precious")
    if kind == "directory":
        file.mkdir()
    elif kind == "link":
        file.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "no directory":
        file = box.home / "nowhere" / "code.png"
    elif kind == "a file for a directory":
        file = target / "code.png"
    else:
        conftest.need_root("make a file of another user")
        file.write_text("precious")
        os.chown(file, 12345, 12345)
    before = os.lstat(file) if os.path.lexists(file) else None
    result = start(box, file, "--json").finish()
    assert result.status == 74
    events = login_events.held(result)
    assert [event["event"] for event in events] == ["failed"]
    assert str(file) in events[0]["message"]
    assert "--qr-image" in events[0]["hint"]
    assert (os.lstat(file) if os.path.lexists(file) else None) == before
    assert target.read_text() == "precious"
    assert box.emulator.requests == []


@pytest.mark.parametrize("name", ["code.gif", "code", "png", ".png", "code.png ", "code\x1b[2J.jpg"])
def test_another_ending_is_a_wrong_argument(box: sandbox.Box, name: str) -> None:
    """2, before anything is sent; nothing is made."""
    result = box.run("login", *box.app(), "--qr-image", name)
    assert (result.status, result.out) == (2, "")
    assert "--qr-image writes .png and .svg" in result.lines("error")[0]
    assert "\x1b" not in result.err
    assert box.emulator.requests == []


def test_what_a_killed_sign_in_left_is_swept_by_the_next_one(box: sandbox.Box) -> None:
    """Before it has a code of its own: nobody scans what nobody waits for."""
    file = box.home / "code.svg"
    killed = start(box, file)
    box.emulator.wait_for_code()
    wait_until(there=True, file=file)
    killed.process.kill()
    killed.finish()
    assert file.exists()
    box.emulator.script("devicecode", [Fault.delay(20)])
    waiting = start(box, file)
    wait_until(there=False, file=file)
    waiting.process.terminate()
    waiting.finish()


def test_a_second_sign_in_leaves_the_picture_of_the_first_one(box: sandbox.Box) -> None:
    """75: whether for the same profile or another one; the first one goes on, picture and all."""
    file = box.home / "code.svg"
    first = start(box, file)
    code = box.emulator.wait_for_code()
    wait_until(there=True, file=file)
    before = file.stat()
    for profile in ("default", "other"):
        second = box.run("login", "--json", "--profile", profile, *box.app(), "--qr-image", str(file))
        assert second.status == 75
        assert str(file) in json.loads(second.err)["message"]
    assert file.stat() == before
    box.emulator.approve(code)
    assert first.finish().status == 0
    assert left(file) == []


def test_a_file_that_somebody_else_put_there_stays(box: sandbox.Box) -> None:
    """Only the picture that was written here is deleted at the end."""
    file = box.home / "code.svg"
    waiting = start(box, file)
    code = box.emulator.wait_for_code()
    wait_until(there=True, file=file)
    other = box.home / "other"
    other.write_text("of somebody else")
    other.replace(file)
    box.emulator.approve(code)
    assert waiting.finish().status == 0
    assert file.read_text() == "of somebody else"


def test_no_picture_is_drawn_of_an_address_on_an_unknown_host(box: sandbox.Box) -> None:
    """Who scans it does not see the warning; a note says so, and there is nothing for a QR code in the event either."""
    box.emulator.script("devicecode", [Fault.patch({"verification_uri": "https://login.example.net/device"})])
    file = box.home / "code.svg"
    waiting = start(box, file, "--json")
    code = box.emulator.wait_for_code()
    time.sleep(0.5)
    assert left(file) == []
    box.emulator.approve(code)
    events = login_events.held(waiting.finish())
    notes = [event["message"] for event in events if event["event"] == "note"]
    assert any("no QR code was drawn: login.example.net" in note for note in notes)
    [shown] = [event for event in events if event["event"] == "code"]
    assert (shown["qr_text"], shown["verification_uri"]) == (None, "https://login.example.net/device")


def test_where_nothing_is_needed_no_picture_is_left(box: sandbox.Box) -> None:
    """--if-needed: what a killed sign-in left is swept all the same."""
    file = box.home / "code.png"
    file.write_bytes(b"of a killed sign-in")
    box.sign_in()
    assert start(box, file, "--if-needed").finish().status == 0
    assert left(file) == []
