"""The identity provider's own description of itself: fetched once, checked, and never believed beyond its own host.

Entra's document is OpenID Connect Discovery 1.0 under `{authority}/v2.0`; other providers have theirs under the issuer.
With an Entra-shaped authority every endpoint must be on the authority's host. With an OpenID issuer endpoints may be
elsewhere, because the document is only accepted if its `issuer` is the URL that was asked for (design decision D8).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import errors, explain, models, redaction
from devicelogin.settings import pinning

if TYPE_CHECKING:
    from devicelogin.http_session import HttpSession, JsonAnswer

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")

_PLAIN_URL = re.compile(r"https://[A-Za-z0-9.:_/~-]{1,180}\Z")

#: How long may the URL of an endpoint be (characters)? Longer ones are no accident of a long path any more.
_LONGEST_ENDPOINT = 2000

#: Which signature algorithms may an ID token have? Asymmetric ones only: `none` and the HMAC family would let anyone sign.
_ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@models.record
class Provider:
    """What a checked discovery document said. `issuer` may hold Entra's literal `{tenantid}`."""

    url: str
    is_oidc: bool
    issuer: str
    token_endpoint: str
    jwks_uri: str
    authorization_endpoint: str
    device_authorization_endpoint: str | None
    revocation_endpoint: str | None
    graph_host: str | None
    id_token_algorithms: tuple[str, ...]

    @property
    def origin(self) -> str:
        """The host, with its port where it is not 443, that a person would recognise."""
        return host_of(self.url)

    def hosts(self) -> tuple[str, ...]:
        """Return every host, with its port where that is not 443, that this provider names, `origin` first."""
        return (self.origin, *self.other_hosts())

    def check_hosts(self, approved: tuple[str, ...], *, endpoint: str | None = None) -> None:
        """Raise ConfigError unless every host named is one of those that were named, and shown, at login.

        `endpoint`: only the host of this one matters, because nothing is sent anywhere else. None approved: all are.
        """
        if not approved:
            return
        hosts = set(self.hosts()) if endpoint is None else {host_of(endpoint)}
        strange = sorted(hosts - {_normal_host(host) for host in approved})
        if strange:
            raise errors.ConfigError(
                f"{self.origin} now sends us to {', '.join(strange)}, which it did not at login; nothing was sent there",
                hint="if that is right, sign in again: devicelogin login with the same options",
                code="foreign_endpoint",
            )

    def other_hosts(self) -> tuple[str, ...]:
        """Return the hosts besides `origin` to which this provider sends us, sorted (OpenID issuers only)."""
        named = (self.token_endpoint, self.jwks_uri, self.device_authorization_endpoint, self.revocation_endpoint)
        hosts = {host_of(endpoint) for endpoint in named if endpoint}
        return tuple(sorted(hosts - {self.origin}))


def host_of(url: str) -> str:
    """Return the host of a checked `url`, lower case, with its port where that is not 443."""
    return _normal_host(urlsplit(url).netloc)


def discovery_url(url: str, *, is_oidc: bool) -> str:
    """Return where the discovery document of the authority or issuer `url` is."""
    return url.rstrip("/") + ("" if is_oidc else "/v2.0") + "/.well-known/openid-configuration"


def request_provider(http: HttpSession, url: str, *, is_oidc: bool) -> Provider:
    """Fetch and check the discovery document of `url`.

    Raises ConfigError for an unknown tenant, an issuer that is not the URL, or endpoints on a foreign host;
    BadAnswerError for a document that is none; TryLaterError where the network or the server fails.
    """
    return check_document(request_document(http, url, is_oidc=is_oidc), url, is_oidc=is_oidc)


def request_document(http: HttpSession, url: str, *, is_oidc: bool) -> dict[str, object]:
    """Fetch the discovery document of `url`, unchecked. Raises as `request_provider` does for an answer that is none."""
    return request_answer(http, url, is_oidc=is_oidc).body


def request_answer(http: HttpSession, url: str, *, is_oidc: bool) -> JsonAnswer:
    """Fetch the discovery document of `url` with what came with it. Raises as `request_document` does."""
    answer = http.get_json(discovery_url(url, is_oidc=is_oidc), headers={"Accept": "application/json"})
    if answer.status != 200:
        raise _refused(answer, url, is_oidc=is_oidc)
    return answer


def check_document(document: dict[str, object], url: str, *, is_oidc: bool) -> Provider:
    """Return what the discovery document of `url` says, after checking it. Raises as `request_provider` does."""
    provider = _parse(document, url, is_oidc=is_oidc)
    _check_issuer(provider)
    _check_endpoints(provider)
    return provider


