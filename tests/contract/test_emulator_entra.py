"""The emulator is what `entra-facts` sections A, C and H tell of Entra ID: documents, errors, headers, tokens."""

from __future__ import annotations

import base64
import email.utils
import json
import re
import socket
import ssl
import uuid
from typing import TYPE_CHECKING

import jwt
import pytest
from emulator_client import SCOPE, Client

from devicelogin.emulator import Emulator, Fault, Resource

if TYPE_CHECKING:
    import requests

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CP1 = json.dumps({"access_token": {"xms_cc": {"values": ["cp1"]}}})


def configuration(client: Client, tenant: str) -> requests.Response:
    return client.get(f"{client.emulator.authority_for(tenant)}/v2.0/.well-known/openid-configuration")


def verified(client: Client, id_token: str) -> dict:
    """Return the claims, checked as Microsoft's documentation says, the issuer of the key included."""
    key_id = jwt.get_unverified_header(id_token)["kid"]
    key = next(key for key in client.get(client.keys_url).json()["keys"] if key["kid"] == key_id)
    claims = jwt.decode(id_token, jwt.PyJWK(key).key, algorithms=["RS256"], audience=client.client_id)
    assert claims["iss"] == key["issuer"].replace("{tenantid}", claims["tid"])
    return claims


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers", "contoso.example", None])
def test_discovery_serves_every_kind_of_tenant(client: Client, tenant: str | None) -> None:
    """H2: aliases keep their name in the URLs, a domain becomes its id; `{tenantid}` stands in shared issuers."""
    home = client.emulator.tenant_id
    document = configuration(client, tenant or home).json()
    shown = tenant if tenant in {"common", "organizations", "consumers"} else home
    issuer = {"common": "{tenantid}", "organizations": "{tenantid}"}.get(shown, shown)
    if shown == "consumers":
        issuer = "9188040d-6c67-4c5b-b112-36a304b66dad"
    root = f"{client.emulator.origin}/{shown}"
    assert document["issuer"] == f"{client.emulator.origin}/{issuer}/v2.0"
    assert document["device_authorization_endpoint"] == f"{root}/oauth2/v2.0/devicecode"
    assert document["token_endpoint"] == f"{root}/oauth2/v2.0/token"
    assert document["jwks_uri"] == f"{root}/discovery/v2.0/keys"
    assert f"https://{document['msgraph_host']}" == client.emulator.graph_root
    assert "revocation_endpoint" not in document


def test_another_name_is_one_host_to_who_asks_for_it() -> None:
    """Knob `names`: certificate and documents are those of that host, by which the tenant's other domain is known too."""
    host = "login.microsoftonline.com"
    with Emulator(names=[host]) as running:
        running.add_domain("contoso.com")
        context = ssl.create_default_context(cafile=running.ca_file)
        found = {}
        for name in (host, "localhost"):
            with socket.create_connection(("127.0.0.1", running.port)) as way, context.wrap_socket(
                way, server_hostname=name
            ) as connection:  # fmt: skip
                path = "/contoso.com/v2.0/.well-known/openid-configuration"
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            found[name] = json.loads(answer.partition(b"\r\n\r\n")[2])["issuer"]
        assert found == {name: f"https://{name}/{running.tenant_id}/v2.0" for name in found}


def test_a_name_that_it_was_not_given_is_not_taken_over(client: Client) -> None:
    """A host that a client makes up stands in no document."""
    url = f"{client.emulator.authority}/v2.0/.well-known/openid-configuration"
    document = client.get(url, headers={"Host": "login.microsoftonline.com"}).json()
    assert document["issuer"].startswith(client.emulator.origin)


def test_discovery_tolerates_a_double_slash(client: Client) -> None:
    """H2: MSAL without an authority asks for `/common//v2.0/...`."""
    answer = client.get(f"{client.emulator.origin}/common//v2.0/.well-known/openid-configuration")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "max-age=86400, private"


def test_an_unknown_tenant_is_refused_at_discovery(client: Client) -> None:
    """A2: HTTP 400 invalid_tenant, AADSTS90002, from the OpenID configuration URL."""
    answer = configuration(client, "nobody.example")
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (400, "invalid_tenant", [90002])
    assert body["error_description"].startswith("AADSTS90002: Tenant 'nobody.example' not found.")


