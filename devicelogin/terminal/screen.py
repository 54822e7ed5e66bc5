"""One stream and what it can show: its size, its characters, its colours.

Sizes are asked for anew each time, because a window may be resized while a person looks for their phone.
"""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING, TextIO

from devicelogin import redaction
from devicelogin.terminal import far_end

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What is assumed of a terminal that does not tell its size (serial lines say 0 x 0)?
_USUAL_SIZE = (80, 24)

#: What is assumed of a window that was pulled shut? The last column stays free, so one alone would leave none.
_LEAST = 2

#: Which terminals may take a 256-colour sequence for something else (blinking), or may not know it at all?
_PLAIN_PALETTES = ("linux", "vt", "ansi", "cons", "sun", "wy", "unknown")

_STYLES = {
    "": "",
    "bold": "1",
    "address": "1",
    "code": "1;7",
    "warning": "1;7",
    "green": "32",
    "yellow": "33",
    "red": "1;31",
    "key": "36",
    "text": "32",
    "number": "33",
}

# One cell each, so that what fitted still fits.
_ASCII = str.maketrans({"\N{HORIZONTAL ELLIPSIS}": "~", "\N{REPLACEMENT CHARACTER}": "?"})

# What is left in the C locale: ASCII, and the block characters of a person who insists on them.
_BEYOND = re.compile("[^\x00-\x7f\u2580\u2584\u2588]")


# Colors and emphasis, the erasing of the line on which the cursor is, and links to https addresses in plain ASCII; then
# everything between them.
_OURS = re.compile(
    r"""(?P<ours> \x1b\[ (?: [017]? | 1;7 | 3[0-7] | 1;3[0-7] | 38;5;(?:16|231);48;5;(?:16|231) | 0;(?:7;)?37;40 ) m
      | \A\r | \x1b\[K
      | \x1b\]8;; (?: https://[!-~]{1,2000} )? \x1b\\ )
    | [^\x1b\r]+ | .""",
    re.VERBOSE | re.DOTALL,
)


