"""The QR code as a picture: what a phone reads in it, and what its form is."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING

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


def test_no_picture_of_an_address_that_is_too_long() -> None:
    """Level M ends at 2331 bytes; then there is none, which is no error."""
    assert qr_image.as_png("https://" + "x" * 2324) is None
