"""Answers of the identity provider, cleaned before the library reads them, and ID tokens that say what they may not."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from devicelogin import authority, errors, http_session, models
from devicelogin.emulator import MISSING, Emulator, Fault
from devicelogin.msal_client import answers
from devicelogin.signin import id_token, signing_keys

NOW = 1_700_000_000.0
ISSUER = "https://id.example/realms/home"
CLIENT = "my-oidc-client"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def json_answer(status: int = 200) -> http_session.JsonAnswer:
    """Return an answer whose body matters not."""
    return http_session.JsonAnswer(status=status, host="id.example", headers={}, text="{}", body={}, server_date=None)


def token_answer(**changes: Any) -> dict[str, Any]:
    fields = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r", **changes}
    return {name: value for name, value in fields.items() if value is not MISSING}


@pytest.mark.parametrize(
    "changes",
    [
        *({"token_type": kind} for kind in (MISSING, None, "mac", "", "DPoP", 5, ["Bearer"])),
        *({"access_token": token} for token in (MISSING, None, "", "a\nb", "a b", "a\tb", "\u00e4", "a\x7f", 5, ["a"])),
    ],
    ids=str,
)
def test_a_token_answer_without_a_bearer_token_that_can_be_sent_is_76(changes: dict[str, Any]) -> None:
    """RFC 6749 appendix A.12 and 7.1: anything else would break out of a header, or mean something else."""
    with pytest.raises(errors.BadAnswerError) as caught:
        answers.clean_token_answer(token_answer(**changes), json_answer())
    assert caught.value.code == answers.UNUSABLE


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_the_type_of_a_token_is_read_without_regard_to_case(kind: str) -> None:
    """RFC 6749 section 5.1."""
    body = token_answer(token_type=kind)
    answers.clean_token_answer(body, json_answer())
    assert (body["access_token"], body["refresh_token"]) == ("a.b.c", "r")


def test_a_token_is_a_token_with_any_status_of_success() -> None:
    """The code, or a one-time refresh token, was used up for it."""
    body = token_answer()
    answers.clean_token_answer(body, json_answer(201))
    assert body["access_token"] == "a.b.c"


@pytest.mark.parametrize("name", ["refresh_token", "id_token", "client_info", "scope"])
@pytest.mark.parametrize("value", [None, "", "a\nb", "\u00e4", 5, {}], ids=repr)
def test_what_is_no_printable_text_beside_the_token_is_left_out(name: str, value: object) -> None:
    """The token is good; for the rest the answer counts as one without it."""
    body = token_answer(**{name: value})
    answers.clean_token_answer(body, json_answer())
    assert name not in body
    assert body["access_token"] == "a.b.c"


def test_an_error_of_null_is_no_error() -> None:
    """Some providers name every field they know."""
    body = token_answer(error=None)
    answers.clean_token_answer(body, json_answer())
    assert "error" not in body


@pytest.mark.parametrize("error", [5, [], {}, False], ids=repr)
def test_an_error_that_is_no_text_is_an_error_all_the_same(error: object) -> None:
    """Who names one has refused."""
    body = token_answer(error=error)
    answers.clean_token_answer(body, json_answer(400))
    assert body["error"] == "unknown_error"


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_without_an_error_is_75(status: int) -> None:
    """Something else than the token endpoint refused; nothing was lost."""
    with pytest.raises(errors.TryLaterError):
        answers.clean_token_answer({}, json_answer(status))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, "Not Found"),
        (404, "Realm does not exist"),
        (404, "not_found"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (403, "forbidden"),
        (405, "Method Not Allowed"),
        (408, "Request Timeout"),
        (410, {"code": 5}),
        (599, "Odd"),
    ],
)
def test_an_error_of_a_gateway_is_no_refusal(status: int, error: object) -> None:
    """RFC 6749 section 5.2: a server that is being restarted answers so, and a good sign-in would be given up for it."""
    for clean in (answers.clean_token_answer, answers.clean_authorization):
        with pytest.raises(errors.TryLaterError) as caught:
            clean({"error": error}, json_answer(status))
        assert caught.value.detail == f"HTTP {status}"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "invalid_grant"),
        (404, "invalid_grant"),
        (403, "access_denied"),
        (428, "authorization_pending"),
        (400, "odd"),
    ],
)
def test_an_error_of_oauth_is_a_refusal(status: int, error: str) -> None:
    """Whatever the status of those that only OAuth has; an unknown one with the statuses of token endpoints (D9)."""
    body = {"error": error}
    answers.clean_token_answer(body, json_answer(status))
    assert body == {"error": error}


@pytest.mark.parametrize(
    ("interval", "waited"),
    [
        (2.9, 3),
        ("2.5", 3),
        (2.0, 2),
        (5, 5),
        ("7", 7),
        (0, 1),
        (0.2, 1),
        (1e9, 60),
        (10**400, 60),
        (-1, 5),
        (True, 5),
        (None, 5),
        ("soon", 5),
        ([5], 5),
        (float("nan"), 5),
        (float("inf"), 5),
        (float("-inf"), 5),
    ],
)
def test_the_interval_is_never_shorter_than_what_the_server_said(interval: object, waited: int) -> None:
    """RFC 8628 section 3.2: a minimum; between a second and a minute, and 5 where it says nothing usable."""
    body = {"interval": interval, "expires_in": 900}
    answers.clean_authorization(body, json_answer())
    assert body["interval"] == waited


@pytest.mark.parametrize("part", ["W1tb" * 30_000, "%%%", "bnVsbA", "", "e30"], ids=["deep", "bad", "null", "no", "{}"])
def test_what_cannot_be_decoded_is_kept_from_the_library(part: str) -> None:
    """It would stumble after the refresh token was already replaced at the server."""
    body = {"id_token": f"e30.{part}.c2ln", "client_info": part if part != "e30" else "W10", "access_token": "a"}
    answers.drop_undecodable(body)
    assert body == {"access_token": "a"}


# ID tokens


def provider() -> authority.Provider:
    return authority.Provider(
        url=ISSUER,
        is_oidc=True,
        issuer=ISSUER,
        token_endpoint=f"{ISSUER}/token",
        jwks_uri=f"{ISSUER}/keys",
        authorization_endpoint=f"{ISSUER}/auth",
        device_authorization_endpoint=f"{ISSUER}/device",
        revocation_endpoint=None,
        graph_host=None,
        id_token_algorithms=("RS256",),
    )


def check(**changes: Any) -> models.Account:
    """Check an ID token with `changes`; one of the class `Number` stands in it as it is written."""
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "ada", "iat": int(NOW), "exp": int(NOW) + 3600, **changes}
    text = json.dumps(claims, default=lambda value: value.mark)
    for value in changes.values():
        if isinstance(value, Number):
            text = text.replace(f'"{value.mark}"', value.text)
    token = jwt.PyJWS().encode(text.encode(), KEY, algorithm="RS256", headers={"kid": "k"})
    published = signing_keys.Published((as_jwk(KEY, "k"),), "id.example", f"{ISSUER}/keys")
    known = id_token.read_keys(published)
    return id_token.check(token, known, provider(), client_id=CLIENT, now=NOW)


class Number:
    """A number as it is written in JSON."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.mark = f"number {text}"

    def __repr__(self) -> str:
        return self.text[:20]


