"""What can be set on the emulator, at its start and at any time later."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from devicelogin.emulator.directory import Resource

IdTokenFault = Literal[
    "missing",
    "alg_none",
    "hs256_public_key",
    "bad_signature",
    "unknown_kid",
    "wrong_audience",
    "wrong_issuer",
    "wrong_tenant",
    "wrong_subject",
    "expired",
    "not_yet_valid",
    "bad_base64",
    "two_parts",
    "no_dots",
]


@dataclass(kw_only=True, eq=False)
class Behaviour:
    """The knobs. All times are seconds; every one may be set again while the emulator runs.

    `mode="entra"`: a used refresh token stays valid. `mode="strict"`: it is good for one use, and a second use revokes
    all that descend from the same sign-in.
    """

    mode: Literal["entra", "strict"] = "entra"

    access_token_lifetime: int = 3599
    #: Of tokens for clients that say they handle claims challenges (`xms_cc` `cp1`); these also get `refresh_in`.
    cae_access_token_lifetime: int = 28 * 3600 - 1
    refresh_in: int | None = None
    #: How long may a refresh token lie unused (AADSTS700082)?
    refresh_token_lifetime: int = 90 * 86400
    #: How long after a person signed in do refreshes end (AADSTS70043)? None: never.
    sign_in_frequency: int | None = None

    device_code_lifetime: int = 900
    interval: int = 5
    #: Answer `slow_down` to who polls faster than `interval` (RFC 8628 section 3.5). Entra is not known to do so.
    enforce_interval: bool = False
    #: Approve every code by itself, so long after it was issued, as the first user who can sign in. None: wait.
    approve_after: float | None = None
    #: None: the emulator's own sign-in page.
    verification_uri: str | None = None
    #: OpenID dialect only; Entra sends none.
    verification_uri_complete: bool = False

    #: Is a refresh token given to who asks for `offline_access`?
    grant_refresh_token: bool = True
    #: Does a refresh bring a new refresh token? Without one, the used one stays valid in both modes.
    refresh_token_on_refresh: bool = True
    id_token_on_refresh: bool = True
    #: None: all that were asked for. Else only those of them that are named here, without regard to case.
    granted_scopes: Collection[str] | None = None
    #: Entra dialect: the APIs beside Graph, by address (`https://outlook.office.com`, `api://board`) or id.
    resources: Mapping[str, Resource] = field(default_factory=dict)
    #: Entra dialect: answer `client_info=1`.
    client_info: bool = True
    id_token_fault: IdTokenFault | None = None

    #: None: the emulator's own host and port.
    msgraph_host: str | None = None
    oidc_trailing_slash: bool = False
    #: Is the issuer of the OpenID provider its host and nothing more, as with Google or Auth0?
    oidc_at_root: bool = False
    #: Does the OpenID discovery document name a `revocation_endpoint`?
    oidc_revocation: bool = True
