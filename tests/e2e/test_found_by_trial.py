"""What was found by trying the program out; each promise here was broken once."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING

import namespace
import pseudo_terminal
import pytest
import sandbox

import devicelogin
from devicelogin import errors, secret_store
from devicelogin.emulator import MISSING, Fault, directory

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def disk() -> Iterator[sandbox.Box]:
    """A sandbox whose home is on a disk, so that no access token may lie there in the clear."""
    with sandbox.opened_on_disk(mode="strict") as opened:
        yield opened


def events(result: sandbox.Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.out.splitlines()]


# A home on a disk


def test_on_a_disk_a_cached_token_costs_no_request(disk: sandbox.Box) -> None:
    """D5: without memory of our own the tokens lie encrypted in the store, and are used from there."""
    disk.sign_in()
    tokens = {disk.token() for _ in range(3)}
    assert len(tokens) == 1
    assert disk.emulator.count("refresh") == 0
    for file in disk.home.rglob("*"):
        assert not file.is_file() or tokens.isdisjoint(file.read_bytes().decode("latin-1").split())


def test_on_a_disk_twenty_with_an_expired_token_make_one_refresh(disk: sandbox.Box) -> None:
    """D6 holds there as well: one-time refresh tokens survive it."""
    disk.sign_in()
    disk.expire_cached()
    running = [disk.start("token") for _ in range(20)]
    results = [one.finish() for one in running]
    assert [result.status for result in results] == [0] * 20, results
    assert disk.emulator.count("refresh") == 1


def test_on_a_disk_a_good_token_needs_no_network(disk: sandbox.Box) -> None:
    """An outage does not matter while the token is good."""
    disk.sign_in()
    disk.emulator.break_for(60)
    assert disk.token()


# Graph and tokens


def test_a_profile_that_is_edited_while_a_refresh_runs_makes_its_token_void(box: sandbox.Box) -> None:
    """The token came by what the profile said before; it is printed, and not given to who comes after the edit."""
    box.sign_in()
    box.emulator.script("refresh", [Fault.delay(1.5)])
    running = box.start("token", "--force-refresh")
    sandbox.wait_for(lambda: box.emulator.count("refresh"), "a refresh")
    with (box.config / "default.toml").open("a") as profile:
        profile.write("min_valid = 400\n")
    assert running.finish().status == 0
    assert box.emulator.count("refresh") == 1
    second = box.token()
    assert box.emulator.count("refresh") == 2
    assert box.token() == second


@pytest.mark.parametrize("number", [65001, 70011])
def test_other_scopes_that_are_refused_do_not_mark_the_sign_in(box: sandbox.Box, number: int) -> None:
    """What was refused needs a consent of its own; the sign-in works on, and `status --check` says so."""
    box.sign_in()
    box.emulator.script("refresh", [Fault.oauth("invalid_grant", number)])
    assert box.run("token", "--scope", "Calendars.Read").status in {4, 77}
    assert box.emulator.count("refresh") == 1
    assert box.run("status", "--check").status == 0
    box.emulator.script("refresh", [Fault.oauth("invalid_grant", 70000)])
    assert box.run("token", "--force-refresh").status == 4
    assert box.run("status", "--check").status == 4


def test_retries_after_a_rejected_token_force_no_further_refresh(box: sandbox.Box) -> None:
    """One 401 is one new token, however often Graph throttles the call afterwards."""
    box.sign_in()
    box.emulator.script("me", [Fault.status(401), *[Fault.status(429, retry_after="0")] * 2])
    assert box.run("graph", "me").status == 0
    assert box.emulator.count("me") == 4
    assert box.emulator.count("refresh") == 1


@pytest.mark.parametrize("dialect", ["entra", "oidc"])
def test_a_refresh_asks_for_no_more_than_was_granted(box: sandbox.Box, dialect: str) -> None:
    """RFC 6749 section 6: it must not; a provider may refuse the whole of it then."""
    box.emulator.granted_scopes = ["User.Read", "api.read"]
    if dialect == "entra":
        box.sign_in(scopes=["User.Read", "Mail.Read"])
    else:
        box.sign_in(scopes=["api.read", "api.write"], oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    for _ in range(2):
        box.token("--force-refresh")
    forms = [request.form for request in box.emulator.requests if request.endpoint == "refresh"]
    assert len(forms) == 2
    for form in forms:
        if dialect == "oidc":
            assert "scope" not in form
        else:
            assert "User.Read" in form["scope"].split()
            assert "mail.read" not in form["scope"].lower()


# Login for programs


def test_login_if_needed_compares_the_scopes_as_they_are_saved(box: sandbox.Box) -> None:
    """offline_access is asked for in any case, so it makes no difference; nobody is asked."""
    wish = ["--scope", "offline_access", "--scope", "User.Read"]
    box.login(*wish)
    assert box.run("login", "--if-needed", *box.app(), *wish).status == 0
    assert box.run("login", "--if-needed", *box.app()).status == 0
    assert box.emulator.count("devicecode") == 1


def test_login_if_needed_in_json_writes_one_event_where_nothing_is_to_be_done(box: sandbox.Box) -> None:
    """Who reads the events sees who is signed in, and nothing else."""
    box.sign_in()
    result = box.run("login", "--if-needed", "--json", *box.app())
    assert result.status == 0
    assert [event["event"] for event in events(result)] == ["signed_in"]
    assert events(result)[0]["username"] == "ada@contoso.example"
    assert box.emulator.count("devicecode") == 1


def test_login_if_needed_in_json_ends_with_failed_where_the_provider_is_down(box: sandbox.Box) -> None:
    """75 and a last event: nobody is asked to sign in because a server has trouble."""
    box.sign_in()
    box.forget_cached()
    box.emulator.script("refresh", [Fault.status(503)] * 5)
    result = box.run("login", "--if-needed", "--json", *box.app())
    assert result.status == 75, result
    assert [(event["event"], event["exit"]) for event in events(result)] == [("failed", 75)]
    assert box.emulator.count("devicecode") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=str)
@pytest.mark.parametrize("during", ["refresh", "devicecode"])
def test_login_in_json_ended_by_a_signal_ends_with_failed(
    box: sandbox.Box, number: int, status: int, during: str
) -> None:
    """The stream has its last event, with the exit code, wherever the signal comes."""
    if during == "refresh":
        box.sign_in()
        box.forget_cached()
        box.emulator.script("refresh", [Fault.delay(60)])
    before = box.emulator.count(during)
    running = box.start("login", "--if-needed", "--json", *box.app())
    sandbox.wait_for(lambda: box.emulator.count(during) > before, during)
    time.sleep(0.3)
    running.process.send_signal(number)
    result = running.finish(40)
    assert result.status == status
    last = events(result)[-1]
    assert (last["event"], last["exit"]) == ("failed", status)
    assert [event["event"] for event in events(result)].count("failed") == 1


# Before anything is sent


@pytest.mark.parametrize("is_first", [True, False], ids=["first login", "with a key"])
def test_a_read_only_configuration_is_73_before_anybody_is_asked(box: sandbox.Box, is_first: bool) -> None:
    """The settings could not be written after the person has approved; so it is found out first."""
    if is_first:
        box.config.mkdir(parents=True, mode=0o700)
    else:
        box.sign_in()
    asked = box.emulator.count("devicecode")
    before: list[str] = []
    if os.getuid() == 0:
        before = namespace.read_only(box.config)
    else:
        box.config.chmod(0o500)
    box.emulator.approve_next()
    result = box.start("login", *box.app(), before=before).finish()
    assert result.status == 73, result
    assert result.lines("hint")
    assert box.emulator.count("devicecode") == asked


def test_a_path_that_is_no_text_is_78_before_anything_is_sent(box: sandbox.Box) -> None:
    """It could not be written into the profile, which is UTF-8."""
    path = os.fsencode(box.home) + b"/ca-\xff.pem"
    shutil.copy(box.emulator.ca_file, path)
    result = box.run("login", *box.app(ca_file=os.fsdecode(path)))
    assert result.status == 78, result
    assert "UTF-8" in result.lines("hint")[0]
    assert not box.emulator.requests


def test_the_hint_where_no_keyring_can_be_used_is_the_command_as_it_was_typed(box: sandbox.Box) -> None:
    """73 without a terminal: what is to be pasted keeps every option, quoted, and it works."""
    ca_file = box.home / "the CA's certificate.pem"
    shutil.copy(box.emulator.ca_file, ca_file)
    typed = ["login", *box.app(store=None, ca_file=str(ca_file)), "--scope", "User.Read"]
    result = box.run(*typed)
    assert result.status == 73, result
    command = shlex.join(["devicelogin", *typed]) + " --store file"
    assert result.lines("hint") == [f"keep the sign-in in a sealed file instead: {command}"]
    assert box.emulator.count("devicecode") == 0
    box.emulator.approve_next()
    assert box.run(*shlex.split(command)[1:]).status == 0


@pytest.mark.parametrize("nobody", ["", "  "])
def test_expecting_nobody_is_2(box: sandbox.Box, nobody: str) -> None:
    """An empty variable in a script must not mean that anybody may sign in."""
    result = box.run("login", *box.app(), "--expect-user", nobody)
    assert result.status == 2, result
    assert "--expect-user" in result.lines("error")[0]
    assert not box.emulator.requests


@pytest.mark.parametrize("tail", ["$(touch x)", "`id`", "; id", "'x'", "&id", "\x1b[2J"])
def test_an_issuer_that_a_shell_would_read_is_not_offered_for_pasting(box: sandbox.Box, tail: str) -> None:
    """The hint is pasted into a shell, and the issuer is a stranger's text."""
    box.emulator.script("discovery", [Fault.patch({"issuer": f"https://id.example/realms/{tail}"})])
    result = box.run("login", *box.app(oidc_issuer=box.emulator.oidc_issuer))
    assert result.status == 78, result
    hint = result.lines("hint")[0]
    assert "id.example" not in hint
    assert tail not in hint
    assert box.emulator.count("devicecode") == 0


