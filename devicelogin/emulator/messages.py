"""One HTTP request as the emulator received it, and one answer before it is sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Where does the OpenID provider live, beside the Entra tenants?
REALM_PATH = "/realms/home"

#: Where is its document when its issuer has no path?
ROOT_DOCUMENT = "/.well-known/openid-configuration"

_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_PORT = re.compile(r":\d{1,5}\Z")


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


#: In `Fault.patch`: take this key out of the answer.
MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it arrived. Header names are lower case; `time` is the emulator's clock.

    `endpoint` is `discovery`, `instance`, `devicecode`, `token` (polls for a device code), `refresh`, `jwks`, `revoke`,
    `signin`, `me`, `graph` or `unknown`. Headers, form and body hold the secrets as sent, and are left out of `repr`.
    """

    method: str
    path: str
    endpoint: str
    time: float
    origin: str
    peer: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def is_oidc(self) -> bool:
        """Was this sent to the plain OpenID provider, not to Entra?"""
        return self.path.startswith((REALM_PATH + "/", ROOT_DOCUMENT))

    @property
    def segments(self) -> list[str]:
        """The path, split at its slashes."""
        return self.path.strip("/").split("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer: `headers` beside the ones that every answer gets; `compress` allows gzip and chunks, as Graph does."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    compress: bool = False

    def patched(self, changes: Mapping[str, object]) -> Answer:
        """Return this answer with `changes` merged into its JSON object; `MISSING` removes a key."""
        data = json.loads(self.body)
        for name, value in changes.items():
            if value is MISSING:
                data.pop(name, None)
            else:
                data[name] = value
        return replace(self, body=json.dumps(data).encode())


def json_answer(
    data: object,
    *,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = (),
    content_type: str = "application/json; charset=utf-8",
    compress: bool = False,
) -> Answer:
    """Return `data` as a JSON answer. NaN and infinity are written as Python writes them, for tests of bad answers."""
    return Answer(
        status=status, body=json.dumps(data).encode(), content_type=content_type, headers=headers, compress=compress
    )


def read_request(
    *,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    peer: str,
    default_origin: str,
    names: Collection[str],
    time: float,
) -> Request:
    """Return the request that these parts make; `names` are the hosts that we are, besides those of loopback.

    Repeated slashes count as one: MSAL asks for `/common//v2.0/...` when it is given no authority.
    """
    parts = urlsplit(re.sub(r"^/+", "/", target))
    path = re.sub(r"/{2,}", "/", unquote(parts.path))
    form: dict[str, str] = {}
    if headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    host = headers.get("host", "")
    return Request(
        method=method,
        path=path,
        endpoint=_endpoint(path, form),
        time=time,
        # The documents name the host the client asked, so that `localhost` and `127.0.0.1` both work, also through a
        # port in between.
        origin=f"https://{host.lower()}" if _is_ours(host, names) else default_origin,
        peer=peer,
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers=headers,
        form=form,
        body=body,
    )


def _is_ours(host: str, names: Collection[str]) -> bool:
    return bool(_LOOPBACK.fullmatch(host)) or _PORT.sub("", host.lower()) in names


def json_body(request: Request) -> dict[str, Any] | None:
    """Return the JSON object in the body, or None if there is none."""
    try:
        data = json.loads(request.body)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


_ENDPOINTS = (
    (re.compile(r"/(?:v1\.0|beta)/me/?"), "me"),
    (re.compile(r"/(?:v1\.0|beta)/.*"), "graph"),
    (re.compile(r"/device(?:/.*)?"), "signin"),
    (re.compile(rf"(?:{REALM_PATH})?/\.well-known/openid-configuration"), "discovery"),
    (re.compile(REALM_PATH + r"/protocol/openid-connect/auth/device"), "devicecode"),
    (re.compile(REALM_PATH + r"/protocol/openid-connect/token"), "token"),
    (re.compile(REALM_PATH + r"/protocol/openid-connect/certs"), "jwks"),
    (re.compile(REALM_PATH + r"/protocol/openid-connect/revoke"), "revoke"),
    (re.compile(r"/common/discovery/instance"), "instance"),
    (re.compile(r"/[^/]+/v2\.0/\.well-known/openid-configuration"), "discovery"),
    (re.compile(r"/[^/]+/oauth2/v2\.0/devicecode"), "devicecode"),
    (re.compile(r"/[^/]+/oauth2/v2\.0/token"), "token"),
    (re.compile(r"/[^/]+/discovery/v2\.0/keys"), "jwks"),
)

ENDPOINTS = frozenset({name for _, name in _ENDPOINTS} | {"refresh", "unknown"})


def _endpoint(path: str, form: Mapping[str, str]) -> str:
    for pattern, name in _ENDPOINTS:
        if pattern.fullmatch(path):
            return "refresh" if name == "token" and form.get("grant_type") == "refresh_token" else name
    return "unknown"
