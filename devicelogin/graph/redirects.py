"""Where Graph sends on whoever asks for a file, a photo or a report: to an address that is good for some minutes.

SECURITY: that address is a secret, as good as a token for what it leads to: nothing but its host is ever shown. It gets no
token and none of the caller's headers but those that choose a part of the content.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from devicelogin import errors, redaction

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Which statuses send a GET on (RFC 9110 section 15.4)?
STATUSES = frozenset({301, 302, 303, 307, 308})

#: How many of them are followed for one request?
MOST = 5

_LONGEST = 16_384

_PLAIN = re.compile(r"[!-\[\]-~]+\Z")

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_PASSED_ON = frozenset({"accept", "range", "if-range"})


def next_url(url: str, location: str, host: str) -> str:
    """Return the address that `location` means in an answer to `url`. Raises BadAnswerError for any but plain https."""
    try:
        # urljoin takes an address without a host for one within `url`.
        absolute = f"https:{location}" if location.startswith("//") else location
        parts = urlsplit(absolute if _ABSOLUTE.match(absolute) else urljoin(url, location))
        is_usable = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
        netloc = parts.netloc.lower().removesuffix(":443")
    except ValueError:
        is_usable = False
    if not is_usable or not _PLAIN.match(location) or len(location) > _LONGEST:
        raise unusable(host)
    redaction.hide(parts.query)
    redaction.hide(parts.path)
    return urlunsplit(("https", netloc, parts.path or "/", parts.query, ""))


def headers_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of the caller's `headers` that may go to another host."""
    return {name: value for name, value in headers.items() if name.lower() in _PASSED_ON}


def unusable(host: str) -> errors.BadAnswerError:
    """Return the error for an address that is not gone to."""
    return errors.BadAnswerError(
        f"{host} sends us on to where we do not go: only a read is sent on, and only over a secure connection",
        hint="try from another network: something between this machine and Graph may have changed its answer",
    )


def too_many(host: str) -> errors.BadAnswerError:
    """Return the error for redirects that have no end."""
    return errors.BadAnswerError(
        f"{host} sends us on and on, more than {MOST} times",
        hint="run the command again; if it stays, something between this machine and Graph may send us in a circle",
    )


def refused(status: int, host: str) -> errors.HttpAnswerError:
    """Return the error for content that its own `host` refuses."""
    return errors.HttpAnswerError(
        f"{host}, where Graph keeps this content, answered {status}",
        hint="run the command again: such an address is good for some minutes only",
        detail=f"HTTP {status}",
    )
