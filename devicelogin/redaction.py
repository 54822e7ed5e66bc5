"""What may be shown: server text without control characters, log lines without secrets."""

from __future__ import annotations

import logging
import re
import unicodedata

#: Which characters could steer a terminal or turn the reading direction? Besides the Unicode classes "control", "format"
#: (bidi marks, zero-width joiners), "surrogate", "private use" and the two separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_TOKENS = re.compile(
    r"""
      eyJ[\w-]{6,}(?:\.[\w-]*){0,4}                       # a JSON web token, whole or cut
    | (?P<name>\b(?:access_token|refresh_token|id_token|device_code|client_info|code|Authorization|Bearer|assertion)
        ["']?\s*[=:\s]\s*["']?(?:Bearer\s+)?)[^\s"'&,;}]{8,}
    | \b[A-Za-z0-9+/_.~-]{60,}={0,2}                       # anything long and opaque
    """,
    re.VERBOSE,
)


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


def redacted(text: str) -> str:
    """Return `text` with everything that looks like a token replaced by `[redacted]`."""
    return _TOKENS.sub(lambda match: (match.group("name") or "") + "[redacted]", text)


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
        record.msg = redacted(message)
        record.args = None
        if record.exc_info:
            error = record.exc_info[1]
            record.msg += f" ({type(error).__name__})" if error is not None else ""
        record.exc_info = None
        record.exc_text = None
        record.stack_info = None
        return True