def test_documents_name_the_host_that_was_asked(client: Client) -> None:
    """A client that says `localhost` gets endpoints on `localhost`; a foreign Host header changes nothing."""
    port = client.emulator.port
    path = "/common/v2.0/.well-known/openid-configuration"
    document = client.get(f"https://localhost:{port}{path}").json()
    assert document["token_endpoint"].startswith(f"https://localhost:{port}/common/")
    document = client.get(client.emulator.origin + path, headers={"Host": "attacker.example"}).json()
    assert document["token_endpoint"].startswith(client.emulator.origin)


def test_the_device_authorization_looks_like_entras(client: Client) -> None:
    """A3: nine upper-case letters and digits, integers, a message in the language of `mkt`."""
    flow = client.start()
    assert re.fullmatch(r"[A-Z2-9]{9}", flow["user_code"])
    assert flow["message"] == (
        f"To sign in, use a web browser to open the page {flow['verification_uri']} and enter the code "
        f"{flow['user_code']} to authenticate."
    )
    client.device_url += "?mkt=de-DE"
    assert client.start()["message"].startswith("Um sich anzumelden")
    client.emulator.verification_uri = "https://login.microsoft.com/device"
    assert client.start()["verification_uri"] == "https://login.microsoft.com/device"


def test_an_error_has_entras_shape(client: Client) -> None:
    """A5 and H8: AADSTS text with CRLF, trace_id is x-ms-request-id, correlation_id is client-request-id."""
    correlation_id = str(uuid.uuid4())
    client.headers["client-request-id"] = correlation_id
    client.emulator.clock.set(1_700_000_000)
    answer = client.poll(client.start()["device_code"])
    body = answer.json()
    assert answer.status_code == 400
    assert body["error_codes"] == [70016]
    assert body["correlation_id"] == correlation_id
    assert body["trace_id"] == answer.headers["x-ms-request-id"]
    assert body["timestamp"] == "2023-11-14 22:13:20Z"
    assert body["error_description"].split("\r\n") == [
        "AADSTS70016: OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
        f"Trace ID: {body['trace_id']}",
        f"Correlation ID: {correlation_id}",
        "Timestamp: 2023-11-14 22:13:20Z",
    ]
    assert answer.headers["x-ms-clitelem"] == "1,70016,0,,"


def test_a_success_has_entras_headers(client: Client) -> None:
    """A4 and H8: no-store, request id, telemetry, and a Date of the emulator's clock."""
    client.emulator.clock.set(0)
    answer = client.post(client.device_url, data={"client_id": client.client_id, "scope": SCOPE})
    assert answer.headers["Cache-Control"] == "no-store, no-cache"
    assert answer.headers["Expires"] == "-1"
    assert GUID.fullmatch(answer.headers["x-ms-request-id"])
    assert answer.headers["x-ms-clitelem"] == "1,0,0,,"
    assert email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() < 5


@pytest.mark.parametrize(
    ("change", "status", "error", "number"),
    [
        ({"client_id": "11111111-1111-1111-1111-111111111111"}, 400, "unauthorized_client", 700016),
        ({"client_id": None}, 400, "invalid_request", 900144),
        ({"scope": None}, 400, "invalid_request", 900144),
        ({"scope": "Mail.Raed"}, 400, "invalid_scope", 70011),
        ({"scope": "User.Read https://graph.microsoft.com/.default"}, 400, "invalid_scope", 70011),
        ({"scope": "https://vault.azure.net/user_impersonation"}, 400, "invalid_resource", 500011),
    ],
)
def test_a_wrong_device_authorization_request_gets_its_number(
    client: Client, change: dict, status: int, error: str, number: int
) -> None:
    """B: the errors that end before a person is asked."""
    form = {"client_id": client.client_id, "scope": SCOPE} | change
    answer = client.post(client.device_url, data={name: value for name, value in form.items() if value is not None})
    assert (answer.status_code, answer.json()["error"], answer.json()["error_codes"]) == (status, error, [number])


def test_an_app_without_public_client_flows_fails_only_at_the_token_poll(client: Client) -> None:
    """A6: the code is issued, the person can finish, then 401 invalid_client AADSTS7000218."""
    client.client_id = client.emulator.not_public_client_id
    flow = client.start()
    client.emulator.approve(flow["user_code"])
    answer = client.poll(flow["device_code"])
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["error_codes"] == [7000218]


def test_a_single_tenant_app_cannot_use_common_or_consumers(emulator: Emulator) -> None:
    """B: AADSTS50194 and AADSTS9002332."""
    for tenant, number in (("common", 50194), ("consumers", 9002332), ("fabrikam.example", 700016)):
        with Client(emulator, tenant=tenant) as client:
            form = {"client_id": emulator.single_tenant_client_id, "scope": SCOPE}
            assert client.post(client.device_url, data=form).json()["error_codes"] == [number]