def test_a_plain_issuer_is_offered_for_pasting(box: sandbox.Box) -> None:
    """The usual case is a realm that was mistyped."""
    box.emulator.script("discovery", [Fault.patch({"issuer": "https://id.example/realms/home"})])
    result = box.run("login", *box.app(oidc_issuer=box.emulator.oidc_issuer))
    assert result.status == 78
    assert result.lines("hint")[0].endswith("devicelogin login --oidc-issuer https://id.example/realms/home")


# While and after a person approves


def test_a_lock_that_is_held_when_the_approval_comes_is_waited_for(box: sandbox.Box) -> None:
    """A cron job that refreshes at that moment does not cost the person another try."""
    running = box.start("login", *box.app())
    code = box.emulator.wait_for_code()
    with secret_store.ProfileLock(box.workplace().paths):
        box.emulator.approve(code)
        time.sleep(3)
        assert running.process.poll() is None
    result = running.finish()
    assert result.status == 0, result
    assert box.run("token", "--force-refresh").status == 0


def test_a_client_id_of_an_openid_provider_can_be_typed(box: sandbox.Box) -> None:
    """Only Entra's are GUIDs; what the person is asked for at another provider is any text."""
    box.emulator.add_client(directory.Client(client_id="my-oidc-client", name="A box"))
    box.emulator.approve_next()
    wishes = box.app(oidc_issuer=box.emulator.oidc_issuer, client_id=None, graph_root=None)
    with pseudo_terminal.opened() as terminal:
        streams = {"stdin": terminal.slave, "stderr": terminal.slave}
        running = box.start("login", *wishes, **streams, variables={"TERM": "xterm"})
        terminal.wait_for("Client id: ")
        terminal.type("my-oidc-client\n")
        assert running.finish(30).status == 0, terminal.text
    assert box.emulator.count("devicecode", client_id="my-oidc-client") == 1
    assert box.run("token", "--force-refresh").status == 0


