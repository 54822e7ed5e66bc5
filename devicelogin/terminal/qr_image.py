"""A QR code as a picture: for a display beside the machine, a page, or a message to a phone."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

from devicelogin.terminal import qr_code

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many dots is a module wide? A code of 33 modules with its margin is then 330 dots: three centimetres on paper, and no
#: less than a camera needs where a messenger makes the picture smaller.
DOTS = 10

#: How many light modules stand around the code (ISO/IEC 18004)?
QUIET_ZONE = 4


def as_png(text: str) -> bytes | None:
    """Return a black and white PNG of the code for `text`, level M; None where `text` is too long for a QR code."""
    modules = qr_code.modules(text, quiet_zone=QUIET_ZONE)
    if isinstance(modules, qr_code.NoQrCode):
        return None
    import png  # only who wants a picture pays for it

    side = len(modules) * DOTS
    rows = [[0 if dark else 1 for dark in row for _ in range(DOTS)] for row in modules for _ in range(DOTS)]
    picture = io.BytesIO()
    png.Writer(width=side, height=side, greyscale=True, bitdepth=1).write(picture, rows)
    return picture.getvalue()


def as_svg(text: str) -> bytes | None:
    """Return the same as an SVG of no fixed size, black on a white ground; None as with `as_png`."""
    modules = qr_code.modules(text, quiet_zone=QUIET_ZONE)
    if isinstance(modules, qr_code.NoQrCode):
        return None
    side = len(modules)
    runs = "".join(_run(x, y, length) for y, row in enumerate(modules) for x, length in _dark_runs(row))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path fill="#000" d="{runs}"/></svg>\n'
    ).encode()


def _run(x: int, y: int, length: int) -> str:
    """Return a piece of an SVG path: `length` modules in a row, from column `x` of row `y` on."""
    return f"M{x} {y}h{length}v1h-{length}z"


def _dark_runs(row: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield where dark modules begin in `row`, and how many stand side by side."""
    x = 0
    for dark, run in itertools.groupby(row):
        length = len(list(run))
        if dark:
            yield x, length
        x += length