class Screen:
    """Where text for a person goes. Writing never fails for a character that the encoding lacks.

    While `is_optional` is true, what cannot be written is left out: a person who has what they need may close the window.
    """

    def __init__(self, stream: TextIO, *, environ: Mapping[str, str]) -> None:
        self.is_optional = False
        self._stream = stream
        self._environ = environ
        self._term = environ.get("TERM", "")

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person's terminal is at the other end."""
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    @property
    def is_plain(self) -> bool:
        """Tell whether only whole lines may be written: a file, a pipe, or `TERM=dumb` (screen readers, editors)."""
        return not self.is_terminal or self._term in {"", "dumb"}

    @property
    def columns(self) -> int:
        """The width in character cells."""
        return self._size(0, "COLUMNS")

    @property
    def rows(self) -> int:
        """The height in character cells."""
        return self._size(1, "LINES")

    def _size(self, which: int, variable: str) -> int:
        try:
            size = os.get_terminal_size(self._stream.fileno())[which]
        except (OSError, ValueError, AttributeError):
            size = 0
        if size > 0:
            return max(size, _LEAST)
        told = self._environ.get(variable, "")
        is_usable = told.isascii() and told.isdigit() and 0 < int(told) < 100_000
        return max(int(told), _LEAST) if is_usable else _USUAL_SIZE[which]

    @property
    def is_in_foreground(self) -> bool:
        """Tell whether the terminal is ours to write on at any time: behind a job in the background, somebody types.

        What is no terminal, or not that of this session, is nobody else's.
        """
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (AttributeError, OSError, ValueError):
            return True

    @property
    def is_utf8(self) -> bool:
        """Tell whether the terminal takes UTF-8, as far as the encoding and the locale tell."""
        # Python writes UTF-8 in the C locale too (PEP 538, PEP 540) and may have set LC_CTYPE itself; whoever says
        # LANG=C or LC_ALL=C means a terminal that knows ASCII.
        environ = self._environ
        told = environ.get("LC_ALL") or (environ.get("LANG") if environ.get("LC_CTYPE") == "C.UTF-8" else None)
        told = told or environ.get("LC_CTYPE") or environ.get("LANG")
        if told in {"C", "POSIX"}:
            return False
        return _encoding(self._stream).lower().replace("-", "").replace("_", "") in {"utf8", "utf8sig"}

    @property
    def encodes_blocks(self) -> bool:
        """Tell whether block characters can be written at all, for a person who insists on them."""
        try:
            "\u2580\u2584\u2588".encode(_encoding(self._stream))
        except UnicodeError:
            return False
        return True

    @property
    def has_half_blocks(self) -> bool:
        """Tell whether the font is likely to have half blocks."""
        # Of the fonts that Debian sets up for the Linux console, most have the full block only (all of Lat15).
        return self.is_utf8 and not self._term.startswith("linux")

    @property
    def has_colours(self) -> bool:
        """Tell whether emphasis is wanted: by `NO_COLOR`, `FORCE_COLOR`, `CLICOLOR=0`, then by what the terminal can do."""
        if self._environ.get("NO_COLOR"):
            return False
        if self._environ.get("FORCE_COLOR"):
            return True
        if self._environ.get("CLICOLOR") == "0":
            return False
        return not self.is_plain

    @property
    def has_fixed_colours(self) -> bool:
        """Tell whether the 256-colour black and white exist, which no colour scheme changes."""
        return not self._term.startswith(_PLAIN_PALETTES)

    def styled(self, text: str, style: str) -> str:
        """Return `text` in `style` (bold, code, warning, a colour or none), or bare where colours are not wanted."""
        sequence = _STYLES[style]
        return f"\x1b[{sequence}m{text}\x1b[0m" if sequence and self.has_colours else text

    def linked(self, text: str, address: str) -> str:
        """Return `text` as a hyperlink where the terminal is known to show those; `address` is a clean address."""
        return far_end.hyperlink(text, address) if not self.is_plain and far_end.has_hyperlinks(self._environ) else text

    @property
    def has_clipboard(self) -> bool:
        """Tell whether a terminal is at the other end that may have a clipboard."""
        return not self.is_plain and far_end.has_clipboard(self._environ)

    @property
    def is_in_tmux(self) -> bool:
        """Tell whether tmux stands between us and the terminal."""
        return bool(self._environ.get("TMUX"))

    def copy(self, text: str) -> None:
        """Put `text` on the clipboard of the terminal at the other end, if that lets us; check `has_clipboard` first."""
        self._put(far_end.to_clipboard(text, self._environ))

    def write(self, text: str) -> None:
        """Write `text` at once. Characters the encoding lacks become `?`.

        SECURITY: on a terminal, what could steer it becomes harmless, but for the sequences that we write ourselves; so
        text that no caller has made printable cannot do more than change a color. Raises OSError, or ValueError for a
        closed stream, unless the screen is optional.
        """
        if self.is_terminal:
            text = _OURS.sub(_guarded, text)
        self._put(text)

    def _put(self, text: str) -> None:
        encoding = _encoding(self._stream)
        if not self.is_utf8:
            text = text.translate(_ASCII)
            if self.encodes_blocks:
                # SECURITY: Python writes UTF-8 in the C locale too, and a terminal of eight bits may take the second byte
                # of a letter (0x9b) for the beginning of a sequence.
                text = _BEYOND.sub("?", text)
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except (OSError, ValueError):
            if not self.is_optional:
                raise

    def clear(self) -> None:
        """Erase the whole terminal."""
        self._put("\x1b[H\x1b[2J")

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.write(text + "\n")


def _guarded(part: re.Match[str]) -> str:
    return part[0] if part["ours"] is not None else redaction.harmless(part[0])


def _encoding(stream: TextIO) -> str:
    """Return the stream's encoding; one that has none (a string in memory) takes every character."""
    return getattr(stream, "encoding", None) or "utf-8"


def cell_width(text: str) -> int:
    """Return how many character cells `text` takes at most: East Asian wide characters two, combining marks none."""
    width = 0
    for character in text:
        # Variation selector 16 counts: some terminals draw the character before it as a wide emoji.
        if unicodedata.category(character) in {"Mn", "Me"} and character != "\N{VARIATION SELECTOR-16}":
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def cut(text: str, width: int) -> str:
    """Return `text` shortened to `width` cells, the last one an ellipsis where something was left out."""
    if cell_width(text) <= width:
        return text
    kept = ""
    for character in text:
        if cell_width(kept + character) > width - 1:
            break
        kept += character
    return kept.rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def wrapped(text: str, width: int) -> list[str]:
    """Return `text` as lines of at most `width` cells, broken between words, within a word only where it is longer."""
    lines = [""]
    for word in text.split():
        candidate = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_width(candidate) <= width:
            lines[-1] = candidate
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if cell_width(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines
