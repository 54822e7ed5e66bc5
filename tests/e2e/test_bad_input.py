"""What goes wrong from outside, through the real command line: exit code, one line, a hint, and nothing lost.

The list stands in the issue "The main job, end to end" under "Bad input and what it gets".
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import Any

import fake_time
import keyring_session
import pytest
import sandbox

from devicelogin.emulator import Fault


def is_told(result: sandbox.Result, status: int, *words: str) -> None:
    """One line says what could not be done, another what to do; stdout stays empty."""
    assert result.status == status, result
    assert result.out == "", result
    assert len(result.lines("error")) == 1, result
    assert result.lines("hint"), result
    for word in words:
        assert word in result.err, result


def still_works(box: sandbox.Box, **variables: str) -> None:
    """The sign-in that was saved before is unchanged."""
    assert box.token("--force-refresh", **variables)


WRONG_SETTINGS: dict[str, tuple[dict[str, str | None], int, str, int]] = {
    # name: options, exit code, a word of the message, requests at most
    "client id that is none": ({"client_id": "board"}, 78, "client", 0),
    "unknown client": ({"client_id": "00000000-0000-4000-8000-000000000000"}, 78, "does not know this app", 3),
    "unknown scope": ({"scope": "https://nowhere.example/Thing.Read"}, 78, "scope", 3),
    "authority with http": ({"authority": "http://login.example/contoso.com"}, 78, "https", 0),
    "authority without a path": ({"authority": "https://login.example"}, 78, "authority", 0),
    "authority with a password": ({"authority": "https://a:b@login.example/t"}, 78, "authority", 0),
    "issuer with http": ({"oidc_issuer": "http://id.example/realms/home"}, 78, "https", 0),
    "certificates that are not there": ({"ca_file": "/nowhere/ca.pem"}, 78, "/nowhere/ca.pem", 0),
    "store of no kind": ({"store": "cloud"}, 2, "store", 0),
    "Graph over http": ({"graph_root": "http://graph.example"}, 78, "https", 0),
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_a_wrong_setting_is_named(box: sandbox.Box, name: str) -> None:
    """Found before anybody is asked, and where it can be, before anything is sent; the old sign-in works on."""
    options, status, word, most = WRONG_SETTINGS[name]
    box.sign_in()
    before = len(box.emulator.requests)
    is_told(box.run("login", *box.app(**options)), status, word)
    assert len(box.emulator.requests) - before <= most
    still_works(box)


def test_an_unknown_tenant_is_named(box: sandbox.Box) -> None:
    """78, with the tenant that nobody knows."""
    box.sign_in()
    wrong = box.emulator.authority_for("nobody.example")
    is_told(box.run("login", *box.app(authority=wrong)), 78, "nobody.example", "--tenant")
    still_works(box)


def test_an_app_without_public_client_flows_is_told_apart(box: sandbox.Box) -> None:
    """7000218 comes only at the poll: 78, and the switch in the portal by its name."""
    box.sign_in()
    box.emulator.approve_next()
    result = box.run("login", *box.app(client_id=box.emulator.not_public_client_id))
    assert result.status == 78
    assert "Allow public client flows" in result.lines("hint")[0]
    assert "AADSTS7000218" in result.lines("detail")[0]
    assert len(result.lines("error")) == 1
    still_works(box)


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "device_authorization_endpoint", "revocation_endpoint"])
def test_endpoints_on_another_host_are_refused(box: sandbox.Box, name: str) -> None:
    """B10: nothing is sent there, at login as little as at a refresh."""
    box.sign_in()
    evil = Fault.patch({name: "https://login.attacker.example/token"})
    box.emulator.script("discovery", [evil])
    is_told(box.run("login", *box.app()), 78, "login.attacker.example")
    assert box.emulator.count("devicecode") == 1
    (box.state / "default" / "provider").unlink()  # the document kept for a day
    box.emulator.script("discovery", [evil])
    is_told(box.run("token", "--force-refresh"), 78, "login.attacker.example")
    still_works(box)


@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "devicecode"])
@pytest.mark.parametrize(
    "fault",
    [Fault.html(), Fault.redirect("https://portal.example/"), Fault.text("[]"), Fault.html(511), Fault.huge(2_000_000)],
    ids=["html", "redirect", "list", "511", "huge"],
)
def test_a_captive_portal_is_told_apart_from_the_provider(box: sandbox.Box, endpoint: str, fault: Fault) -> None:
    """B05: 76, or 75 for a status that says "later"; what the portal wrote is not shown."""
    box.emulator.script(endpoint, [fault])
    result = box.run("login", *box.app())
    is_told(result, result.status)
    assert result.status in {75, 76}
    assert "Accept the terms" not in result.err


def test_a_captive_portal_does_not_cost_a_refresh(box: sandbox.Box) -> None:
    """76, and the next try works."""
    box.sign_in()
    box.emulator.script("refresh", [Fault.html()])
    is_told(box.run("token", "--force-refresh"), 76, "captive portal")
    still_works(box)


def test_no_network_is_told_in_time(box: sandbox.Box) -> None:
    """75 within fifteen seconds: nothing was lost, and trying again may help."""
    box.sign_in()
    box.emulator.break_for(600)
    is_told(box.run("token", "--force-refresh"), 75)
    result = box.run("token", "--force-refresh", "--json")
    assert json.loads(result.err)["retryable"] is True
    box.emulator.break_for(0)
    still_works(box)


@pytest.mark.faketime
def test_a_clock_in_1970_neither_hinders_a_sign_in_nor_what_follows(box: sandbox.Box) -> None:
    """The emulator's certificate is valid from 1970, so nothing but the clock is wrong: everything works."""
    early = fake_time.variables(FAKETIME="@1970-01-02 00:00:00")
    box.variables |= early
    box.login()
    assert box.token()
    assert box.token("--force-refresh")
    assert json.loads(box.run("graph", "me").out)["displayName"] == "Ada Lovelace"
    for name in early:
        del box.variables[name]
    still_works(box)


