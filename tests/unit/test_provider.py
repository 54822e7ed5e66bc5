"""The check of a discovery document: which URLs in it are usable, whose they may be, and what one may be missing."""

from __future__ import annotations

from typing import Any

import pytest

from devicelogin import authority, errors
from devicelogin.authority import provider as providers

ISSUER = "https://id.example/realms/home"
LONG = "https://id.example/" + "a-long-segment/" * 60


def checked(url: str = ISSUER, *, is_oidc: bool = True, **changes: Any) -> authority.Provider:
    """Return what a document says that is usable but for `changes`."""
    document = {
        "issuer": url,
        "token_endpoint": "https://id.example/token",
        "jwks_uri": "https://id.example/keys",
        "authorization_endpoint": "https://id.example/authorize",
        "device_authorization_endpoint": "https://id.example/device",
        "revocation_endpoint": "https://id.example/revoke",
        **changes,
    }
    return providers.check_document(document, url, is_oidc=is_oidc)


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "device_authorization_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize("length", [121, 500, 2000])
def test_a_long_endpoint_is_as_good_as_a_short_one(name: str, length: int) -> None:
    """API gateways have paths of any length."""
    endpoint = (LONG * 3)[:length].ljust(length, "x")
    assert getattr(checked(**{name: endpoint}), name) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://id.example/x", "/relative", "https:///x", "https://id.example:0/x", "https://id.example:99999/x"),
        *("https://user@id.example/x", "https://id.example/a b", "https://id.example/\u202e", "https://[id.example/x"),
        "https://id.example/" + "x" * 2000,
    ],
)
def test_an_endpoint_that_cannot_be_used_stops_only_who_needs_it(endpoint: str) -> None:
    """Nothing of ours goes to the authorization endpoint, and a logout does without revocation."""
    found = checked(authorization_endpoint=endpoint, revocation_endpoint=endpoint)
    assert found.authorization_endpoint == found.token_endpoint
    assert found.revocation_endpoint is None
    for name in ("token_endpoint", "jwks_uri", "device_authorization_endpoint"):
        with pytest.raises(errors.BadAnswerError, match=f"no usable {name}") as caught:
            checked(**{name: endpoint})
        assert len(caught.value.message) < 250


@pytest.mark.parametrize("name", ["authorization_endpoint", "revocation_endpoint"])
def test_an_optional_endpoint_on_another_host_than_the_authority_is_still_refused(name: str) -> None:
    """That is no carelessness of an operator: somebody wants something sent there."""
    with pytest.raises(errors.ConfigError, match=r"on another host, evil\.example"):
        checked("https://id.example/tenant", is_oidc=False, **{name: "https://evil.example/x"})


@pytest.mark.parametrize(
    "issuer",
    [
        *("https://id.example:443/realms/home", "https://ID.Example/realms/home", "https://id.example/realms/home/"),
        *("HTTPS://ID.EXAMPLE:443/realms/home/", "https://id.example/realms/home"),
    ],
)
def test_an_issuer_may_name_its_host_in_another_form(issuer: str) -> None:
    """Settings write hosts small and leave 443 out; tokens are still compared with the issuer as it calls itself."""
    assert checked(issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        *("https://id.example:8443/realms/home", "https://id.example/realms/Home", "http://id.example/realms/home"),
        *("https://id.example/realms/home?x", "https://id.example.evil/realms/home", "https://id.example/realms"),
        *("https://user@id.example/realms/home", "https://id.example:443:443/realms/home", "https://id.example:443"),
        *(
            "https://id.example:443@evil.example/realms/home",
            "https://[id.example/realms/home",
            "id.example/realms/home",
        ),
    ],
)
def test_an_issuer_that_is_another_is_refused(issuer: str) -> None:
    """OpenID Connect Discovery 4.3."""
    with pytest.raises(errors.ConfigError, match="calls itself"):
        checked(issuer=issuer)


@pytest.mark.parametrize("issuer", ["https://id.example", "https://id.example/", "https://id.example:443/"])
def test_an_issuer_without_a_path_is_an_issuer(issuer: str) -> None:
    """Google, Auth0 and GitLab have such ones."""
    assert checked("https://id.example", issuer=issuer).issuer == issuer
    with pytest.raises(errors.ConfigError):
        checked("https://id.example", issuer=ISSUER)


@pytest.mark.parametrize("at_login", ["https://id.example", "https://id.example:443", "https://ID.example"])
@pytest.mark.parametrize("later", ["https://id.example", "https://id.example:443", "https://ID.example"])
def test_another_form_of_a_host_is_no_other_host(at_login: str, later: str) -> None:
    """An operator who writes :443 out one day moves nothing."""
    approved = checked(token_endpoint=f"{at_login}/token", jwks_uri=f"{at_login}/keys").hosts()
    assert approved == ("id.example",)
    checked(token_endpoint=f"{later}/token", jwks_uri=f"{later}/keys").check_hosts(approved)
    # As earlier versions wrote them down.
    found = checked(token_endpoint=f"{later}/token")
    found.check_hosts((at_login.removeprefix("https://"),))
    found.check_hosts((at_login.removeprefix("https://"),), endpoint=found.token_endpoint)


@pytest.mark.parametrize(
    "elsewhere", ["https://id.example:8443", "https://id.example.evil", "https://evil.example:443"]
)
def test_only_the_host_of_the_endpoint_in_question_matters(elsewhere: str) -> None:
    """Who sends a secret to one endpoint does not care where the others went."""
    approved = checked().hosts()
    found = checked(jwks_uri=f"{elsewhere}/keys", revocation_endpoint=f"{elsewhere}/revoke")
    found.check_hosts(approved, endpoint=found.token_endpoint)
    for endpoint in (None, found.jwks_uri, found.revocation_endpoint):
        with pytest.raises(errors.ConfigError, match="did not at login"):
            found.check_hosts(approved, endpoint=endpoint)


def test_another_port_of_the_authoritys_host_is_somebody_elses() -> None:
    """Whoever may listen on a high port there is not who answers on 443."""
    own = "https://id.example/tenant"
    assert checked(own, is_oidc=False, token_endpoint="https://ID.example:443/token").token_endpoint
    for endpoint in ("https://id.example:8443/token", "https://id.example.evil/token"):
        with pytest.raises(errors.ConfigError, match="on another host"):
            checked(own, is_oidc=False, token_endpoint=endpoint)


def test_only_signatures_that_need_a_private_key_are_taken() -> None:
    """With HS256 the public key would be the secret, and `none` needs no key; what is left of nothing is RS256."""
    advertised = ["none", "HS256", "ES256", "PS512", "HS512", 7]
    assert checked(id_token_signing_alg_values_supported=advertised).id_token_algorithms == ("ES256", "PS512")
    assert checked(id_token_signing_alg_values_supported=["none", "HS256"]).id_token_algorithms == ("RS256",)
