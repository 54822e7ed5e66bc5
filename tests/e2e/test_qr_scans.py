"""The QR code is read back from pictures of a real terminal by a real decoder."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sandbox
import x_terminal
from conftest import SOAK, need

pytestmark = pytest.mark.screen

PUBLIC = "https://microsoft.com/devicelogin"
NEWER = "https://login.microsoft.com/device"
COMPLETE = ("https://login.microsoft.com/device?user_code=" + "aB3-xYz9" * 6)[:90]  # version 6, as it saves no capitals

#: What is shown: the address, the complete one if the server sends one, and the size of the window.
CASES = [(uri, None, size) for uri in (PUBLIC, NEWER) for size in ("80x24", "100x40", "60x20")]
CASES.append((NEWER, COMPLETE, "100x40"))

PRODUCT = list(itertools.product(x_terminal.SCHEMES, x_terminal.AROUND, x_terminal.FONTS, CASES))


def pairwise(product: list[tuple]) -> list[tuple]:
    """Return some of `product` in which every two values of two columns that occur together at all do so at least once."""

    def pairs(row: tuple) -> set[tuple]:
        return set(itertools.combinations(enumerate(row), 2))

    missing = set().union(*map(pairs, product))
    chosen = []
    while missing:
        best = max(product, key=lambda row: len(pairs(row) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


@pytest.fixture(scope="session")
def display():
    """Start a screen in memory, one for all tests of this process, and return its name."""
    need("Xvfb", "xterm", "tmux", "screen", "zbarimg", "import", "convert")
    need(*(path for path in x_terminal.FONT_FILES if not Path(path).exists()))
    with x_terminal.display() as name:
        yield name


def program(ready: Path, uri: str, style: str = "auto", *more: str) -> list[str]:
    """Return the command that shows the prompt."""
    script = str(Path(__file__).with_name("show_prompt.py"))
    return [sys.executable, script, uri, style, str(ready), "60", *more]


def look(display: str, tmp_path: Path, *arguments: str, **options) -> tuple[list[str], Path]:
    """Show the prompt in an xterm; return what is read from the screen, and the picture."""
    ready, picture = tmp_path / "ready", tmp_path / "screen.ppm"
    with x_terminal.terminal(display, tmp_path, program(ready, *arguments), **options):
        return x_terminal.when_decoded(display, picture, ready), picture


def test_the_sample_holds_every_pair():
    """Each two of scheme, what stands between, font and case; and it is a small part of the product."""
    sample = pairwise(PRODUCT)
    for one, other in itertools.combinations(range(4), 2):
        assert {(row[one], row[other]) for row in sample} == {(row[one], row[other]) for row in PRODUCT}
    assert len(sample) <= 35
    assert len(COMPLETE) == 90


@pytest.mark.parametrize(("scheme", "around", "font", "case"), PRODUCT if SOAK else pairwise(PRODUCT))
def test_the_qr_code_is_read_from_the_screen_to_exactly_the_address(display, tmp_path, scheme, around, font, case):
    """Whatever the colours, the font, and what stands between: dark on light, and as a camera sees it."""
    uri, complete, size = case
    found, picture = look(
        display,
        tmp_path,
        uri,
        "auto",
        *([complete] if complete else []),
        scheme=scheme,
        around=around,
        font=x_terminal.FONTS[font],
        size=size,
    )
    assert found == [complete or uri]
    quiet_zone, darkest_module = x_terminal.brightness_of_quiet_zone(picture)
    assert quiet_zone - darkest_module > 150
    unread = [
        name
        for name, view in x_terminal.CAMERA.items()
        if SOAK and x_terminal.decoded(x_terminal.seen_by_camera(picture, view)) != [complete or uri]
    ]
    assert unread == []


def test_the_decoder_reads_nothing_that_is_light_on_dark(display, tmp_path):
    """So that what it has read was dark on light."""
    found, picture = look(display, tmp_path, PUBLIC)
    assert found == [PUBLIC]
    assert x_terminal.decoded(x_terminal.seen_by_camera(picture, ["-negate"])) == []


@pytest.mark.parametrize("style", ["ascii", "full"])
def test_a_font_without_block_characters_is_scanned_in_these_styles(display, tmp_path, style):
    """They are made of colours alone; half blocks are empty boxes there, and no decoder reads those."""
    font = x_terminal.WITHOUT_BLOCKS
    found, _ = look(display, tmp_path, NEWER, style, font=font, size="100x40", scheme="solarized")
    assert found == [NEWER]


def test_that_font_really_lacks_block_characters(display, tmp_path):
    """The test above would prove nothing in a font that has them."""
    ready, picture = tmp_path / "ready", tmp_path / "screen.ppm"
    command = program(ready, NEWER, "half")
    with x_terminal.terminal(display, tmp_path, command, font=x_terminal.WITHOUT_BLOCKS):
        assert x_terminal.decoded(x_terminal.when_still(display, picture, ready)) == []


@pytest.mark.parametrize("scheme", ["dark", "solarized"])
def test_a_terminal_without_256_colours_is_scanned_too(display, tmp_path, scheme):
    """The basic black and white of a scheme that keeps them apart, reversed."""
    found, _ = look(display, tmp_path, PUBLIC, "half", scheme=scheme, term="vt220")
    assert found == [PUBLIC]


def test_a_window_made_smaller_while_waiting_is_scanned_again(display, tmp_path):
    """tmux shares a window of 100x40 with another pane: the prompt is drawn anew for what is left."""
    ready, picture = tmp_path / "ready", tmp_path / "screen.ppm"
    command = program(ready, NEWER)
    with x_terminal.terminal(display, tmp_path, command, around="tmux", size="100x40") as environ:
        assert x_terminal.when_decoded(display, picture, ready) == [NEWER]
        split = ["tmux", "split-window", "-h", "-l", "35", "sleep 60"]
        subprocess.run(split, env=environ, check=True, timeout=x_terminal.PATIENCE)
        shown = ""

        def is_below_the_code() -> bool:
            nonlocal shown
            capture = ["tmux", "capture-pane", "-p", "-t", ":.0"]
            done = subprocess.run(
                capture, env=environ, capture_output=True, text=True, check=True, timeout=x_terminal.PATIENCE
            )
            shown = done.stdout
            return "\nTo sign in" in shown and "expires in" in shown

        sandbox.wait_for(is_below_the_code, "the prompt below the QR code")
        assert x_terminal.when_decoded(display, picture, ready) == [NEWER]
    assert shown.count("expires in") == 1
    assert shown.count(NEWER) == 1
    assert "BPP-VYQ-ZMA" in shown


@pytest.mark.parametrize(
    ("around", "option", "selections"),
    [
        ("plain", None, ["clipboard"]),
        ("screen", None, ["clipboard"]),
        ("tmux", "allow-passthrough", ["clipboard"]),
        # Older ones leave open which one; an xterm then takes the selection of the middle mouse button.
        ("tmux", "set-clipboard", ["clipboard", "primary"]),
    ],
)
def test_the_code_arrives_on_the_clipboard_of_the_terminal(display, tmp_path, around, option, selections):
    """OSC 52 through what stands between, into a real X clipboard, as the server sent it."""
    need("xclip")
    ready, picture = tmp_path / "ready", tmp_path / "screen.ppm"
    command = program(ready, NEWER, "auto", "--copy")
    if option:
        command = ["sh", "-c", f'tmux set -g {option} on && exec "$@"', "sh", *command]
    # xterm takes it only where its owner says so.
    allow = ["XTerm*allowWindowOps: true"]
    silent = {"env": {**os.environ, "DISPLAY": display}, "timeout": x_terminal.PATIENCE}
    # Before the terminal begins: it asks for the selection as of the last event that it has seen, and an X server does not
    # give to somebody what somebody else took after that.
    for selection in selections:
        subprocess.run(["xclip", "-selection", selection, "-i"], input=b"before", check=True, **silent)
    with x_terminal.terminal(display, tmp_path, command, around=around, resources=allow):
        assert x_terminal.when_decoded(display, picture, ready) == [NEWER]

        def held() -> set[str]:
            shows = [["xclip", "-selection", selection, "-o"] for selection in selections]
            return {subprocess.run(show, check=True, capture_output=True, text=True, **silent).stdout for show in shows}

        sandbox.wait_for(lambda: held() != {"before"}, "a change of the clipboard")
        assert held() - {"before"} == {"BPPVYQZMA"}
