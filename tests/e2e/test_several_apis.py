"""One sign-in for several APIs: one approval for each that needs a person, one refresh token that serves all of them."""

from __future__ import annotations

import base64
import json
import tomllib
from typing import TYPE_CHECKING, Any

import login_events
import pytest
import sandbox

import devicelogin
from devicelogin import errors
from devicelogin.client import observing, signing_in
from devicelogin.emulator import Fault, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

EXCHANGE = "https://outlook.office.com"
BOARD = "api://board"
KEPT = "4f0c9e1a-7b52-4d3e-9a86-0d1b2c3e4f50"
SEND = f"{EXCHANGE}/SMTP.Send"


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine whose emulator has APIs beside Graph; Board's permission Read has an administrator's consent."""
    resources = {
        EXCHANGE: Resource(permissions=("SMTP.Send", "IMAP.AccessAsUser.All")),
        BOARD: Resource(permissions=("Read", "Write"), consented=("Read",)),
        KEPT: Resource(permissions=("Keep",)),
        "https://unlisted.example": Resource(permissions=("Use",), is_listed=False),
        "https://blocked.example": Resource(permissions=("Use",), policy="block"),
        "https://careful.example": Resource(permissions=("Use",), policy="mfa"),
    }
    with sandbox.opened(interval=1, resources=resources) as opened:
        yield opened


def profile(box: sandbox.Box) -> dict[str, Any]:
    return tomllib.loads((box.config / "default.toml").read_text())


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def asked(box: sandbox.Box, endpoint: str) -> list[set[str]]:
    """Return the scopes of each request to an endpoint, without those of no API."""
    plain = {"openid", "profile", "offline_access"}
    return [set(r.form["scope"].split()) - plain for r in box.emulator.requests if r.endpoint == endpoint]


def add(box: sandbox.Box, *scopes: str, user: str | None = None, approvals: int = 1) -> sandbox.Result:
    """Run `login --scope ...` on a profile that has its settings."""
    for _ in range(approvals):
        box.emulator.approve_next(user=user)
    return box.run("login", *[word for scope in scopes for word in ("--scope", scope)])


def test_another_api_is_added_by_one_approval_for_it_alone(box: sandbox.Box) -> None:
    """No request names two APIs, Graph is not signed in to again, and afterwards both come without a person."""
    box.sign_in()
    assert add(box, SEND).status == 0
    assert asked(box, "devicecode") == [{"User.Read"}, {SEND}]
    assert (profile(box)["scopes"], profile(box)["also"]) == (["User.Read"], [SEND])
    codes = box.emulator.count("devicecode")
    for arguments, audience in (((), "00000003-0000-0000-c000-000000000000"), (("--scope", SEND), EXCHANGE)):
        assert claims(box.token("--force-refresh", *arguments))["aud"] == audience
    assert box.run("graph", "me").status == 0
    assert box.emulator.count("devicecode") == codes
    assert json.loads(box.run("status", "--json").out)["profiles"][0]["also"] == [SEND]


def test_scopes_are_added_to_the_profile_again_and_again(box: sandbox.Box) -> None:
    """A second permission of an API, and a third API, leave what was there."""
    box.sign_in()
    for scope in (SEND, f"{EXCHANGE}/IMAP.AccessAsUser.All", f"{KEPT}/.default"):
        assert add(box, scope).status == 0
    assert profile(box)["also"] == [SEND, f"{EXCHANGE}/IMAP.AccessAsUser.All", f"{KEPT}/.default"]
    assert asked(box, "devicecode")[2] == {SEND, f"{EXCHANGE}/IMAP.AccessAsUser.All"}
    assert claims(box.token("--scope", f"{KEPT}/.default"))["aud"] == KEPT


def test_what_was_consented_to_needs_no_approval(box: sandbox.Box) -> None:
    """An administrator's consent is tried silently first: no code is shown, and it is said."""
    box.sign_in()
    result = box.run("login", "--scope", f"{BOARD}/Read")
    assert result.status == 0
    assert "no approval is needed" in result.err
    assert "enter the code" not in result.err
    assert profile(box)["also"] == [f"{BOARD}/Read"]
    assert claims(box.token("--scope", f"{BOARD}/Read"))["scp"].split()[-1] == "Read"


