"""What the identity provider refuses of one request: told as that, with a way out, and not asked again for a minute."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shlex
import socket
import subprocess
import sys
import threading
from concurrent import futures
from typing import TYPE_CHECKING

import pytest
import sandbox

import devicelogin
from devicelogin import errors, http_session, models, private_files
from devicelogin.emulator import Fault
from devicelogin.tokens import access_cache, refusals, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Graph wants an authentication context, which no device sign-in brings.
STEP_UP = base64.b64encode(b'{"access_token":{"acrs":{"essential":true,"value":"c1"}}}').decode()


def command_of(hint: str) -> list[str]:
    """Return the words of the command in a hint, without the program's name."""
    return shlex.split(hint[hint.index("devicelogin ") :])[1:]


def age_refusals(box: sandbox.Box, seconds: float) -> None:
    """Let what was refused have been refused so many seconds earlier."""
    file = box.runtime / "default" / access_cache.REFUSED
    content = json.loads(file.read_text())
    for entry in content["refusals"]:
        entry["boot_seconds"] -= seconds
        entry["wall_seconds"] -= seconds
    file.write_text(json.dumps(content))


@contextlib.contextmanager
def within_the_minute(box: sandbox.Box) -> Iterator[None]:
    """Let what was refused have been refused just now, for as long as the block takes, however slow the machine is."""
    file, is_over = box.runtime / "default" / access_cache.REFUSED, threading.Event()

    def keep_fresh() -> None:
        while not is_over.wait(0.2):
            if file.exists():
                content = json.loads(file.read_text())
                for entry in content["refusals"]:
                    entry["boot_seconds"] = access_cache.boot_seconds()
                private_files.replace(str(file), json.dumps(content).encode())

    keeper = threading.Thread(target=keep_fresh)
    keeper.start()
    try:
        yield
    finally:
        is_over.set()
        keeper.join()


def test_a_scope_without_consent_leads_to_the_one_command_that_asks_for_it(box: sandbox.Box) -> None:
    """The sign-in is fine and said to be; what the hint prints is pasted, somebody approves, and the token comes."""
    box.sign_in()
    refused = box.run("token", "--scope", "Calendars.Read")
    assert refused.status == 4
    assert "the sign-in itself is fine" in refused.lines("error")[0]
    assert "no longer accepted" not in refused.err
    assert box.run("status", "--check").status == 0
    box.emulator.approve_next()
    words = command_of(refused.lines("hint")[0])
    assert words == ["login", "--scope", "Calendars.Read"]
    assert box.run(*words).status == 0
    assert box.token("--scope", "Calendars.Read")
    assert box.token()


def test_the_command_of_another_profile_names_it(box: sandbox.Box) -> None:
    """What is pasted signs in to the profile that lacked the consent."""
    box.emulator.approve_next()
    assert box.run("login", "--profile", "work", *box.app()).status == 0
    refused = box.run("token", "--profile", "work", "--scope", "Mail.Read", "--scope", "Tasks.Read")
    assert command_of(refused.lines("hint")[0]) == [
        *("login", "--profile", "work", "--scope", "Mail.Read", "--scope", "Tasks.Read")
    ]


def test_under_json_a_missing_consent_has_a_code_of_its_own(box: sandbox.Box) -> None:
    """A program tells `consent_required` from the end of the sign-in."""
    box.sign_in()
    told = json.loads(box.run("token", "--scope", "Calendars.Read", "--json").err)
    assert (told["code"], told["exit"], told["human_needed"]) == ("consent_required", 4, True)
    assert told["hint"] == "devicelogin login --scope Calendars.Read"


@pytest.mark.parametrize("source", ["variable", "claims"])
def test_what_is_refused_of_one_request_is_not_the_end_of_the_sign_in(box: sandbox.Box, source: str) -> None:
    """Neither scopes that a variable brings nor a challenge that nobody here can meet make `status --check` say 4."""
    box.sign_in()
    if source == "variable":
        refused = box.run("token", DEVICELOGIN_SCOPE="Calendars.Read")
    else:
        header = f'Bearer error="insufficient_claims", claims="{STEP_UP}"'
        box.emulator.script("me", [Fault.status(401, headers={"WWW-Authenticate": header})])
        box.emulator.script("refresh", [Fault.oauth("interaction_required", 50076, suberror="basic_action")])
        refused = box.run("graph", "me")
    assert refused.status == (4 if source == "variable" else 77)
    assert "the sign-in itself is fine" in refused.lines("error")[0]
    assert "no longer accepted" not in refused.err
    assert "sign in again: devicelogin login" not in refused.err
    assert box.run("status", "--check").status == 0
    box.check_works()


