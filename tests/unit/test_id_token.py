"""The check of an ID token: every way in which one can be wrong, and the rules that are Entra's own."""

from __future__ import annotations

import base64
import dataclasses
import json
import warnings
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from devicelogin import authority, errors, models
from devicelogin.signin import id_token, identity, signing_keys

TENANT = "3f1c7a52-8d0e-4b6f-9a35-6c2e1d4b8a70"
OTHER = "b7e0d9c4-15a2-4f3b-8c6d-2a9f7e5b3d18"
HOST = "https://login.example"
CLIENT = "5d2e8f60-4c1b-4a97-b3d8-7e9f0a1c2b3d"
NOW = 1_700_000_000.0

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def provider(issuer: str | None = None, *, tenant: str = TENANT, is_oidc: bool = False) -> authority.Provider:
    url = f"{HOST}/{tenant}"
    return authority.Provider(
        url=url,
        is_oidc=is_oidc,
        issuer=issuer or f"{url}/v2.0",
        token_endpoint=f"{url}/token",
        jwks_uri=f"{url}/keys",
        authorization_endpoint=f"{url}/authorize",
        device_authorization_endpoint=f"{url}/device",
        revocation_endpoint=None,
        graph_host=None,
        id_token_algorithms=("RS256", "ES256") if is_oidc else ("RS256",),
    )


def published(key: Any, **changes: Any) -> dict[str, Any]:
    """Return the JWK of a key, with `changes`; one that is None leaves a member out."""
    family = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    members = {**family.to_jwk(key.public_key(), as_dict=True), "kid": "k1", "use": "sig", **changes}
    return {name: value for name, value in members.items() if value is not None and name != "key_ops"}


def keys_of(*entries: dict[str, Any]) -> id_token.KeySet:
    return id_token.read_keys(signing_keys.Published(entries, "login.example", "https://login.example/keys"))


def keys(issuer: str | None = None) -> id_token.KeySet:
    return keys_of(published(KEY, alg="RS256", issuer=issuer))


def claims(**changes: Any) -> dict[str, Any]:
    all_of_them = {
        "iss": f"{HOST}/{TENANT}/v2.0", "aud": CLIENT, "sub": "pairwise", "iat": int(NOW) - 300, "nbf": int(NOW) - 300,
        "exp": int(NOW) + 3600, "tid": TENANT, "oid": "0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a01", "name": "Ada",
        "preferred_username": "ada@contoso.example", **changes,
    }  # fmt: skip
    return {name: value for name, value in all_of_them.items() if value is not None}


def signed(body: dict[str, Any], key: Any = KEY, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(body, key, algorithm=algorithm, headers={"kid": "k1", **header})


def check(
    token: str, where: authority.Provider | None = None, known: id_token.KeySet | None = None, now: float = NOW
) -> models.Account:
    return id_token.check(token, known or keys(), where or provider(), client_id=CLIENT, now=now)


def refused(token: str, *arguments: Any, **more: Any) -> errors.BadAnswerError:
    with pytest.raises(errors.BadAnswerError) as caught:
        check(token, *arguments, **more)
    assert token not in str(caught.value.as_json())
    return caught.value


def test_a_good_token_says_who_signed_in() -> None:
    """The account is named by `oid` and `tid`; the names are for display."""
    account = check(signed(claims()))
    assert account.key == (TENANT, "0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a01")
    assert (account.username, account.name) == ("ada@contoso.example", "Ada")
    assert (account.issuer, account.subject) == (f"{HOST}/{TENANT}/v2.0", "pairwise")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": OTHER}, "another app"),
        ({"aud": [OTHER]}, "another app"),
        ({"aud": None}, "no aud"),
        ({"iss": "https://login.attacker.example/v2.0"}, "another issuer"),
        ({"iss": f"{HOST}/{OTHER}/v2.0"}, "another issuer"),
        ({"iss": None}, "no iss"),
        ({"tid": OTHER}, "another tenant"),
        ({"tid": "contoso.example"}, "names no tenant"),
        ({"tid": f"{TENANT}/../{OTHER}"}, "names no tenant"),
        ({"exp": int(NOW) - 700}, "expired"),
        ({"exp": None}, "no exp"),
        ({"exp": "tomorrow"}, "not a time"),
        ({"exp": True}, "not a time"),
        ({"iat": int(NOW) + 700}, "not valid yet"),
        ({"nbf": int(NOW) + 700}, "not valid yet"),
        ({"iat": None}, "no iat"),
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "names nobody"),
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused_and_named(changes: dict[str, Any], reason: str) -> None:
    """OpenID Connect Core 3.1.3.7, one claim at a time."""
    assert reason in refused(signed(claims(**changes))).message