def test_a_first_sign_in_to_two_apis_says_how_many_approvals(box: sandbox.Box) -> None:
    """It is said before the first code, the default resource comes first, and each request is for one."""
    for _ in range(2):
        box.emulator.approve_next()
    result = box.run("login", *box.app(), "--scope", "Mail.Read", "--scope", SEND)
    assert result.status == 0
    assert result.err.index("2 approvals: Graph, Exchange") < result.err.index("enter the code")
    assert asked(box, "devicecode") == [{"User.Read", "Mail.Read"}, {SEND}]
    assert box.token()
    assert box.token("--scope", SEND)
    assert box.emulator.count("refresh", scope="") == 0


@pytest.mark.parametrize("source", ["variable", "profile"])
def test_scopes_of_two_apis_from_anywhere_are_told_apart(box: sandbox.Box, source: str) -> None:
    """A variable and a profile of an older version hold them in one list."""
    for _ in range(2):
        box.emulator.approve_next()
    variables = {}
    if source == "variable":
        variables["DEVICELOGIN_SCOPE"] = f"User.Read {SEND}"
    else:
        box.config.mkdir(parents=True, mode=0o700)
        (box.config / "default.toml").write_text(f'scopes = ["User.Read", "{SEND}"]\n')
    assert box.run("login", *box.app(), **variables).status == 0
    assert asked(box, "devicecode") == [{"User.Read"}, {SEND}]
    assert (profile(box)["scopes"], profile(box)["also"]) == (["User.Read"], [SEND])
    assert claims(box.token(**variables))["aud"] == "00000003-0000-0000-c000-000000000000"


def test_a_plain_login_renews_all_apis_of_the_profile_with_one_approval(box: sandbox.Box) -> None:
    """The person approves Graph again; Exchange is served by the new refresh token without them."""
    box.sign_in()
    add(box, SEND)
    box.emulator.revoke()
    assert box.login().status == 0
    assert asked(box, "devicecode") == [{"User.Read"}, {SEND}, {"User.Read"}]
    assert box.token("--scope", SEND)


@pytest.mark.parametrize("mode", ["entra", "strict"])
def test_another_person_adds_nothing_and_the_old_sign_in_works_on(box: sandbox.Box, mode: str) -> None:
    """5, and nothing was changed: neither the profile nor the sign-in, also where a refresh token is good once."""
    box.emulator.mode = mode
    box.sign_in()
    before = box.trace()
    refused = add(box, SEND, user="grace@contoso.example")
    assert refused.status == 5
    assert "grace@contoso.example" in refused.err
    assert (box.trace(), "also" in profile(box)) == (before, False)
    box.check_works()


@pytest.mark.parametrize(
    ("faults", "exit_code"),
    [([None, Fault.status(503, retry_after="3600")], 75), ([None, Fault.oauth("expired_token")], 5)],
)
def test_what_was_approved_first_is_saved_where_the_second_approval_fails(
    box: sandbox.Box, faults: list[Fault | None], exit_code: int
) -> None:
    """The sign-in works for the first API; what is missing is named, and the command in the hint adds it and no more."""
    box.emulator.script("devicecode" if exit_code == 75 else "token", faults)
    for _ in range(2):
        box.emulator.approve_next()
    wanted = ("--scope", "User.Read", "--scope", SEND, "--scope", f"{KEPT}/Keep")
    refused = box.run("login", *box.app(), *wanted)
    assert refused.status == exit_code
    assert f"ada@contoso.example is signed in, but not for Exchange and {KEPT}" in refused.lines("error")[0]
    assert "nothing was saved" not in refused.err
    assert "also" not in profile(box)
    box.check_works()
    hint = refused.lines("hint")[0]
    assert hint == f"devicelogin login --scope {SEND} --scope {KEPT}/Keep"
    for endpoint in ("devicecode", "token"):
        box.emulator.script(endpoint, [])
    for _ in range(2):
        box.emulator.approve_next()
    assert box.run(*hint.split()[1:]).status == 0
    assert asked(box, "devicecode")[-2:] == [{SEND}, {f"{KEPT}/Keep"}]
    assert profile(box)["also"] == [SEND, f"{KEPT}/Keep"]


