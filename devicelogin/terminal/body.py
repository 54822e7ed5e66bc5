"""The body of an answer on a terminal: JSON indented and in color, other text as it is, and nothing that steers it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from devicelogin import redaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.terminal.screen import Screen

_INDENT = "  "

#: What JSON consists of besides white space: texts, signs, numbers and words.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)

_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
_PICTURES = ("image/", "audio/", "video/", "font/")
_TEXTS = ("text/", "application/json", "application/xml")


def show(screen: Screen, body: bytes, content_type: str) -> bool:
    """Write `body` for a person, with a line end after it. Return False, and write nothing, for what is no text.

    SECURITY: what strangers wrote, a mail for example, cannot steer the terminal: its controls are shown as escapes.
    """
    text = _decoded(body, content_type.strip().lower())
    if text is None:
        return False
    if text.lstrip()[:1] in {"{", "["} and _is_json(text):
        for piece in _indented(screen, text):
            screen.write(piece)
    else:
        screen.write(redaction.harmless(text))
    if not text.endswith("\n"):
        screen.line()
    return True


def _decoded(body: bytes, content_type: str) -> str | None:
    """Return the text of `body`; None where it is none, whatever its content type says."""
    named = _CHARSET.search(content_type)
    encoding = named[1] if named is not None and _is_encoding(named[1]) else "utf-8"
    is_text = content_type.startswith(_TEXTS) or "+json" in content_type or "+xml" in content_type
    if content_type.startswith(_PICTURES) and not is_text:
        return None
    try:
        text = body.decode("utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding)
    except UnicodeError:
        if not is_text:
            return None
        text = body.decode("utf-8", "backslashreplace")
    return None if "\0" in text else text


def _is_encoding(name: str) -> bool:
    try:
        b"x".decode(name, "replace")  # of nothing, no codec is even looked up
    except (LookupError, ValueError):
        return False
    return True


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _indented(screen: Screen, text: str) -> Iterator[str]:
    """Yield JSON `text` indented; numbers and escapes stay as they were written."""
    tokens = _TOKEN.findall(text)
    depth, line = 0, ""
    for position, token in enumerate(tokens):
        follows = tokens[position + 1] if position + 1 < len(tokens) else ""
        if token in {"{", "["}:
            line += token
            if follows in {"}", "]"}:
                continue
            depth += 1
        elif token in {"}", "]"}:
            if not line.endswith(("{", "[")):
                depth -= 1
                yield line + "\n"
                line = _INDENT * depth
            line += token
            continue
        elif token == ":":
            line += ": "
            continue
        elif token == ",":
            line += token
        else:
            line += screen.styled(redaction.harmless(token), _style(token, follows))
            continue
        yield line + "\n"
        line = _INDENT * depth
    yield line


def _style(token: str, follows: str) -> str:
    if token.startswith('"'):
        return "key" if follows == ":" else "text"
    return "number"
