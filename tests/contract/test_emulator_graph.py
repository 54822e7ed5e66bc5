"""The emulator's Graph is what `entra-facts` section D tells of Microsoft Graph."""

from __future__ import annotations

import base64
import json
import re
import uuid
from typing import TYPE_CHECKING

import pytest

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from emulator_client import Client


GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_me_has_graphs_default_properties(client: Client, version: str) -> None:
    """D: eleven properties and the context, gzip and chunks for who accepts them."""
    answer = client.graph(f"/{version}/me", client.sign_in()["access_token"])
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")
    me = answer.json()
    assert me.pop("@odata.context").endswith(f"/{version}/$metadata#users/$entity")
    assert me["displayName"] == "Ada Lovelace"
    assert set(me) == {
        "businessPhones",
        "displayName",
        "givenName",
        "id",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
    }


def test_an_answer_is_plain_for_who_does_not_accept_gzip(client: Client) -> None:
    """RFC 9110 section 12.5.3."""
    client.headers["Accept-Encoding"] = "identity"
    answer = client.graph("/v1.0/me", client.sign_in()["access_token"])
    assert "Content-Encoding" not in answer.headers
    assert answer.json()["surname"] == "Lovelace"


def test_select_leaves_the_named_properties(client: Client) -> None:
    """`$select` is what scripts use most."""
    answer = client.graph("/v1.0/me?$select=id,mail", client.sign_in()["access_token"])
    assert set(answer.json()) == {"@odata.context", "id", "mail"}


def test_request_ids_are_told(client: Client) -> None:
    """D: the client's id comes back; without one it equals Graph's own."""
    token = client.sign_in()["access_token"]
    answer = client.graph("/v1.0/me", token)
    assert GUID.fullmatch(answer.headers["request-id"])
    assert answer.headers["client-request-id"] == answer.headers["request-id"]
    assert "ServerInfo" in json.loads(answer.headers["x-ms-ags-diagnostic"])
    client.headers["client-request-id"] = mine = str(uuid.uuid4())
    answer = client.graph("/v1.0/users/nobody", token)
    inner = answer.json()["error"]["innerError"]
    assert answer.headers["client-request-id"] == inner["client-request-id"] == mine
    assert inner["request-id"] == answer.headers["request-id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", inner["date"])


@pytest.mark.parametrize("token", [None, "", "nonsense", "eyJ0eXAiOiJKV1QifQ.e30.c2lnbmF0dXJl"])
def test_a_bad_token_is_401_with_a_bearer_challenge(client: Client, token: str | None) -> None:
    """D: InvalidAuthenticationToken."""
    answer = client.graph("/v1.0/me", token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="", authorization_uri="https://127.0.0.1:')


def test_an_expired_token_is_401(client: Client) -> None:
    """By the emulator's clock."""
    token = client.sign_in()["access_token"]
    client.emulator.clock.advance(3600)
    error = client.graph("/v1.0/me", token).json()["error"]
    assert error["message"] == "Lifetime validation failed, the token is expired."


def test_a_token_without_the_scope_is_403(client: Client) -> None:
    """D: Authorization_RequestDenied."""
    token = client.sign_in("Tasks.Read")["access_token"]
    for path in ("/v1.0/me", "/v1.0/users", "/v1.0/users/grace@contoso.example"):
        answer = client.graph(path, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert client.graph("/v1.0/me/todo/lists", token, "POST", json={"displayName": "x"}).status_code == 403


def test_a_person_who_does_not_exist_is_404(client: Client) -> None:
    """D: Request_ResourceNotFound; one who does is found by name and by id."""
    token = client.sign_in("User.ReadBasic.All")["access_token"]
    answer = client.graph("/v1.0/users/nobody@contoso.example", token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "Request_ResourceNotFound")
    grace = client.graph("/v1.0/users/grace@contoso.example", token).json()
    assert client.graph(f"/v1.0/users/{grace['id']}", token).json() == grace
    assert len(client.graph("/v1.0/users", token).json()["value"]) == 3


def test_an_unknown_path_is_400(client: Client) -> None:
    """Graph's words for a segment that it does not know."""
    answer = client.graph("/v1.0/nonsense", client.sign_in()["access_token"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")


def test_a_task_list_can_be_made_changed_read_and_deleted(client: Client) -> None:
    """POST 201, PATCH 200, GET 200, DELETE 204 without a body."""
    token = client.sign_in("Tasks.ReadWrite")["access_token"]
    lists = "/v1.0/me/todo/lists"
    made = client.graph(lists, token, "POST", json={"displayName": "Garden"})
    assert made.status_code == 201
    one = f"{lists}/{made.json()['id']}"
    assert client.graph(one, token, "PATCH", json={"displayName": "Garten"}).json()["displayName"] == "Garten"
    assert client.graph(one, token).json()["displayName"] == "Garten"
    gone = client.graph(one, token, "DELETE")
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.graph(one, token).json()["error"]["code"] == "itemNotFound"
    assert client.graph(lists, token, "POST", data="no json").status_code == 400
    assert client.graph(lists, token, "PUT").status_code == 405


def test_a_long_collection_comes_in_pages(client: Client) -> None:
    """`@odata.nextLink` is a whole URL on the same origin, and absent on the last page."""
    token = client.sign_in("Tasks.ReadWrite")["access_token"]
    for number in range(4):
        client.graph("/v1.0/me/todo/lists", token, "POST", json={"displayName": str(number)})
    names, pages, where = [], 0, "/v1.0/me/todo/lists?$top=2"
    while where:
        page = client.graph(where, token).json()
        pages += 1
        names += [one["displayName"] for one in page["value"]]
        link = page.get("@odata.nextLink", "")
        assert link == "" or link.startswith(client.emulator.graph_root + "/")
        where = link.removeprefix(client.emulator.graph_root)
    assert (names, pages) == (["0", "1", "2", "3"], 2)


def test_a_claims_challenge_is_answered_only_by_a_token_asked_for_with_its_claims(client: Client) -> None:
    """C: 401 with insufficient_claims and base64 claims; a plain refresh does not help."""
    tokens = client.sign_in()
    client.emulator.challenge()
    answer = client.graph("/v1.0/me", tokens["access_token"])
    header = answer.headers["WWW-Authenticate"]
    assert answer.status_code == 401
    assert 'error="insufficient_claims"' in header
    claims = base64.b64decode(re.search(r'claims="([^"]+)"', header)[1]).decode()
    assert set(json.loads(claims)["access_token"]["nbf"]) == {"essential", "value"}
    plain = client.refresh(tokens["refresh_token"]).json()
    assert client.graph("/v1.0/me", plain["access_token"]).status_code == 401
    asked = client.refresh(tokens["refresh_token"], claims=claims).json()
    assert client.graph("/v1.0/me", asked["access_token"]).status_code == 200
    client.emulator.challenge()
    assert client.graph("/v1.0/me", asked["access_token"]).status_code == 401, "it answered the first challenge only"


def test_throttling_is_scripted(client: Client) -> None:
    """429 with and without Retry-After, decimals too."""
    client.emulator.script("me", [Fault.status(429, retry_after="0.249"), Fault.status(503)])
    token = client.sign_in()["access_token"]
    assert client.graph("/v1.0/me", token).headers["Retry-After"] == "0.249"
    assert "Retry-After" not in client.graph("/v1.0/me", token).headers
    assert client.graph("/v1.0/me", token).status_code == 200