@pytest.mark.faketime
@pytest.mark.parametrize("moment", ["@1969-12-30 00:00:00", "@2121-01-01 00:00:00"])
def test_a_clock_outside_the_certificates_time_is_said_to_be_wrong(box: sandbox.Box, moment: str) -> None:
    """B07: what looks like a certificate not yet or no longer valid is the clock: 75, by its name."""
    box.sign_in()
    is_told(box.run("token", "--force-refresh", **fake_time.variables(FAKETIME=moment)), 75, "clock")
    result = box.run("login", *box.app(), **fake_time.variables(FAKETIME=moment))
    is_told(result, 75, "clock")
    assert not result.lines("warning"), "no second try changes a clock"
    still_works(box)


@pytest.mark.parametrize("state", ["locked", "no-collection", "absent", "hung"])
def test_a_keyring_that_cannot_be_used_is_found_before_anything_is_sent(box: sandbox.Box, state: str) -> None:
    """73 with the way out; the person is not asked in vain, the provider not at all."""
    with keyring_session.started(state) as session:
        result = box.run("login", *box.app(store=None), **session.variables)
        is_told(result, 73, "--store file")
        assert box.emulator.requests == []


def test_without_a_session_bus_there_is_no_keyring(box: sandbox.Box) -> None:
    """An SSH session, a container, a cron job: 73 and the exact command; no other store is taken silently."""
    typed = ["login", *box.app(store=None)]
    result = box.run(*typed)
    is_told(result, 73, shlex.join(["devicelogin", *typed, "--store", "file"]))
    assert box.emulator.requests == []
    assert not (box.state / "default" / "record").exists()


@pytest.mark.parametrize("state", ["locked", "hung"])
def test_a_keyring_that_locks_later_costs_no_sign_in(box: sandbox.Box, state: str) -> None:
    """73 for `token` while it is locked or silent; unlocked again, the sign-in is there."""
    with keyring_session.started("unlocked") as session:
        box.variables |= session.variables
        box.login(store=None)
        if state == "locked":
            session.lock()
            is_told(box.run("token", "--force-refresh"), 73)
            is_told(box.run("logout"), 73)
            session.kill_service()
        else:
            session.kill_service()
            session.start_hung_service()
            result = box.run("token", "--force-refresh")
            is_told(result, 73)
            session.kill_service()
        session.start_service()
        still_works(box)


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"},
        {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring"},
        {},
    ],
    ids=["null", "plaintext", "keyrings.alt is installed"],
)
def test_a_backend_that_loses_or_bares_secrets_is_never_taken(box: sandbox.Box, variables: dict[str, str]) -> None:
    """M16, M17: no variable and no installed package turns the keyring into one that keeps nothing or shows all."""
    pytest.importorskip("keyrings.alt")
    result = box.run("login", *box.app(store="keyring"), **variables)
    is_told(result, 73)
    assert box.emulator.requests == []