def test_used_unknown_and_expired_codes_have_the_observed_numbers(client: Client) -> None:
    """A6: 7000014 for an unknown or used code, 70020 for an expired one."""
    assert client.poll("never-issued").json()["error_codes"] == [7000014]
    flow = client.start()
    client.emulator.expire(flow["user_code"])
    assert client.poll(flow["device_code"]).json()["error_codes"] == [70020]


def test_a_code_is_bound_to_its_tenant(emulator: Emulator) -> None:
    """A3: the poll must use the tenant of the first request; its domain name is the same tenant."""
    with Client(emulator, tenant="contoso.example") as first, Client(emulator, tenant="common") as other:
        flow = first.start()
        emulator.approve(flow["user_code"])
        assert other.poll(flow["device_code"]).json()["error_codes"] == [7000014]
        with Client(emulator, tenant=emulator.tenant_id) as same:
            assert same.poll(flow["device_code"]).status_code == 200


def test_scopes_are_echoed_in_their_canonical_spelling(client: Client) -> None:
    """H6: User.Read however it was typed, `email openid profile` added, no offline_access."""
    assert client.sign_in("user.read OPENID offline_access")["scope"] == "email openid profile User.Read"
    scope = client.sign_in("https://graph.microsoft.com/user.read openid")["scope"]
    assert scope == "email openid profile https://graph.microsoft.com/User.Read"
    scope = client.sign_in(f"{client.emulator.graph_root}/.default openid")["scope"].split()
    assert scope[3:] == [f"{client.emulator.graph_root}/User.Read", f"{client.emulator.graph_root}/.default"]


def test_fewer_scopes_can_be_granted_than_asked(emulator: Emulator) -> None:
    """H6: by a switch, and by itself for a personal account."""
    with Client(emulator, tenant="common") as client:
        emulator.granted_scopes = ["user.read"]
        assert client.sign_in("User.Read Mail.Read openid")["scope"] == "email openid profile User.Read"
        emulator.granted_scopes = None
        tokens = client.sign_in("User.Read User.ReadBasic.All", user="mary@outlook.example")
        assert tokens["scope"] == "User.Read"


def test_tokens_are_as_long_as_entras(client: Client) -> None:
    """G: about 1500 characters of refresh token, over 2000 of access token; a shorter fake hides size limits."""
    tokens = client.sign_in()
    assert 1450 < len(tokens["refresh_token"]) < 1600
    assert len(tokens["access_token"]) > 2000
    assert tokens["ext_expires_in"] == tokens["expires_in"]


def test_client_info_comes_only_when_asked_for(client: Client) -> None:
    """A4: unpadded base64url of uid and utid."""
    assert "client_info" not in client.sign_in()
    text = client.sign_in(client_info="1")["client_info"]
    assert "=" not in text
    identity = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert identity == {"uid": client.emulator.users[0].object_id, "utid": client.emulator.tenant_id}


def test_the_id_token_verifies_against_the_published_keys(client: Client) -> None:
    """A7 and H7: RS256, a kid that is published, the claims of v2.0."""
    claims = verified(client, client.sign_in()["id_token"])
    assert (claims["name"], claims["preferred_username"], claims["ver"]) == (
        "Ada Lovelace",
        "ada@contoso.example",
        "2.0",
    )
    assert claims["tid"] == client.emulator.tenant_id
    assert claims["sub"] != claims["oid"] == client.emulator.users[0].object_id


def test_a_personal_account_has_the_issuer_and_key_of_its_own(emulator: Emulator) -> None:
    """A7: the key names the literal issuer of tenant 9188040d-..."""
    with Client(emulator, tenant="consumers") as client:
        id_token = client.sign_in(user="mary@outlook.example")["id_token"]
        assert verified(client, id_token)["tid"] == "9188040d-6c67-4c5b-b112-36a304b66dad"
        issuers = {key["kid"]: key["issuer"] for key in client.get(client.keys_url).json()["keys"]}
        assert issuers[jwt.get_unverified_header(id_token)["kid"]].endswith(
            "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
        )
        with pytest.raises(PermissionError):
            emulator.approve(client.start()["user_code"], "ada@contoso.example")


