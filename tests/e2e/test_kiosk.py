"""docs/kiosk: the page that it serves, in a real browser, from the code to the end of the sign-in."""

from __future__ import annotations

import contextlib
import html
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import browser
import pytest
import sandbox
from conftest import need

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

KIOSK = sandbox.ROOT / "docs" / "kiosk" / "kiosk.py"

#: How long may the page take until it says what is expected (seconds)?
PATIENCE = sandbox.SOON


class Kiosk:
    """The running program and its page."""

    def __init__(self, box: sandbox.Box, *options: str) -> None:
        self.box = box
        self.temporary = box.home / "temporary"
        self.temporary.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, KIOSK, "--port", "0", "--", *box.app(), *options],
            env=box.environment({"TMPDIR": str(self.temporary)}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def page(self, **headers: str) -> str:
        """Return the page's words without its form, as a person reads them."""
        with urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=PATIENCE) as answer:
            text = answer.read().decode().partition("<body>")[2]
        return html.unescape(re.sub(r"<[^>]*>", "", text))

    def wait_for(self, words: str) -> str:
        """Return the page once it says `words`."""
        end = time.monotonic() + PATIENCE
        while words not in (page := self.page()):
            assert time.monotonic() < end, page
            time.sleep(0.05)
        return page

    def scanned(self, size: str) -> str:
        """Return what a scanner reads on the page in a browser's window of this size."""
        return browser.decoded(browser.screenshot(self.url, self.box.home, size=size))

    def end(self, number: int = signal.SIGTERM) -> str:
        """End it as a service is ended; return what it said on stderr."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=PATIENCE)
        return err


@contextlib.contextmanager
def running(box: sandbox.Box, *options: str) -> Iterator[Kiosk]:
    kiosk = Kiosk(box, *options)
    try:
        yield kiosk
    finally:
        if kiosk.process.poll() is None:
            kiosk.end()


@pytest.mark.screen
def test_a_person_before_the_kiosk_scans_types_and_reads_that_it_worked(box: sandbox.Box) -> None:
    """In Chromium, wide, upright and small: the QR code is read to the address; the code stands there, then the name."""
    need("chromium", "zbarimg")
    with running(box) as kiosk:
        code = box.emulator.wait_for_code()
        page = kiosk.wait_for("The code is good for 1")
        assert code in page.replace("\n", "")
        assert box.emulator.signin_uri in page
        assert socket.gethostname() in page
        for size in ("1280,800", "480,800", "480,320"):
            assert kiosk.scanned(size) == box.emulator.signin_uri, size
        box.emulator.approve(code)
        assert "ada@contoso.example" in kiosk.wait_for("Signed in")
        assert kiosk.scanned("1280,800") == ""
        assert kiosk.end() == ""
    box.access_token()
    assert list(kiosk.temporary.iterdir()) == []


def test_a_code_that_expired_is_replaced_on_the_page(box: sandbox.Box) -> None:
    """The kiosk goes on: the page never shows a code that is no longer good."""
    box.emulator.script("devicecode", [Fault.patch({"expires_in": 2})])
    with running(box) as kiosk:
        first = box.emulator.wait_for_code()
        second = box.emulator.wait_for_code()
        assert first not in kiosk.wait_for(second)
        box.emulator.approve(second)
        kiosk.wait_for("Signed in")


def test_the_page_says_that_somebody_declined_and_that_a_new_code_comes(box: sandbox.Box) -> None:
    """What the program says, in its words."""
    with running(box) as kiosk:
        box.emulator.decline(box.emulator.wait_for_code())
        page = kiosk.wait_for("Not signed in")
        assert "declined" in page
        assert "A new code comes" in page
        assert "devicelogin login" in page


def test_the_page_says_what_somebody_has_to_change(box: sandbox.Box) -> None:
    """A setting that is wrong, and an option that is none; no new code is promised."""
    for options, words in (
        (["--client-id", "not-a-guid"], "the client id of --client-id"),
        (["--nonsense"], "ended with 2"),
    ):
        with running(box, *options) as kiosk:
            page = kiosk.wait_for(words)
            assert "A new code comes" not in page
    assert box.emulator.count("devicecode") == 0


def test_what_a_server_sends_is_text_on_the_page(box: sandbox.Box) -> None:
    """No markup from outside gets into it."""
    box.emulator.script("devicecode", [Fault.patch({"user_code": "<b>&A\"'</b>"})])
    with running(box) as kiosk:
        assert "<b>&A\"'</b>" in kiosk.wait_for("The code is good")


def test_only_a_browser_on_this_machine_that_means_it_gets_the_page(box: sandbox.Box) -> None:
    """403 for a name that somebody leads to 127.0.0.1; it listens nowhere else; no other page."""
    with running(box) as kiosk:
        for url, host, status in (
            (kiosk.url, "evil.example", 403),
            (kiosk.url, "127.0.0.1.evil.example", 403),
            (f"{kiosk.url}../etc/passwd", "127.0.0.1", 404),
        ):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host}), timeout=PATIENCE)
            caught.value.close()
            assert caught.value.code == status
        assert kiosk.url.startswith("http://127.0.0.1:")
        assert "One moment" in kiosk.page(Host="localhost") or "Sign in on" in kiosk.page(Host="localhost:1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_ending_the_kiosk_ends_the_sign_in_and_leaves_nothing(box: sandbox.Box, number: int) -> None:
    """No process that goes on asking, no picture."""
    with running(box) as kiosk:
        box.emulator.wait_for_code()
        kiosk.wait_for("The code is good")
        said = [json.loads(line)["code"] for line in kiosk.end(number).splitlines()]
        assert said in ([], ["interrupted"])  # by the sign-in, if it was ended before its reader had gone
        assert kiosk.process.returncode == 0
    assert list(kiosk.temporary.iterdir()) == []
    polls = box.emulator.count("token")
    time.sleep(1.2)
    assert box.emulator.count("token") == polls


def test_the_kiosk_needs_nothing_but_python_and_stays_small() -> None:
    """Read in five minutes: one file, the standard library."""
    text = KIOSK.read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    assert imported <= set(sys.stdlib_module_names)
    assert len(text.splitlines()) <= 200
