"""The QR code as a picture: what a phone reads in it, and what its form is."""

from __future__ import annotations

import io
import re
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import browser
import png
import pytest
from conftest import need
from terminal_fixtures import NEWER, PUBLIC

from devicelogin.terminal import qr_code, qr_image

if TYPE_CHECKING:
    from pathlib import Path

COMPLETE = "https://login.example.com/device?user_code=ABCD-EFGH&state=%2Fa%2Fb"


@pytest.mark.screen
@pytest.mark.parametrize("address", [PUBLIC, NEWER, COMPLETE])
def test_the_picture_is_read_to_exactly_the_address(tmp_path: Path, address: str) -> None:
    """By a real decoder, whatever the address holds."""
    need("zbarimg")
    picture = tmp_path / "qr.png"
    picture.write_bytes(qr_image.as_png(address) or b"")
    done = subprocess.run(["zbarimg", "--raw", "-q", "--nodbus", picture], capture_output=True, text=True, check=True)
    assert done.stdout == address + "\n"


def test_the_picture_is_black_on_white_with_a_margin_of_four_modules() -> None:
    """One bit a dot, ten dots a module, the same modules as on the screen."""
    width, height, rows, facts = png.Reader(file=io.BytesIO(qr_image.as_png(PUBLIC) or b"")).read()
    assert (facts["bitdepth"], facts["greyscale"], facts["alpha"]) == (1, True, False)
    dots = [list(row) for row in rows]
    modules = qr_code.modules(PUBLIC, quiet_zone=4)
    assert isinstance(modules, list)
    assert (width, height) == (len(modules) * 10, len(modules) * 10)
    assert [[not dot for dot in row[::10]] for row in dots[::10]] == modules
    assert not any(any(row) for row in (*modules[:4], *modules[-4:]))


@pytest.mark.screen
@pytest.mark.parametrize("address", [PUBLIC, NEWER, COMPLETE])
def test_a_browser_shows_the_drawing_so_that_it_is_read_to_exactly_the_address(tmp_path: Path, address: str) -> None:
    """In Chromium, by a real decoder."""
    need("chromium", "zbarimg")
    drawing = tmp_path / "qr.svg"
    drawing.write_bytes(qr_image.as_svg(address) or b"")
    assert browser.decoded(browser.screenshot(f"file://{drawing}", tmp_path, size="400,400")) == address


def test_the_drawing_has_the_same_modules_as_the_picture() -> None:
    """Well-formed, a white ground with its margin, and one black path; it fills whatever holds it."""
    root = ET.fromstring(qr_image.as_svg(PUBLIC) or b"")
    modules = qr_code.modules(PUBLIC, quiet_zone=4)
    assert isinstance(modules, list)
    side = len(modules)
    assert root.attrib["viewBox"] == f"0 0 {side} {side}"
    assert not {"width", "height"} & set(root.attrib)
    ground, dark = root
    assert (ground.attrib["fill"], ground.attrib["d"]) == ("#fff", f"M0 0h{side}v{side}H0z")
    drawn = [[False] * side for _ in range(side)]
    pieces = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", dark.attrib["d"])
    assert "".join(f"M{x} {y}h{right}v1h-{left}z" for x, y, right, left in pieces) == dark.attrib["d"]
    for x, y, right, left in pieces:
        assert right == left
        for column in range(int(x), int(x) + int(right)):
            drawn[int(y)][column] = True
    assert drawn == modules


def test_no_picture_of_an_address_that_is_too_long() -> None:
    """Level M ends at 2331 bytes; then there is none, which is no error."""
    assert qr_image.as_png("https://" + "x" * 2324) is None
    assert qr_image.as_svg("https://" + "x" * 2324) is None
