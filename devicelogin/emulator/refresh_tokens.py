"""Refresh tokens: families of them, their rotation, revocation and age (RFC 6749 section 6)."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from devicelogin.emulator import oauth_errors

if TYPE_CHECKING:
    from devicelogin.emulator.behaviour import Behaviour
    from devicelogin.emulator.directory import Client, User
    from devicelogin.emulator.scopes import ScopeRequest


@dataclass(slots=True, kw_only=True, eq=False)
class Family:
    """What one sign-in led to. `dead` is why none of its refresh tokens is good any more.

    `has_second_factor`: the person gave one, which a policy may want.
    """

    user: User
    client: Client
    tenant: str
    scopes: ScopeRequest
    signed_in_at: float
    dead: Literal["revoked", "reused"] | None = None
    has_second_factor: bool = False


@dataclass(slots=True, eq=False)
class _RefreshToken:
    family: Family
    issued_at: float
    used: bool = False


@dataclass(slots=True)
class RefreshTokens:
    """All refresh tokens. Not locked: its caller is."""

    behaviour: Behaviour
    _tokens: dict[str, _RefreshToken] = field(default_factory=dict, repr=False)

    def issue(self, family: Family, now: float) -> str:
        """Return a new refresh token of `family`, as long as Entra's are."""
        token = "1.A" + secrets.token_urlsafe(1140)
        self._tokens[token] = _RefreshToken(family, now)
        return token

    def find(self, token: str, client: Client, tenant: str, now: float) -> Family:
        """Return the family of `token`. Raises Refusal if it is not good.

        A refresh token of Entra is bound to person and client, not to a tenant; one of the realm stays there.
        """
        record = self._tokens.get(token)
        if (
            record is None
            or record.family.client is not client
            or (record.family.tenant == "home") != (tenant == "home")
        ):
            raise oauth_errors.Refusal("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.")
        family, age = record.family, now - record.issued_at
        if family.dead is not None:
            raise _dead(family.dead, record.issued_at, age)
        if age > self.behaviour.refresh_token_lifetime:
            raise oauth_errors.Refusal(
                "invalid_grant",
                700082,
                "The refresh token has expired due to inactivity. The token was issued on "
                f"{_moment(record.issued_at)} and was inactive for {_days(self.behaviour.refresh_token_lifetime)}.",
                token_age_ms=age * 1000,
            )
        limit = self.behaviour.sign_in_frequency
        if limit is not None and now - family.signed_in_at > limit:
            raise oauth_errors.Refusal(
                "invalid_grant",
                70043,
                "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. "
                f"The token was issued on {_moment(family.signed_in_at)} and the maximum allowed lifetime for this "
                f"request is {limit}.",
                suberror="token_expired",
                token_age_ms=age * 1000,
            )
        if self.behaviour.mode == "strict" and record.used:
            family.dead = "reused"
            raise _dead("reused", record.issued_at, age)
        return family

    def spend(self, token: str) -> None:
        """Note that `token` has brought new ones; a request that is refused spends none."""
        self._tokens[token].used = self.behaviour.refresh_token_on_refresh

    def revoke(self, user: User | None) -> None:
        """Revoke all that `user`, or everybody, holds."""
        for record in self._tokens.values():
            if user is None or record.family.user.object_id == user.object_id:
                record.family.dead = "revoked"

    def revoke_family(self, token: str) -> None:
        """Revoke what descends from the sign-in that `token` came from (RFC 7009); an unknown token is fine."""
        record = self._tokens.get(token)
        if record is not None:
            record.family.dead = "revoked"


def _dead(reason: Literal["revoked", "reused"], issued_at: float, age: float) -> oauth_errors.Refusal:
    if reason == "reused":
        return oauth_errors.Refusal(
            "invalid_grant",
            70000,
            "The provided value for the input parameter 'refresh_token' is not valid: it was used before.",
            token_age_ms=age * 1000,
        )
    return oauth_errors.Refusal(
        "invalid_grant",
        50173,
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have "
        f"changed or reset their password. The grant was issued on '{_moment(issued_at)}' and the TokensValidFrom date "
        "(before which tokens are not valid) for this user is later.",
        suberror="bad_token",
        token_age_ms=age * 1000,
    )


def _moment(epoch: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z", time.gmtime(epoch))


def _days(seconds: int) -> str:
    return f"{seconds // 86400}.00:00:00"
