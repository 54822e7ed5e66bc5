"""Which address a person means by a Graph path, and why no other host can come out of it.

SECURITY: an access token follows the address that is built here. The origin is never parsed out of what was given: it is
the given root, character by character, and what was given only ever stands behind it (fault catalogue I01, S09).
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote, urlsplit

from devicelogin import errors, redaction

_ROOT = re.compile(r"https://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_VERSIONED = re.compile(r"/(?:v1\.0|beta)(?:[/?]|\Z)")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

#: What may stand in a path or query as it is (RFC 3986 section 3.3 and 3.4); everything else is percent-encoded.
_KEPT = "!$&'()*+,;=:@/?%-._~"

#: Characters that are not dots, but that somebody's idea of a host name makes into one (IDNA 2003 section 3.1).
_DOTS = frozenset("\u3002\uff0e\uff61")


def check_root(root: str) -> str:
    """Return the Graph root `root` without a trailing slash. Raises ConfigError unless it is a plain https origin."""
    origin = root.removesuffix("/").removesuffix(":443")
    try:
        is_plain = bool(_ROOT.match(origin)) and (urlsplit(origin).port or 443) < 65536
    except ValueError:
        is_plain = False
    if not is_plain:
        raise errors.ConfigError(
            f"the Graph root {redaction.printable(root, limit=100)} is not a plain https address",
            hint="write it as --graph-root https://graph.microsoft.com",
        )
    return origin


def resolve(given: str, root: str) -> str:
    """Return the URL that `given` means, beginning with `root` (as `check_root` returned it).

    `given` is a path, to which `/v1.0` is added unless it names a version, or a whole URL on `root`, which is taken
    as it is. Spaces and letters outside ASCII are percent-encoded in a path. Raises UsageError for everything else.
    """
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in given):
        raise _refused("it holds a control character")
    if "\\" in given or "#" in given:
        raise _refused("it holds a backslash or a #")
    if given != given.strip() or not given:
        raise _refused("it is empty or begins or ends with a space")
    if _SCHEME.match(given):
        return _absolute(given, root)
    if given.startswith("//"):
        raise _refused("it names another host")
    if any(_resembles_syntax(character) for character in given if not character.isascii()):
        raise _refused("it holds a character that only looks like a dot or a slash")
    target = given if given.startswith("/") else "/" + given
    if not _VERSIONED.match(target):
        target = "/v1.0" + target
    if _BAD_PERCENT.search(target):
        raise _refused("it holds a % without two hexadecimal digits; write %25 for the sign itself")
    return root + _checked(quote(target, safe=_KEPT))


def _absolute(given: str, root: str) -> str:
    if not given.startswith(root + "/"):
        raise _refused(f"it is on another host than {root}")
    target = given[len(root) :]
    if not given.isascii() or " " in given or _BAD_PERCENT.search(target):
        raise _refused("a whole URL must be percent-encoded already")
    if quote(target, safe=_KEPT + '[]{}"<>^`|') != target:
        raise _refused("it holds a character that no URL has")
    return root + _checked(target)


def _checked(target: str) -> str:
    path = target.partition("?")[0]
    if "//" in path:
        raise _refused("it holds //")
    # However often somebody on the way decodes it, no part may become one that leads upwards.
    for _ in range(6):
        if any(part in {".", ".."} for part in path.split("/")):
            raise _refused("it holds a part . or ..")
        decoded = unquote(path, errors="replace")
        if decoded == path:
            break
        if re.search(r"%2e", path, re.IGNORECASE) or re.search(r"[\x00-\x1f\x7f\\]", decoded):
            raise _refused("it hides a dot, a backslash or a control character behind a percent sign")
        path = decoded
    else:
        raise _refused("it is percent-encoded again and again")
    return target


def _resembles_syntax(character: str) -> bool:
    """Tell whether somebody's normalisation could turn `character` into one that means something in a URL."""
    folded = unicodedata.normalize("NFKC", character)
    return character in _DOTS or any(plain in "./\\:?#@%&=" for plain in folded)


def _refused(why: str) -> errors.UsageError:
    return errors.UsageError(
        f"this is not an address on Microsoft Graph: {why}",
        hint="give a path: devicelogin graph me, or devicelogin graph '/beta/me?$select=id'",
    )
