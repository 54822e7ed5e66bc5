"""The check of the ID token (OpenID Connect Core 3.1.3.7): who signed in is not believed before it.

MSAL has not checked ID tokens since 1.38, so this is the only check there is (design decision D7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import jwt

from devicelogin import errors, models, redaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.authority import Provider
    from devicelogin.signin import signing_keys

#: How far may the clocks of the two servers involved be apart (seconds)?
LEEWAY = 600

#: Entra's placeholder in the issuer of documents that serve many tenants.
_TENANT_PLACEHOLDER = "{tenantid}"

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")

#: RFC 7518 section 3.3 (bits)
_SHORTEST_RSA_KEY = 2048

#: Which moment is none any more (seconds since 1970; the year 9999)?
_END_OF_TIME = 253_000_000_000

#: How long a token do we look at (characters)?
_LONGEST_TOKEN = 100_000

#: Which algorithms can an RSA key be for that names none (RFC 7518 section 3.1)?
_OF_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})

#: White space that nobody sees, or takes for another: all but a single space between two words.
_UNSEEN_SPACE = re.compile(r"\A\s+|\s+\Z|[^\S ]|(?<= ) ")

_HINT = "check the authority and client id, then run devicelogin login again"
_CODE = "bad_id_token"


class UnverifiedError(errors.BadAnswerError):
    """No key that was looked at verifies the token; `has_key` tells whether there was one of its name."""

    def __init__(self, reason: str, *, has_key: bool) -> None:
        super().__init__(_words(reason), hint=_HINT, code=_CODE)
        self.has_key = has_key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key of the provider, and the algorithms it may be used with; `issuer` is Entra's restriction (A7)."""

    key: Any
    algorithms: frozenset[str]
    issuer: str | None


@dataclass(frozen=True, slots=True)
class KeySet:
    """The provider's signing keys; several may have one `kid` (RFC 7517 section 4.5)."""

    keys: tuple[tuple[str | None, SigningKey], ...]

    def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """Return the key named `kid` for `algorithm`; without a name, the only one that there is for it."""
        fitting = [(name, key) for name, key in self.keys if algorithm in key.algorithms]
        if kid is None:
            return fitting[0][1] if len(fitting) == 1 else None
        return next((key for name, key in fitting if name == kid), None)


def read_keys(published: signing_keys.Published) -> KeySet:
    """Return the keys that can be used. Raises BadAnswerError where there is none."""
    keys: list[tuple[str | None, SigningKey]] = []
    for entry in published.entries:
        try:
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue  # a key of a kind we do not know is no reason to miss those we do
        if getattr(key.key, "key_size", 0) < _SHORTEST_RSA_KEY and entry["kty"] == "RSA":
            continue
        name, issuer = entry.get("kid"), entry.get("issuer")
        # RFC 7517 section 4.4: `alg` is optional, and an RSA key without it is good for all of RSA's; a curve has its own.
        is_open = entry["kty"] == "RSA" and entry.get("alg") is None
        algorithms = _OF_RSA if is_open else frozenset({key.algorithm_name})
        found = SigningKey(key.key, algorithms, issuer if isinstance(issuer, str) else None)
        keys.append((str(name) if name is not None else None, found))
    if not keys:
        raise published.none_to_use()
    return KeySet(tuple(keys))


def check(
    id_token: str, keys: KeySet, provider: Provider, *, client_id: str, now: float, home_account_id: str = ""
) -> models.Account:
    """Return whom `id_token` names, after checking signature, issuer, audience, tenant and times.

    `now` is the `Date` of the answer that brought it (seconds since 1970), so that a wrong clock here does not matter.
    Raises BadAnswerError for a token that is not good; UnverifiedError where other keys might verify it.
    """
    kid, algorithm = _header(id_token)
    if algorithm not in provider.id_token_algorithms:
        _refuse("it is signed in a way that the provider does not announce")
    key = keys.find(kid, algorithm)
    if key is None:
        raise UnverifiedError("it is signed with a key that the provider does not publish", has_key=False)
    claims = _verified_claims(id_token, key, algorithm, client_id)
    issuer = _check_issuer(claims, key, provider)
    _check_times(claims, now)
    authorized = claims.get("azp")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or authorized is not None) and authorized != client_id:
        _refuse("it was issued for another app")
    return _account(claims, issuer, home_account_id)