def test_a_renewal_that_fails_half_way_leaves_the_profiles_other_apis_in_it(box: sandbox.Box) -> None:
    """Something else answers after the approval: the sign-in is renewed, and the profile goes on naming the API."""
    box.sign_in()
    add(box, SEND)
    box.emulator.revoke()
    box.emulator.script("refresh", [Fault.html()])
    box.emulator.approve_next()
    refused = box.run("login")
    assert refused.status == 76
    assert "is signed in, but not for Exchange" in refused.lines("error")[0]
    assert profile(box)["also"] == [SEND]
    box.check_works()


def test_two_people_in_one_first_sign_in_save_nothing(box: sandbox.Box) -> None:
    """Who approves the second is who approved the first, or nobody is signed in."""
    box.emulator.approve_next()
    box.emulator.approve_next(user="grace@contoso.example")
    assert box.run("login", *box.app(), "--scope", "User.Read", "--scope", SEND).status == 5
    assert box.run("status", "--check").status == 4


def test_another_persons_answer_to_the_silent_request_for_an_api_saves_nothing(box: sandbox.Box) -> None:
    """D7: nobody is asked for that API, so the ID token of the refresh says whose tokens these are."""

    def turned() -> Iterator[Fault]:
        box.emulator.id_token_fault = "wrong_subject"
        yield from ()

    box.emulator.script("refresh", turned())
    box.emulator.approve_next()
    result = box.run("login", *box.app(), "--scope", "User.Read", "--scope", f"{BOARD}/Read")
    assert result.status == 76, result
    assert "another person's token" in result.err
    assert not (box.state / "default" / "record").exists()


def test_an_api_of_the_profile_that_is_blocked_keeps_nobody_from_the_others(box: sandbox.Box) -> None:
    """It is left out and said; what somebody asks for just now ends the command with its reason instead."""
    box.sign_in()
    with (box.config / "default.toml").open("a") as file:
        file.write('also = ["https://blocked.example/Use"]\n')
    box.emulator.approve_next()
    result = box.login()
    assert "https://blocked.example is left out of this sign-in" in result.err
    box.check_works()
    refused = add(box, "https://blocked.example/Use")
    assert refused.status == 77
    box.check_works()


def test_a_server_that_stumbles_after_an_approval_costs_none(box: sandbox.Box) -> None:
    """A token for a further API is tried again; where that does not help, the API is left out and said, and works later."""
    box.sign_in()
    add(box, SEND)
    box.emulator.script("refresh", [Fault.status(503)])
    result = box.login()
    assert "left out of this sign-in" not in result.err
    box.emulator.script("refresh", [Fault.status(503, retry_after="3600")])
    result = box.login()
    assert "Exchange is left out of this sign-in" in result.err
    assert claims(box.token("--scope", SEND))["aud"] == EXCHANGE
    assert asked(box, "devicecode")[2:] == [{"User.Read"}, {"User.Read"}]


def test_each_code_has_a_time_of_its_own_to_be_requested_in(box: sandbox.Box) -> None:
    """A person takes minutes for the first approval; a server that stumbles before the second code is asked again."""
    timer = sandbox.HurriedClock()
    for _ in range(2):
        box.emulator.approve_next()
    box.emulator.script("devicecode", [None, Fault.status(503)])
    flags = {"client_id": box.emulator.client_id, "scopes": ("User.Read", SEND)}
    flags |= {"authority": box.emulator.authority, "ca_file": box.emulator.ca_file, "store": "file"}
    flags |= {"graph_root": box.emulator.graph_root}
    observer = observing.Calling(lambda _: timer.sleep(120))
    signing_in.login(box.workplace(flags), signing_in.Options(clock=timer), observer)
    assert asked(box, "devicecode") == [{"User.Read"}, {SEND}, {SEND}]


