"""What may be shown: server text without control characters, log lines without secrets."""

from __future__ import annotations

import collections
import logging
import re
import unicodedata

#: Which characters could steer a terminal or turn the reading direction? Besides the Unicode classes "control", "format"
#: (bidi marks, zero-width joiners), "surrogate", "private use" and the two separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_NAMED = re.compile(
    r"""
    (?P<name>
        (?: \w{0,20}_token | device_code | user_code | client_info | client_secret | client_assertion | assertion
          | passphrase | password | Authorization )
        ["'\\]{0,3} \s* (?:[=:]|%3[AD]) \s* ["'\\]{0,3} (?:(?:Bearer|Basic)\s+)?
      | (?<![\w-])(?:code|otc)(?:=|%3D)                     # forms only: in JSON, "code" names an error
      | \b(?:Bearer|Basic)\s+(?!(?-i:[A-Z]?[a-z]{1,20})[.,:!?)]*(?:\s|\Z))  # "Basic authentication is disabled"
    )
    (?P<quote>["']?) [^\s"'\\&,;}]{8,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_JSON_WEB_TOKEN = re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]*){0,4}")  # whole or cut
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^\s/@]{1,200}:[^\s/@]{1,200}@")
# Wide enough for Entra's refresh tokens (base64url and dots), those of personal accounts (with ! * $) and the access
# tokens of personal accounts (base64 with slashes); whether such a run is a path or a token, `_without_opaque` says.
_RUN = re.compile(r"[A-Za-z0-9+/_.~!*$%-]{40,}={0,2}")
_WORD = re.compile(r"[A-Za-z0-9+]+")

#: From how many characters on is a mix of capitals, small letters and digits no name any more? In a single word sooner:
#: a slash falls into a base64 text every 32 characters or so.
_OPAQUE_LENGTH = 40
_OPAQUE_WORD_LENGTH = 24

#: From how many characters on is a single word of letters and digits a key, whatever its letters? A GUID has 12, a SHA-1 40.
_KEY_LENGTH = 60


#: The most characters of a log record.
_LONGEST_RECORD = 4000

#: What this process has sent last and nobody may read: servers repeat it in refusals, and a token may look like anything.
_sent: collections.deque[str] = collections.deque(maxlen=8)

#: From how many characters on is a secret one (characters)? A shorter text stands in other words, too.
_SHORTEST_SECRET = 8


def hide(secret: str) -> None:
    """Let `redacted` take `secret` out of every text from now on, until some more were hidden; it is about to be sent."""
    if len(secret) >= _SHORTEST_SECRET and secret not in _sent:
        _sent.append(secret)


def printable(text: object, *, limit: int = 300) -> str:
    """Return `text` as harmless text on one line of at most `limit` characters.

    Escape sequences, bidi controls and zero-width characters lose their effect (each becomes U+FFFD), white space is
    folded. For whatever a server, a file or an environment said and a person is going to read.
    """
    shown = []
    for character in str(text)[: limit * 4]:
        if character.isspace():
            shown.append(" ")
        elif unicodedata.category(character) in _UNSAFE_CATEGORIES:
            shown.append("\N{REPLACEMENT CHARACTER}")
        else:
            shown.append(character)
    folded = " ".join("".join(shown).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def unmistakable(text: str) -> str:
    """Return a user name so that it cannot be taken for another one: letters of other alphabets beside Latin ones escaped.

    SECURITY: a name with one Cyrillic letter among Latin ones looks like somebody else's. One of another alphabet
    throughout is left as it is.
    """
    letters = [character for character in text if character.isalpha()]
    if not any(map(_is_latin, letters)):
        return text
    return "".join(
        character if not character.isalpha() or _is_latin(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def _is_latin(letter: str) -> bool:
    # Only the usual ones: the full-width, script and mathematical forms look like them and are others.
    return letter.isascii() or (
        unicodedata.name(letter, "").startswith("LATIN ") and not unicodedata.normalize("NFKC", letter).isascii()
    )


def harmless(text: str) -> str:
    """Return `text` for a terminal: each character that could steer one or turn its lines is escaped as JSON does.

    Line ends and tabs stay. SECURITY: the one rule for whatever reaches a terminal; `terminal.screen` applies it to all
    that is written there.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_harmless, text.replace("\r\n", "\n")))


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    # Surrogates stand for bytes of file names; no encoding has them, so that whatever writes replaces them.
    if character in "\n\t" or category == "Cs" or category not in _UNSAFE_CATEGORIES:
        return character
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def quotable(text: str, *, limit: int = 300) -> str:
    """Return what a server said in a refusal, as `printable` does and `redacted`: some repeat the token they were sent."""
    return printable(redacted(text), limit=limit)


def redacted(text: str) -> str:
    """Return `text` with everything that is hidden, or looks like a token, replaced by `[redacted]`.

    Paths, URLs, host names, GUIDs and error codes stay readable: a log without them helps nobody.
    """
    for secret in tuple(_sent):
        text = text.replace(secret, "[redacted]")
    text = _NAMED.sub(lambda match: f"{match['name']}{match['quote']}[redacted]", text)
    text = _JSON_WEB_TOKEN.sub("[redacted]", text)
    text = _PASSWORD_IN_URL.sub("[redacted]@", text)
    return _RUN.sub(_without_opaque, text)


def _without_opaque(run: re.Match[str]) -> str:
    return "[redacted]" if any(_is_opaque(part) for part in run[0].split("/")) else run[0]


def _is_opaque(part: str) -> bool:
    words = _WORD.findall(part)
    return (
        (len(part) >= _OPAQUE_LENGTH and _is_mixed(part))
        or any(len(word) >= _OPAQUE_WORD_LENGTH and _is_mixed(word) for word in words)
        or any(len(word) >= _KEY_LENGTH for word in words)
    )


def _is_mixed(text: str) -> bool:
    return all(any(map(kind, text)) for kind in (str.isupper, str.islower, str.isdigit))


class RedactingFilter(logging.Filter):
    """Rewrites a log record so that no token leaves it: message, arguments and traceback.

    SECURITY: the second line of defence. The first is that nothing of ours logs a secret at all; MSAL, however, logs
    whole answers it cannot read.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, redacted."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        # One record is one line, and nothing in it steers a terminal, whoever chose its URLs, headers and names.
        record.msg = printable(redacted(message), limit=_LONGEST_RECORD)
        record.args = None
        if record.exc_info:
            error = record.exc_info[1]
            record.msg += f" ({type(error).__name__})" if error is not None else ""
        record.exc_info = None
        record.exc_text = None
        record.stack_info = None
        return True