def test_a_thousand_calls_without_consent_make_one_request_a_minute(box: sandbox.Box) -> None:
    """D17: whoever comes within the minute is told the very same, from the memory, in one process or in many."""
    box.sign_in()
    first = box.run("token", "--scope", "Calendars.Read")
    with within_the_minute(box):
        for _ in range(1000):
            with pytest.raises(errors.LoginRequiredError) as refused:
                box.access_token(scopes=("Calendars.Read",))
            assert refused.value.code == "consent_required"
        again = box.run("token", "--scope", "calendars.read")
        assert (again.status, again.err) == (first.status, first.err)
        assert box.emulator.count("refresh") == 1
    age_refusals(box, refusals.SECONDS)
    box.run("token", "--scope", "Calendars.Read")
    assert box.emulator.count("refresh") == 2


def test_callers_at_one_time_share_one_refusal(box: sandbox.Box) -> None:
    """Who waits for the lock takes the refusal that came meanwhile; the answer is as slow as a mobile network's."""
    box.sign_in()
    box.emulator.script("refresh", itertools.repeat(Fault.delay(1.0)))
    with within_the_minute(box):
        running = [box.start("token", "--scope", "Calendars.Read") for _ in range(8)]
        results = [one.finish() for one in running]
    assert {result.status for result in results} == {4}
    assert len({result.err for result in results}) == 1
    assert box.emulator.count("refresh") == 1