@pytest.mark.parametrize(
    "name", ["Forgetful", "Shortening", "Undeleting", "Blabbing", "DiesAlways", "DisguisedNull", "Alias"]
)
def test_a_store_that_loses_what_it_was_given_is_found_by_the_probe(box: sandbox.Box, name: str) -> None:
    """D2: tried with a throw-away secret before anybody is asked."""
    box.give_odd_keyrings()
    is_told(box.run("login", *box.app(store=f"keyring:odd_keyrings.{name}")), 73)
    assert box.emulator.requests == []


@pytest.mark.parametrize("name", ["odd_keyrings.Nothing", "no_such_module.Keyring", "odd_keyrings.NoKeyring"])
def test_a_backend_that_is_not_there_is_named(box: sandbox.Box, name: str) -> None:
    """73 or 78, before anything is sent."""
    result = box.run("login", *box.app(store=f"keyring:{name}"))
    is_told(result, result.status)
    assert result.status in {73, 78}
    assert box.emulator.requests == []


@pytest.mark.parametrize("damage", [b"", b"\0" * 300, b"half", "flip"])
def test_a_damaged_record_is_65_and_kept(box: sandbox.Box, damage: Any) -> None:
    """Nothing is overwritten or deleted; a new login replaces it."""
    box.sign_in()
    record = box.state / "default" / "record"
    whole = record.read_bytes()
    content = (
        bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]]) if damage == "flip" else damage or whole[: len(whole) // 2]
    )
    record.write_bytes(content)
    is_told(box.run("token", "--force-refresh"), 65, "devicelogin login")
    assert record.read_bytes() == content
    box.login()
    still_works(box)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format_version": 99}', '{"format_version": 1}', "\0"])
def test_a_damaged_trace_is_65_and_a_login_replaces_it(box: sandbox.Box, content: str) -> None:
    """The file that says who is signed in: told by its name, whatever command meets it."""
    box.sign_in()
    trace = box.state / "default" / "sign-in"
    trace.write_text(content)
    is_told(box.run("token"), 65, "devicelogin login")
    is_told(box.run("graph", "me"), 65)
    assert box.run("status", "--check").status == 4
    assert trace.read_text() == content
    box.login()
    still_works(box)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("tenant = ", "default.toml"),
        ('tennant = "contoso.com"', "tenant"),
        ('client_secret = "x"', "client_secret"),
        ("scopes = 5", "scopes"),
        ('store = "cloud"', "store"),
        ('client_id = "x"\nclient_id = "y"', "default.toml"),
        ("\udcff", "default.toml"),
    ],
)
@pytest.mark.parametrize("command", [["token"], ["graph", "me"], ["login"]], ids=" ".join)
def test_a_wrong_profile_is_78_and_says_where(box: sandbox.Box, line: str, word: str, command: list[str]) -> None:
    """The file and the key are named, the nearest known key as well; the file is not touched."""
    box.sign_in()
    profile = box.config / "default.toml"
    good = profile.read_bytes()
    bad = (line + "\n").encode(errors="surrogateescape")
    profile.write_bytes(bad)
    is_told(box.run(*command), 78, word)
    assert profile.read_bytes() == bad
    profile.write_bytes(good)
    if command == ["login"]:
        still_works(box)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICELOGIN_CLIENT_ID", "7f40ab82-6e3d-4cb9-95fa-90b12c3e4d5f"),
        ("DEVICELOGIN_TENANT", "contoso.com"),
        ("DEVICELOGIN_AUTHORITY", "https://login.attacker.example/common"),
        ("DEVICELOGIN_OIDC_ISSUER", "https://id.example/realms/home"),
        ("DEVICELOGIN_GRAPH_ROOT", "https://graph.attacker.example"),
    ],
)
@pytest.mark.parametrize("command", [["token"], ["token", "--force-refresh"], ["graph", "me"]], ids=" ".join)
def test_a_variable_that_contradicts_the_sign_in_is_78(
    box: sandbox.Box, name: str, value: str, command: list[str]
) -> None:
    """Named with how to undo it; nothing is sent anywhere, also where a cached token would have done."""
    box.sign_in()
    before = len(box.emulator.requests)
    is_told(box.run(*command, **{name: value}), 78, name, "unset")
    assert len(box.emulator.requests) == before


def test_a_profile_that_was_edited_to_another_app_is_78(box: sandbox.Box) -> None:
    """The saved sign-in is pinned to what it was made with, by the file's name."""
    box.sign_in()
    profile = box.config / "default.toml"
    good = profile.read_text()
    profile.write_text(good.replace(box.emulator.client_id, box.emulator.single_tenant_client_id))
    is_told(box.run("token"), 78, str(profile))
    profile.write_text(good)
    still_works(box)


