"""Making the tokens of a grant, and remembering the access tokens that Graph will be shown."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devicelogin.emulator import directory, messages, signing_keys

if TYPE_CHECKING:
    from devicelogin.emulator.behaviour import Behaviour, IdTokenFault
    from devicelogin.emulator.directory import Client, User
    from devicelogin.emulator.scopes import GrantedScopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who gets tokens, for whom, for what. `claims` is the request's parameter, read (OpenID Connect section 5.5)."""

    user: User
    client: Client
    scopes: GrantedScopes
    origin: str
    is_oidc: bool
    claims: dict[str, Any] = field(default_factory=dict)

    @property
    def handles_challenges(self) -> bool:
        """Did the client say that it handles claims challenges?"""
        wanted = self._wanted("xms_cc").get("values", [])
        return isinstance(wanted, list) and "cp1" in [str(value).lower() for value in wanted]

    @property
    def answers_challenge(self) -> bool:
        """Does the request carry the claims of a challenge of Graph?"""
        return bool(self._wanted("nbf"))

    def _wanted(self, name: str) -> dict[str, Any]:
        access_token = self.claims.get("access_token")
        wanted = access_token.get(name) if isinstance(access_token, dict) else None
        return wanted if isinstance(wanted, dict) else {}


@dataclass(frozen=True, slots=True)
class IssuedAccessToken:
    """What Graph needs to know of an access token."""

    grant: Grant
    issued_at: float
    expires_at: float


@dataclass(slots=True)
class Tokens:
    """Makes tokens. Not locked: its caller is."""

    behaviour: Behaviour
    keys: signing_keys.SigningKeys
    issued: dict[str, IssuedAccessToken] = field(default_factory=dict, repr=False)

    def access_token(self, grant: Grant, now: float) -> tuple[str, int]:
        """Return a new access token and its lifetime in seconds.

        It looks like a JSON web token and nobody can verify it: as with Graph's own, the signature does not match what
        a client sees.
        """
        lifetime = self.behaviour.access_token_lifetime
        if grant.handles_challenges:
            lifetime = self.behaviour.cae_access_token_lifetime
        claims: dict[str, Any] = {
            "aud": grant.scopes.audience,
            "iss": f"https://sts.windows.net/{grant.user.tenant_id}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now) + lifetime,
            "app_displayname": grant.client.name,
            "appid": grant.client.client_id,
            "idtyp": "user",
            "oid": grant.user.object_id,
            "scp": " ".join(
                word.rpartition("/")[2] for word in grant.scopes.echo.split() if not word.endswith(".default")
            ),
            "tid": grant.user.tenant_id,
            "upn": grant.user.user_principal_name,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
            "aio": secrets.token_urlsafe(800),
        }
        if grant.handles_challenges:
            claims["xms_cc"] = ["cp1"]
        header = {"typ": "JWT", "nonce": secrets.token_urlsafe(32), "alg": "RS256", "kid": secrets.token_urlsafe(20)}
        parts = [messages.json_answer(part).body for part in (header, claims)] + [secrets.token_bytes(256)]
        token = ".".join(signing_keys.encoded(part) for part in parts)
        self.issued[token] = IssuedAccessToken(grant, now, now + lifetime)
        return token, lifetime

    def id_token(self, grant: Grant, issuer: str, now: float) -> str | None:
        """Return the ID token, wrong in the way `behaviour.id_token_fault` names; None if it is to be missing."""
        fault = self.behaviour.id_token_fault
        if fault == "missing":
            return None
        claims = _with_fault(_id_claims(grant, issuer, now), fault, now)
        personal = grant.user.is_personal and not grant.is_oidc
        token = self.keys.sign(claims, personal=personal, fault=fault)
        if fault == "bad_base64":
            header, _, signature = token.split(".")
            return f"{header}.%%%not-base64%%%.{signature}"
        if fault == "two_parts":
            return token.rpartition(".")[0]
        return token.replace(".", "") if fault == "no_dots" else token


def _id_claims(grant: Grant, issuer: str, now: float) -> dict[str, Any]:
    user = grant.user
    common = {"aud": grant.client.client_id, "iss": issuer, "exp": int(now) + 3600}
    if user.user_principal_name:
        common["preferred_username"] = user.user_principal_name
    if grant.is_oidc:
        return common | {
            "iat": int(now),
            "jti": str(uuid.uuid4()),
            "sub": user.object_id,
            "typ": "ID",
            "azp": grant.client.client_id,
            "name": user.display_name,
            "email": user.email if user.email is not None else user.user_principal_name,
            "email_verified": user.email_verified,
        }
    pairwise = hashlib.sha256(f"{user.object_id} {grant.client.client_id}".encode()).digest()
    return common | {
        # Entra dates ID tokens five minutes back.
        "iat": max(0, int(now) - 300),
        "nbf": max(0, int(now) - 300),
        "aio": secrets.token_urlsafe(60),
        "name": user.display_name,
        "oid": user.object_id,
        "rh": secrets.token_urlsafe(40),
        "sub": signing_keys.encoded(pairwise),
        "tid": user.tenant_id,
        "uti": secrets.token_urlsafe(16),
        "ver": "2.0",
    }


def _with_fault(claims: dict[str, Any], fault: IdTokenFault | None, now: float) -> dict[str, Any]:
    wrong: dict[str, dict[str, Any]] = {
        "wrong_audience": {"aud": directory.NOT_PUBLIC_CLIENT.client_id},
        "wrong_issuer": {"iss": f"https://login.attacker.example/{claims.get('tid', 'realm')}/v2.0"},
        "wrong_tenant": {"tid": directory.OTHER_TENANT_ID},
        "wrong_subject": {"sub": "someone-else", "oid": directory.GRACE.object_id},
        "expired": {"iat": int(now) - 90_000, "nbf": int(now) - 90_000, "exp": int(now) - 86_400},
        "not_yet_valid": {"iat": int(now) + 86_400, "nbf": int(now) + 86_400, "exp": int(now) + 90_000},
    }
    return claims | wrong.get(fault or "", {})