def as_jwk(key: rsa.RSAPrivateKey, name: str) -> dict[str, Any]:
    fields = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**fields, "kid": name, "alg": "RS256", "use": "sig"}


def test_the_plain_token_is_good() -> None:
    """Else the refusals below would say nothing."""
    assert check().subject == "ada"


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        Number("NaN"),
        Number("1e999"),
        Number("-1e999"),
        Number("1" + "0" * 400),
        Number("true"),
        Number("null"),
        Number("[1]"),
        "soon",
        str(NOW),
    ],
    ids=repr,
)
def test_a_time_that_is_none_is_refused(name: str, value: object) -> None:
    """Neither NaN, which is after nothing, nor infinity, nor a text makes a token that lasts for ever."""
    with pytest.raises(errors.BadAnswerError):
        check(**{name: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"azp": "another-app"},
        {"azp": 5},
        {"aud": [CLIENT, "another-app"], "azp": "another-app"},
        {"aud": [CLIENT, "another-app"]},
    ],
    ids=str,
)
def test_a_token_that_was_issued_to_another_app_is_refused(changes: dict[str, Any]) -> None:
    """OpenID Connect Core 3.1.3.7, points 4 and 5: we are the authorized party, or it is not for us."""
    with pytest.raises(errors.BadAnswerError, match="another app"):
        check(**changes)


@pytest.mark.parametrize(
    "changes", [{"azp": CLIENT}, {"aud": [CLIENT]}, {"aud": [CLIENT, "another"], "azp": CLIENT}], ids=str
)
def test_a_token_that_names_us_as_its_party_is_good(changes: dict[str, Any]) -> None:
    """Providers write `azp` although they need not."""
    assert check(**changes).subject == "ada"


def keys_of(emulator: Emulator, *published: dict[str, Any]) -> id_token.KeySet:
    with http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as http:
        known = authority.request_provider(http, emulator.oidc_issuer, is_oidc=True)
        emulator.script("jwks", [Fault.json({"keys": list(published)})])
        return id_token.read_keys(signing_keys.request_keys(http, known))


def test_a_short_rsa_key_is_not_used(emulator: Emulator) -> None:
    """RFC 7518 section 3.3: 2048 bits or more; a key that can be broken signs nobody in."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    known = keys_of(emulator, as_jwk(short, "short"), as_jwk(KEY, "long"))
    assert known.find("short", "RS256") is None
    assert known.find("long", "RS256") is not None
    with pytest.raises(errors.BadAnswerError, match="no keys"):
        keys_of(emulator, as_jwk(short, "short"))