def test_keys_rotate(client: Client) -> None:
    """A new key signs; the old one stays published unless it is withdrawn."""
    before = client.sign_in()["id_token"]
    client.emulator.rotate_keys()
    after = client.sign_in()["id_token"]
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    verified(client, before)
    verified(client, after)
    client.emulator.rotate_keys(keep_old=False)
    with pytest.raises(StopIteration):
        verified(client, after)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("alg_none", jwt.InvalidAlgorithmError),
        ("hs256_public_key", jwt.InvalidAlgorithmError),
        ("bad_signature", jwt.InvalidSignatureError),
        ("wrong_audience", jwt.InvalidAudienceError),
        ("expired", jwt.ExpiredSignatureError),
        ("not_yet_valid", jwt.ImmatureSignatureError),
        ("wrong_issuer", AssertionError),
        ("wrong_tenant", AssertionError),
        ("unknown_kid", StopIteration),
        ("bad_base64", jwt.DecodeError),
        ("two_parts", jwt.DecodeError),
        ("no_dots", jwt.DecodeError),
    ],
)
def test_a_broken_id_token_is_broken_in_the_named_way(client: Client, fault: str, error: type[Exception]) -> None:
    """Each fault is caught by exactly the check it is there to try, so it is wrong in no other way."""
    client.emulator.id_token_fault = fault
    id_token = client.sign_in()["id_token"]
    key = next(iter(client.get(client.keys_url).json()["keys"]))
    with pytest.raises(error):
        if fault == "alg_none":
            jwt.decode(id_token, jwt.PyJWK(key).key, algorithms=["RS256"], audience=client.client_id)
        else:
            verified(client, id_token)


def test_an_id_token_can_be_missing_or_of_another_person(client: Client) -> None:
    """`missing` and `wrong_subject`."""
    client.emulator.id_token_fault = "missing"
    assert "id_token" not in client.sign_in()
    client.emulator.id_token_fault = "wrong_subject"
    assert verified(client, client.sign_in()["id_token"])["oid"] != client.emulator.users[0].object_id


def test_an_unused_refresh_token_dies_after_ninety_days(client: Client) -> None:
    """C: AADSTS700082; each use starts the ninety days anew."""
    first = client.sign_in()["refresh_token"]
    client.emulator.clock.advance(89 * 86400)
    second = client.refresh(first).json()["refresh_token"]
    client.emulator.clock.advance(2 * 86400)
    assert client.refresh(second).status_code == 200
    assert client.refresh(first).json()["error_codes"] == [700082]


def test_sign_in_frequency_ends_refreshing_and_tells_the_seconds(client: Client) -> None:
    """B: AADSTS70043, suberror token_expired, the maximum in seconds."""
    client.emulator.sign_in_frequency = 43200
    refresh_token = client.sign_in()["refresh_token"]
    client.emulator.clock.advance(43000)
    refresh_token = client.refresh(refresh_token).json()["refresh_token"]
    client.emulator.clock.advance(300)
    body = client.refresh(refresh_token).json()
    assert (body["error"], body["suberror"], body["error_codes"]) == ("invalid_grant", "token_expired", [70043])
    assert "is 43200." in body["error_description"]


def test_a_revoked_refresh_token_gets_50173(client: Client) -> None:
    """C: suberror bad_token; the telemetry header tells the age of the refresh token in milliseconds."""
    refresh_token = client.sign_in()["refresh_token"]
    client.emulator.clock.advance(600)
    client.emulator.revoke()
    answer = client.refresh(refresh_token)
    assert (answer.json()["error_codes"], answer.json()["suberror"]) == ([50173], "bad_token")
    fields = answer.headers["x-ms-clitelem"].split(",")
    assert fields[:3] == ["1", "50173", "0"]
    assert float(fields[3]) >= 600_000


def test_a_disabled_user_cannot_refresh_until_enabled(client: Client) -> None:
    """B: AADSTS50057."""
    refresh_token = client.sign_in()["refresh_token"]
    client.emulator.disable_user("ada@contoso.example")
    assert client.refresh(refresh_token).json()["error_codes"] == [50057]
    client.emulator.enable_user("ada@contoso.example")
    assert client.refresh(refresh_token).status_code == 200


def test_a_scope_nobody_consented_to_is_65001(client: Client) -> None:
    """B: invalid_grant with suberror consent_required."""
    body = client.refresh(client.sign_in()["refresh_token"], scope="Mail.Read").json()
    assert (body["error"], body["suberror"], body["error_codes"]) == ("invalid_grant", "consent_required", [65001])


