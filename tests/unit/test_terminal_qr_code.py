"""The QR code's modules, colours and sizes; whether cameras read it is tried in tests/e2e/test_qr_scans.py."""

from __future__ import annotations

import itertools
import re

import pytest
import qrcode
import qrcode.constants
from terminal_fixtures import NEWER, PUBLIC, qr_modules, seen

from devicelogin.terminal import qr_code

LONG = "https://login.example.com/device?user_code=" + ("aB3-xYz9" * 6)[:47]  # 90 characters


def read_back(lines: list[str]) -> list[list[bool]]:
    """Return what a camera would see dark, two rows for each line."""
    columns = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines)
    return qr_modules(seen("\n".join(lines), columns, len(lines)))


def expected(text: str, zone: int) -> list[list[bool]]:
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=zone)
    code.add_data(text)
    return [[bool(module) for module in row] for row in code.get_matrix()]


@pytest.mark.parametrize("style", ["half", "full", "ascii"])
@pytest.mark.parametrize("zone", [4, 2])
@pytest.mark.parametrize("fixed", [True, False])
def test_every_style_draws_exactly_the_modules_and_the_quiet_zone(style, zone, fixed):
    """Level M, all modules, a light quiet zone on all four sides."""
    modules = read_back(qr_code.render(PUBLIC, style=style, quiet_zone=zone, fixed_colours=fixed))
    wanted = expected(PUBLIC, zone)
    if style == "half":
        assert not any(modules.pop())
    else:
        modules = [row[::2] for row in modules[::2]]
    is_right = modules == wanted  # a difference between two such lists takes pytest minutes to word
    assert is_right


@pytest.mark.parametrize("style", ["half", "full", "ascii"])
def test_every_line_sets_its_own_colours_and_takes_them_back(style):
    """A dark, a light and a solarized terminal show the same black on white."""
    for line in qr_code.render(NEWER, style=style, quiet_zone=4):
        assert line.startswith("\x1b[38;5;16;48;5;231m")
        assert line.endswith("\x1b[0m")
    for line in qr_code.render(NEWER, style=style, quiet_zone=4, fixed_colours=False):
        assert line.startswith("\x1b[0;7;37;40m")


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


@pytest.mark.parametrize("fixed", [True, False])
def test_a_cell_of_one_colour_holds_no_character(fixed):
    """Terminals that see to contrast make black characters on black readable; fonts may have seams, or lack the glyph."""
    for style in ("half", "full", "ascii"):
        text = "".join(qr_code.render(PUBLIC, style=style, quiet_zone=2, fixed_colours=fixed))
        glyphs = set(re.sub(r"\x1b\[[0-9;]*m", "", text))
        assert glyphs == ({" ", "\u2580", "\u2584"} if style == "half" else {" "})


def test_without_colours_reversed_cells_still_make_the_code_on_a_dark_screen():
    """A terminal of one colour ignores 37 and 40 and does 7: what is reversed is light with dark signs, the rest dark."""
    lines = qr_code.render(PUBLIC, style="half", quiet_zone=2, fixed_colours=False)
    of_one_colour = [re.sub(r";37;40", "", line) for line in lines]
    modules = []
    emulated = seen("\n".join(of_one_colour), 33, 17)
    for y in range(17):
        cells = [emulated.buffer[y][x] for x in range(33)]
        modules.append([(cell.data == "\u2580") is cell.reverse for cell in cells])
        modules.append([(cell.data == "\u2584") is cell.reverse for cell in cells])
    is_right = modules[:33] == expected(PUBLIC, 2)
    assert is_right


@pytest.mark.parametrize("text", [PUBLIC, NEWER, LONG])
@pytest.mark.parametrize("zone", [4, 2])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_half_blocks_that_end_short_of_the_edge_draw_no_line_across_a_finder_pattern(text, zone, missing):
    """A cell of 16 pixels, of which the outer ones of a half block may be `missing`: Liberation Mono is such a font.

    Down the middle of each finder pattern a camera wants dark, light, dark, light, dark in the proportion 1:1:3:1:1.
    """
    lines = qr_code.render(text, style="half", quiet_zone=zone)
    side = len(expected(text, 0))
    emulated = seen("\n".join(lines), side + 2 * zone, len(lines))
    for left, top in ((0, 0), (side - 7, 0), (0, side - 7)):
        for x in range(left, left + 7):
            pixels = [dark for y in range(len(lines)) for dark in pixels_of(emulated.buffer[y][zone + x], missing)]
            within = pixels[8 * (zone + top) : 8 * (zone + top + 7)]
            runs = [len(list(run)) for _, run in itertools.groupby(within)]
            if x in {left + 2, left + 3, left + 4}:
                assert within[0], (x, runs)
                assert len(runs) == 5, (x, runs)
                assert all(
                    abs(length - 8 * wanted) <= 2 * missing
                    for length, wanted in zip(runs, (1, 1, 3, 1, 1), strict=True)
                )
            elif x in {left, left + 6}:
                assert len(runs) == 1, (x, runs)


def pixels_of(cell, missing: int) -> list[bool]:
    """Return the 16 pixels of a cell, from the top, True for dark."""
    on_dark = cell.bg == "000000"
    drawn = {"\u2580": range(missing, 8), "\u2584": range(8, 16 - missing)}.get(cell.data, range(0))
    return [on_dark is not (y in drawn) for y in range(16)]


def test_full_blocks_where_the_font_may_lack_half_blocks():
    """The Linux console's fonts; a person who knows better says so."""
    unsure = {"has_blocks": True, "has_half_blocks": False}
    assert {shape.style for shape in qr_code.shapes(PUBLIC, **unsure)} == {"full"}
    assert {shape.style for shape in qr_code.shapes(PUBLIC, wanted="half", **unsure)} == {"half"}
    ascii_only = qr_code.shapes(PUBLIC, has_blocks=False, has_half_blocks=False)
    assert {shape.style for shape in ascii_only} == {"ascii"}


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
