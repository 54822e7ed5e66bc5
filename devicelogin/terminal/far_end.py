"""What the terminal at the far end of the line does besides showing text: hyperlinks (OSC 8) and its clipboard (OSC 52).

It cannot be asked without reading from it, so what it is has to be told from the environment. Hyperlinks are written only
where they are known to work: elsewhere a terminal may show the sequence as text.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Which terminals have neither, and may show the sequence as text? By the beginning of TERM.
_NEITHER = ("linux", "vt", "ansi", "cons", "sun", "wy", "dumb", "unknown")

#: Which ones show hyperlinks? By the beginning of TERM, which is the one thing that comes along over SSH.
_TERMS_WITH_LINKS = ("xterm-kitty", "xterm-ghostty", "ghostty", "foot", "wezterm", "contour", "alacritty")

#: Since which version does a program that says its name in TERM_PROGRAM show hyperlinks?
_PROGRAMS_WITH_LINKS = {"iTerm.app": (3, 1), "WezTerm": (20200620,), "vscode": (1, 72), "ghostty": (1,), "tmux": (3, 4)}

#: Since which version of VTE (GNOME Terminal and its kin) is there no crash with them? 0.50.0 had one.
_VTE_WITH_LINKS = 5001


def has_hyperlinks(environ: Mapping[str, str]) -> bool:
    """Tell whether the terminal is known to show hyperlinks. It must be a terminal; that is the caller's to know."""
    term = environ.get("TERM", "")
    program = environ.get("TERM_PROGRAM", "")
    if not term or term.startswith(_NEITHER) or environ.get("STY"):
        return False
    if environ.get("TMUX") or program == "tmux" or term.startswith(("screen", "tmux")):
        # What else the environment says is about the terminal around it.
        return program == "tmux" and _is_recent(program, environ)
    vte = environ.get("VTE_VERSION", "")
    return (
        term.startswith(_TERMS_WITH_LINKS)
        or _is_recent(program, environ)
        or environ.get("LC_TERMINAL") == "iTerm2"
        or bool(environ.get("WT_SESSION"))
        or (_is_number(vte) and int(vte) >= _VTE_WITH_LINKS)
    )


def hyperlink(text: str, address: str) -> str:
    """Return `text` as a link to `address`, which holds none but the characters of an address."""
    return f"\x1b]8;;{address}\x1b\\{text}\x1b]8;;\x1b\\"


def has_clipboard(environ: Mapping[str, str]) -> bool:
    """Tell whether the terminal may have a clipboard that a program can fill. Whether it lets us, nobody tells."""
    term = environ.get("TERM", "")
    return bool(term) and not term.startswith(_NEITHER)


def to_clipboard(text: str, environ: Mapping[str, str]) -> str:
    """Return what puts `text` on the clipboard of the terminal that a person sits at.

    tmux takes it for itself where `set-clipboard` is on, and hands on what is wrapped where `allow-passthrough` is on;
    what it does neither with it drops, so it gets both. screen hands on what is wrapped in its way.
    """
    sequence = f"\x1b]52;c;{base64.b64encode(text.encode()).decode('ascii')}\x07"
    if environ.get("TMUX") or environ.get("TERM_PROGRAM") == "tmux":
        return sequence + "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environ.get("STY"):
        return f"\x1bP{sequence}\x1b\\"
    return sequence


def _is_recent(program: str, environ: Mapping[str, str]) -> bool:
    since = _PROGRAMS_WITH_LINKS.get(program)
    if since is None:
        return False
    version = []
    for part in environ.get("TERM_PROGRAM_VERSION", "").replace("-", ".").split("."):
        digits = part.rstrip("abcdefghijklmnopqrstuvwxyz")  # tmux has 3.3a
        if not _is_number(digits):
            break
        version.append(int(digits))
    return tuple(version) >= since


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
