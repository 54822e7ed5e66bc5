"""OpenID providers that are not Entra: the same story with their own endpoints, identities and revocation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import doctor_report
import pytest
import sandbox

from devicelogin import errors
from devicelogin.client import observing
from devicelogin.emulator import MISSING, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened(mode="strict") as opened:
        yield opened


class Told(observing.Calling):
    """Notes the remarks."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_the_story_at_a_plain_openid_provider(box: sandbox.Box) -> None:
    """login, token, status, logout; no Microsoft words, and logout revokes at the provider."""
    issuer = box.emulator.oidc_issuer
    result = box.login(oidc_issuer=issuer, graph_root=None, scope="api.read")
    assert "graph me" not in result.err
    tokens = {box.token(), box.token("--force-refresh"), box.token("--force-refresh")}
    assert len(tokens) == 3
    told = json.loads(box.run("status", "--json").out)["profiles"][0]
    assert (told["issuer"], told["tenant_id"], told["lasts_until"]) == (issuer, None, None)
    assert "api.read" in told["granted_scopes"]
    assert box.run("graph", "me").status == 78
    result = box.run("logout")
    assert result.status == 0
    assert ", and revoked at the provider" in result.err
    revoked = [request.form["token"] for request in box.emulator.requests if request.endpoint == "revoke"]
    assert revoked == [box.refresh_tokens()[-1]]


@pytest.mark.parametrize("at_provider", [True, False], ids=["issuer with slash", "issuer without"])
@pytest.mark.parametrize("typed", [True, False], ids=["typed with slash", "typed without"])
@pytest.mark.parametrize("id_token_on_refresh", [True, False], ids=["ID token on refresh", "none"])
def test_a_trailing_slash_does_not_matter(
    box: sandbox.Box, at_provider: bool, typed: bool, id_token_on_refresh: bool
) -> None:
    """People copy the issuer with or without it; tokens name it as the provider does."""
    box.emulator.oidc_trailing_slash = at_provider
    box.emulator.id_token_on_refresh = id_token_on_refresh
    url = box.emulator.oidc_issuer.rstrip("/") + ("/" if typed else "")
    signed_in = box.sign_in(oidc_issuer=url, graph_root=None)
    assert signed_in.account.issuer == box.emulator.oidc_issuer
    for _ in range(3):
        assert box.access_token(force=True).token
    assert box.sign_in(oidc_issuer=url, graph_root=None).account.key == signed_in.account.key


@pytest.mark.parametrize("at_provider", [True, False], ids=["issuer with slash", "issuer without"])
@pytest.mark.parametrize("typed", [True, False], ids=["typed with slash", "typed without"])
def test_the_story_at_an_issuer_that_is_a_host_and_nothing_more(
    box: sandbox.Box, at_provider: bool, typed: bool
) -> None:
    """Google, Auth0 and GitLab have no path: login, refreshes with rotation, doctor, status and a logout that revokes."""
    box.emulator.oidc_at_root, box.emulator.oidc_trailing_slash = True, at_provider
    issuer = box.emulator.oidc_issuer
    assert issuer == box.emulator.origin + ("/" if at_provider else "")
    box.login(oidc_issuer=box.emulator.origin + ("/" if typed else ""), graph_root=None)
    tokens = {box.token(), box.token("--force-refresh"), box.token("--force-refresh")}
    assert len(tokens) == 3
    (box.state / "default" / "provider").unlink()
    assert box.token("--force-refresh", DEVICELOGIN_OIDC_ISSUER=issuer) not in tokens
    told = json.loads(box.run("status", "--json").out)["profiles"][0]
    assert (told["issuer"], told["needs_login"]) == (issuer, False)
    assert box.run("status", "--check").status == 0
    found = doctor_report.examined(box)
    assert (found.result.status, found.level("authority")) == (0, "green"), found.result
    result = box.run("logout")
    assert ", and revoked at the provider" in result.err
    revoked = [request.form["token"] for request in box.emulator.requests if request.endpoint == "revoke"]
    assert revoked == [box.refresh_tokens()[-1]]


def test_an_issuer_without_a_path_has_endpoints_of_its_own(box: sandbox.Box) -> None:
    """No request goes to an address that the discovery document does not name."""
    box.emulator.oidc_at_root = True
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    box.access_token(force=True)
    paths = {request.path for request in box.emulator.requests}
    endpoints = "/realms/home/protocol/openid-connect"
    named = {f"{endpoints}/{name}" for name in ("token", "certs", "auth/device")}
    assert paths == {"/.well-known/openid-configuration", *named}


@pytest.mark.parametrize("root", ["", "/"], ids=["without path", "slash"])
def test_a_token_endpoint_at_the_root_of_its_host_is_used_as_it_is(box: sandbox.Box, root: str) -> None:
    """Also where MSAL could not be told so."""
    box.emulator.script("discovery", [Fault.patch({"token_endpoint": box.emulator.origin + root})])
    box.emulator.script("unknown", [Fault.oauth("access_denied")])
    result = box.run("login", *box.app(oidc_issuer=box.emulator.oidc_issuer))
    assert result.status == 5, result
    assert "declined" in result.lines("error")[0]
    polls = [request for request in box.emulator.requests if request.endpoint == "unknown"]
    assert [(request.path, "device_code" in request.form) for request in polls] == [("/", True)]


