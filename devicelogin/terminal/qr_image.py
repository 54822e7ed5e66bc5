"""A QR code as a picture: for a display beside the machine, or for a message to a phone."""

from __future__ import annotations

import io

import png

from devicelogin.terminal import qr_code

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
    side = len(modules) * DOTS
    rows = [[0 if dark else 1 for dark in row for _ in range(DOTS)] for row in modules for _ in range(DOTS)]
    picture = io.BytesIO()
    png.Writer(width=side, height=side, greyscale=True, bitdepth=1).write(picture, rows)
    return picture.getvalue()