@pytest.mark.parametrize("command", [["token"], ["token", "--json"], ["graph", "me"], ["status"], ["status", "--json"]])
def test_a_result_that_cannot_be_written_is_74(box: sandbox.Box, command: list[str]) -> None:
    """A full disk and a closed stdout: 74, and no second complaint at the end."""
    box.sign_in()
    with open("/dev/full", "w") as full:
        result = box.start(*command, stdout=full).finish()
    assert result.status == 74, result
    assert "No space left" in result.err
    closed = box.start(*command, before=["sh", "-c", 'exec "$@" >&-', "sh"]).finish()
    assert closed.status == 74, closed


@pytest.mark.parametrize("command", [["--help"], ["token", "--help"], ["--version"]], ids=" ".join)
def test_help_that_cannot_be_written_is_no_bug_and_never_1(box: sandbox.Box, command: list[str]) -> None:
    """The same for what the argument parser writes."""
    with open("/dev/full", "w") as full:
        assert box.start(*command, stdout=full).finish().status == 74
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert box.start(*command, stdout=writer).finish().status == 141
    finally:
        os.close(writer)


@pytest.mark.parametrize("command", [["token"], ["graph", "me"], ["status"], ["login", "--json"]], ids=" ".join)
def test_a_reader_that_is_gone_is_141_without_a_word(box: sandbox.Box, command: list[str]) -> None:
    """As every program in a pipe does; and the sign-in is as it was."""
    box.sign_in()
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = box.start(*command, stdout=writer).finish()
    finally:
        os.close(writer)
    assert result.status == 141, result
    assert result.err == ""
    assert box.access_token(force=True).token


def test_a_login_whose_code_cannot_be_shown_is_74_and_waits_for_nobody(box: sandbox.Box) -> None:
    """A full disk behind stderr, or nothing: nobody has seen the code, so nobody is going to enter it."""
    with open("/dev/full", "w") as full:
        result = box.start("login", *box.app(), stderr=full).finish(20)
    assert result.status == 74, result
    closed = ("sh", "-c", 'exec "$@" 2>&-', "sh")
    assert box.start("login", *box.app(), before=closed).finish(20).status == 74
    assert box.emulator.count("token") == 0
    # Where something else shows it, that is enough.
    box.emulator.approve_next(after=1)
    assert box.start("login", *box.app(), "--qr-image", "code.png", before=closed).finish(20).status == 0


def test_a_terminal_that_goes_once_the_code_was_shown_does_not_end_the_login(box: sandbox.Box) -> None:
    """The line to the board breaks, hang-ups are ignored, and the person with the phone goes on."""
    box.emulator.approve_next(after=2)
    master, slave = os.openpty()
    running = box.start("login", *box.app(), stderr=slave)
    os.close(slave)
    shown = b""
    while b"expires in" not in shown:
        shown += os.read(master, 65536)
    os.close(master)
    assert running.finish(30).status == 0
    assert box.status().state == "signed-in"


@pytest.mark.parametrize("damage", ["link", "open to others"])
def test_status_shows_the_other_profiles_beside_one_that_cannot_be_read(box: sandbox.Box, damage: str) -> None:
    """The bad one is shown with its reason, and a person is needed for it, though no sign-in would help."""
    box.sign_in()
    bad = box.state / "bad" / "sign-in"
    bad.parent.mkdir(mode=0o700)
    if damage == "link":
        bad.symlink_to(box.state / "default" / "sign-in")
    else:
        bad.touch()
        bad.chmod(0o666)
    shown = box.run("status")
    assert shown.status == 0, shown
    assert "sealed file" in shown.out
    assert f"cannot be read: {'others may write to ' * (damage != 'link')}{bad}" in shown.out
    told = {status["profile"]: status for status in json.loads(box.run("status", "--json").out)["profiles"]}
    assert told["default"]["state"] == "signed-in"
    assert told["bad"]["state"] == "unreadable"
    assert told["bad"]["needs_login"] is False
    assert ("chmod go-w" if damage != "link" else "is a link") in told["bad"]["reason"]
    assert box.run("status", "--check").status == 4
    assert box.run("status", "--check", "-p", "default").status == 0


def test_the_bare_command_is_its_help(box: sandbox.Box) -> None:
    """Who types the name alone wants to know what there is; full disks and closed pipes as with --help."""
    bare, asked = box.run(), box.run("--help")
    assert (bare.status, bare.out, bare.err) == (0, asked.out, "")
    assert "Commands:" in bare.out
    assert box.run("-v").out == asked.out
    with open("/dev/full", "w") as full:
        assert box.start(stdout=full).finish().status == 74