def test_threads_of_one_program_share_one_refusal(box: sandbox.Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python API remembers as the command does."""
    box.sign_in()
    for name, value in box.environment().items():
        monkeypatch.setenv(name, value)
    login = devicelogin.DeviceLogin()

    def ask(_: int) -> str:
        with pytest.raises(errors.LoginRequiredError) as refused:
            login.access_token(scopes=["Calendars.Read"])
        return refused.value.code

    with within_the_minute(box), futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {"consent_required"}
    assert box.emulator.count("refresh") == 1


def test_a_dead_sign_in_is_asked_for_once_a_minute_by_all_jobs(box: sandbox.Box) -> None:
    """A revoked refresh token is not sent again and again: Entra would take that for a loop (AADSTS50196)."""
    box.sign_in()
    box.expire_cached()
    box.emulator.revoke()
    with within_the_minute(box):
        for arguments in [("token",)] * 3 + [("graph", "me")] * 2:
            refused = box.run(*arguments)
            assert refused.status == 4
            assert "no longer accepted" in refused.err
    assert box.emulator.count("refresh") == 1
    assert box.run("status", "--check").status == 4


def test_what_ends_the_sign_in_ends_it_for_every_scope(box: sandbox.Box) -> None:
    """A number that says so is believed whatever was asked: no scope is tried with a token that is over, and status knows."""
    box.sign_in()
    box.emulator.revoke()
    with within_the_minute(box):
        assert "it was revoked" in box.run("token", "--scope", "Calendars.Read").err
        assert "it was revoked" in box.run("token", "--scope", "Mail.Read").err
    assert box.emulator.count("refresh") == 1
    assert box.run("status", "--check").status == 4


def test_force_refresh_asks_again_but_not_twice_in_five_seconds(box: sandbox.Box) -> None:
    """Who has just given a consent need not wait for a minute; a loop with --force-refresh is none for the provider."""
    box.sign_in()
    with within_the_minute(box):
        for _ in range(3):
            assert box.run("token", "--scope", "Calendars.Read", "--force-refresh").status == 4
    assert box.emulator.count("refresh") == 1
    age_refusals(box, refusals.FORCED_SECONDS)
    with pytest.raises(errors.LoginRequiredError):
        box.access_token(scopes=("Calendars.Read",))
    assert box.emulator.count("refresh") == 1
    assert box.run("token", "--scope", "Calendars.Read", "--force-refresh").status == 4
    assert box.emulator.count("refresh") == 2


def test_a_new_sign_in_and_an_edit_of_the_profile_make_a_refusal_void(box: sandbox.Box) -> None:
    """What was refused to the one before says nothing about this one."""
    box.sign_in()
    box.run("token", "--scope", "Calendars.Read")
    with (box.config / "default.toml").open("a") as profile:
        profile.write("min_valid = 400\n")
    box.run("token", "--scope", "Calendars.Read")
    assert box.emulator.count("refresh") == 2
    file = box.runtime / "default" / access_cache.REFUSED
    refused = file.read_text()
    box.sign_in()
    # As if it had not been deleted with the cached tokens: where there is no memory for them it lies elsewhere.
    file.write_text(refused)
    file.chmod(0o600)
    box.run("token", "--scope", "Calendars.Read")
    assert box.emulator.count("refresh") == 3


def test_a_refusal_from_the_future_or_of_another_boot_does_not_count(box: sandbox.Box) -> None:
    """A container that was frozen has another boot clock; what is to come yet has not been refused."""
    box.sign_in()
    box.run("token", "--scope", "Calendars.Read")
    age_refusals(box, -3600)
    box.run("token", "--scope", "Calendars.Read")
    assert box.emulator.count("refresh") == 2
    file = box.runtime / "default" / access_cache.REFUSED
    file.write_text(file.read_text().replace(access_cache.boot_id(), "00000000-another-boot"))
    box.run("token", "--scope", "Calendars.Read")
    assert box.emulator.count("refresh") == 3


@pytest.mark.parametrize(
    "damage", ["", "{", '{"format_version": 9, "refusals": []}', '{"format_version": 1, "refusals": [7]}']
)
def test_a_damaged_memory_of_refusals_counts_as_none(box: sandbox.Box, damage: str) -> None:
    """At worst the provider is asked once more; nothing fails because of it."""
    box.sign_in()
    box.run("token", "--scope", "Calendars.Read")
    (box.runtime / "default" / access_cache.REFUSED).write_text(damage)
    assert box.run("token", "--scope", "Calendars.Read").status == 4
    assert box.run("token", "--scope", "Calendars.Read").status == 4
    assert box.emulator.count("refresh") == 2


def test_without_memory_refusals_lie_beside_times_and_go_with_the_sign_in() -> None:
    """A home on a disk, as on a board without a runtime directory, remembers as well; `logout` leaves nothing of it."""
    with sandbox.opened_on_disk() as box:
        box.sign_in()
        for _ in range(3):
            assert box.run("token", "--scope", "Calendars.Read").status == 4
        assert box.emulator.count("refresh") == 1
        remembered = box.state / "default" / access_cache.REFUSED
        content = remembered.read_text()
        assert remembered.stat().st_mode & 0o777 == 0o600
        assert not any(secret in content for secret in box.secrets())
        assert box.run("logout").status == 0
        assert not remembered.exists()


def test_no_answer_is_not_remembered(box: sandbox.Box) -> None:
    """A server that is down has refused nothing: the next call asks it."""
    box.sign_in()
    box.emulator.script("refresh", [Fault.status(503)] * 9)
    assert box.run("token", "--force-refresh").status == 75
    box.emulator.script("refresh", [])
    box.check_works()


def test_what_a_proxy_refuses_is_not_remembered(box: sandbox.Box) -> None:
    """The provider was not even asked; whoever mends the proxy's address is not told for a minute that it is wrong."""
    box.sign_in()

    def through_a_proxy(*_: object, **__: object) -> models.TokenAnswer:
        with socket.create_server(("127.0.0.1", 0)) as proxy:
            threading.Thread(target=refuse, args=[proxy]).start()
            environ = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}"}
            http_session.HttpSession(environ=environ).get_json("https://login.example.org/")
        raise AssertionError("the proxy let it through")

    def refuse(proxy: socket.socket) -> None:
        with proxy.accept()[0] as peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    work = box.workplace()
    tokens = silent.SilentTokens(
        work.paths,
        cache=work.token_cache(work.settings()),
        open_store=work.open_store,
        check=lambda _: None,
        refresh=through_a_proxy,
    )
    with pytest.raises(errors.ConfigError, match="user name and password"):
        tokens.access_token(silent.Wish(force=True))
    assert box.access_token(force=True).token


def test_what_no_server_refused_is_not_remembered(box: sandbox.Box) -> None:
    """Certificates that cannot be read are the environment of one call; the next one has another."""
    box.sign_in()
    work, nothing = box.workplace(), str(box.home / "nothing")
    tokens = silent.SilentTokens(
        work.paths,
        cache=work.token_cache(work.settings()),
        open_store=work.open_store,
        check=lambda _: None,
        refresh=lambda *_, **__: http_session.HttpSession(environ={}, ca_file=nothing),
    )
    with pytest.raises(errors.ConfigError, match="cannot be read as certificates"):
        tokens.access_token(silent.Wish(force=True))
    assert box.access_token(force=True).token