def test_a_client_that_handles_challenges_gets_long_lived_tokens(client: Client) -> None:
    """C and H5: 28 hours with `cp1`, refresh_in with them."""
    tokens = client.sign_in(claims=CP1)
    assert (tokens["expires_in"], tokens["refresh_in"]) == (28 * 3600 - 1, (28 * 3600 - 1) // 2)
    assert "refresh_in" not in client.sign_in()
    client.emulator.refresh_in = 60
    assert client.sign_in()["refresh_in"] == 60


def test_the_lifetime_of_access_tokens_can_be_set_at_any_time(client: Client) -> None:
    """`access_token_lifetime` is what the next token says and what Graph keeps to."""
    client.emulator.access_token_lifetime = 60
    tokens = client.sign_in()
    assert tokens["expires_in"] == 60
    client.emulator.clock.advance(30)
    assert client.graph("/v1.0/me", tokens["access_token"]).status_code == 200
    client.emulator.clock.advance(31)
    assert client.graph("/v1.0/me", tokens["access_token"]).status_code == 401


def test_family_apps_are_told_so(client: Client) -> None:
    """H7: `foci` only for a client that is in the family."""
    from devicelogin.emulator import Client as App

    assert "foci" not in client.sign_in()
    client.emulator.add_client(App(client_id=client.client_id, name="Family", family_id="1"))
    assert client.sign_in()["foci"] == "1"


def test_a_scripted_policy_block_carries_suberror_and_claims(client: Client) -> None:
    """H5: 53003 with message_only and a claims string."""
    claims = json.dumps({"access_token": {"capolids": {"essential": True, "values": ["x"]}}})
    step = Fault.oauth("invalid_grant", 53003, suberror="message_only", claims=claims)
    client.emulator.script("refresh", [step])
    tokens = client.sign_in()
    body = client.refresh(tokens["refresh_token"]).json()
    assert (body["error_codes"], body["suberror"], body["claims"]) == ([53003], "message_only", claims)
    assert client.refresh(tokens["refresh_token"]).status_code == 200


def test_instance_discovery_knows_this_host_alone(client: Client) -> None:
    """A1: invalid_instance for any other."""
    url = f"{client.emulator.origin}/common/discovery/instance"
    known = client.get(url, params={"authorization_endpoint": client.emulator.authority + "/oauth2/v2.0/authorize"})
    assert known.json()["metadata"][0]["aliases"] == [f"127.0.0.1:{client.emulator.port}"]
    other = client.get(url, params={"authorization_endpoint": "https://login.attacker.example/common"})
    assert (other.status_code, other.json()["error"]) == (400, "invalid_instance")


# APIs beside Graph (handoff facts, section G; MicrosoftDocs/azure-docs#42565)

EXCHANGE = "https://outlook.office.com"
BOARD = "7d1f0a52-3c4b-4e6d-8f90-a1b2c3d4e5f6"
OTHERS = {
    EXCHANGE: Resource(permissions=("SMTP.Send", "IMAP.AccessAsUser.All")),
    BOARD: Resource(permissions=("Read", "Write"), consented=("Read",)),
    "api://unlisted": Resource(permissions=("Use",), is_listed=False),
    "api://blocked": Resource(permissions=("Use",), consented=("Use",), policy="block"),
    "api://careful": Resource(permissions=("Use",), consented=("Use",), policy="mfa"),
}
RESERVED = "openid profile offline_access"


def refused(answer: requests.Response) -> tuple[str, int, str | None]:
    """Return error, number and suberror of a refusal."""
    assert answer.status_code == 400, answer.text
    body = answer.json()
    return body["error"], body["error_codes"][0], body.get("suberror")


def payload(token: str) -> dict:
    """Return the claims of an access token, which nobody can verify."""
    return jwt.decode(token, options={"verify_signature": False})


@pytest.fixture
def apis(client: Client) -> Client:
    """A client of an emulator that knows other APIs."""
    client.emulator.resources = OTHERS
    return client


def test_one_refresh_token_serves_every_api_that_was_consented_to(apis: Client) -> None:
    """G1: bound to person and app, not to an API; `aud` is the API as it was asked for, `scp` short."""
    tokens = apis.sign_in(f"User.Read {RESERVED}")
    for scope, audience in (
        (f"{BOARD}/Read", BOARD),
        (f"{BOARD}//Read", f"{BOARD}/"),
        (f"{BOARD}/.default", BOARD),
        ("User.Read", "00000003-0000-0000-c000-000000000000"),
        ("https://graph.microsoft.com/.default", "https://graph.microsoft.com"),
    ):
        answer = apis.refresh(tokens["refresh_token"], scope=f"{scope} {RESERVED}")
        assert answer.status_code == 200, answer.text
        found = payload(answer.json()["access_token"])
        assert found["aud"] == audience
        assert {"Read", "User.Read"} & set(found["scp"].split())
        assert "/" not in found["scp"]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (f"{EXCHANGE}/SMTP.Send", ("invalid_grant", 65001, "consent_required")),
        (f"{EXCHANGE}/.default", ("invalid_grant", 65001, "consent_required")),
        (f"{BOARD}/Write", ("invalid_grant", 65001, "consent_required")),
        (f"{BOARD}/Read User.Read", ("invalid_grant", 28000, None)),
        (f"{BOARD}/Read {BOARD}/.default", ("invalid_scope", 70011, None)),
        (f"{BOARD}/Nothing", ("invalid_scope", 70011, None)),
        ("api://nowhere/.default", ("invalid_resource", 500011, None)),
        ("api://unlisted/.default", ("invalid_resource", 650057, None)),
        ("api://blocked/Use", ("invalid_grant", 53003, "message_only")),
        ("api://careful/Use", ("interaction_required", 50076, "basic_action")),
    ],
)
def test_a_refresh_for_an_api_is_refused_as_entra_does(apis: Client, scope: str, expected: tuple) -> None:
    """G3: and none of it touches the sign-in, which goes on to bring tokens for Graph."""
    tokens = apis.sign_in(f"User.Read {RESERVED}")
    assert refused(apis.refresh(tokens["refresh_token"], scope=f"{scope} {RESERVED}")) == expected
    assert apis.refresh(tokens["refresh_token"], scope=f"User.Read {RESERVED}").status_code == 200