def test_a_policy_of_one_api_is_met_by_a_sign_in_for_it(box: sandbox.Box) -> None:
    """A second factor that only one API wants is no end of the sign-in, and the hint's command gives it."""
    box.sign_in()
    add(box, "https://careful.example/Use")
    box.sign_in()
    refused = box.run("token", "--scope", "https://careful.example/Use")
    assert refused.status == 4
    assert "no longer accepted" not in refused.err
    assert "devicelogin login --scope https://careful.example/Use" in refused.lines("hint")[0]
    assert box.run("status", "--check").status == 0


@pytest.mark.parametrize(
    ("scope", "exit_code", "words"),
    [
        ("api://nowhere/.default", 78, "api://nowhere"),
        ("https://unlisted.example/.default", 78, "https://unlisted.example"),
        ("https://blocked.example/.default", 4, "https://blocked.example"),
        (f"{KEPT}/.default", 4, KEPT),
        (f"{EXCHANGE}/.default", 4, "Exchange"),
    ],
)
def test_what_an_api_refuses_names_it_and_is_not_the_end_of_the_sign_in(
    box: sandbox.Box, scope: str, exit_code: int, words: str
) -> None:
    """Unknown, not listed, not consented to: each with its exit code, asked once, and `status --check` stays 0."""
    box.sign_in()
    for _ in range(2):
        refused = box.run("token", "--scope", scope)
        assert refused.status == exit_code
        assert words in refused.lines("error")[0]
        assert "no longer accepted" not in refused.err
    assert box.emulator.count("refresh") == 1
    assert box.run("status", "--check").status == 0


def test_a_token_for_two_apis_is_refused_before_the_network(box: sandbox.Box) -> None:
    """One token is for one API: 2, whatever order, and nothing is asked."""
    box.sign_in()
    before = len(box.emulator.requests)
    for pair in ((SEND, "User.Read"), ("User.Read", f"{BOARD}/Read")):
        assert box.run("token", "--scope", pair[0], "--scope", pair[1]).status == 2
    assert len(box.emulator.requests) == before


@pytest.mark.parametrize("pair", [(".default", "Mail.Read"), (f"{KEPT}/Use", f"{KEPT}/.default")])
def test_all_permissions_beside_a_single_one_are_told_before_the_network(
    box: sandbox.Box, pair: tuple[str, str]
) -> None:
    """Entra refuses the two in one request and blames the spelling: which of them to leave out is said here instead."""
    scopes = [word for scope in pair for word in ("--scope", scope)]
    refused = box.run("login", *box.app(), *scopes)
    assert refused.status == 2
    assert "stands for all that was consented to" in refused.lines("error")[0]
    assert not box.emulator.requests
    box.sign_in()
    before = len(box.emulator.requests)
    assert box.run("token", *scopes).status == 2
    assert len(box.emulator.requests) == before


def test_a_trailing_slash_of_an_api_stays_in_the_token(box: sandbox.Box) -> None:
    """`https://management.core.windows.net//.default` is how a resource with a slash is written."""
    box.sign_in()
    add(box, SEND)
    assert claims(box.token("--scope", f"{EXCHANGE}//.default"))["aud"] == f"{EXCHANGE}/"
    assert claims(box.token("--scope", f"{EXCHANGE}/.default"))["aud"] == EXCHANGE


def test_all_permissions_and_single_ones_of_an_api_take_each_others_place(box: sandbox.Box) -> None:
    """`.default` goes with no other scope of its API (70011); what was added last counts."""
    box.sign_in()
    assert add(box, f"{box.emulator.graph_root}/.default").status == 0
    assert profile(box)["scopes"] == [f"{box.emulator.graph_root}/.default"]
    assert add(box, "Mail.Read").status == 0
    assert profile(box)["scopes"] == ["User.Read", "Mail.Read"]
    assert box.run("graph", "me").status == 0


def test_the_first_scope_keeps_user_read_and_next_names_what_works(box: sandbox.Box) -> None:
    """`login --scope Mail.Read` reads who one is as well; without it, `graph me` is not offered."""
    result = box.login("--scope", "Mail.Read")
    assert profile(box)["scopes"] == ["User.Read", "Mail.Read"]
    assert "devicelogin graph me" in result.err.splitlines()[-1]
    assert box.run("graph", "me").status == 0


