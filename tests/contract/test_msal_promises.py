"""What we rely on in MSAL, tried with the real MSAL against the emulator: a newer MSAL that breaks it is seen here."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import msal
import pytest

from devicelogin import authority, errors, http_session, models, msal_client
from devicelogin.emulator import MISSING, Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

SCOPES = ("User.Read",)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(interval=1) as running:
        yield running


@pytest.fixture
def http(emulator: Emulator) -> Iterator[http_session.HttpSession]:
    with http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as session:
        yield session


@pytest.fixture(params=["entra", "oidc"])
def provider(request: pytest.FixtureRequest, emulator: Emulator, http: http_session.HttpSession) -> authority.Provider:
    is_oidc = request.param == "oidc"
    url = emulator.oidc_issuer if is_oidc else emulator.authority
    return authority.request_provider(http, url, is_oidc=is_oidc)


@pytest.fixture
def client(emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider) -> msal_client.MsalClient:
    return msal_client.MsalClient(http, provider, client_id=emulator.client_id, profile="default")


def again(emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider) -> msal_client.MsalClient:
    """Return what another process would have: a client that knows nothing."""
    return msal_client.MsalClient(http, provider, client_id=emulator.client_id, profile="default")


def signed_in(emulator: Emulator, client: msal_client.MsalClient) -> models.TokenAnswer:
    emulator.approve_next()
    client.request_device_code(SCOPES)
    answer = client.poll()
    assert isinstance(answer, models.TokenAnswer)
    return answer


def refresh(client: msal_client.MsalClient, credentials: str, **more: Any) -> models.TokenAnswer:
    return client.refresh(credentials, SCOPES, who="ada", **more)


def secret(credentials: str) -> str:
    return str(json.loads(credentials)["RefreshToken"]["secret"])


def test_making_a_client_asks_the_network_for_nothing(emulator: Emulator, client: msal_client.MsalClient) -> None:
    """E2: the one GET of MSAL's constructor is answered from the document that we have checked."""
    assert client is not None
    assert [request.endpoint for request in emulator.requests] == ["discovery"]


def test_one_poll_is_one_request_and_does_not_wait(emulator: Emulator, client: msal_client.MsalClient) -> None:
    """E4: with an exit condition that is always true MSAL asks once and returns at once, as often as it is called."""
    emulator.interval = 30
    client.request_device_code(SCOPES)
    for count in (1, 2, 3):
        assert isinstance(client.poll(), models.Pending)
        assert emulator.count("token") == count


def test_slow_down_adds_five_seconds_each_time_and_for_good(emulator: Emulator, client: msal_client.MsalClient) -> None:
    """E4: MSAL itself lengthens the interval of the flow, so that we add nothing."""
    emulator.interval = 5
    client.request_device_code(SCOPES)
    emulator.script("token", [Fault.oauth("slow_down"), None, Fault.oauth("slow_down"), None])
    intervals = [client.poll().interval for _ in range(4)]  # type: ignore[union-attr]
    assert intervals == [10, 10, 15, 15]


def test_an_error_is_not_remembered_for_the_next_call(
    emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider, client: msal_client.MsalClient
) -> None:
    """M3, M24: MSAL replays errors for a minute; our transport and the emptied cache keep it from that."""
    emulator.script("devicecode", [Fault.oauth("invalid_client", 7000218, status=401), Fault.status(503)])
    for kind in (errors.ConfigError, errors.TryLaterError):
        with pytest.raises(kind):
            client.request_device_code(SCOPES)
    answer = signed_in(emulator, client)
    steps = [Fault.status(503), Fault.status(429, retry_after="60"), Fault.oauth("invalid_grant", 50076)]
    emulator.script("refresh", steps)
    other = again(emulator, http, provider)
    for kind in (errors.TryLaterError, errors.TryLaterError, errors.LoginRequiredError):
        with pytest.raises(kind):
            refresh(other, answer.credentials)
    assert refresh(other, answer.credentials).access_token
    assert emulator.count("refresh") == 4


@pytest.mark.parametrize("trouble", [Fault.status(503), Fault.html(), Fault.reset(), Fault.text("[]")])
def test_polling_goes_on_after_trouble_with_the_same_flow(
    emulator: Emulator, client: msal_client.MsalClient, trouble: Fault
) -> None:
    """E4: the flow can be used again after an exception."""
    emulator.approve_next()
    client.request_device_code(SCOPES)
    emulator.script("token", [trouble])
    with pytest.raises((errors.TryLaterError, errors.BadAnswerError)):
        client.poll()
    assert isinstance(client.poll(), models.TokenAnswer)