BAD_TOKEN_ANSWERS = {
    "mac": {"token_type": "mac"},
    "no type": {"token_type": MISSING},
    "type is no text": {"token_type": ["Bearer"]},
    "no token": {"access_token": MISSING},
    "newline": {"access_token": "a.b.c\nX-Evil: 1"},
    "empty": {"access_token": ""},
}


@pytest.mark.parametrize("name", BAD_TOKEN_ANSWERS)
def test_a_token_answer_that_cannot_be_used_ends_a_login_at_once(box: sandbox.Box, name: str) -> None:
    """76 after one poll: the code is spent, and asking again would not mend it."""
    box.emulator.script("token", [Fault.patch(BAD_TOKEN_ANSWERS[name])])
    with pytest.raises(errors.BadAnswerError):
        box.sign_in()
    assert box.emulator.count("token") == 1
    assert box.status().state == "signed-out"


def test_a_refresh_token_that_could_not_be_sent_is_not_kept(box: sandbox.Box) -> None:
    """With a newline in it it is none; the one that worked stays."""
    box.sign_in()
    box.emulator.script("refresh", [Fault.patch({"refresh_token": "bad\ntoken"})])
    for _ in range(2):
        assert box.run("token", "--force-refresh").status == 0
    used = [request.form["refresh_token"] for request in box.emulator.requests if request.endpoint == "refresh"]
    assert used[0] == used[1]


