"""Where the parts of the sign-in prompt stand: the QR code, the code, the address, who asks, and the warning sentence.

What has to be on the screen at one time is the QR code, the address, the user code and the countdown line below them;
who asks may have scrolled away in a small window. The user code is never broken, and as large as there is room for.
Everything given here is printable.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from devicelogin import models
from devicelogin.terminal import big_letters, qr_code, screen

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How the user code looks: in big letters, as a reversed plate of three rows, or as a word on a line.
Look = Literal["big", "plate", "line"]

#: How many cells lie between the QR code and the text beside it?
GAP = 2

#: How narrow may the text beside the QR code be, with the address above, and with the address in it?
NARROWEST = 20
COMFORTABLE = 32

#: How many lines may one fact about the sign-in take before it is shortened?
FACT_LINES = 2

#: Which rows stay free: the countdown, and one to spare for terminals that scroll early.
FREE_ROWS = 2

#: How many rows stay free besides, where the code is larger than it must be? The hint about a page that refused takes two.
ROWS_FOR_HINT = 2

SENTENCE = "Enter the code only if you started this sign-in yourself, on this machine."


class Line(NamedTuple):
    """Text for one row, the style of the part that follows `indent`."""

    text: str
    style: str = ""
    indent: int = 0

    @property
    def width(self) -> int:
        """The cells that the line takes."""
        return self.indent + screen.cell_width(self.text)


@models.record
class PromptText:
    """The words of one prompt.

    `bare_code` is the code as the server sent it, if `code` is another spelling of it; `copied` tells what became of the
    wish to have it on the clipboard.
    """

    address: str
    code: str
    bare_code: str | None
    facts: tuple[tuple[str, str], ...]
    warning: str | None = None
    copied: str | None = None


class Arrangement(NamedTuple):
    """The rows above, the QR code with the lines beside it, the rows below; the first may scroll away."""

    above: list[Line]
    shape: qr_code.Shape | None
    beside: list[Line]
    below: list[Line]


def arrange(
    text: PromptText,
    shapes: tuple[qr_code.Shape, ...] | qr_code.NoQrCode,
    *,
    columns: int,
    rows: int,
    looks: Sequence[Look] = ("line",),
    advice: str = "",
) -> Arrangement:
    """Return the best arrangement for a window of that size; one without a QR code says why.

    `looks` are the ways to draw the user code, best first; the last one is "line". `advice` stands behind the reason
    where the window is too small.
    """
    width, height = columns - 1, rows - FREE_ROWS
    if isinstance(shapes, qr_code.NoQrCode):
        return _without(text, shapes.reason, looks, width, height)
    found = _with_qr_code(text, shapes, looks, width, height)
    if found:
        return found
    reason = f"this window of {columns}x{rows} is too small{_enough(text, shapes[-1])}{advice}"
    return _without(text, reason, looks, width, height)


def _with_qr_code(
    text: PromptText, shapes: tuple[qr_code.Shape, ...], looks: Sequence[Look], columns: int, rows: int
) -> Arrangement | None:
    for place in (_beside, _stacked, _squeezed, _tight):
        for shape in shapes:
            found = place(text, shape, looks, columns, rows)
            if found:
                return found
    return None


def _enough(text: PromptText, shape: qr_code.Shape) -> str:
    """Return words on the size of a window that is large enough for `shape`."""
    narrow = shape.columns + GAP + _narrowest(text)
    for rows in range(shape.rows, shape.rows + 4):
        for columns in (narrow, max(narrow, screen.cell_width(text.address))):
            if _with_qr_code(text, (shape,), ("line",), columns, rows):
                return f", {columns + 1}x{rows + FREE_ROWS} will do"
    return ""


def _beside(
    text: PromptText, shape: qr_code.Shape, looks: Sequence[Look], columns: int, rows: int
) -> Arrangement | None:
    """Put everything to the right of the QR code, with a blank row above and below where there is room."""
    width = columns - shape.columns - GAP
    if width < max(COMFORTABLE, screen.cell_width(text.address) + 2, screen.cell_width(text.code) + 4):
        return None
    for look in looks:
        code = code_lines(text, width, look)
        if code is None:
            continue
        ask = ask_lines(text, width, code)
        lines = [*ask, Line(""), *fact_lines(text, width), Line(""), *sentence_lines(width)]
        height = max(shape.rows, len(lines))
        if height > _room(rows, look):
            continue
        lines = [Line("")] * ((height - len(lines)) // 2) + lines
        blank = [Line("")]
        return Arrangement(blank if height + 1 <= rows else [], shape, lines, blank if height + 2 <= rows else [])
    return None


def _stacked(
    text: PromptText, shape: qr_code.Shape, looks: Sequence[Look], columns: int, rows: int
) -> Arrangement | None:
    """Put everything below the QR code."""
    if shape.columns > columns:
        return None
    for look in looks:
        code = code_lines(text, columns, look)
        if code is None:
            continue
        ask = ask_lines(text, columns, code)
        lines = [*ask, Line(""), *fact_lines(text, columns), *sentence_lines(columns), Line("")]
        if shape.rows + height_of(lines, columns) <= _room(rows, look):
            return Arrangement([], shape, [], lines)
    return None


def _squeezed(
    text: PromptText, shape: qr_code.Shape, looks: Sequence[Look], columns: int, rows: int
) -> Arrangement | None:
    """Put the address above the QR code and the user code beside it; who asks goes where there is room."""
    width = columns - shape.columns - GAP
    if width < _narrowest(text):
        return None
    address = [Line(text.address, "address")]
    if height_of(address, columns) + shape.rows > rows:
        return None
    codes = [code for code in (code_lines(text, width, look) for look in looks) if code is not None]
    facts = [*fact_lines(text, width), Line("")]
    sentence = sentence_lines(width)
    for code in codes:
        lines = [Line("Code to enter:"), *code, Line(""), *facts, *sentence]
        if len(lines) <= shape.rows:
            return Arrangement(address, shape, lines, [])
    for code in codes:
        lines = [Line("Code to enter:"), *code, Line(""), *sentence]
        if len(lines) <= shape.rows:
            return Arrangement(fact_lines(text, columns) + address, shape, lines, [])
    return None


def _tight(
    text: PromptText, shape: qr_code.Shape, looks: Sequence[Look], columns: int, rows: int
) -> Arrangement | None:
    """Fold the address and put it beside the QR code with the user code: tmux takes a row of a low window for itself."""
    width = columns - shape.columns - GAP
    if width < _narrowest(text) or shape.rows > rows:
        return None
    address = [Line(line, "bold") for line in _folded(text.address, width)]
    for code in (code_lines(text, width, look) for look in looks):
        if code is None:
            continue
        lines = [Line("Open"), *address, Line(""), Line("and enter"), *code, Line(""), *sentence_lines(width)]
        if len(lines) <= shape.rows:
            return Arrangement(fact_lines(text, columns), shape, lines, [])
    return None


def _folded(address: str, width: int) -> list[str]:
    """Return `address` as lines, broken after a slash or before a dot where that can be."""
    lines = [""]
    for part in re.split(r"(?<=/)|(?=\.)", address):
        if len(lines[-1] + part) <= width:
            lines[-1] += part
            continue
        pieces = [part[start : start + width] for start in range(0, len(part), width)]
        lines += pieces
    return [line for line in lines if line]


def _room(rows: int, look: Look) -> int:
    """Return how many of `rows` may be taken with the code in that look."""
    return rows if look == "line" else rows - ROWS_FOR_HINT


def _narrowest(text: PromptText) -> int:
    """Return the least width for text beside the QR code: the user code is not broken."""
    return max(NARROWEST, screen.cell_width(text.code) + 2)


def _without(text: PromptText, reason: str, looks: Sequence[Look], columns: int, rows: int) -> Arrangement:
    """Leave the QR code out. In a low window the address and the user code come last, where they stay in sight."""
    note = [Line(line) for line in screen.wrapped(f"No QR code: {reason}", columns)] if reason else []
    facts = fact_lines(text, columns)
    sentence = sentence_lines(columns)
    blank = [Line("")]
    ask: list[Line] = []
    for look in looks:
        code = code_lines(text, columns, look)
        if code is None:
            continue
        ask = ask_lines(text, columns, code, has_qr=False)
        lines = blank + ask + blank + facts + blank + sentence + (blank + note if note else []) + blank
        if height_of(lines, columns) <= _room(rows, look):
            return Arrangement([], None, [], lines)
    return Arrangement([], None, [], facts + note + sentence + [line for line in ask if line.text])


def height_of(lines: list[Line], columns: int) -> int:
    """Return the rows that `lines` take, those counted that the terminal will wrap."""
    return sum(max(1, -(-line.width // columns)) for line in lines)


def ask_lines(text: PromptText, width: int, code: list[Line], *, has_qr: bool = True) -> list[Line]:
    """Return what to do: where to go and what to enter, which are the lines `code`."""
    lines = [Line(line, "warning") for line in screen.wrapped(text.warning or "", width) if line]
    opening = "To sign in, scan the code or open" if has_qr else "To sign in, open"
    lines += [Line(line) for line in screen.wrapped(opening, width)]
    lines += [Line(text.address, "address", 2 if screen.cell_width(text.address) + 2 <= width else 0), Line("")]
    return [*lines, Line("and enter"), *code]


def code_lines(text: PromptText, width: int, look: Look) -> list[Line] | None:
    """Return the user code, how it reads without the dashes that were added for the eye, and what became of a copy.

    None where there is no room for that look, or no such letters. Big letters have the code as a word below them: that
    is what can be selected and read out.
    """
    indent = 2 if screen.cell_width(text.code) + 4 <= width else 0
    lines = [Line(f" {text.code} " if indent else text.code, "code", indent)]
    if look == "plate":
        wide = screen.cell_width(text.code) + 4
        if wide + indent > width:
            return None
        blank = Line(" " * wide, "code", indent)
        lines = [blank, Line(f"  {text.code}  ", "code", indent), blank]
    elif look == "big":
        drawn = big_letters.draw(text.code) or []
        room = width - max(map(len, drawn), default=width + 1)
        if room < 0:
            return None
        lines = [Line(row.rstrip(), "", min(indent, room)) for row in drawn] + lines
    for words in (f"(no dashes: {text.bare_code})" if text.bare_code else "", text.copied or ""):
        lines += [Line(line, "", indent) for line in screen.wrapped(words, width - indent) if line]
    return lines


def fact_lines(text: PromptText, width: int) -> list[Line]:
    """Return who asks, each fact with its label; a value that fits only without the label goes below it."""
    label_width = 2 + max((len(label) for label, _ in text.facts), default=0)
    lines = []
    for label, value in text.facts:
        room = width - label_width
        if screen.cell_width(value) > room and " " not in value:
            lines += [Line(label), *(Line(line, "", 2) for line in screen.wrapped(value, width - 2)[:FACT_LINES])]
            continue
        parts = screen.wrapped(value, room)
        if len(parts) > FACT_LINES:
            parts = [*parts[: FACT_LINES - 1], screen.cut(" ".join(parts[FACT_LINES - 1 :]), room)]
        lines += [Line(f"{label if number == 0 else '':{label_width}}{part}") for number, part in enumerate(parts)]
    return lines


def sentence_lines(width: int) -> list[Line]:
    """Return the sentence that guards against somebody else's sign-in (RFC 8628 section 5.4)."""
    return [Line(line) for line in screen.wrapped(SENTENCE, width)]