@pytest.mark.parametrize("words", [["logout", "--all", "-p", "work"], ["-p", "work", "logout", "--all"]], ids=" ".join)
def test_logout_of_all_and_of_one_is_a_contradiction(box: sandbox.Box, words: list[str]) -> None:
    """2, and nothing is deleted: one of the two was not meant."""
    box.sign_in()
    is_told(box.run(*words), 2, "--all")
    still_works(box)


def test_logout_of_all_does_not_mind_the_environment(box: sandbox.Box) -> None:
    """A variable names the usual profile; --all says something about this once."""
    box.sign_in()
    assert box.run("logout", "--all", DEVICELOGIN_PROFILE="work").status == 0
    assert box.status().state == "signed-out"


def test_an_output_file_in_a_directory_that_is_gone_is_74(box: sandbox.Box) -> None:
    """The working directory was deleted, so a relative name means nothing."""
    box.sign_in()
    gone = box.home / "gone"
    gone.mkdir()
    before = ["sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh"]
    result = box.start("token", "--output-file", "token.txt", before=before).finish()
    is_told(result, 74, "token.txt")


def test_a_head_that_has_enough_does_not_disturb(box: sandbox.Box) -> None:
    """`devicelogin graph me | head -c1` through a real shell."""
    box.sign_in()
    shell = subprocess.run(
        ["bash", "-c", f"{sandbox.sys.executable} -m devicelogin graph me | head -c1; exit ${{PIPESTATUS[0]}}"],
        env=box.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shell.stdout == "{"
    assert shell.returncode in {0, 141}
    assert shell.stderr == ""


def test_arguments_that_are_wrong_touch_nothing(box: sandbox.Box) -> None:
    """2, one line, a hint; nothing is sent, written or asked."""
    for words in (
        ["nonsense"], ["token", "--nonsense"], ["token", "--min-valid", "soon"], ["graph"], ["graph", "a", "b", "c"],
        ["--profile", "../x", "token"], ["login", "--tenant"], ["login", "--tenant", "a", "--authority", "https://b.example/c"],
    ):  # fmt: skip
        is_told(box.run(*words), 2)
    assert box.emulator.requests == []
    assert not box.state.exists()


def test_nobody_signed_in_is_4_with_the_command_that_signs_in(box: sandbox.Box) -> None:
    """For every profile its own command."""
    is_told(box.run("token"), 4, "devicelogin login")
    is_told(box.run("--profile", "home", "graph", "me"), 4, "devicelogin login --profile home")
    assert box.run("status", "--check").status == 4


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("logut", "no such command 'logut'; did you mean logout?", "devicelogin logout --help"),
        ("store mov", "no such command 'mov'; did you mean move?", "devicelogin store move --help"),
        ("token --forse-refresh", "no such option '--forse-refresh'; did you mean --force-refresh?", "devicelogin token --help"),
        ("-p work stats", "no such command 'stats'; did you mean status?", "devicelogin status --help"),
        ("xyzzy", "no such command 'xyzzy'", "devicelogin --help"),
        ("token -x", "no such option '-x'", "devicelogin token --help"),
        ("completion", "missing argument 'SHELL': choose one of bash, zsh, fish", "devicelogin completion --help"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_answered_with_the_nearest(
    box: sandbox.Box, words: str, message: str, hint: str
) -> None:
    """2, one line, and the help of what was probably meant."""
    result = box.run(*words.split())
    assert (result.status, result.out) == (2, "")
    assert (result.lines("error"), result.lines("hint")) == ([message], [hint])


def test_in_the_c_locale_people_are_told_in_ascii(box: sandbox.Box) -> None:
    """A terminal of eight bits may take the second byte of a letter for the beginning of a sequence."""
    result = box.run("st\u011btus", LC_ALL="C")
    assert result.lines("error") == ["no such command 'st?tus'; did you mean status?"]
    assert "'st\u011btus'" in box.run("st\u011btus").err


def test_a_hint_is_for_the_profile_that_was_named(box: sandbox.Box) -> None:
    """Whoever wrote the hint need not have known it."""
    nowhere = box.emulator.authority_for("nowhere.example")
    named = box.run("login", "-p", "work", *box.app(authority=nowhere))
    assert named.status == 78, named
    assert "devicelogin login --profile work --tenant" in named.lines("hint")[0]
    plain = box.run("login", *box.app(authority=nowhere))
    assert plain.lines("hint") == [named.lines("hint")[0].replace(" --profile work", "")]
