"""The shape of every setting: what a person, a profile or an environment wrote in, the one normal form out."""

from __future__ import annotations

import os
import re

from devicelogin import clouds, redaction, resources

#: Which scopes does MSAL add to every sign-in by itself, and refuse when they are listed?
RESERVED_SCOPES = frozenset({"openid", "profile", "offline_access"})

#: How long may a token be asked to stay valid (seconds)? The longest-lived ones (CAE) live a little over a day.
MIN_VALID_LIMIT = 86400

QR_FORMS = ("auto", "half", "full", "ascii", "off")

_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
_DOMAIN = re.compile(r"(?=.{4,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{1,62}\Z")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")  # RFC 6749 section 3.3, scope-token
_BETWEEN_SCOPES = re.compile(r"[\s,;\"'\[\]]+")
_EXAMPLES = ("User.Read", "Mail.Read")
_CLIENT_ID = re.compile(r"[\x20-\x7e]{1,255}\Z")  # RFC 6749 appendix A.1
_STORE = re.compile(r"(?:auto|keyring|file|keyring:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)\Z", re.ASCII)
_HOURS = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]-(?:[01][0-9]|2[0-3]):[0-5][0-9]\Z")
_HTTPS_URL = re.compile(
    r"""https://
        (?P<host>[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*)
        /?\Z""",
    re.VERBOSE | re.IGNORECASE,
)
# Segments that a server, a proxy or a library along the way may fold away, so that two paths become one.
_FOLDED = re.compile(r"/\.{1,2}(?=/|\Z)|%2e|%2f|%5c|%00", re.IGNORECASE)


class BadValueError(ValueError):
    """Why a value cannot be used and what to write instead; whoever knows its source makes an error for people of it."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


class BadScopesError(BadValueError):
    """A text that is no scope; `parts` are the scopes that it may have been meant as."""

    def __init__(self, why: str, parts: tuple[str, ...]) -> None:
        options = " ".join(f"--scope {part}" for part in parts)
        super().__init__(why, f"give each scope its own option: {options}")
        self.parts = parts


def client_id(given: object) -> str:
    """Return the client id of an Entra app registration, lower case.

    The value is not shown when it is wrong: people paste client secrets here.
    """
    text = _text(given)
    if not _GUID.match(text):
        raise BadValueError(
            "it is not of the shape 00000000-0000-0000-0000-000000000000",
            'copy "Application (client) ID" from the app registration\'s overview page; it is not the secret',
        )
    return text.lower()


def oidc_client_id(given: object) -> str:
    """Return the client id at an OpenID provider, as it was written."""
    text = _text(given)
    if not _CLIENT_ID.match(text) or not text.strip():
        raise BadValueError(
            "it is empty or holds more than plain printable letters", "ask who runs the provider for it"
        )
    return text


def tenant(given: object) -> str:
    """Return a tenant's GUID or domain, or organizations, common or consumers; lower case."""
    text = _text(given)
    if not _is_tenant(text):
        hint = (
            "give the tenant's GUID, one of its domains (contoso.onmicrosoft.com), organizations, common or consumers"
        )
        if "/" in text:
            hint = "a tenant is not a URL; for an authority of your own: --authority https://HOST/TENANT"
        raise BadValueError(f"{_shown(text)} is not a tenant", hint)
    return text.lower()


def authority(given: object) -> str:
    """Return the URL of an Entra-shaped authority: https, lower-case host, a path, no slash at its end."""
    url = _https_url(given, path_required="an authority's path names the tenant: https://HOST/TENANT")
    host, _, path = url.removeprefix("https://").partition("/")
    if host in clouds.KNOWN_LOGIN_HOSTS:
        if not _is_tenant(path):
            raise BadValueError(
                f"on {host} the path is the tenant and nothing more",
                f"write it as https://{host}/TENANT, without /v2.0",
            )
        return f"https://{host}/{path.lower()}"
    return url


def oidc_issuer(given: object) -> str:
    """Return the URL of an OpenID issuer: https, lower-case host, no slash at its end."""
    return _https_url(given)


def graph_root(given: object) -> str:
    """Return the root under which `/v1.0` lies: https, host and port, no slash at its end."""
    url = _https_url(given)
    host, _, path = url.removeprefix("https://").partition("/")
    if path:
        raise BadValueError("it has a path, and Graph begins directly behind its host", f"leave it out: https://{host}")
    if "_" in host:
        raise BadValueError("its host has an underscore, which no host's name has", "write it as https://HOST")
    return url


def scopes(given: object, *, is_oidc: bool) -> tuple[str, ...]:
    """Return the scopes without the reserved ones and without doubles; Entra compares them without regard to case."""
    wanted: dict[str, str] = {}
    for item in _texts(given):
        parts = tuple(part for part in _BETWEEN_SCOPES.split(item) if _SCOPE.match(part))
        if not _SCOPE.match(item):
            raise BadScopesError(
                f"{_shown(item)} is not a scope: a scope has no spaces, quotes or control characters",
                parts[:9] or _EXAMPLES,
            )
        # RFC 6749 allows a comma; Entra has none in its scopes, and elsewhere a reserved name gives a list away.
        if "," in item and (not is_oidc or RESERVED_SCOPES.intersection(item.lower().split(","))):
            raise BadScopesError(f"{_shown(item)} holds a comma, which no scope has", parts[:9] or _EXAMPLES)
        name = item if is_oidc else item.lower()
        if name not in RESERVED_SCOPES:
            wanted.setdefault(name, item)
    return tuple(wanted.values())