def test_without_the_default_scope_only_what_is_named_is_asked_for(box: sandbox.Box) -> None:
    """`--no-default-scope` stays in the profile; the next command that is offered is one that works."""
    result = box.login("--no-default-scope", "--scope", "Mail.Read")
    assert (profile(box)["scopes"], profile(box)["default_scope"]) == (["Mail.Read"], False)
    assert "graph me" not in result.err.splitlines()[-1]
    box.login("--scope", "Calendars.Read")
    assert asked(box, "devicecode") == [{"Mail.Read"}, {"Mail.Read", "Calendars.Read"}]
    nothing = box.run("login", "--profile", "empty", *box.app(), "--no-default-scope")
    assert nothing.status == 2


def test_an_api_instead_of_its_permission_is_told_before_the_network(box: sandbox.Box) -> None:
    """An address or an id alone is no scope; the hint names the one that was meant."""
    for scope in (EXCHANGE, f"{EXCHANGE}/", KEPT):
        wrong = box.run("login", *box.app(), "--scope", scope)
        assert wrong.status == 2
        assert f"{scope}/.default" in wrong.lines("hint")[0]
    assert box.emulator.requests == []


def test_a_profile_of_another_api_alone_has_no_user_read(box: sandbox.Box) -> None:
    """The default resource is that of the first scope; Graph is then not asked for at all."""
    result = box.login("--scope", SEND)
    assert asked(box, "devicecode") == [{SEND}]
    assert profile(box)["scopes"] == [SEND]
    assert "graph me" not in result.err.splitlines()[-1]
    assert claims(box.token())["aud"] == EXCHANGE


def test_if_needed_wants_every_api_of_the_profile_to_work(box: sandbox.Box) -> None:
    """For provisioning: 0 at once where all come without a person, an approval of what does not."""
    box.sign_in()
    add(box, SEND)
    codes = box.emulator.count("devicecode")
    assert "still works" in box.run("login", "--if-needed", "--scope", SEND).err
    assert box.emulator.count("devicecode") == codes
    box.emulator.approve_next()
    assert box.run("login", "--if-needed", "--scope", f"{KEPT}/Keep").status == 0
    assert asked(box, "devicecode")[-1] == {f"{KEPT}/Keep"}


def test_each_approval_is_a_code_event_of_its_own(box: sandbox.Box) -> None:
    """`renewed` is for a code that has expired; the stream is valid, with one code for each API."""
    for _ in range(2):
        box.emulator.approve_next()
    result = box.run("login", "--json", *box.app(), "--scope", "User.Read", "--scope", SEND)
    told = [login_events.read(line) for line in result.out.splitlines()]
    assert [event["event"] for event in told if event["event"] != "waiting"] == ["note", "code", "code", "signed_in"]
    assert [event["scopes"] for event in told if event["event"] == "code"] == [["User.Read"], [SEND]]


def test_programs_sign_in_to_several_apis_and_get_a_token_of_each(
    box: sandbox.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python API is the same road: scopes of several APIs at login, one API a token."""
    for name, value in box.environment().items():
        monkeypatch.setenv(name, value)
    box.sign_in()
    box.emulator.approve_next()
    login = devicelogin.DeviceLogin(scopes=["User.Read", SEND])
    login.login(lambda _: None)
    fresh = devicelogin.DeviceLogin()
    assert claims(fresh.access_token([SEND]).token)["aud"] == EXCHANGE
    assert claims(fresh.access_token().token)["aud"] != EXCHANGE
    with pytest.raises(errors.UsageError):
        fresh.access_token([SEND, "User.Read"])


def test_scopes_of_another_provider_have_no_resources(box: sandbox.Box) -> None:
    """An OpenID provider's scopes may look like addresses, and all of them go into one request."""
    box.login("--scope", "api.read", "--scope", "api.write", oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    assert asked(box, "devicecode") == [{"api.read", "api.write"}]
    assert "also" not in profile(box)
    assert box.token("--scope", "api.read", "--scope", "api.write")