def _header(id_token: str) -> tuple[str | None, str]:
    """Return `kid` and `alg` of the token's header."""
    if len(id_token) > _LONGEST_TOKEN:
        _refuse("it is too long")
    try:
        header = jwt.get_unverified_header(id_token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        _refuse("it is not a signed token")
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None, str(header.get("alg"))


def _verified_claims(id_token: str, key: SigningKey, algorithm: str, client_id: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            id_token,
            key.key,
            algorithms=[algorithm],
            audience=client_id,
            # Times and issuer are judged below: by the server's clock, and by Entra's rule.
            options={
                "verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_iss": False,
                "verify_sub": False, "verify_jti": False,
                "require": ["iss", "sub", "aud", "exp", "iat"],
            },
        )  # fmt: skip
    except jwt.InvalidAudienceError:
        _refuse("it was issued for another app")
    except jwt.MissingRequiredClaimError as error:
        _refuse(f"it has no {redaction.printable(error.claim, limit=20)}")
    except jwt.InvalidSignatureError:
        raise UnverifiedError("its signature does not match", has_key=True) from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        _refuse("it cannot be read")
    return claims


def _check_issuer(claims: dict[str, Any], key: SigningKey, provider: Provider) -> str:
    issuer, tenant = claims["iss"], claims.get("tid")
    expected, key_issuer = provider.issuer, key.issuer
    if not provider.is_oidc and (_TENANT_PLACEHOLDER in expected or tenant is not None):
        # Microsoft's rule (access-tokens.md): put the token's own `tid`, which must be a GUID, into the template.
        if not isinstance(tenant, str) or not _GUID.match(tenant):
            _refuse("it names no tenant")
        expected = expected.replace(_TENANT_PLACEHOLDER, tenant)
        if tenant.lower() not in expected.lower().split("/"):
            _refuse("it is of another tenant")
        key_issuer = key_issuer.replace(_TENANT_PLACEHOLDER, tenant) if key_issuer else None
    if issuer != expected:
        _refuse("it is of another issuer")
    if not provider.is_oidc and key_issuer is not None and key_issuer != issuer:
        _refuse("it is signed with a key that is another issuer's")
    return expected


def _check_times(claims: dict[str, Any], now: float) -> None:
    moments = {}
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name, now)
        # Not true of NaN either, and a whole number may be too large for a float.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _END_OF_TIME:
            _refuse(f"its {name} is not a time")
        moments[name] = float(value)
    if moments["exp"] <= now - LEEWAY:
        _refuse("it has expired")
    if max(moments["iat"], moments["nbf"]) > now + LEEWAY:
        _refuse("it is not valid yet")


def _account(claims: dict[str, Any], issuer: str, home_account_id: str) -> models.Account:
    def text(*names: str, prepared: Callable[[str], str] = str) -> str:
        values = (claims[name] for name in names if isinstance(claims.get(name), str))
        return next((redaction.printable(prepared(value), limit=200) for value in values if value.strip()), "")

    def user_name(*names: str) -> str:
        return redaction.unmistakable(text(*names, prepared=_with_spaces_seen))

    # SECURITY: an address that nobody verified and the name are whatever their owner typed; neither says who it is.
    is_verified = claims.get("email_verified") is True or claims.get("email_verified") == "true"
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        _refuse("it names nobody")
    email = user_name("email") if is_verified else ""
    return models.Account(
        username=user_name("preferred_username", "upn") or email or user_name("sub"),
        email=email,
        name=text("name", "given_name"),
        issuer=issuer,
        subject=subject,
        home_account_id=home_account_id,
        tenant_id=text("tid") or None,
        object_id=text("oid") or None,
    )


def _with_spaces_seen(text: str) -> str:
    """Return `text` with the white space marked that would not be seen: SECURITY: a name with one more is another's."""
    return _UNSEEN_SPACE.sub("\N{REPLACEMENT CHARACTER}", text)


def _words(reason: str) -> str:
    return f"the sign-in was answered with an ID token that is not good: {reason}; nothing was saved"


def _refuse(reason: str) -> NoReturn:
    raise errors.BadAnswerError(_words(reason), hint=_HINT, code=_CODE)
