"""The QR code's modules, colours and sizes; whether cameras read it is tried in tests/e2e/test_qr_scans.py."""

from __future__ import annotations

import re

import pytest
import qrcode
import qrcode.constants
from terminal_fixtures import NEWER, PUBLIC

from devicelogin.terminal import qr_code

LONG = "https://login.example.com/device?user_code=" + ("aB3-xYz9" * 6)[:47]  # 90 characters


def read_back(lines: list[str], style: str) -> list[list[bool]]:
    """Return the modules that a camera would see dark, from background, foreground and glyph of each cell."""
    rows: list[list[bool]] = []
    for line in lines:
        upper: list[bool] = []
        lower: list[bool] = []
        background_is_dark = False
        for sequence, character in re.findall(r"\x1b\[([0-9;]*)m|(.)", line):
            if sequence:
                background_is_dark = sequence in {"38;5;16;48;5;16", "30;40"}
                continue
            assert character in " \u2580\u2584\u2588#"
            upper.append(background_is_dark or character in "\u2580\u2588#")
            lower.append(background_is_dark or character in "\u2584\u2588#")
        if style == "half":
            rows += [upper, lower]
        else:
            assert upper[::2] == upper[1::2]
            rows.append(upper[::2])
    return rows


def expected(text: str, zone: int) -> list[list[bool]]:
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=zone)
    code.add_data(text)
    return [[bool(module) for module in row] for row in code.get_matrix()]


@pytest.mark.parametrize("style", ["half", "full", "ascii"])
@pytest.mark.parametrize("zone", [4, 2])
@pytest.mark.parametrize("fixed", [True, False])
def test_every_style_draws_exactly_the_modules_and_the_quiet_zone(style, zone, fixed):
    """Level M, all modules, a light quiet zone on all four sides."""
    lines = qr_code.render(PUBLIC, style=style, quiet_zone=zone, fixed_colours=fixed)
    modules = read_back(lines, style)
    wanted = expected(PUBLIC, zone)
    assert modules[: len(wanted)] == wanted
    assert not any(any(row) for row in modules[len(wanted) :])


@pytest.mark.parametrize("style", ["half", "full", "ascii"])
def test_every_line_sets_its_own_colours_and_takes_them_back(style):
    """A dark, a light and a solarized terminal show the same black on white."""
    for line in qr_code.render(NEWER, style=style, quiet_zone=4):
        assert line.startswith("\x1b[38;5;16;48;5;231m")
        assert line.endswith("\x1b[0m")
    for line in qr_code.render(NEWER, style=style, quiet_zone=4, fixed_colours=False):
        assert line.startswith("\x1b[30;47m")


@pytest.mark.parametrize(
    ("text", "wanted", "sizes"),
    [
        (PUBLIC, "auto", [(4, 37, 19), (2, 33, 17)]),
        (NEWER, "half", [(4, 37, 19), (2, 33, 17)]),
        (LONG, "half", [(4, 49, 25), (2, 45, 23)]),
        (PUBLIC, "full", [(4, 74, 37), (2, 66, 33)]),
        (PUBLIC, "ascii", [(4, 74, 37), (2, 66, 33)]),
    ],
)
def test_shapes_tell_the_cells_that_the_drawing_takes(text, wanted, sizes):
    """Quiet zone 4, then 2, never less; the sizes are those that are really drawn."""
    shapes = qr_code.shapes(text, wanted=wanted, has_blocks=True)
    assert [(shape.quiet_zone, shape.columns, shape.rows) for shape in shapes] == sizes
    for shape in shapes:
        lines = qr_code.render(text, style=shape.style, quiet_zone=shape.quiet_zone)
        assert len(lines) == shape.rows
        assert {len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines} == {shape.columns}


def test_ascii_where_the_terminal_lacks_block_characters():
    """A08: the ASCII style holds nothing but ASCII."""
    shapes = qr_code.shapes(PUBLIC, wanted="auto", has_blocks=False)
    assert {shape.style for shape in shapes} == {"ascii"}
    assert all(line.isascii() for line in qr_code.render(PUBLIC, style="ascii", quiet_zone=2))


@pytest.mark.parametrize("wanted", ["half", "full"])
def test_block_styles_are_refused_where_they_cannot_be_written(wanted):
    """Question marks instead of blocks would be no QR code."""
    refused = qr_code.shapes(PUBLIC, wanted=wanted, has_blocks=False)
    assert isinstance(refused, qr_code.NoQrCode)
    assert "--qr ascii" in refused.reason


def test_no_code_for_more_than_one_holds():
    """Level M ends at 2331 bytes."""
    assert isinstance(qr_code.shapes("https://" + "x" * 2323, has_blocks=True), tuple)
    refused = qr_code.shapes("https://" + "x" * 2324, has_blocks=True)
    assert isinstance(refused, qr_code.NoQrCode)
    assert "too long" in refused.reason
