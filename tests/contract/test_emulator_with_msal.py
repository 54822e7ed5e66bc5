"""The real MSAL signs in and refreshes at the emulator, in both dialects, knowing nothing of it but its CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msal
import pytest
import requests
from emulator_client import Client

from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(interval=1) as running:
        yield running


@pytest.fixture
def http(emulator: Emulator) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = emulator.ca_file
        yield session


@pytest.mark.parametrize("tenant", ["common", "organizations", "contoso.example"])
def test_msal_signs_in_and_refreshes_silently(emulator: Emulator, http: requests.Session, tenant: str) -> None:
    """Device flow, account, cached token, forced refresh, Graph."""
    app = msal.PublicClientApplication(
        emulator.client_id,
        authority=emulator.authority_for(tenant),
        instance_discovery=False,
        http_client=http,
    )
    flow = app.initiate_device_flow(["User.Read"])
    emulator.script("token", [Fault.oauth("authorization_pending", 70016), Fault.oauth("slow_down")])
    emulator.approve(flow["user_code"])

    def poll() -> dict:
        # MSAL warns who polls faster than the interval; nobody has to wait for it here.
        flow.pop("latest_attempt_at", None)
        return app.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)

    assert poll()["error"] == "authorization_pending"
    assert (poll()["error"], flow["interval"]) == ("slow_down", 6)
    result = poll()
    assert result["id_token_claims"]["preferred_username"] == "ada@contoso.example"

    (account,) = app.get_accounts()
    assert account["home_account_id"] == f"{emulator.users[0].object_id}.{emulator.tenant_id}"
    cached = app.acquire_token_silent_with_error(["User.Read"], account)
    assert (cached["token_source"], emulator.count("refresh")) == ("cache", 0)
    fresh = app.acquire_token_silent_with_error(["User.Read"], account, force_refresh=True)
    assert (fresh["token_source"], emulator.count("refresh")) == ("identity_provider", 1)
    with Client(emulator) as client:
        assert client.graph("/v1.0/me", fresh["access_token"]).json()["displayName"] == "Ada Lovelace"

    emulator.revoke()
    refused = app.acquire_token_silent_with_error(["User.Read"], account, force_refresh=True)
    assert (refused["error"], refused["suberror"]) == ("invalid_grant", "bad_token")
    assert emulator.count("instance") == 0


@pytest.mark.parametrize("slash", [False, True])
def test_msal_signs_in_at_the_openid_provider(emulator: Emulator, http: requests.Session, slash: bool) -> None:
    """An issuer with a path, with and without a trailing slash, no client_info, no ID token on refresh."""
    emulator.oidc_trailing_slash, emulator.id_token_on_refresh = slash, False
    app = msal.PublicClientApplication(emulator.client_id, oidc_authority=emulator.oidc_issuer, http_client=http)
    emulator.approve_next()
    flow = app.initiate_device_flow(["api.read"])
    result = app.acquire_token_by_device_flow(flow)
    assert result["id_token_claims"]["iss"] == emulator.oidc_issuer
    (account,) = app.get_accounts()
    fresh = app.acquire_token_silent_with_error(["api.read"], account, force_refresh=True)
    assert "access_token" in fresh
    assert "id_token" not in fresh


def test_msal_reports_an_unknown_tenant_by_raising(emulator: Emulator, http: requests.Session) -> None:
    """A 400 from discovery is a ValueError of MSAL's constructor."""
    with pytest.raises(ValueError, match="Unable to get authority configuration"):
        msal.PublicClientApplication(
            emulator.client_id,
            authority=emulator.authority_for("nobody.example"),
            instance_discovery=False,
            http_client=http,
        )


def test_msal_shows_a_claims_challenge_answered(emulator: Emulator, http: requests.Session) -> None:
    """The decoded claims go out with the refresh, and the token that comes back is accepted."""
    app = msal.PublicClientApplication(
        emulator.client_id,
        authority=emulator.authority,
        instance_discovery=False,
        http_client=http,
        client_capabilities=["CP1"],
    )
    emulator.approve_next()
    result = app.acquire_token_by_device_flow(app.initiate_device_flow(["User.Read"]))
    assert result["expires_in"] == 28 * 3600 - 1
    emulator.challenge()
    claims = '{"access_token": {"nbf": {"essential": true, "value": "1"}}}'
    (account,) = app.get_accounts()
    fresh = app.acquire_token_silent_with_error(["User.Read"], account, claims_challenge=claims)
    with Client(emulator) as client:
        assert client.graph("/v1.0/me", result["access_token"]).status_code == 401
        assert client.graph("/v1.0/me", fresh["access_token"]).status_code == 200