def test_three_entries_are_all_that_a_refresh_needs(
    emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider, client: msal_client.MsalClient
) -> None:
    """D3, E6: RefreshToken, Account and AppMetadata, and one request, in a process that knows nothing else."""
    answer = signed_in(emulator, client)
    assert sorted(json.loads(answer.credentials)) == ["Account", "AppMetadata", "RefreshToken"]
    assert answer.access_token not in answer.credentials
    assert secret(answer.credentials) == answer.refresh_token
    before = len(emulator.requests)
    newer = refresh(again(emulator, http, provider), answer.credentials)
    assert [request.endpoint for request in emulator.requests[before:]] == ["refresh"]
    assert newer.access_token != answer.access_token


@pytest.mark.parametrize(
    "left_out", [set(subset) for n in range(4) for subset in itertools.combinations(("id", "client_info", "rt"), n)]
)
def test_refreshes_go_on_whatever_a_provider_leaves_out(
    emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider, left_out: set[str]
) -> None:
    """E7: without an ID token, `client_info` or a new refresh token, three refreshes in a row still find their account."""
    emulator.mode = "strict"
    answer = signed_in(emulator, again(emulator, http, provider))
    emulator.client_info = "client_info" not in left_out
    emulator.id_token_on_refresh = "id" not in left_out
    emulator.refresh_token_on_refresh = "rt" not in left_out
    credentials = answer.credentials
    for _ in range(3):
        newer = refresh(again(emulator, http, provider), credentials)
        assert (newer.refresh_token is None) == ("rt" in left_out)
        assert (newer.id_token is None) == ("id" in left_out)
        assert secret(newer.credentials) == (newer.refresh_token or secret(credentials))
        credentials = newer.credentials
    assert emulator.count("refresh") == 3


def test_the_refresh_token_of_the_answer_is_kept_whatever_the_clock_said(
    emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider
) -> None:
    """MSAL files refresh tokens by scope and time: also after other scopes and a clock that jumped back the new one counts."""
    emulator.mode = "strict"
    answer = signed_in(emulator, again(emulator, http, provider))
    entries = json.loads(answer.credentials)
    entries["RefreshToken"]["last_modification_time"] = "4000000000"
    entries["RefreshToken"]["target"] = "something.else"
    newer = refresh(again(emulator, http, provider), json.dumps(entries))
    assert secret(newer.credentials) == newer.refresh_token
    refresh(again(emulator, http, provider), newer.credentials)


def test_a_failed_refresh_makes_no_other_request(
    emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider
) -> None:
    """D1: without `instance_discovery=False` MSAL would go and discover, and hide `invalid_grant` behind that."""
    answer = signed_in(emulator, again(emulator, http, provider))
    emulator.revoke()
    before = len(emulator.requests)
    with pytest.raises(errors.LoginRequiredError):
        refresh(again(emulator, http, provider), answer.credentials)
    assert [request.endpoint for request in emulator.requests[before:]] == ["refresh"]


def test_the_accounts_of_a_filled_cache_are_told_without_the_network(emulator: Emulator) -> None:
    """E1: get_accounts() asks for aliases only where discovery is allowed to it."""
    cache = msal.TokenCache()
    app = msal.PublicClientApplication(
        emulator.client_id, authority=emulator.authority, instance_discovery=False, token_cache=cache,
        verify=emulator.ca_file,
    )  # fmt: skip
    before = len(emulator.requests)
    assert app.get_accounts() == []
    assert len(emulator.requests) == before


def test_msal_checks_no_id_token(emulator: Emulator, http: http_session.HttpSession) -> None:
    """M5, E7: an unsigned token comes through, so that the check is ours; if this turns red, MSAL checks again."""
    provider = authority.request_provider(http, emulator.authority, is_oidc=False)
    emulator.id_token_fault = "alg_none"
    answer = signed_in(emulator, again(emulator, http, provider))
    assert answer.id_token is not None


@pytest.mark.parametrize("fault", ["no_dots", "bad_base64", "two_parts"])
def test_an_unreadable_id_token_does_not_cost_the_new_refresh_token(
    emulator: Emulator, http: http_session.HttpSession, provider: authority.Provider, fault: Any
) -> None:
    """E4: MSAL raises IndexError on one, after the server has replaced the refresh token; we keep it from MSAL."""
    emulator.mode = "strict"
    answer = signed_in(emulator, again(emulator, http, provider))
    emulator.id_token_fault = fault
    newer = refresh(again(emulator, http, provider), answer.credentials)
    refresh(again(emulator, http, provider), newer.credentials)


