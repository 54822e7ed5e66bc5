"""What people get who slip: a wrong profile, a bad body, a narrow terminal, a file from another editor."""

from __future__ import annotations

import codecs
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pseudo_terminal
import pytest

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from pathlib import Path

    import sandbox


def everything(box: sandbox.Box) -> list[str]:
    """Return every path below the sandbox's home."""
    return sorted(os.path.join(where, name) for where, below, files in os.walk(box.home) for name in (*below, *files))


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("token", 4),
        ("token --json", 4),
        ("token --force-refresh", 4),
        ("token --scope Mail.Read", 4),
        ("graph me", 4),
        ("status", 4),
        ("status --check", 4),
        ("keepalive", 4),
        ("store move --to file", 4),
        ("logout", 0),
    ],
)
def test_a_profile_that_is_not_there_is_named_with_those_that_are(box: sandbox.Box, command: str, status: int) -> None:
    """And nothing is made for it: no directory, no lock."""
    box.sign_in()
    (box.config / "work.toml").write_text('tenant = "contoso.com"\n')
    before = everything(box)
    result = box.run(*command.split(), "--profile", "wrok")
    assert result.status == status
    if "--check" not in command:
        assert "there is no profile wrok; there are default, work" in result.err
    if status == 4 and "--json" not in command and "--check" not in command:
        assert "--profile work" in result.err
    assert [path for path in everything(box) if path not in before and "keepalive" not in path] == []
    assert box.run(*command.split(), DEVICELOGIN_PROFILE="wrok").status == status
    assert [path for path in everything(box) if "wrok" in path] == []


def test_nobody_signed_in_leaves_nothing_behind(box: sandbox.Box) -> None:
    """On a machine that was never signed in, silent commands make no directory."""
    for command in ("token", "graph me", "status"):
        box.run(*command.split())
    assert everything(box) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
        (b"{'a': 1}", "line 1, column 2"),
        (b"", None),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": "caf\xe9"}', "not UTF-8: line 1, byte 11"),
        (codecs.BOM_UTF16_LE + '{"a": 1}'.encode("utf-16-le"), "UTF-16"),
        (b"[" * 100_000, "nested too deep"),
        (codecs.BOM_UTF8 + b'{"a": 1}', None),
        (b' {"a": [1, 2]} \n', None),
    ],
)
def test_a_body_that_is_not_json_is_refused_here_with_its_line_and_column(
    box: sandbox.Box, tmp_path: Path, content: bytes, words: str | None
) -> None:
    """Before anything is sent, from a file and from stdin alike; a byte order mark is left out."""
    body = tmp_path / "body.json"
    body.write_bytes(content)
    if words is None:
        box.sign_in()
    result = box.run("graph", "POST", "/me/todo/lists", "--input", str(body))
    if words is None:
        assert "is not JSON" not in result.err
        request = [each for each in box.emulator.requests if each.path.endswith("/me/todo/lists")][-1]
        assert request.body == content.removeprefix(codecs.BOM_UTF8)
        return
    assert (result.status, result.out) == (2, "")
    assert words in result.lines("error")[0]
    assert str(body) in result.lines("error")[0]
    assert box.emulator.requests == []
    if b"\xe9" not in content and b"\xff" not in content:
        assert words in box.run("graph", "POST", "/me/todo/lists", "--input", "-", stdin=content.decode()).err


@pytest.mark.parametrize("path", ["/me/drive/root:/a.bin:/content", "/me/photo/$value"])
def test_the_content_of_a_file_is_no_json_and_sent_as_it_is(box: sandbox.Box, tmp_path: Path, path: str) -> None:
    """What looks like no JSON is none there, and its content type does not say so either."""
    body = tmp_path / "a.bin"
    body.write_bytes(b"\xff\xd8\x00{")
    box.sign_in()
    assert "is not JSON" not in box.run("graph", "PUT", path, "--input", str(body)).err
    request = [each for each in box.emulator.requests if "drive" in each.path or "photo" in each.path][-1]
    assert request.headers["content-type"] == "application/octet-stream"
    assert request.body == b"\xff\xd8\x00{"


SCOPES = ["User.Read,Mail.Read", "User.Read Mail.Read", "User.Read, Mail.Read", '["User.Read", "Mail.Read"]']


@pytest.mark.parametrize("scopes", SCOPES)
def test_scopes_in_one_text_are_taken_apart_in_the_hint_before_anything_is_sent(box: sandbox.Box, scopes: str) -> None:
    """In the words of where they stand: options, a variable, a profile."""
    for command in (["login", *box.app()], ["token"]):
        result = box.run(*command, "--scope", scopes)
        assert (result.status, result.out) == (2, "")
        assert "--scope User.Read --scope Mail.Read" in result.lines("hint")[0]
    if " " not in scopes:
        result = box.run("login", *box.app(), DEVICELOGIN_SCOPE=scopes)
        assert result.status == 78
        assert "DEVICELOGIN_SCOPE='User.Read Mail.Read'" in result.lines("hint")[0]
    box.config.mkdir(parents=True, mode=0o700)
    (box.config / "default.toml").write_text(f"scopes = ['{scopes}']\n")
    result = box.run("login", *box.app())
    assert result.status == 78
    assert 'scopes = ["User.Read", "Mail.Read"]' in result.lines("hint")[0]
    assert box.emulator.requests == []


