"""The emulator keeps the words of RFC 8628 (device grant), RFC 6749 (token endpoint) and RFC 7009 (revocation)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from emulator_client import SCOPE, Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.emulator import Emulator


@pytest.fixture(params=["entra", "oidc"])
def client(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(emulator, oidc=request.param == "oidc") as session:
        yield session


def test_a_device_authorization_has_what_section_3_2_requires(client: Client) -> None:
    """device_code, user_code, verification_uri, expires_in and interval, as the RFC types them; never cached."""
    answer = client.post(client.device_url, data={"client_id": client.client_id, "scope": SCOPE})
    flow = answer.json()
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "no-store" in answer.headers["Cache-Control"]
    assert isinstance(flow["device_code"], str)
    assert len(flow["device_code"]) > 100
    assert flow["verification_uri"] == f"{client.emulator.origin}/device"
    assert (flow["expires_in"], flow["interval"]) == (900, 5)
    assert "verification_uri_complete" not in flow


def test_every_sign_in_gets_codes_of_its_own(client: Client) -> None:
    """Section 5.1: codes cannot be guessed from each other."""
    flows = [client.start() for _ in range(20)]
    assert len({flow["device_code"] for flow in flows}) == 20
    assert len({flow["user_code"] for flow in flows}) == 20


def test_polling_says_pending_until_the_person_accepts(client: Client) -> None:
    """Section 3.5: 400 authorization_pending; then the token answer of RFC 6749 section 5.1."""
    flow = client.start()
    for _ in range(3):
        waiting = client.poll(flow["device_code"])
        assert (waiting.status_code, waiting.json()["error"]) == (400, "authorization_pending")
    client.emulator.approve(flow["user_code"])
    done = client.poll(flow["device_code"])
    assert done.status_code == 200
    assert done.json()["token_type"] == "Bearer"
    assert done.json()["expires_in"] == 3599
    assert "no-store" in done.headers["Cache-Control"]
    assert done.headers["Pragma"] == "no-cache"


def test_a_device_code_is_good_once(client: Client) -> None:
    """A second redemption of the same code is invalid_grant."""
    flow = client.start()
    client.emulator.approve(flow["user_code"])
    assert client.poll(flow["device_code"]).status_code == 200
    again = client.poll(flow["device_code"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_a_device_code_is_bound_to_its_client(client: Client) -> None:
    """Another registered client cannot redeem it, and its owner still can."""
    flow = client.start()
    client.emulator.approve(flow["user_code"])
    client.client_id = client.emulator.single_tenant_client_id
    assert client.poll(flow["device_code"]).json()["error"] == "invalid_grant"
    client.client_id = client.emulator.client_id
    assert client.poll(flow["device_code"]).status_code == 200


def test_a_code_expires_by_the_emulators_clock(client: Client) -> None:
    """Not before its lifetime is over, then expired_token, also for a code that was approved before."""
    flow, approved = client.start(), client.start()
    client.emulator.approve(approved["user_code"])
    client.emulator.clock.advance(880)
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_pending"
    client.emulator.clock.advance(21)
    assert client.poll(flow["device_code"]).json()["error"] == "expired_token"
    assert client.poll(approved["device_code"]).json()["error"] == "expired_token"
    assert client.emulator.pending() == []


def test_a_test_can_let_one_code_expire(client: Client) -> None:
    """`expire` ends the one code it names."""
    first, second = client.start(), client.start()
    client.emulator.expire(first["user_code"])
    assert client.poll(first["device_code"]).json()["error"] == "expired_token"
    assert client.poll(second["device_code"]).json()["error"] == "authorization_pending"


def test_declining_is_said_in_the_words_of_each_dialect(client: Client) -> None:
    """access_denied in the RFC, authorization_declined at Entra."""
    flow = client.start()
    client.emulator.decline(flow["user_code"])
    words = "access_denied" if client.device_url.endswith("/auth/device") else "authorization_declined"
    assert client.poll(flow["device_code"]).json()["error"] == words


def test_polling_too_fast_is_slowed_down_if_the_interval_is_enforced(client: Client) -> None:
    """Section 3.5: slow_down adds five seconds to the interval for this and all later requests."""
    client.emulator.enforce_interval = True
    flow = client.start()
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_pending"
    assert client.poll(flow["device_code"]).json()["error"] == "slow_down"
    client.emulator.clock.advance(6)
    assert client.poll(flow["device_code"]).json()["error"] == "slow_down", "the interval is ten seconds by now"
    client.emulator.clock.advance(16)
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_pending"


@pytest.mark.parametrize("missing", ["grant_type", "client_id", "device_code"])
def test_a_request_without_a_required_parameter_is_an_invalid_request(client: Client, missing: str) -> None:
    """RFC 6749 section 5.2."""
    form = {"grant_type": "device_code", "client_id": client.client_id, "device_code": "x"}
    del form[missing]
    answer = client.post(client.token_url, data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_another_grant_type_is_unsupported(client: Client) -> None:
    """RFC 6749 section 5.2: unsupported_grant_type."""
    form = {"grant_type": "password", "client_id": client.client_id}
    assert client.post(client.token_url, data=form).json()["error"] == "unsupported_grant_type"


def test_a_token_request_by_get_is_refused(client: Client) -> None:
    """RFC 6749 section 3.2: POST only."""
    assert client.get(client.token_url).status_code == 405


def test_an_unknown_scope_is_an_invalid_scope(client: Client) -> None:
    """RFC 6749 section 5.2."""
    answer = client.post(client.device_url, data={"client_id": client.client_id, "scope": "User.Raed"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_no_refresh_token_without_offline_access(client: Client) -> None:
    """A refresh token is given to who asked for it, if the server is willing."""
    assert "refresh_token" not in client.sign_in("User.Read openid")
    assert "refresh_token" in client.sign_in()
    client.emulator.grant_refresh_token = False
    assert "refresh_token" not in client.sign_in()


def test_no_id_token_without_openid(client: Client) -> None:
    """OpenID Connect Core section 3.1.2.1."""
    assert "id_token" not in client.sign_in("User.Read offline_access")


def test_a_refresh_brings_new_tokens_for_the_same_person(client: Client) -> None:
    """RFC 6749 section 6."""
    first = client.sign_in(user="grace@contoso.example")
    answer = client.refresh(first["refresh_token"])
    assert answer.status_code == 200
    second = answer.json()
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert client.graph("/v1.0/me", second["access_token"]).json()["displayName"] == "Grace Hopper"


def test_a_refresh_may_ask_for_less_but_not_for_more(client: Client) -> None:
    """RFC 6749 section 6: no scope that the person did not grant."""
    tokens = client.sign_in("User.Read Tasks.Read openid offline_access")
    less = client.refresh(tokens["refresh_token"], scope="Tasks.Read").json()
    assert client.graph("/v1.0/me/todo/lists", less["access_token"]).status_code == 200
    assert client.graph("/v1.0/me", less["access_token"]).status_code == 403
    assert client.refresh(tokens["refresh_token"], scope="Mail.Read").status_code == 400


def test_a_refresh_can_leave_out_the_refresh_token_and_the_id_token(client: Client) -> None:
    """Both are optional in the answer; the old refresh token then stays good."""
    client.emulator.mode = "strict"
    client.emulator.refresh_token_on_refresh = client.emulator.id_token_on_refresh = False
    tokens = client.sign_in()
    for _ in range(2):
        answer = client.refresh(tokens["refresh_token"])
        assert answer.status_code == 200
        assert not {"refresh_token", "id_token"} & set(answer.json())


def test_in_entra_mode_a_used_refresh_token_stays_valid(client: Client) -> None:
    """Microsoft: the old refresh token is not revoked when used."""
    tokens = client.sign_in()
    newer = client.refresh(tokens["refresh_token"]).json()
    assert client.refresh(tokens["refresh_token"]).status_code == 200
    assert client.refresh(newer["refresh_token"]).status_code == 200


def test_in_strict_mode_reuse_revokes_the_whole_family(client: Client) -> None:
    """RFC 9700 section 4.14.2: after a reuse even the newest refresh token is dead; other sign-ins are not."""
    client.emulator.mode = "strict"
    tokens, other = client.sign_in(), client.sign_in()
    newer = client.refresh(tokens["refresh_token"]).json()
    newest = client.refresh(newer["refresh_token"]).json()
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.refresh(newest["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.refresh(other["refresh_token"]).status_code == 200


def test_a_refresh_token_is_bound_to_its_client(client: Client) -> None:
    """RFC 6749 section 10.4."""
    tokens = client.sign_in()
    client.client_id = client.emulator.single_tenant_client_id
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_revoked_refresh_token_is_dead_and_nobody_elses(client: Client) -> None:
    """`revoke(user)` reaches all that this person holds and nothing of another."""
    ada, grace = client.sign_in(), client.sign_in(user="grace@contoso.example")
    client.emulator.revoke("ada@contoso.example")
    assert client.refresh(ada["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.refresh(grace["refresh_token"]).status_code == 200
    assert client.refresh(client.sign_in()["refresh_token"]).status_code == 200, "a later sign-in is not revoked"


def test_the_revocation_endpoint_revokes_and_says_200_to_anything(emulator: Emulator) -> None:
    """RFC 7009 section 2.2."""
    with Client(emulator, oidc=True) as client:
        endpoint = client.get(client.issuer + "/.well-known/openid-configuration").json()["revocation_endpoint"]
        tokens = client.sign_in()
        form = {"client_id": client.client_id, "token": tokens["refresh_token"]}
        assert client.post(endpoint, data=form).status_code == 200
        assert client.post(endpoint, data=form | {"token": "unknown"}).status_code == 200
        assert client.post(endpoint, data=form | {"token": tokens["access_token"]}).status_code == 200
        assert client.graph("/v1.0/me", tokens["access_token"]).status_code == 401
        assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_the_openid_provider_offers_what_its_switches_say(emulator: Emulator) -> None:
    """Issuer with and without trailing slash, with and without revocation, with verification_uri_complete."""
    with Client(emulator, oidc=True) as client:
        where = client.issuer + "/.well-known/openid-configuration"
        assert client.get(where).json()["issuer"] == f"{emulator.origin}/realms/home"
        emulator.oidc_trailing_slash, emulator.oidc_revocation, emulator.verification_uri_complete = True, False, True
        document = client.get(where).json()
        assert document["issuer"] == emulator.oidc_issuer == f"{emulator.origin}/realms/home/"
        assert "revocation_endpoint" not in document
        flow = client.start("api.read openid")
        assert re.fullmatch(r"[B-Z]{4}-[B-Z]{4}", flow["user_code"])
        assert flow["verification_uri_complete"] == f"{emulator.origin}/device?user_code={flow['user_code']}"
        assert "message" not in flow


def test_the_openid_provider_knows_no_client_info(emulator: Emulator) -> None:
    """`client_info` is Microsoft's invention."""
    with Client(emulator, oidc=True) as client:
        assert "client_info" not in client.sign_in(client_info="1")


def test_the_openid_provider_refuses_an_unknown_client_with_401(emulator: Emulator) -> None:
    """RFC 6749 section 5.2: invalid_client."""
    with Client(emulator, oidc=True) as client:
        answer = client.post(client.device_url, data={"client_id": "nobody", "scope": "openid"})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