def entra_scopes(given: object) -> tuple[str, ...]:
    """Return scopes of Entra, as `scopes` does; each is a permission, of Graph or of the API before its last slash."""
    found = scopes(given, is_oidc=False)
    for item in found:
        if resources.lacks_permission(item):
            raise BadValueError(
                f"{_shown(item)} is an API, not one of its permissions",
                f"for all that was consented to there: {item}/{resources.DEFAULT}",
            )
    whole = resources.whole_beside_others(found)
    if whole is not None:
        raise BadValueError(f"{_shown(whole)} {resources.NOT_BESIDE_OTHERS}", resources.LEAVE_OUT)
    return found


def ca_file(given: object, *, directory: str, home: str) -> str:
    """Return the absolute path of a readable file; a relative one is seen from `directory`, `~/` from `home`.

    An empty `directory` is the present one.
    """
    text = _text(given)
    if text.startswith("~/") and home:
        text = os.path.join(home, text[2:])
    path = os.path.join(directory, text) if text else ""
    try:
        path = os.path.abspath(path) if path else ""
        with open(path, "rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path can hold that"
        shown = redaction.printable(path or "''")
        raise BadValueError(
            f"cannot read {shown}: {reason}", "name a PEM file with the certificates to trust"
        ) from error
    return path


def min_valid(given: object) -> int:
    """Return seconds, 0 to `MIN_VALID_LIMIT`."""
    text = str(given)
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) > MIN_VALID_LIMIT:
        raise BadValueError(
            f"{_shown(text)} is not a number of seconds from 0 to {MIN_VALID_LIMIT}", "five minutes are 300"
        )
    return int(text)


def store(given: object) -> str:
    """Return `auto`, `keyring`, `file` or `keyring:module.Class`."""
    text = _text(given)
    if not _STORE.match(text):
        raise BadValueError(f"{_shown(text)} is not a store", "it is one of auto, keyring, file, keyring:module.Class")
    return text


def key(given: object) -> str | tuple[str, ...]:
    """Return `file`, `credential`, `passphrase` or a command as an argument list."""
    if isinstance(given, str):
        return one_of(given, ("file", "credential", "passphrase"))
    return command(given, empty=False)


def one_of(given: object, known: tuple[str, ...]) -> str:
    """Return `given` where it is one of `known`."""
    if given not in known:
        raise BadValueError(f"{_shown(given)} is not known here", f"it is one of {', '.join(known)}")
    return str(given)


def command(given: object, *, empty: bool = True) -> tuple[str, ...]:
    """Return a command as an argument list; the empty one means none."""
    arguments = _texts(given)
    if any("\0" in item for item in arguments) or not (arguments[0] if arguments else empty):
        raise BadValueError("it does not begin with a program", 'write a list: ["/usr/bin/program", "argument"]')
    return arguments


def hours(given: object) -> str:
    """Return a daily span of local time, `HH:MM-HH:MM`; it may run over midnight."""
    text = _text(given)
    if not _HOURS.match(text):
        raise BadValueError(f"{_shown(text)} is not a span of hours", 'write it as "08:00-18:00"')
    return text


def flag(given: object) -> bool:
    """Return a yes or no."""
    return bool(given)


def _is_tenant(text: str) -> bool:
    return text.lower() in {"organizations", "common", "consumers"} or bool(_GUID.match(text) or _DOMAIN.match(text))


def _https_url(given: object, *, path_required: str | None = None) -> str:
    text = _text(given)
    # SECURITY: what does not match as a whole is not shown: it may carry a password before its host.
    match = _HTTPS_URL.match(text)
    if match is None or _FOLDED.search(match["path"]):
        raise _bad_url(text)
    port = match["port"]
    if port is not None and not 1 <= int(port) <= 65535:
        raise BadValueError("its port is not between 1 and 65535", "most servers need none")
    if path_required and not match["path"]:
        raise BadValueError("it has no path", path_required)
    shown_port = "" if port is None or int(port) == 443 else f":{int(port)}"
    return f"https://{match['host'].lower()}{shown_port}{match['path']}"


def _bad_url(text: str) -> BadValueError:
    if text.lower().startswith("http://"):
        return BadValueError("it begins with http:, so tokens would travel in the open", "begin it with https://")
    if not text.lower().startswith("https://"):
        return BadValueError("it is not an https URL", "write it in full: https://HOST/PATH")
    if "@" in text.removeprefix("https://").partition("/")[0]:
        return BadValueError("it has a user name before its host", "leave out everything up to the @")
    if "?" in text or "#" in text:
        return BadValueError("it has a query or fragment", "leave out everything from the ? or # on")
    return BadValueError(
        "it is not a plain URL of host and path",
        "write it as https://HOST/PATH in plain ASCII, without spaces, // or ..",
    )


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise BadValueError("it must be a string", "put it between quotes")
    return given


def _texts(given: object) -> tuple[str, ...]:
    if (
        isinstance(given, str)
        or not isinstance(given, (list, tuple))
        or not all(isinstance(item, str) for item in given)
    ):
        raise BadValueError("it is not a list of strings", 'write a list: ["one", "another"]')
    return tuple(given)


def _shown(given: object) -> str:
    return repr(redaction.redacted(redaction.printable(given, limit=80)))