def test_optional_endpoints_that_cannot_be_used_stop_no_sign_in(box: sandbox.Box) -> None:
    """As little as missing ones; what is told at logout is that there is no revocation."""
    odd = Fault.patch({"authorization_endpoint": "/authorize", "revocation_endpoint": "http://id.example/revoke"})
    box.emulator.script("discovery", [odd])
    box.login(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    assert box.token("--force-refresh")
    assert "offers no revocation" in box.run("logout").err


def test_another_issuer_than_the_one_asked_for_is_78(box: sandbox.Box) -> None:
    """OpenID Connect Discovery 4.3: the document must be that of the URL."""
    box.emulator.script("discovery", [Fault.patch({"issuer": "https://id.example/realms/home"})])
    result = box.run("login", *box.app(oidc_issuer=box.emulator.oidc_issuer))
    assert result.status == 78
    assert "https://id.example/realms/home" in result.lines("error")[0]
    assert box.emulator.count("devicecode") == 0


def test_endpoints_on_other_hosts_are_shown_and_used_where_the_issuer_matches(box: sandbox.Box) -> None:
    """D8: `localhost` is another host than `127.0.0.1`; an Entra-shaped authority may not do that, an issuer may."""
    elsewhere = box.emulator.oidc_issuer.replace("127.0.0.1", "localhost") + "/protocol/openid-connect"
    spread = Fault.patch({"token_endpoint": f"{elsewhere}/token", "jwks_uri": f"{elsewhere}/certs"})
    box.emulator.script("discovery", [spread])
    told = Told()
    # The tokens of the other host name it as their issuer, as the emulator answers to the host it was asked by.
    with pytest.raises(errors.BadAnswerError, match="another issuer"):
        box.sign_in(observer=told, oidc_issuer=box.emulator.oidc_issuer)
    assert any("localhost" in note for note in told.notes)
    hosts = [r.headers["host"].partition(":")[0] for r in box.emulator.requests if r.endpoint in {"token", "jwks"}]
    assert set(hosts) == {"localhost"}


def test_a_provider_without_the_device_flow_is_told(box: sandbox.Box) -> None:
    """76, with what it lacks."""
    box.emulator.script("discovery", [Fault.patch({"device_authorization_endpoint": MISSING})])
    result = box.run("login", *box.app(oidc_issuer=box.emulator.oidc_issuer))
    assert result.status == 76
    assert "device flow" in result.lines("error")[0]


@pytest.mark.parametrize("dialect", ["entra", "oidc"])
def test_no_refresh_token_granted_is_5_and_why(box: sandbox.Box, dialect: str) -> None:
    """What could not be renewed is not saved."""
    box.emulator.grant_refresh_token = False
    box.emulator.approve_next()
    issuer = {"oidc_issuer": box.emulator.oidc_issuer} if dialect == "oidc" else {}
    result = box.run("login", *box.app(**issuer))
    assert result.status == 5
    assert "refresh token" in result.lines("error")[0]
    assert "offline_access" in result.lines("hint")[0]
    assert box.run("token").status == 4


def test_fewer_scopes_than_asked_for_are_a_warning_and_recorded(box: sandbox.Box) -> None:
    """Exit 0; what is missing is named, what was granted is recorded."""
    box.emulator.granted_scopes = ["User.Read"]
    result = box.login("--scope", "User.Read", "--scope", "Mail.Read")
    assert any("Mail.Read" in line for line in result.lines("warning")), result
    told = json.loads(box.run("status", "--json").out)["profiles"][0]
    assert "User.Read" in told["granted_scopes"]
    assert "Mail.Read" not in told["granted_scopes"]
    box.emulator.granted_scopes = None
    assert not box.login(scope="mail.read").lines("warning")


@pytest.mark.parametrize("trouble", [Fault.status(503), Fault.html(404), Fault.oauth("invalid_client", status=401)])
def test_a_revocation_that_fails_does_not_keep_the_secret_here(box: sandbox.Box, trouble: Fault) -> None:
    """Deleted in any case, and said that it stays valid at the provider."""
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    box.emulator.script("revoke", [trouble])
    result = box.run("logout")
    assert result.status == 0
    assert "could not be revoked" in result.err
    assert not (box.state / "default" / "record").exists()


def test_a_provider_without_revocation_is_told_so(box: sandbox.Box) -> None:
    """No endpoint in its document: said, and the secret is gone here."""
    box.emulator.oidc_revocation = False
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    result = box.run("logout")
    assert result.status == 0
    assert "offers no revocation" in result.err
    assert box.emulator.count("revoke") == 0


def test_logout_works_offline_and_with_a_broken_profile(box: sandbox.Box) -> None:
    """L01: what is here is deleted; neither the network nor a profile that cannot be read stands in the way."""
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    (box.config / "default.toml").write_text("tenant = \n")
    box.emulator.break_for(60)
    result = box.run("logout")
    assert result.status == 0, result
    assert not (box.state / "default" / "record").exists()
    assert not (box.state / "default" / "sign-in").exists()