def _refused(answer: JsonAnswer, url: str, *, is_oidc: bool) -> errors.DeviceLoginError:
    error = redaction.quotable(str(answer.body.get("error", "")), limit=60)
    detail = f"HTTP {answer.status}" + (f", {error}" if error else "")
    if is_oidc:
        description = explain.described(answer.body)
        detail += f": {description}" if description else ""
        return errors.ConfigError(
            f"there is no OpenID provider at {url}",
            hint="check the URL: it is the issuer as its operator publishes it, such as https://id.example.org/realms/home",
            detail=detail,
        )
    parts = urlsplit(url)
    tenant = parts.path.strip("/")
    return errors.ConfigError(
        f"{parts.netloc} does not know the tenant {redaction.printable(tenant, limit=100)}",
        hint="check the tenant: its id or a domain of it, such as devicelogin login --tenant contoso.onmicrosoft.com",
        detail=detail,
        correlation_id=_text(answer.body, "correlation_id"),
        code="unknown_tenant",
    )


def _parse(body: dict[str, object], url: str, *, is_oidc: bool) -> Provider:
    def required(name: str) -> str:
        value = _text(body, name)
        if value is None:
            raise errors.BadAnswerError(
                f"the discovery document of {urlsplit(url).netloc} names no {name}",
                hint="check the address in a browser: " + discovery_url(url, is_oidc=is_oidc),
            )
        return value

    token_endpoint = required("token_endpoint")
    advertised = body.get("id_token_signing_alg_values_supported")
    algorithms = tuple(a for a in advertised if a in _ASYMMETRIC) if isinstance(advertised, list) else ()
    graph_host = _text(body, "msgraph_host")
    return Provider(
        url=url,
        is_oidc=is_oidc,
        issuer=required("issuer"),
        token_endpoint=token_endpoint,
        jwks_uri=required("jwks_uri"),
        # Required by the specification, but the device flow never goes there, so its absence is no reason to stop.
        authorization_endpoint=_optional(body, "authorization_endpoint") or token_endpoint,
        device_authorization_endpoint=_text(body, "device_authorization_endpoint"),
        revocation_endpoint=_optional(body, "revocation_endpoint"),
        graph_host=graph_host if graph_host and _HOST_NAME.match(graph_host) else None,
        # Entra signs with RS256 only (access-tokens.md); a provider that names nothing means RS256 (OIDC Core 2).
        id_token_algorithms=algorithms if is_oidc and algorithms else ("RS256",),
    )


def _check_issuer(provider: Provider) -> None:
    # OpenID Connect Discovery 4.3: the issuer MUST be the URL that was used. A trailing slash may differ, because people
    # copy it without; so may capitals of the host and :443, which name the same place and which settings leave out.
    if provider.is_oidc and pinning.normal_url(provider.issuer) != pinning.normal_url(provider.url):
        issuer = redaction.printable(provider.issuer, limit=200)
        # SECURITY: a hint is pasted into a shell, and this is a stranger's text.
        plain = _PLAIN_URL.match(provider.issuer) is not None
        raise errors.ConfigError(
            f"the provider at {provider.url} calls itself {issuer}",
            hint=f"if that is the one you mean: devicelogin login --oidc-issuer {issuer}"
            if plain
            else "ask its operator for the issuer to use with --oidc-issuer",
        )


def _check_endpoints(provider: Provider) -> None:
    endpoints = {
        "token_endpoint": provider.token_endpoint,
        "jwks_uri": provider.jwks_uri,
        "authorization_endpoint": provider.authorization_endpoint,
        "device_authorization_endpoint": provider.device_authorization_endpoint,
        "revocation_endpoint": provider.revocation_endpoint,
    }
    for name, endpoint in endpoints.items():
        if endpoint is not None:
            _check_endpoint(provider, name, endpoint)


def _check_endpoint(provider: Provider, name: str, endpoint: str) -> None:
    if not _is_usable(endpoint):
        shown = redaction.printable(endpoint, limit=120)
        raise errors.BadAnswerError(
            f"the discovery document of {provider.origin} has no usable {name}: {shown}",
            hint="check the address in a browser: " + discovery_url(provider.url, is_oidc=provider.is_oidc),
        )
    # SECURITY: the tokens go where this document says. An authority speaks for its own host only (faults B10).
    if not provider.is_oidc and _origin(endpoint) != _origin(provider.url):
        raise errors.ConfigError(
            f"{provider.origin} names a {name} on another host, {host_of(endpoint)}; nothing was sent there",
            hint="check --authority; an OpenID provider that is spread over hosts is given with --oidc-issuer URL",
            code="foreign_endpoint",
        )


def _is_usable(endpoint: str) -> bool:
    """Tell whether `endpoint` is a URL to which something can be sent in private, and that reads as it is."""
    try:
        parts = urlsplit(endpoint)
        leads_somewhere = (
            parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
        )
    except ValueError:
        return False
    is_plain = endpoint == redaction.printable(endpoint, limit=_LONGEST_ENDPOINT) and " " not in endpoint
    return leads_somewhere and is_plain


def _origin(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return ((parts.hostname or "").lower(), parts.port or 443)


def _normal_host(host: str) -> str:
    return host.lower().removesuffix(":443")


def _optional(body: dict[str, object], name: str) -> str | None:
    """Return an endpoint that a provider may lack. One that cannot be used is as good as none."""
    endpoint = _text(body, name)
    return endpoint if endpoint is not None and _is_usable(endpoint) else None


def _text(body: dict[str, object], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None
