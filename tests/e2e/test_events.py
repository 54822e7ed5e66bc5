"""`login --json`: every session, however it goes, is a stream that the published schema describes, and nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import json
import signal
from typing import TYPE_CHECKING

import jsonschema
import login_events
import pytest
import sandbox
from conftest import need

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Callable


def login(box: sandbox.Box, *more: str, **options: str | None) -> sandbox.Result:
    return box.run("login", "--json", *box.app(**options), *more)


def success(box: sandbox.Box) -> sandbox.Result:
    box.emulator.approve_next(after=1)
    return login(box)


def declined(box: sandbox.Box) -> sandbox.Result:
    waiting = box.start("login", "--json", *box.app())
    box.emulator.decline(box.emulator.wait_for_code())
    return waiting.finish()


def expired(box: sandbox.Box) -> sandbox.Result:
    box.emulator.device_code_lifetime = 2
    return login(box)


def renewed(box: sandbox.Box, *steps: Fault) -> sandbox.Result:
    """The first code expires, then `steps` are what the provider answers; the second code is approved."""
    box.emulator.script("devicecode", [Fault.patch({"expires_in": 2}), *steps])
    waiting = box.start("login", "--json", "--renew", *box.app())
    box.emulator.wait_for_code()
    box.emulator.approve(box.emulator.wait_for_code())
    return waiting.finish()


def trouble(box: sandbox.Box) -> sandbox.Result:
    box.emulator.script("token", [Fault.reset(), Fault.status(503, retry_after="1"), None])
    box.emulator.approve_next(after=0)
    return login(box)


def no_store(box: sandbox.Box) -> sandbox.Result:
    return login(box, store="keyring")


def ended_by(number: int) -> Callable[[sandbox.Box], sandbox.Result]:
    def session(box: sandbox.Box) -> sandbox.Result:
        waiting = box.start("login", "--json", *box.app())
        sandbox.wait_for(lambda: box.emulator.count("token"), "a poll")
        waiting.process.send_signal(number)
        return waiting.finish()

    return session


def other_account(box: sandbox.Box) -> sandbox.Result:
    box.emulator.approve_next()
    return login(box, "--expect-user", "nobody@contoso.example")


def not_needed(box: sandbox.Box) -> sandbox.Result:
    box.sign_in()
    return login(box, "--if-needed")


def needed(box: sandbox.Box) -> sandbox.Result:
    box.emulator.approve_next(after=1)
    return login(box, "--if-needed")


def wrong_setting(box: sandbox.Box) -> sandbox.Result:
    return login(box, client_id="not-a-guid")


def provider_down(box: sandbox.Box) -> sandbox.Result:
    box.emulator.script("devicecode", itertools.repeat(Fault.status(503)))
    return login(box)


def captive_portal(box: sandbox.Box) -> sandbox.Result:
    box.emulator.script("devicecode", itertools.repeat(Fault.html()))
    return login(box)


def failing_hook(box: sandbox.Box) -> sandbox.Result:
    box.emulator.approve_next(after=2)
    return login(box, "--on-code", "/bin/false")


def complete_address(box: sandbox.Box) -> sandbox.Result:
    box.emulator.verification_uri_complete = True
    box.emulator.approve_next(after=1)
    return login(box, oidc_issuer=box.emulator.oidc_issuer)


def unknown_host(box: sandbox.Box) -> sandbox.Result:
    box.emulator.script("devicecode", [Fault.patch({"verification_uri": "https://login.example.net/device"})])
    box.emulator.approve_next(after=1)
    return login(box)


def bad_address(box: sandbox.Box) -> sandbox.Result:
    box.emulator.script("devicecode", [Fault.patch({"verification_uri": "http://login.example.net/device"})])
    return login(box)


def hostile_texts(box: sandbox.Box) -> sandbox.Result:
    name = "A\x1b]52;c;YQ==\x07\u202eda\r\n{}"
    ada = box.emulator.users[0]
    box.emulator.users.append(
        dataclasses.replace(ada, display_name=name, user_principal_name=f"{name}@b", object_id=OID)
    )
    box.emulator.script("devicecode", [Fault.patch({"user_code": "AB\x1b[2JC\u202e\n{"})])
    box.emulator.approve_next(after=1, user=OID)
    return login(box)


OID = "11111111-aaaa-4bbb-8ccc-222222222222"

#: What happens, the exit code, and the events that come beside `waiting` and `note`, in their order.
SESSIONS: dict[str, tuple[Callable[[sandbox.Box], sandbox.Result], int, str]] = {
    "success": (success, 0, "code signed_in"),
    "declined": (declined, 5, "code failed"),
    "expired": (expired, 5, "code failed"),
    "renewed": (renewed, 0, "code renewed signed_in"),
    "trouble": (trouble, 0, "code trouble trouble recovered signed_in"),
    "no store": (no_store, 73, "failed"),
    "interrupted": (ended_by(signal.SIGINT), 130, "code failed"),
    "terminated": (ended_by(signal.SIGTERM), 143, "code failed"),
    "hung up": (ended_by(signal.SIGHUP), 129, "code failed"),
    "another account": (other_account, 5, "code failed"),
    "not needed": (not_needed, 0, "signed_in"),
    "needed": (needed, 0, "code signed_in"),
    "a wrong setting": (wrong_setting, 78, "failed"),
    "provider down": (provider_down, 75, "failed"),
    "captive portal": (captive_portal, 76, "failed"),
    "a hook that fails": (failing_hook, 0, "code signed_in"),
    "complete address": (complete_address, 0, "code signed_in"),
    "unknown host": (unknown_host, 0, "code signed_in"),
    "no https": (bad_address, 76, "failed"),
    "hostile texts": (hostile_texts, 0, "code signed_in"),
}

#: The events that may come at any time.
ANY_TIME = {"waiting", "note"}


@pytest.mark.parametrize("name", SESSIONS)
def test_every_session_is_a_stream_that_the_schema_describes(box: sandbox.Box, name: str) -> None:
    """Every line is valid, the last one says how it ended, and its `exit` is the exit code; no secret in any of them."""
    session, status, wanted = SESSIONS[name]
    result = session(box)
    assert result.status == status, result
    events = login_events.held(result)
    assert " ".join(event["event"] for event in events if event["event"] not in ANY_TIME) == wanted
    assert not any(secret in result.out for secret in box.secrets())
    assert result.out.isascii()
    assert result.out.replace("\n", "").isprintable()
    assert all(text.isprintable() for event in events for text in event.values() if isinstance(text, str))
    if events[-1]["event"] == "failed":
        on_stderr = json.loads(result.err)
        assert on_stderr == {key: value for key, value in events[-1].items() if key != "event"}


def test_the_sessions_have_every_event() -> None:
    """What the schema describes is written by somebody, so a new event needs a session here."""
    assert {name for _, _, wanted in SESSIONS.values() for name in wanted.split()} | ANY_TIME == login_events.NAMES


def test_the_schema_is_one_and_says_what_each_field_is() -> None:
    """Draft 2020-12; every field has a sentence, so that the schema is its own page."""
    jsonschema.Draft202012Validator.check_schema(login_events.SCHEMA)
    for name in login_events.NAMES:
        described = login_events.SCHEMA["$defs"][name]
        for field, told in described["properties"].items():
            assert field in {"format_version", "event"} or told.get("description") or "$ref" in told, (name, field)
        assert set(described["required"]) == set(described["properties"])


def test_a_long_session_in_its_order_and_the_schema_notices_what_is_missing_in_it(box: sandbox.Box) -> None:
    """When the code has expired that is said, then comes the new one. Each field of each event taken out, or made something else, is no longer valid: the schema is not empty words."""
    long = renewed(box, Fault.reset(), Fault.status(503, retry_after="1"))
    stream = [event for result in (long, wrong_setting(box)) for event in login_events.held(result)]
    names = [(event["event"], event["seconds_left"]) if "seconds_left" in event else event["event"] for event in stream]
    # Whoever shows the code knows when to take it away, also where the next one takes its time.
    beginning = ["code", ("waiting", 0), "trouble", "trouble", "recovered", "renewed"]
    if names[1] in {("waiting", 2), ("waiting", 1)}:  # not where the code expired before anybody could wait
        beginning.insert(1, names[1])
    assert names[: len(beginning)] == beginning
    codes = [event["user_code"] for event in stream if "user_code" in event]
    assert len(set(codes)) == 2
    events = {event["event"]: event for event in stream}
    events["note"] = {"format_version": 1, "event": "note", "message": "a remark"}
    assert set(events) == login_events.NAMES
    for event in events.values():
        assert login_events.is_valid(event)
        assert login_events.is_valid({**event, "a field of a later version": 1})
        for field in event:
            assert not login_events.is_valid({key: value for key, value in event.items() if key != field}), field
            assert not login_events.is_valid({**event, field: {"an": "object"}}), field
    assert not login_events.is_valid({"format_version": 1, "event": "an event of a later version"})
    assert not login_events.is_valid({**events["note"], "format_version": 2})


def test_without_the_wish_no_second_code_is_requested(box: sandbox.Box) -> None:
    """An expired code is the end (exit 5), on the screen as well as in events."""
    box.emulator.device_code_lifetime = 2
    for form in ([], ["--json"]):
        assert box.run("login", *box.app(), *form).status == 5
    assert box.emulator.count("devicecode") == 2


def test_on_a_screen_as_well_a_new_code_follows(box: sandbox.Box) -> None:
    """--renew is for a display without a keyboard, whatever it shows."""
    box.emulator.script("devicecode", [Fault.patch({"expires_in": 2})])
    waiting = box.start("login", "--renew", *box.app())
    codes = [box.emulator.wait_for_code(), box.emulator.wait_for_code()]
    box.emulator.approve(codes[1])
    result = waiting.finish()
    assert result.status == 0
    assert [code for code in codes if code in result.err.replace("-", "")] == codes


def test_a_complete_address_on_another_host_is_not_passed_on(box: sandbox.Box) -> None:
    """S04: a person could not compare the two, and the program would show whatever it is given."""
    box.emulator.script("devicecode", [Fault.patch({"verification_uri_complete": "https://login.example.net/?c=1"})])
    box.emulator.approve_next(after=0)
    code = login_events.held(login(box))[0]
    assert (code["verification_uri_complete"], code["qr_text"]) == (None, code["verification_uri"])


def test_wrong_arguments_begin_no_stream(box: sandbox.Box) -> None:
    """2 with an empty stdout: it is the programmer who has to read that."""
    for words in (["--nonsense"], ["--copy"], ["--qr-image", "code.gif"]):
        result = login(box, *words)
        assert (result.status, result.out) == (2, "")
    assert not box.emulator.requests


def test_a_process_without_files_ends_its_stream_too(box: sandbox.Box) -> None:
    """What no part of the program expected is `failed` as well, with the exit code; or it works."""
    need("prlimit")
    box.emulator.approve_next()
    result = box.start("login", "--json", *box.app(), before=("prlimit", "--nofile=6")).finish()
    assert login_events.held(result)
    assert result.status in {0, 75}


def test_a_process_without_memory_begins_no_stream(box: sandbox.Box) -> None:
    """75 before anything is loaded that could end the process by itself, and as JSON."""
    need("prlimit")
    result = box.start("login", "--json", *box.app(), before=("prlimit", f"--as={80 << 20}")).finish()
    assert (result.status, result.out) == (75, "")
    said = json.loads(result.err)
    assert (said["code"], said["exit"]) == ("no_resources", 75)
    assert "80 MiB of address space" in said["message"]
    assert not box.emulator.requests


def test_a_stream_that_cannot_be_written_ends_the_sign_in(box: sandbox.Box) -> None:
    """74: nobody waits for a code that nobody can show."""
    with open("/dev/full", "w") as full:
        result = box.start("login", "--json", *box.app(), stdout=full).finish()
    assert result.status == 74
    assert json.loads(result.err)["exit"] == 74
