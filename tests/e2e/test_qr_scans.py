"""The QR code is read back from pictures of a real terminal by a real decoder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SOAK, need

pytestmark = pytest.mark.screen

PUBLIC = "https://microsoft.com/devicelogin"
NEWER = "https://login.microsoft.com/device"

#: Foreground, background, and what the scheme makes of the colours 0 to 15 that a program may ask for by name.
SCHEMES = {
    "dark": ("#d0d0d0", "#000000", {}),
    "light": ("#202020", "#ffffff", {}),
    "solarized": ("#839496", "#002b36", {0: "#073642", 7: "#eee8d5", 8: "#002b36", 15: "#fdf6e3"}),
    "low contrast": ("#8a8a8a", "#6a6a6a", {0: "#606060", 7: "#909090", 15: "#a0a0a0"}),
}

#: Scheme, style, address, size: every scheme, style, address and size at least once.
SAMPLE = [
    ("dark", "auto", PUBLIC, "80x24"),
    ("light", "auto", NEWER, "80x24"),
    ("solarized", "half", PUBLIC, "60x20"),
    ("low contrast", "half", NEWER, "100x40"),
    ("dark", "full", NEWER, "100x40"),
    ("light", "ascii", PUBLIC, "100x40"),
]
PRODUCT = [
    (scheme, style, uri, size)
    for scheme in SCHEMES
    for uri in (PUBLIC, NEWER)
    for style, sizes in {"auto": ("80x24", "60x20"), "full": ("100x40",), "ascii": ("100x40",)}.items()
    for size in sizes
]


@pytest.fixture(scope="module")
def display():
    """Start a screen in memory and return its name."""
    need("Xvfb", "xterm", "zbarimg", "import")
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1200x900x24", "-nolisten", "tcp"],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with open(read_end, encoding="ascii") as answer:
        number = answer.readline().strip()
    assert number, "Xvfb did not start"
    yield f":{number}"
    server.terminate()
    server.wait(10)


def decoded(picture: Path) -> list[str]:
    """Return what zbarimg reads in a picture."""
    done = subprocess.run(["zbarimg", "--raw", "-q", "--nodbus", picture], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def read_from_screen(
    display: str, tmp_path: Path, scheme: str, style: str, uri: str, size: str, *, term: str = "xterm-256color"
) -> list[str]:
    """Show the prompt in an xterm and return what is decoded from the screenshot, tried for 10 s."""
    foreground, background, palette = SCHEMES[scheme]
    ready = tmp_path / "ready"
    picture = tmp_path / "screen.png"
    resources = [part for number, colour in palette.items() for part in ("-xrm", f"XTerm*color{number}: {colour}")]
    command = [sys.executable, str(Path(__file__).with_name("show_prompt.py")), uri, style, str(ready), "30"]
    look = ["-fa", "DejaVu Sans Mono", "-fs", "10", "-geometry", f"{size}+0+0", "-fg", foreground, "-bg", background]
    terminal = subprocess.Popen(
        ["xterm", "-u8", "-tn", term, *look, *resources, "-e", *command],
        env={**os.environ, "DISPLAY": display, "LC_ALL": "C.UTF-8", "NO_AT_BRIDGE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found: list[str] = []
    end = time.monotonic() + 10
    try:
        while not found and time.monotonic() < end:
            if ready.exists():
                subprocess.run(["import", "-display", display, "-window", "root", picture], check=True)
                found = decoded(picture)
            time.sleep(0.05)
    finally:
        terminal.terminate()
        terminal.wait(10)
    return found


@pytest.mark.parametrize(("scheme", "style", "uri", "size"), PRODUCT if SOAK else SAMPLE)
def test_the_qr_code_is_read_from_the_screen_to_exactly_the_address(display, tmp_path, scheme, style, uri, size):
    """Whatever the colours of the terminal are, at 80x24 and at 60x20 too."""
    assert read_from_screen(display, tmp_path, scheme, style, uri, size) == [uri]


def test_a_terminal_without_256_colours_is_scanned_too(display, tmp_path):
    """The basic black and white of a scheme that keeps them apart."""
    assert read_from_screen(display, tmp_path, "solarized", "half", PUBLIC, "80x24", term="vt220") == [PUBLIC]