def test_errors_wrap_to_the_terminal_and_leave_commands_whole(box: sandbox.Box) -> None:
    """No line but a command is wider; in a pipe each kind is one line."""
    box.sign_in()
    words = ["graph", "POST", "/me/mailFolders/inbox/messages/AAMkAGI2TG93AAA=/createForward", '{"comment": "x"}']
    with pseudo_terminal.opened(columns=60) as terminal:
        box.start(*words, stderr=terminal.slave).finish()
    lines = terminal.text.splitlines()
    command = "devicelogin graph POST /me/mailFolders/inbox/messages/AAMkAGI2TG93AAA=/createForward --input FILE"
    assert f"    {command}" in lines
    assert all(len(line) < 60 for line in lines if command not in line)
    assert lines[0] == "devicelogin: error: the body cannot be an argument"
    assert box.run(*words).lines("hint") == [f"a body goes through --input: {command}"]


def test_the_remark_about_the_scrollback_stands_below_the_token(box: sandbox.Box) -> None:
    """A person looks at the last line; a pipe gets the token alone."""
    box.sign_in()
    with pseudo_terminal.opened(columns=200) as terminal:
        box.start("token", stdout=terminal.slave, stderr=terminal.slave).finish()
    token = box.token()
    text = terminal.text.replace("\r\n", "\n")
    assert text.startswith(token)
    assert text.endswith("scrollback of this terminal\n")
    with pseudo_terminal.opened(columns=200) as terminal:
        box.start("-q", "token", stdout=terminal.slave, stderr=terminal.slave).finish()
    assert terminal.text.replace("\r\n", "\n") == token + "\n"


def test_a_profile_with_a_byte_order_mark_is_read_and_one_in_utf_16_is_named(box: sandbox.Box) -> None:
    """Editors on Windows write both."""
    box.sign_in()
    profile = box.config / "default.toml"
    plain = profile.read_bytes()
    profile.write_bytes(codecs.BOM_UTF8 + plain.replace(b"\n", b"\r\n"))
    assert box.token("--force-refresh")
    box.login("--scope", "Mail.Read")  # which writes it anew
    assert b"Mail.Read" in profile.read_bytes()
    text = plain.decode()
    for content in (text.encode("utf-16"), codecs.BOM_UTF16_BE + text.encode("utf-16-be"), text.encode("utf-16-le")):
        profile.write_bytes(content)
        result = box.run("token")
        assert result.status == 78
        assert "UTF-16" in result.lines("error")[0]
        assert "save it as UTF-8" in result.lines("hint")[0]


def test_status_shows_what_the_sign_in_permits(box: sandbox.Box) -> None:
    """As granted, not as asked for; with several profiles below their table."""
    box.login("--scope", "Mail.Read")
    assert "Mail.Read" in next(line for line in box.run("status").out.splitlines() if line.startswith("permits"))
    box.login("--scope", "Calendars.Read", "--profile", "work")
    with pseudo_terminal.opened(columns=120) as terminal:
        box.start("status", stdout=terminal.slave, variables={"TERM": "xterm"}).finish()
    for profile, scope in (("default", "Mail.Read"), ("work", "Calendars.Read")):
        assert any(line.startswith(f"{profile}: permits ") and scope in line for line in terminal.lines), terminal.lines


def test_a_403_names_what_the_token_permits(box: sandbox.Box) -> None:
    """The difference to what the request needs is what somebody has to add."""
    box.login("--scope", "Mail.Read")
    refusal = b'{"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges"}}'
    box.emulator.script("graph", [Fault.content(refusal, content_type="application/json", status=403)])
    result = box.run("graph", "/users")
    assert result.status == 22
    hint = result.lines("hint")[0]
    assert "the token permits " in hint
    assert "Mail.Read" in hint
    assert "devicelogin login --scope NAME" in hint


def test_one_command_closes_all_that_a_volume_has_opened(box: sandbox.Box) -> None:
    """An fsGroup gives a group write access to everything: the first error names what mends all of it, and it does."""
    box.sign_in()
    assert box.token()
    for where, _, files in os.walk(box.home / "all"):
        os.chmod(where, 0o770)
        for name in files:
            os.chmod(os.path.join(where, name), 0o660)
    result = box.run("token", "--force-refresh")
    assert result.status == 78
    command = f"chmod -R go-rwx {box.home / 'all'}"
    assert result.lines("hint") == [f"take that away: {command}"]
    subprocess.run(command.split(), check=True)
    assert box.token("--force-refresh")
    os.chmod(box.config / "default.toml", 0o660)
    alone = f"chmod go-w {box.config / 'default.toml'}"
    assert box.run("token").lines("hint") == [f"take that away: {alone}"]


def test_errors_are_in_color_on_terminals_that_have_it_and_nowhere_else(box: sandbox.Box) -> None:
    """Nothing in pipes, nothing with `NO_COLOR` or `TERM=dumb`, and never in JSON."""
    for words, variables, is_colored in (
        (["token"], {"TERM": "xterm-256color"}, True),
        (["token"], {"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        (["token"], {"TERM": "dumb"}, False),
        (["token", "--json"], {"TERM": "xterm-256color"}, False),
    ):
        with pseudo_terminal.opened() as terminal:
            box.start(*words, stderr=terminal.slave, variables=variables).finish()
        assert ("\x1b[1;31merror:\x1b[0m" in terminal.text) is is_colored
        assert ("\x1b" in terminal.text) is is_colored
    assert "\x1b" not in box.run("token", TERM="xterm-256color").err


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--as-cron"]], ids=" ".join)
def test_doctor_is_in_color_on_a_terminal_only(box: sandbox.Box, words: list[str]) -> None:
    """Green, yellow and red beside the words that say the same."""
    box.sign_in()
    with pseudo_terminal.opened() as terminal:
        box.start(*words, stdout=terminal.slave, variables={"TERM": "xterm-256color"}).finish()
    assert re.search(r"\x1b\[(32|33|1;31)m(ok|warn|FAIL|yes|no)", terminal.text)
    assert "\x1b" not in box.run(*words, TERM="xterm-256color").out
