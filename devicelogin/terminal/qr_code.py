"""A QR code as lines of characters, black on white whatever the terminal's colours are.

Error correction level M, as cameras meet it on screens. Half blocks put two modules into one cell; the full and the ASCII
style take two cells for one module. Cells of one colour are spaces on that colour: solid in fonts whose block characters
leave seams, right in fonts that have none, and not made readable by terminals that see to the contrast of characters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import qrcode
import qrcode.constants
import qrcode.exceptions

from devicelogin import models
from devicelogin.terminal import half_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

Style = Literal["half", "full", "ascii"]
Wanted = Literal["auto", "half", "full", "ascii", "off"]

#: How many light modules stand around the code? ISO/IEC 18004 asks for 4; cameras still find it with 2, not with less.
QUIET_ZONES = (4, 2)

# The colours are what the code consists of, not decoration, so NO_COLOR does not take them away. 16 and 231 are the
# black and white of the 256-colour cube, which no scheme redefines. The others are for terminals that know only eight
# colours, or none: white on black, reversed, is black on white with colours and light on a dark screen without them.
_FIXED = {"light": "\x1b[38;5;16;48;5;231m", "dark": "\x1b[38;5;231;48;5;16m"}
_PALETTE = {"light": "\x1b[0;7;37;40m", "dark": "\x1b[0;37;40m"}
_RESET = "\x1b[0m"

_TOO_LONG = "the address is too long for one"


@models.short_record
class Shape:
    """One way to draw a certain text, and the character cells it takes."""

    style: Style
    quiet_zone: int
    columns: int
    rows: int


@models.short_record
class NoQrCode:
    """Why there is no QR code, for a line that begins with `No QR code: `; empty where a person wanted none."""

    reason: str


def shapes(
    text: str, *, wanted: Wanted = "auto", has_blocks: bool, has_half_blocks: bool = True
) -> tuple[Shape, ...] | NoQrCode:
    """Return the ways to draw `text`, best first: quiet zone 4, then 2.

    `has_blocks` False means that only ASCII can be written, `has_half_blocks` False that the font may lack those: then
    they are used only where a person wants them.
    """
    if wanted == "off":
        return NoQrCode("")
    if wanted != "ascii" and not has_blocks:
        if wanted != "auto":
            return NoQrCode("this terminal does not take block characters; --qr ascii does without them")
        wanted = "ascii"
    if wanted == "auto":
        wanted = "half" if has_half_blocks else "full"
    style: Style = wanted
    try:
        side = len(_matrix(text))
    except (qrcode.exceptions.DataOverflowError, ValueError):
        return NoQrCode(_TOO_LONG)
    return tuple(_shape(side + 2 * zone, style, zone) for zone in QUIET_ZONES)


def _shape(side: int, style: Style, quiet_zone: int) -> Shape:
    if style == "half":
        return Shape(style, quiet_zone, side, (side + 1) // 2)
    return Shape(style, quiet_zone, 2 * side, side)


def render(text: str, *, style: Style, quiet_zone: int, fixed_colours: bool = True) -> list[str]:
    """Return the lines of the QR code for `text`; each sets its colours and resets them.

    `fixed_colours` False is for terminals without the 256-colour palette. The full and the ASCII style look alike: both
    are colours only.
    """
    matrix = _with_quiet_zone(_matrix(text), quiet_zone)
    colours = _FIXED if fixed_colours else _PALETTE
    if style != "half":
        return [_painted([("  ", dark) for dark in row], colours) for row in matrix]
    if len(matrix) % 2:
        matrix.append([False] * len(matrix[0]))
    return [_painted(row, colours) for row in half_blocks.cells(matrix, quiet_zone=quiet_zone)]


def _painted(cells: Sequence[tuple[str, bool]], colours: dict[str, str]) -> str:
    """Join `cells` (characters, on dark or on light), changing colours only where they change."""
    line = ""
    last: bool | None = None
    for characters, is_dark in cells:
        if is_dark is not last:
            line += colours["dark" if is_dark else "light"]
            last = is_dark
        line += characters
    return line + _RESET


def modules(text: str, *, quiet_zone: int) -> list[list[bool]] | NoQrCode:
    """Return the modules of the code for `text`, True for dark, with their quiet zone; or why there is none."""
    try:
        return _with_quiet_zone(_matrix(text), quiet_zone)
    except (qrcode.exceptions.DataOverflowError, ValueError):
        return NoQrCode(_TOO_LONG)


def _with_quiet_zone(matrix: tuple[tuple[bool, ...], ...], zone: int) -> list[list[bool]]:
    side = len(matrix) + 2 * zone
    margin = [[False] * side for _ in range(zone)]
    middle = [[False] * zone + list(row) + [False] * zone for row in matrix]
    return margin + middle + [list(row) for row in margin]


@lru_cache(maxsize=4)
def _matrix(text: str) -> tuple[tuple[bool, ...], ...]:
    """Return the modules of the code, True for dark. Finding the best mask takes a while, hence the cache."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data(text)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.get_matrix())
