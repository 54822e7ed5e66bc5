"""Which address a person may be sent to: https, plain characters, and a host that belongs to the identity provider."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import clouds, errors, redaction

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from devicelogin.models import DeviceAuthorization

#: How long may an address be that a person is asked to open?
LONGEST = 2000

#: The characters of RFC 3986; a backslash or a letter outside ASCII makes browsers and people read another host.
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]!$&'()*+,;=%@-]+")


def require_clean(uri: str) -> str:
    """Return the host of `uri`, lower case.

    Raises `BadAnswerError` for anything but an https address without user information, control characters or
    surprises.
    """
    problem = None
    host = ""
    if len(uri) > LONGEST:
        problem = f"is longer than {LONGEST} characters"
    elif not _CHARACTERS.fullmatch(uri):
        problem = "holds characters that no address has"
    elif not uri.lower().startswith("https://"):
        problem = "is not an https address"
    else:
        host, problem = _host(uri)
    if problem:
        message = f"the server sent an address for the sign-in that {problem}: {redaction.printable(uri, limit=80)}"
        raise errors.BadAnswerError(
            message,
            hint="open no such address; check the network (captive portal?) and the authority, then try again",
            code="bad_verification_uri",
        )
    return host


def _host(uri: str) -> tuple[str, str | None]:
    """Return the host of an https URI, and what is wrong with it."""
    try:
        parts = urlsplit(uri)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError:
        return "", "cannot be read"
    if "@" in parts.netloc:
        return host, "hides its host behind a user name"
    return host, None if host else "has no host"


def is_known(host: str, authority: str, known_hosts: AbstractSet[str] | None) -> bool:
    """Tell whether `host` is one of `known_hosts` or the authority's own; `known_hosts` None judges no host."""
    if known_hosts is None or host in known_hosts:
        return True
    try:
        return host == (urlsplit(authority).hostname or "").rstrip(".")
    except ValueError:
        return False


def hosts_of(authority: str, *, is_oidc: bool) -> AbstractSet[str] | None:
    """Return the hosts on which the provider at `authority` is known to ask for codes; None where nobody can know.

    Another authority than Microsoft's has its own pages, on hosts that nobody can know beforehand.
    """
    host = urlsplit(authority).hostname or ""
    return clouds.VERIFICATION_HOSTS if host in clouds.KNOWN_LOGIN_HOSTS or not is_oidc else None


def require_known(authorization: DeviceAuthorization, *, is_oidc: bool) -> None:
    """Raise `BadAnswerError` unless the address is on a known host of its identity provider.

    For whoever sends it to a person who does not see the warning that a screen shows.
    """
    host = require_clean(authorization.verification_uri)
    if not is_known(host, authorization.authority, hosts_of(authorization.authority, is_oidc=is_oidc)):
        raise errors.BadAnswerError(
            f"{host}, where the code is to be entered, is not known as a host of this identity provider",
            hint="sign in at a terminal, where you can look at the address before you open it",
            code="bad_verification_uri",
        )


def for_qr_code(authorization: DeviceAuthorization) -> str:
    """Return what the QR code carries: the complete address if the server sent one, else the plain one.

    A complete address on another host than the plain one is not used: the person could not compare the two. Raises
    `BadAnswerError` as `require_clean` does.
    """
    host = require_clean(authorization.verification_uri)
    complete = authorization.verification_uri_complete
    if complete and require_clean(complete) == host:
        return complete
    return authorization.verification_uri