def test_a_provider_that_asks_for_time_is_left_alone_by_all_jobs(box: sandbox.Box) -> None:
    """A 429 counts for every scope, for a minute at most; what is said of the time is what is left of it.

    Whoever forces a refresh says that it is worth a try.
    """
    box.sign_in()
    box.expire_cached()
    box.emulator.script("refresh", itertools.repeat(Fault.status(429, retry_after="7200")))
    with within_the_minute(box):
        for arguments in [("token",), ("token", "--scope", "Mail.Read"), ("graph", "me")]:
            refused = box.run(*arguments)
            assert refused.status == 75
            assert "asks to be left alone" in refused.lines("error")[0]
            assert refused.lines("hint")[0].startswith("try again in ")
        assert box.emulator.count("refresh") == 1
        with pytest.raises(errors.TryLaterError) as remembered:
            box.access_token()
        assert remembered.value.retry_after is not None
        assert refusals.SECONDS < remembered.value.retry_after <= refusals.LONGEST_SECONDS
        assert box.run("token", "--force-refresh").status == 75
        assert box.emulator.count("refresh") == 2
    box.emulator.script("refresh", [])
    assert box.run("token", "--force-refresh").status == 0
    assert box.run("status", "--check").status == 0


def test_a_provider_that_asked_for_an_hour_is_asked_after_a_minute(box: sandbox.Box) -> None:
    """It may be well again by then, and who named the time may have been a gateway on the way."""
    box.sign_in()
    box.expire_cached()
    box.emulator.script("refresh", [Fault.status(503, retry_after="3600")])
    assert box.run("token").status == 75
    age_refusals(box, refusals.SECONDS)
    assert box.run("token").status == 0


@pytest.mark.parametrize(
    ("status", "asked", "requests"), [(429, None, 1), (429, "0", 2), (503, "120", 1), (503, None, 3)]
)
def test_for_how_long_a_provider_is_left_alone(box: sandbox.Box, status: int, asked: str | None, requests: int) -> None:
    """As it says, or a few seconds after a 429; a server that is down and names no time is asked by the next call."""
    box.sign_in()
    box.expire_cached()
    box.emulator.script("refresh", itertools.repeat(Fault.status(status, retry_after=asked)))
    with within_the_minute(box):
        for _ in range(3):
            with pytest.raises(errors.TryLaterError):
                box.access_token()
    assert box.emulator.count("refresh") == requests


def test_slow_down_at_a_refresh_brings_its_time_with_it(box: sandbox.Box) -> None:
    """A 429 whose body says `slow_down` is an answer in JSON, and its Retry-After counts as that of any other."""
    box.sign_in()
    box.expire_cached()
    busy = Fault.json({"error": "slow_down"}, status=429, headers={"Retry-After": "90"})
    box.emulator.script("refresh", itertools.repeat(busy))
    with within_the_minute(box):
        for _ in range(3):
            with pytest.raises(errors.TryLaterError) as refused:
                box.access_token()
            assert refused.value.retry_after is not None
    assert box.emulator.count("refresh") == 1


def test_what_the_provider_calls_a_loop_is_not_gone_on_with(box: sandbox.Box) -> None:
    """Entra's loop detection (AADSTS50196) lasts as long as the requests go on: jobs that wait and call again make one a minute."""
    box.sign_in()
    box.expire_cached()
    loop = Fault.oauth("invalid_grant", 50196)
    box.emulator.script("refresh", itertools.repeat(loop))
    with within_the_minute(box):
        for arguments in [("token",)] * 3 + [("graph", "me"), ("token", "--force-refresh")]:
            refused = box.run(*arguments)
            assert refused.status == 75
            assert "asks to come back later" in refused.err
    assert box.emulator.count("refresh") == 1
    assert box.run("status", "--check").status == 0
    box.emulator.script("refresh", [])
    age_refusals(box, refusals.SECONDS)
    box.token()


def test_a_loop_does_not_take_the_token_that_is_still_good(box: sandbox.Box) -> None:
    """Who wants one that lasts longer gets the one that there is, with a warning, whether the refusal is new or remembered."""
    box.sign_in()
    box.emulator.script("refresh", itertools.repeat(Fault.oauth("invalid_grant", 50196)))
    with within_the_minute(box):
        for _ in range(2):
            found = box.run("token", "--min-valid", "86400")
            assert found.status == 0
            assert "could not refresh" in found.err
    assert box.emulator.count("refresh") == 1


def test_a_terminal_gets_the_same_refusal_from_the_memory(box: sandbox.Box) -> None:
    """`python -m devicelogin` is the same program: the memory is not one of a command's form."""
    box.sign_in()
    first = box.run("token", "--scope", "Calendars.Read")
    done = subprocess.run(
        [sys.executable, "-m", "devicelogin", "-v", "token", "--scope", "Calendars.Read"],
        env=box.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert first.lines("error")[0] in done.stderr
    assert box.emulator.count("refresh") == 1
