"""`login` in its variants: again, as somebody else, elsewhere, twice at once, ended by a signal, for a program."""

from __future__ import annotations

import json
import re
import signal
import time

import pytest
import sandbox

GRACE = "grace@contoso.example"


def still_signed_in_as(box: sandbox.Box, name: str) -> None:
    status = box.status()
    assert status.sign_in is not None
    assert status.sign_in.account.username == name
    assert not status.needs_login
    box.access_token(force=True)


def test_login_if_needed_does_nothing_where_a_silent_token_works(box: sandbox.Box) -> None:
    """Provisioning may call it again and again: no code is asked for while the sign-in works."""
    box.sign_in()
    assert box.run("login", "--if-needed", *box.app()).status == 0
    assert box.emulator.count("devicecode") == 1
    box.emulator.revoke()
    (box.runtime / "default" / "own").unlink()
    box.login("--if-needed")
    assert box.emulator.count("devicecode") == 2


@pytest.mark.parametrize(
    "wish",
    [["--expect-user", GRACE], ["--client-id", "7f40ab82-6e3d-4cb9-95fa-90b12c3e4d5f"], ["--scope", "Mail.Read"]],
)
def test_login_if_needed_signs_in_where_the_saved_sign_in_is_not_the_one_asked_for(
    box: sandbox.Box, wish: list[str]
) -> None:
    """A sign-in of another person, app or with fewer scopes is not what provisioning asked for."""
    box.sign_in()
    box.login("--if-needed", "--replace", *wish, user=GRACE)
    assert box.emulator.count("devicecode") == 2


@pytest.mark.parametrize("wanted", [GRACE, "GRACE@Contoso.Example", "0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a02"])
def test_login_accepts_the_expected_user_by_name_or_object_id(box: sandbox.Box, wanted: str) -> None:
    """--expect-user takes either, without regard to case."""
    box.login("--expect-user", wanted, user=GRACE)


def test_login_exits_5_and_saves_nothing_when_somebody_unexpected_signs_in(box: sandbox.Box) -> None:
    """--expect-user refuses anybody else, and leaves no trace of them."""
    box.emulator.approve_next()
    result = box.run("login", *box.app(), "--expect-user", GRACE)
    assert result.status == 5
    assert GRACE in result.lines("error")[0]
    assert box.run("token").status == 4
    assert not (box.state / "default" / "record").exists()


def test_login_as_another_account_leaves_the_saved_sign_in_unless_told_to_replace_it(box: sandbox.Box) -> None:
    """D14: 5 and the old sign-in works on; with --replace the new one takes its place."""
    box.sign_in()
    box.emulator.approve_next(user=GRACE)
    result = box.run("login", *box.app())
    assert result.status == 5
    assert "--replace" in result.lines("hint")[0]
    still_signed_in_as(box, "ada@contoso.example")
    box.login("--replace", user=GRACE)
    still_signed_in_as(box, GRACE)


def test_login_again_with_another_app_goes_on_with_the_new_one(box: sandbox.Box) -> None:
    """The settings of a login replace those of the profile, in what later commands use as well."""
    box.sign_in()
    box.login(client_id=box.emulator.single_tenant_client_id)
    box.access_token(force=True)
    assert box.emulator.count("refresh", client_id=box.emulator.single_tenant_client_id) == 1


def test_login_to_another_store_deletes_the_secret_of_the_old_one(box: sandbox.Box) -> None:
    """The old refresh token is gone once the new one was read back."""
    items = box.give_odd_keyrings()
    box.login(store=sandbox.HONEST)
    assert list(items.iterdir())
    box.login(store="file")
    assert not list(items.iterdir())
    box.access_token(force=True)
    box.login(store=sandbox.HONEST)
    assert not (box.state / "default" / "record").exists()
    box.token("--force-refresh")


def test_a_second_login_to_the_profile_exits_75_while_the_first_one_waits(box: sandbox.Box) -> None:
    """Two people are not asked for one profile; the first sign-in is not disturbed."""
    first = box.start("login", *box.app())
    code = box.emulator.wait_for_code()
    second = box.run("login", *box.app())
    assert second.status == 75
    assert box.emulator.count("devicecode") == 1
    box.emulator.approve(code)
    assert first.finish().status == 0
    box.access_token()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["screen", "json"])
def test_login_ended_by_a_signal_leaves_the_old_sign_in_and_no_lock(
    box: sandbox.Box, number: int, status: int, form: list[str]
) -> None:
    """Each signal has its exit code; what was saved before works on, and a new login can start at once."""
    box.sign_in()
    waiting = box.start("login", *box.app(), *form)
    box.emulator.wait_for_code()
    time.sleep(0.3)
    waiting.process.send_signal(number)
    result = waiting.finish(sandbox.SOON)
    assert result.status == status
    still_signed_in_as(box, "ada@contoso.example")
    box.sign_in()


def test_login_in_json_writes_events_that_a_program_can_show(box: sandbox.Box) -> None:
    """One object a line: the code first, who signed in last, nothing else on stdout and no secret in any of them."""
    result = box.login("--json", after=1)
    events = [json.loads(line) for line in result.out.splitlines()]
    assert [event["event"] for event in events if event["event"] != "waiting"] == ["code", "signed_in"]
    assert all(event["format_version"] == 1 for event in events)
    assert events[0]["verification_uri"] == box.emulator.signin_uri
    assert events[0]["expires_in"] == 900
    assert events[-1]["username"] == "ada@contoso.example"
    assert not any(secret in result.out for secret in box.secrets())


def test_login_in_json_ends_with_failed_and_the_error_on_stderr(box: sandbox.Box) -> None:
    """A program sees on its stream how it ended; stderr carries the same error as one object."""
    waiting = box.start("login", "--json", *box.app())
    box.emulator.decline(box.emulator.wait_for_code())
    result = waiting.finish()
    assert result.status == 5
    last = json.loads(result.out.splitlines()[-1])
    assert (last["event"], last["exit"], last["code"]) == ("failed", 5, "declined")
    error = json.loads(result.err)
    assert (error["code"], error["exit"], error["human_needed"]) == ("declined", 5, True)


def test_login_in_json_ends_with_failed_also_where_a_setting_is_wrong(box: sandbox.Box) -> None:
    """No way of failing leaves the stream without its last event."""
    result = box.run("login", "--json", *box.app(client_id="not-a-guid"))
    assert result.status == 78
    assert [json.loads(line)["event"] for line in result.out.splitlines()] == ["failed"]


def long_options(text: str) -> set[str]:
    """Return the long names of the options that a help lists."""
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))


def test_all_options_of_login_are_told_on_demand(box: sandbox.Box) -> None:
    """The eleven that few people need are not in the help of every day, and work all the same."""
    short, whole = box.run("login", "--help"), box.run("login", "--help-all")
    assert (whole.status, whole.err) == (0, "")
    left_out = {"--authority", "--oidc-issuer", "--graph-root", "--ca-file", "--copy", "--qr-image", "--renew"}
    assert long_options(whole.out) - long_options(short.out) == left_out | {
        "--on-code",
        "--wait-for-clock",
        "--no-default-scope",
        "--from-env",
    }
    assert long_options(short.out) < long_options(whole.out)
    assert whole.out.startswith(short.out.partition("Options:")[0])