def test_a_token_that_nobody_or_a_stranger_signed_is_refused() -> None:
    """Neither `alg: none`, nor the public key as HMAC secret, nor another RSA key under the right name."""

    def part(data: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

    refused(f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims())}.")
    refused(signed(claims(), "0" * 64, "HS256"))
    refused(signed(claims(), STRANGER))
    refused(signed(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256"))
    good = signed(claims())
    refused(good[:-8] + "AAAAAAAA")
    header, _, signature = good.split(".")
    refused(f"{header}.{part(claims(name='Mallory'))}.{signature}")


def test_a_token_of_an_unpublished_key_is_refused() -> None:
    """A `kid` that the provider does not publish is no key, however many it publishes."""
    assert "does not publish" in refused(signed(claims(), kid="other")).message


def test_without_a_kid_only_a_single_key_will_do() -> None:
    """Guessing among several keys is not done."""
    bare = jwt.encode(claims(), KEY, algorithm="RS256")
    assert check(bare).name == "Ada"
    two = keys_of(published(KEY), published(STRANGER, kid="k2"))
    refused(bare, known=two)


ANY = ("RS256", "RS512", "PS256", "ES256")


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
def test_an_rsa_key_that_names_no_algorithm_is_good_for_all_of_rsas(algorithm: str) -> None:
    """RFC 7517 section 4.4: `alg` is optional."""
    where = dataclasses.replace(provider(f"{HOST}/realms/home", is_oidc=True), id_token_algorithms=ANY)
    token = signed(claims(iss=f"{HOST}/realms/home", tid=None), KEY, algorithm)
    assert check(token, where, keys_of(published(KEY))).name == "Ada"
    assert "does not publish" in refused(token, where, keys_of(published(KEY, alg="RS384"))).message


def test_several_keys_may_have_one_name() -> None:
    """RFC 7517 section 4.5: one for each algorithm, or of another kind; the token's own algorithm chooses."""
    where = dataclasses.replace(provider(f"{HOST}/realms/home", is_oidc=True), id_token_algorithms=ANY)
    curve = ec.generate_private_key(ec.SECP256R1())
    known = keys_of(*(published(KEY, alg=name) for name in ("RS256", "PS256", "RS384")), published(curve))
    body = claims(iss=f"{HOST}/realms/home", tid=None)
    for key, algorithm in ((KEY, "RS256"), (KEY, "PS256"), (curve, "ES256")):
        assert check(signed(body, key, algorithm), where, known).name == "Ada"
    assert "does not publish" in refused(signed(body, KEY, "RS512"), where, known).message


@pytest.mark.parametrize(("algorithm", "key"), [("HS256", "0" * 64), ("RS512", KEY)])
def test_an_algorithm_that_the_provider_does_not_announce_is_named_as_the_reason(algorithm: str, key: Any) -> None:
    """Not "its signature does not match", which would send people looking for a forger."""
    assert "does not announce" in refused(signed(claims(), key, algorithm)).message


@pytest.mark.parametrize("changes", [{"jti": 5}, {"sub": "\u65e5\u672c"}], ids=str)
def test_claims_that_matter_not_are_no_reason_to_refuse(changes: dict[str, Any]) -> None:
    """Whoever writes a number where a text is usual is not therefore a forger."""
    assert check(signed(claims(**changes))).name == "Ada"


def test_a_subject_that_is_no_text_names_nobody() -> None:
    """It would be another account after each reading."""
    assert (
        "names nobody"
        in refused(jwt.api_jws.encode(json.dumps(claims(sub=5)).encode(), KEY, "RS256", {"kid": "k1"})).message
    )


def test_the_issuer_template_is_filled_with_the_tokens_own_tenant() -> None:
    """Microsoft's rule for `organizations` and `common`: any tenant, but issuer and `tid` have to be of the same one."""
    anyone = provider(f"{HOST}/{{tenantid}}/v2.0", tenant="organizations")
    other = claims(iss=f"{HOST}/{OTHER}/v2.0", tid=OTHER)
    assert check(signed(other), anyone).tenant_id == OTHER
    refused(signed(claims(tid=OTHER)), anyone)
    refused(signed(claims(tid=None)), anyone)
    refused(signed(claims(iss=f"{HOST}/{{tenantid}}/v2.0")), anyone)


def test_a_key_that_belongs_to_one_issuer_signs_for_no_other() -> None:
    """Entra restricts keys by `issuer`: that of personal accounts must not sign for a company."""
    template = f"{HOST}/{{tenantid}}/v2.0"
    assert check(signed(claims()), known=keys(template)).tenant_id == TENANT
    assert check(signed(claims()), known=keys(f"{HOST}/{TENANT}/v2.0")).tenant_id == TENANT
    assert "another issuer's" in refused(signed(claims()), known=keys(f"{HOST}/{OTHER}/v2.0")).message


def test_a_token_for_several_audiences_must_have_been_issued_to_us() -> None:
    """OpenID Connect Core 3.1.3.7, 4 and 5: with several audiences `azp` names the one it was issued to."""
    both = [CLIENT, OTHER]
    assert check(signed(claims(aud=both, azp=CLIENT))).name == "Ada"
    refused(signed(claims(aud=both, azp=OTHER)))
    refused(signed(claims(aud=both)))


def test_a_token_that_names_another_app_beside_one_audience_is_refused() -> None:
    """OpenID Connect Core 3.1.3.7, 5: an `azp` that is there must be ours, also where `aud` alone would do."""
    assert check(signed(claims(azp=CLIENT))).name == "Ada"
    for audience in (CLIENT, [CLIENT]):
        assert "another app" in refused(signed(claims(aud=audience, azp=OTHER))).message


def test_a_short_rsa_key_is_no_key() -> None:
    """RFC 7518 section 3.3: under 2048 bits whoever has time signs as the provider. One bit less is too few."""
    for size in (1024, 2040):
        short = rsa.generate_private_key(public_exponent=65537, key_size=size)
        with pytest.raises(errors.BadAnswerError):
            keys_of(published(short))
        beside = keys_of(published(short), published(KEY, kid="k2"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what signs complains of such a key as well
            token = signed(claims(), key=short)
        assert "does not publish" in refused(token, known=beside).message
    assert check(signed(claims(), kid="k1")).name == "Ada"


def test_times_are_judged_by_the_moment_handed_in() -> None:
    """Ten minutes of leeway around the server's Date; the clock of this machine has no say."""
    early = signed(claims(iat=1000, nbf=1000, exp=4600))
    assert check(early, now=2000.0).name == "Ada"
    assert check(early, now=4600 + 599.0).name == "Ada"
    assert check(early, now=1000 - 599.0).name == "Ada"
    assert "expired" in refused(early, now=4600 + 601.0).message
    assert "not valid yet" in refused(early, now=1000 - 601.0).message


def test_a_plain_openid_provider_needs_no_tenant() -> None:
    """Its issuer is compared letter by letter, its algorithms are those it publishes, and `iss` and `sub` are the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    known = keys_of(published(key, alg="ES256"))
    realm = provider(f"{HOST}/realms/home", is_oidc=True)
    token = signed(claims(iss=f"{HOST}/realms/home", tid=None, oid=None), key, "ES256")
    assert check(token, realm, known).key == (f"{HOST}/realms/home", "pairwise")
    refused(signed(claims(iss=f"{HOST}/realms/home/", tid=None, oid=None), key, "ES256"), realm, known)


def test_names_from_the_token_cannot_move_a_terminal() -> None:
    """A display name is a stranger's text (D11)."""
    account = check(signed(claims(name="A\x1b]0;x\x07da\n\u202e", preferred_username="\x1b[2J")))
    assert account.name.isprintable()
    assert account.username.isprintable()


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "no dots", "\u00e9.\u00e9.\u00e9", "e30.e30.", "A" * 200_000]
)
def test_what_is_no_token_is_refused_with_our_own_error(token: str) -> None:
    """No exception of a library comes out, whatever stands there."""
    with pytest.raises(errors.BadAnswerError):
        check(token)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_changed_token_is_accepted(data: st.DataObject) -> None:
    """One character changed anywhere that matters, a token cut or prolonged: refused, and with our own error."""
    good = signed(claims())
    place = data.draw(st.integers(0, len(good) - 2))
    letter = data.draw(st.characters(max_codepoint=0x2FF))
    changed = good[:place] + letter + good[place + 1 :]
    if changed == good or changed.split(".")[:2] == good.split(".")[:2]:
        return  # unchanged, or only bits of the signature's last character that mean nothing
    with pytest.raises(errors.BadAnswerError):
        check(changed)


def saved(**changes: Any) -> models.Account:
    known: dict[str, Any] = {
        "username": "ada@contoso.example", "name": "Ada", "issuer": f"{HOST}/{TENANT}/v2.0", "subject": "pairwise",
        "tenant_id": TENANT, "object_id": "0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a01", **changes,
    }  # fmt: skip
    return models.Account(**known)


@pytest.mark.parametrize(
    ("account", "changes", "same"),
    [
        ({}, {}, True),
        ({}, {"name": "Ada King", "preferred_username": "countess@contoso.example"}, True),
        ({"tenant_id": TENANT.upper()}, {}, True),
        ({}, {"oid": "0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a02"}, False),
        ({}, {"tid": OTHER}, False),
        ({"tenant_id": None, "object_id": None}, {"oid": None, "tid": None}, True),
        ({"tenant_id": None, "object_id": None}, {"oid": None, "tid": None, "sub": "another"}, False),
        ({"tenant_id": None, "object_id": None}, {"oid": None, "tid": None, "iss": "https://other.example"}, False),
    ],
)
def test_on_refresh_only_the_identity_is_compared(account: dict[str, Any], changes: dict[str, Any], same: bool) -> None:
    """Names may change; `oid` and `tid`, else `iss` and `sub`, say who it is (D7)."""
    assert identity.names_same_person(signed(claims(**changes)), saved(**account)) is same


def test_an_unreadable_token_on_refresh_says_nothing_about_anybody() -> None:
    """The refresh worked; a provider that sends rubbish beside it has not sent somebody else."""
    assert identity.names_same_person("rubbish", saved())
