"""`login --from-env FILE`: client id, tenant and scopes from the `.env` file of a script that is to be replaced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from devicelogin import errors, redaction
from devicelogin.settings import profile, shapes

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE_LIMIT = 1 << 20

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*=\s*(.*?)\s*\Z", re.DOTALL)
_QUOTED = re.compile(r"""(["'])(.*?)\1\s*(?:\#.*)?\Z""", re.DOTALL)

#: What such files put before a name.
_PREFIX = re.compile(r"(?:DEVICELOGIN|AZURE|AZ|AAD|ENTRA|ENTRA_ID|MS|MSAL|MICROSOFT|GRAPH|MSGRAPH|M365|OAUTH|APP)_")

#: The names that are taken, without such a prefix, and the settings that they are.
_NAMES = {
    "CLIENT_ID": "client_id",
    "CLIENTID": "client_id",
    "APP_ID": "client_id",
    "APPLICATION_ID": "client_id",
    "TENANT_ID": "tenant",
    "TENANT": "tenant",
    "TENANTID": "tenant",
    "DIRECTORY_ID": "tenant",
    "AUTHORITY": "authority",
    "AUTHORITY_URL": "authority",
    "SCOPE": "scopes",
    "SCOPES": "scopes",
}

_SECRET = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|PRIVATE|CERT|THUMBPRINT|ASSERTION|TOKEN|CREDENTIAL|_KEY\Z", re.IGNORECASE
)

#: How names end of what is the place of a secret, and not the secret.
_PLACES = ("URL", "URI", "ENDPOINT", "FILE", "PATH", "DIR", "CACHE")

#: What excludes what: a tenant that was given as an option also stands for an authority in the file.
_AUTHORITIES = ("tenant", "authority", "oidc_issuer")


class _Found(NamedTuple):
    name: str
    line: int
    value: str


class Taken(NamedTuple):
    """What was read: settings by the names of the profile's keys, and one sentence each on what was taken and what not."""

    flags: dict[str, object]
    remarks: list[str]


def read(path: str, given: dict[str, object]) -> Taken:
    """Return the settings in the `.env` file `path` but for those that are `given` as options.

    Raises UsageError for a file that cannot be read, ConfigError with file and line for a value that cannot be used.
    SECURITY: a client secret is named and never taken, shown or kept; values of other names are not shown either.
    """
    found: dict[str, _Found] = {}
    remarks, ignored = [], []
    for each in _assignments(path):
        name = each.name.upper()
        setting = _NAMES.get(name) or _NAMES.get(_PREFIX.sub("", name, count=1))
        if setting is not None and each.value:
            _note(found, setting, each, path)
        elif _is_secret(each.name):
            remarks.append(
                f"{each.name} (line {each.line}) is refused: no secret is taken from a file; a sign-in with a device code is for"
                " public clients, which need none"
            )
        else:
            ignored.append(f"{each.name} (line {each.line})")
    if any(given.get(name) for name in _AUTHORITIES):
        found = {name: each for name, each in found.items() if name not in _AUTHORITIES}
    elif "tenant" in found and "authority" in found:
        del found["tenant"]  # an authority names its tenant
    found = {name: each for name, each in found.items() if not given.get(name)}
    flags = {setting: _checked(setting, each, path) for setting, each in found.items()}
    taken = [
        f"{setting.replace('_', ' ')} {_shown(flags[setting])} ({each.name}, line {each.line})"
        for setting, each in found.items()
    ]
    remarks.insert(0, f"taken from {path}: {', '.join(taken) or 'nothing'}")
    if ignored:
        remarks.append(f"not known here and left out: {', '.join(ignored)}")
    return Taken(flags, [redaction.printable(remark, limit=2000) for remark in remarks])


def _is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None and not name.upper().endswith(_PLACES)


def _assignments(path: str) -> list[_Found]:
    lines = _text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found: dict[str, _Found] = {}
    position = 0
    while position < len(lines):
        number, line = position + 1, lines[position]
        position += 1
        # A list may go over several lines, as in Python.
        while re.match(r"[^#=]*=\s*\[[^\]#]*\Z", line) and position < len(lines):
            line += " " + lines[position]
            position += 1
        match = _LINE.match(line)
        if match is not None and not line.lstrip().startswith("#"):
            found.pop(match[1], None)
            value = _value(match[2])
            for other in () if "'" in match[2][:1] else found.values():
                if not _is_secret(other.name):
                    value = value.replace(f"${{{other.name}}}", other.value)
            found[match[1]] = _Found(match[1], number, value)  # of two, the last one counts
    return list(found.values())


def _value(written: str) -> str:
    quoted = _QUOTED.match(written)
    return quoted[2] if quoted is not None else re.sub(r"(?:\A|\s+)#.*", "", written, flags=re.DOTALL)


def _text(path: str) -> str:
    try:
        # Not kept open, and no device is read for ever.
        with open(path, "rb") as file:
            content = file.read(_SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path can hold that"
        raise errors.UsageError(
            f"cannot read {redaction.printable(path)}: {reason}", hint="name the .env file: --from-env FILE"
        ) from error
    if len(content) > _SIZE_LIMIT:
        raise errors.UsageError(
            f"{redaction.printable(path)} is larger than {_SIZE_LIMIT} bytes",
            hint="name the .env file: --from-env FILE",
        )
    try:
        return profile.decoded(content)
    except profile.BadEncodingError as error:
        raise errors.UsageError(
            f"{redaction.printable(path)}:{error.line}: {error.why}", hint="save it as UTF-8"
        ) from error


def _note(found: dict[str, _Found], setting: str, each: _Found, path: str) -> None:
    other = found.get(setting)
    if other is not None and other.value != each.value:
        raise errors.ConfigError(
            f"{redaction.printable(path)}: {other.name} (line {other.line}) and {each.name} (line {each.line}) differ",
            hint="keep the one that is meant, or give it as an option",
        )
    found[setting] = each


def _checked(setting: str, each: _Found, path: str) -> object:
    """Return the value as the option of that setting takes it. Raises ConfigError."""
    parsers: dict[str, Callable[[str], object]] = {
        "client_id": shapes.client_id,
        "tenant": shapes.tenant,
        "authority": shapes.authority,
        "scopes": _scopes,
    }
    try:
        return parsers[setting](each.value)
    except shapes.BadValueError as bad:
        why, hint = bad.why, bad.hint
        if "$" in each.value:
            why, hint = "it refers to another variable, and none is expanded here", "write its value in its place"
        raise errors.ConfigError(
            f"{redaction.printable(path)}:{each.line}: cannot use {each.name}: {why}", hint=hint
        ) from None


def _scopes(written: str) -> list[str]:
    """Return the scopes of a list as Python, JSON or a shell writes it, or with commas or spaces between them."""
    return list(shapes.scopes(tuple(re.findall(r"[^\s,;\[\](){}\"']+", written)), is_oidc=False))


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