def test_two_apis_in_one_device_flow_are_refused_after_the_approval(apis: Client) -> None:
    """G4: a code is given, the consent is recorded, the token is not; a second flow for one API then has it."""
    flow = apis.start(f"User.Read {EXCHANGE}/SMTP.Send {RESERVED}")
    apis.emulator.approve(flow["user_code"])
    assert refused(apis.poll(flow["device_code"])) == ("invalid_grant", 28000, None)
    tokens = apis.sign_in(f"User.Read {RESERVED}")
    assert apis.refresh(tokens["refresh_token"], scope=f"{EXCHANGE}/SMTP.Send {RESERVED}").status_code == 200


def test_a_first_default_consents_to_all_that_the_app_lists(apis: Client) -> None:
    """G2: one approval of `.default` where nothing was consented to, and every listed API comes silently."""
    tokens = apis.sign_in(f"https://graph.microsoft.com/.default {RESERVED}")
    for scope in (f"{EXCHANGE}/SMTP.Send", f"{BOARD}/Write", "User.Read"):
        assert apis.refresh(tokens["refresh_token"], scope=f"{scope} {RESERVED}").status_code == 200
    assert refused(apis.refresh(tokens["refresh_token"], scope="api://unlisted/Use"))[1] == 650057


def test_a_sign_in_for_a_careful_api_gives_the_second_factor(apis: Client) -> None:
    """The person gives it as they approve; the refresh token of that sign-in has it, that of another has not."""
    tokens = apis.sign_in(f"api://careful/Use {RESERVED}")
    assert apis.refresh(tokens["refresh_token"], scope=f"api://careful/Use {RESERVED}").status_code == 200
    plain = apis.sign_in(f"User.Read {RESERVED}")
    assert refused(apis.refresh(plain["refresh_token"], scope=f"api://careful/Use {RESERVED}"))[1] == 50076


def test_graph_takes_no_token_of_another_api(apis: Client) -> None:
    """A token is for one API; Graph answers 401 to those of others."""
    tokens = apis.sign_in(f"{BOARD}/Read {RESERVED}")
    assert apis.graph("/v1.0/me", tokens["access_token"]).status_code == 401


def test_a_refused_refresh_spends_no_one_time_token(apis: Client) -> None:
    """Knob `mode="strict"`: what was refused can be asked again, with other scopes, with the same refresh token."""
    apis.emulator.mode = "strict"
    tokens = apis.sign_in(f"User.Read {RESERVED}")
    assert refused(apis.refresh(tokens["refresh_token"], scope=f"{EXCHANGE}/SMTP.Send"))[1] == 65001
    assert apis.refresh(tokens["refresh_token"]).status_code == 200
    assert refused(apis.refresh(tokens["refresh_token"]))[1] == 70000
