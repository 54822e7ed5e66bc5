"""The terminal: what a person at it would see of a sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin.doctor import subject
from devicelogin.terminal import prompt_layout, qr_code

if TYPE_CHECKING:
    from devicelogin import models
    from devicelogin.terminal import screen

NAME = "terminal"

# What Entra shows to a person; with an address of usual length the code has the same size elsewhere.
_TEXT = prompt_layout.PromptText(
    address="https://microsoft.com/devicelogin", code="ABC DEF GHJ", bare_code="ABCDEFGHJ", facts=()
)


def look(terminal: screen.Screen | None) -> models.Finding:
    """Return what `terminal` can show; None: neither stdout nor stderr is one."""
    about = subject.Subject(subject.MACHINE)
    if terminal is None or not terminal.is_terminal:
        return about.skipped(NAME, "there is none: a sign-in would print plain lines, without a QR code")
    size = f"{terminal.columns}x{terminal.rows}"
    characters = "UTF-8" if terminal.is_utf8 else "ASCII only"
    colours = "with colours" if terminal.has_colours else "without colours"
    words = f"{size}, {characters}, {colours}"
    if terminal.is_plain:
        return about.yellow(
            NAME, f"{words}; TERM says that it cannot show a QR code", hint="export TERM=xterm-256color, if it is one"
        )
    shapes = qr_code.shapes(_TEXT.address, has_blocks=terminal.is_utf8, has_half_blocks=terminal.has_half_blocks)
    shape = prompt_layout.arrange(_TEXT, shapes, columns=terminal.columns, rows=terminal.rows).shape
    if shape is not None:
        return about.green(NAME, f"{words}; the QR code fits")
    if isinstance(shapes, qr_code.NoQrCode):
        return about.yellow(NAME, f"{words}; no QR code: {shapes.reason}")
    hint = "make the window larger"
    if not terminal.is_utf8:
        hint += ", or export LANG=C.UTF-8 where it takes UTF-8: the QR code is then half as large"
    return about.yellow(NAME, f"{words}; too small for the QR code, so the code is typed", hint=hint)
