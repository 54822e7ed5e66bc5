"""What Graph demands when it refuses a token: the claims challenge in `WWW-Authenticate` (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import base64
import binascii
import json
import re

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

_PART = re.compile(
    rf"""
    [\s,]*
    (?: (?P<name>{_TOKEN})\s*=\s*(?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>{_TOKEN}) (?=\s*(?:,|\Z)) )
      | (?P<scheme>{_TOKEN}) (?: [ ]+ (?P<opaque>[A-Za-z0-9._~+/-]+=*) (?=\s*(?:,|\Z)) )? (?=[\s,]|\Z)
    )
    """,
    re.VERBOSE,
)


def read_challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """Return the challenges in `header` (several headers: joined with commas) as lower-case scheme and parameters.

    What cannot be parsed ends the list.
    """
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while match := _PART.match(header, position):
        position = match.end()
        if match["scheme"] is not None:
            found.append((match["scheme"].lower(), {}))
        elif found:
            quoted = match["quoted"]
            value = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(match["name"].lower(), value)
    return found


def read_claims(header: str | None) -> str | None:
    """Return the claims that a Bearer challenge demands as JSON text, None where it demands none that can be read."""
    for scheme, parameters in read_challenges(header or ""):
        if scheme == "bearer" and "claims" in parameters:
            return _decoded(parameters["claims"])
    return None


def _decoded(claims: str) -> str | None:
    try:
        if claims.startswith("{"):
            text = claims
        else:
            # Entra writes standard base64, others the URL-safe kind; the padding is often missing.
            plain = claims.rstrip("=").replace("-", "+").replace("_", "/")
            text = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
        return text if isinstance(json.loads(text), dict) else None
    except (binascii.Error, ValueError, RecursionError):
        return None