def test_an_error_of_null_beside_tokens_is_a_success(box: sandbox.Box) -> None:
    """Some providers name every field they know."""
    box.emulator.script("token", [Fault.patch({"error": None})])
    box.sign_in()
    box.emulator.script("refresh", [Fault.patch({"error": None})])
    assert box.run("token", "--force-refresh").status == 0


@pytest.mark.parametrize("code", ["", "   ", "A" * 10_000, 5, ["A"]], ids=["empty", "blank", "long", "number", "list"])
def test_a_code_that_nobody_could_type_is_76(box: sandbox.Box, code: object) -> None:
    """Nothing is shown, and nobody is kept waiting for it."""
    box.emulator.script("devicecode", [Fault.patch({"user_code": code})])
    result = box.run("login", *box.app())
    assert result.status == 76, result
    assert "AAAA" not in result.err
    assert box.emulator.count("token") == 0


def test_an_interval_with_decimals_is_waited_in_full(box: sandbox.Box) -> None:
    """RFC 8628 section 3.2: the interval is the least; 2.9 seconds are 3, not 2."""
    box.emulator.script("devicecode", [Fault.patch({"interval": 2.9})])
    options = sandbox.quick()
    began = options.clock.boot()
    box.sign_in(options)
    assert 3 <= options.clock.boot() - began < 5


@pytest.mark.parametrize("endpoint", ["devicecode", "token", "refresh"])
def test_a_number_too_large_for_a_float_is_a_long_time(box: sandbox.Box, endpoint: str) -> None:
    """JSON knows no largest number; it is cut like every other one that is too long."""
    if endpoint == "refresh":
        box.sign_in()
    box.emulator.script(endpoint, [Fault.patch({"expires_in": 10**400})])
    if endpoint != "refresh":
        box.sign_in()
    result = box.run("token", *(["--force-refresh"] if endpoint == "refresh" else []))
    assert result.status == 0, result


def test_nested_json_in_an_id_token_is_76_at_a_login_and_nothing_at_a_refresh(box: sandbox.Box) -> None:
    """It is no token that names anybody; at a refresh who it was is known already."""
    nested = nested_token()
    box.emulator.script("token", [Fault.patch({"id_token": nested})])
    with pytest.raises(errors.BadAnswerError):
        box.sign_in()
    assert box.emulator.count("token") == 1
    box.sign_in()
    box.emulator.script("refresh", [Fault.patch({"id_token": nested, "client_info": nested.split(".")[1]})])
    for _ in range(2):
        assert box.run("token", "--force-refresh").status == 0


def test_nested_json_in_client_info_costs_no_login(box: sandbox.Box) -> None:
    """It only names the account, which the checked ID token does as well."""
    box.emulator.script("token", [Fault.patch({"client_info": nested_token().split(".")[1]})])
    assert box.sign_in().account.username == "ada@contoso.example"
    assert box.run("token", "--force-refresh").status == 0


def nested_token() -> str:
    """Return a token of the right form whose content is JSON of 30,000 levels."""
    header = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsifQ"
    return f"{header}.{'W1tb' * 10_000}.c2ln"


# For Python programs


def test_the_api_takes_a_list_of_scopes_and_no_text(box: sandbox.Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text would be taken for its letters; what is always asked for stands for the profile's own token."""
    box.sign_in()
    monkeypatch.setenv("DEVICELOGIN_HOME", box.variables["DEVICELOGIN_HOME"])
    login = devicelogin.DeviceLogin()
    with pytest.raises(devicelogin.UsageError) as caught:
        login.access_token("User.Read")
    assert "['User.Read']" in (caught.value.hint or "")
    own = login.access_token().token
    assert login.access_token(["offline_access"]).token == own
    assert box.emulator.count("refresh") == 0


def test_sixty_four_threads_of_one_object_make_one_refresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They find the token expired at the same moment; a one-time refresh token survives it."""
    with sandbox.opened(mode="strict") as box:
        box.sign_in()
        box.expire_cached()
        monkeypatch.setenv("DEVICELOGIN_HOME", box.variables["DEVICELOGIN_HOME"])
        login = devicelogin.DeviceLogin()
        barrier = threading.Barrier(64)

        def ask(_: int) -> str:
            barrier.wait()
            return login.access_token().token

        with futures.ThreadPoolExecutor(64) as pool:
            assert len(set(pool.map(ask, range(64)))) == 1
        assert box.emulator.count("refresh") == 1