@pytest.mark.parametrize(
    ("sent", "used"),
    [("5", 5), (0, 1), (-3, 5), (10**9, 60), (None, 5), (MISSING, 5), ("soon", 5), (2.9, 3), (True, 5),
     ([1], 5), ("1e400", 5)],
    ids=repr,
)  # fmt: skip
def test_any_interval_is_cleaned_before_msal_meets_it(
    emulator: Emulator, client: msal_client.MsalClient, sent: object, used: int
) -> None:
    """E4: 0 makes MSAL poll five hundred times in ten milliseconds, and nonsense raises."""
    emulator.script("devicecode", [Fault.patch({"interval": sent})])
    assert client.request_device_code(SCOPES).interval == used
    assert isinstance(client.poll(), models.Pending)
    assert emulator.count("token") == 1


@pytest.mark.parametrize(
    ("sent", "used"),
    [("900", 900), (0, 900), (-3, 900), (10**9, 3600), (None, 900), (MISSING, 900), ("x", 900), ("inf", 900)],
    ids=repr,
)
def test_any_lifetime_is_cleaned_before_msal_meets_it(
    emulator: Emulator, client: msal_client.MsalClient, sent: object, used: int
) -> None:
    """A code without a usable lifetime gets Entra's own."""
    emulator.script("devicecode", [Fault.patch({"expires_in": sent})])
    assert client.request_device_code(SCOPES).expires_in == used


@pytest.mark.parametrize("name", ["user_code", "device_code", "verification_uri"])
@pytest.mark.parametrize("value", [MISSING, None, "", 5, ["x"]], ids=repr)
def test_an_authorization_without_its_parts_is_no_answer(
    emulator: Emulator, client: msal_client.MsalClient, name: str, value: object
) -> None:
    """76, before anything is shown."""
    emulator.script("devicecode", [Fault.patch({name: value})])
    with pytest.raises(errors.BadAnswerError):
        client.request_device_code(SCOPES)


def test_an_error_with_status_200_is_an_error(emulator: Emulator, client: msal_client.MsalClient) -> None:
    """A3: Entra has answered the device authorization request so."""
    emulator.script("devicecode", [Fault.oauth("invalid_client", 7000218, status=200)])
    with pytest.raises(errors.ConfigError):
        client.request_device_code(SCOPES)


@pytest.mark.parametrize(
    "patch",
    [{"access_token": MISSING}, {"access_token": ""}, {"access_token": "a b"}, {"access_token": "a\r\nX: y"},
     {"access_token": 5}, {"token_type": "mac"}, {"token_type": MISSING}],
    ids=repr,
)  # fmt: skip
def test_an_answer_without_a_usable_token_is_no_answer(
    emulator: Emulator, client: msal_client.MsalClient, patch: dict[str, object]
) -> None:
    """76: nothing that could break out of a header is handed on."""
    answer = signed_in(emulator, client)
    emulator.script("refresh", [Fault.patch(patch)])
    with pytest.raises(errors.BadAnswerError):
        refresh(client, answer.credentials)


@pytest.mark.parametrize(
    ("patch", "lifetime"),
    [({"expires_in": "3599"}, 3599), ({"expires_in": MISSING}, 600), ({"expires_in": "x"}, 600), ({"expires_in": -1}, 600),
     ({"ext_expires_in": "x", "refresh_in": "y", "expires_on": []}, 3599), ({"scope": None}, 3599),
     ({"client_info": "%%%"}, 3599), ({"client_info": 7}, 3599), ({"refresh_token": ""}, 3599), ({"id_token": 5}, 3599)],
    ids=repr,
)  # fmt: skip
def test_odd_fields_of_a_token_answer_do_no_harm(
    emulator: Emulator, client: msal_client.MsalClient, patch: dict[str, object], lifetime: int
) -> None:
    """G06: the token is there, so the caller gets it."""
    answer = signed_in(emulator, client)
    emulator.script("refresh", [Fault.patch(patch)])
    newer = refresh(client, answer.credentials)
    assert newer.expires_in == lifetime
    assert newer.scopes


@pytest.mark.parametrize("credentials", ["{}", "[]", "not json", '{"RefreshToken": {}}', '{"Account": 5}', "null"])
def test_damaged_credentials_are_65_without_a_request(
    emulator: Emulator, client: msal_client.MsalClient, credentials: str
) -> None:
    """What cannot be used is said to be damaged, and nothing is sent."""
    with pytest.raises(errors.DataBadError):
        refresh(client, credentials)
    assert emulator.count("refresh") == 0
