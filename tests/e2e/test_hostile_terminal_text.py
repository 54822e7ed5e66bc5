"""Whatever strangers wrote, and by whatever path it comes, a terminal shows it as text; pipes and files get the bytes."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING

import pseudo_terminal
import pytest

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from pathlib import Path

    import sandbox

#: The clipboard, erasing, the title, a bell; one-byte forms of the same; directions, marks without width, line ends.
EVIL = (
    "\x1b]52;c;cm0gLXJmIC8K\x07\x1b[2J\x1b]0;owned\x07\x07\x08\r\x9b31m\x9d0;x\x9c\x7f\u202e\u2066\u200b\ufeff\u2028\u061c"
    "\x1b[8m\x1b[?1049h\x1bc\U000e0041"
)

#: What we write ourselves: emphasis and colors, one line erased and said anew.
OURS = re.compile(r"\x1b\[(?:0|1|1;7|1;31|3[0-6])m|\r\x1b\[K|\x1b\[K")


def on_terminal(box: sandbox.Box, *words: str, errors_only: bool = False, **variables: str | None) -> tuple[str, int]:
    """Return what the command wrote to a terminal, and its exit code; with `errors_only` stdout is a pipe."""
    with pseudo_terminal.opened(columns=100) as terminal:
        streams = {"stderr": terminal.slave} if errors_only else {"stdout": terminal.slave, "stderr": terminal.slave}
        result = box.start(*words, variables={"TERM": "xterm-256color", **variables}, **streams).finish()
    return terminal.written.decode("utf-8", "surrogateescape").replace("\r\n", "\n"), result.status


def assert_harmless(text: str) -> None:
    """Nothing is left that steers a terminal, hides or turns text; our own sequences apart."""
    rest = OURS.sub("", text)
    left = {character for character in rest if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert left <= {"\n", "\t"}, ascii(rest)


BODIES = {
    "text of a mail": (f"Subject: x{EVIL}".encode(), "text/plain", 0),
    "text without a type": (f"Subject: x{EVIL}".encode(), "", 0),
    "JSON": (json.dumps({"subject": f"x{EVIL}"}, ensure_ascii=False).encode(), "application/json", 0),
    "JSON with raw controls": (f'{{"subject": "x{EVIL}"}}'.encode(), "application/json", 0),
    "JSON with names that steer": (json.dumps({EVIL: [EVIL, {EVIL: 1}]}, ensure_ascii=False).encode(), "", 0),
    "JSON that is not UTF-8": (b'{"a": "\xff\xfe\x9b31m"}', "application/json", 0),
    "text in Latin-1": ("caf\xe9 \x9b31m".encode("latin-1"), "text/plain; charset=iso-8859-1", 0),
    "text in UTF-16": (f"x{EVIL}".encode("utf-16"), "text/plain; charset=utf-16", 0),
    "text of an unknown charset": (f"x{EVIL}".encode(), "text/plain; charset=x-evil", 0),
    "deep JSON": (b"[" * 50_000 + b"\x1b[2J", "application/json", 0),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\x0e\x0f", "image/png", 74),
    "a picture that is ASCII": (b"GIF89a", "image/gif", 74),
    "bytes": (b"\x89PNG\r\n\x1a\n\0\0\x0e\x0f", "application/octet-stream", 74),
    "bytes that say they are JSON": (b"\x00\x01\x1b[2J", "application/json", 74),
    "bytes without a type": (bytes(range(256)), "", 74),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_answer_of_graph_steers_no_terminal_and_reaches_a_pipe_untouched(box: sandbox.Box, name: str) -> None:
    """Text is shown with its controls as escapes; what is no text is refused with the way into a file."""
    content, kind, status = BODIES[name]
    box.sign_in()
    fault = Fault.content(content, content_type=kind)
    box.emulator.script("graph", [fault])
    text, ended = on_terminal(box, "graph", "/me/messages/1/$value")
    assert_harmless(text)
    assert ended == status, text
    if status:
        assert "devicelogin graph '/me/messages/1/$value' > FILE" in text
    box.emulator.script("graph", [fault])
    with open(box.home / "answer", "wb") as file:
        assert box.start("graph", "/me/messages/1/$value", stdout=file).finish().status == 0
    assert (box.home / "answer").read_bytes() == content


def test_an_escape_in_json_is_still_json(box: sandbox.Box) -> None:
    """What a person copies from the terminal means what Graph said."""
    box.sign_in()
    said = {
        "subject": f"x{EVIL}",
        "n": 1.10,
        "list": [],
        "none": {},
        "deep": [{"a": [1, 2]}],
        "big": 12345678901234567890,
    }
    content = json.dumps(said, ensure_ascii=False).encode()
    box.emulator.script("graph", [Fault.content(content, content_type="application/json")])
    text, _ = on_terminal(box, "graph", "/me/messages/1", NO_COLOR="1")
    assert json.loads(text) == said
    assert '\n  "n": 1.1,\n  "list": [],\n  "none": {},\n' in text
    assert "\\u009b" in text
    assert "\x1b" not in text


def test_json_on_a_terminal_is_indented_and_in_color_where_colors_are_wanted(box: sandbox.Box) -> None:
    """`NO_COLOR`, `TERM=dumb` and a pipe have none."""
    box.sign_in()
    colored, _ = on_terminal(box, "graph", "me")
    assert '  \x1b[36m"displayName"\x1b[0m: \x1b[32m"Ada Lovelace"\x1b[0m' in colored
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CLICOLOR": "0"}):
        text, _ = on_terminal(box, "graph", "me", **plain)
        assert '\n  "displayName": "Ada Lovelace"' in text
        assert "\x1b" not in text
    assert "\n" not in box.run("graph", "me").out.rstrip("\n")


def test_an_error_of_graph_steers_no_terminal(box: sandbox.Box) -> None:
    """Its message, its code and its ids, also where stdout is a pipe."""
    box.sign_in()
    answer = json.dumps({"error": {"code": EVIL, "message": f"no{EVIL}"}})
    for errors_only in (False, True):
        box.emulator.script("me", [Fault.content(answer.encode(), content_type="application/json", status=400)])
        text, status = on_terminal(box, "graph", "me", errors_only=errors_only)
        assert status == 22
        assert_harmless(text)


def test_a_log_steers_no_terminal_and_has_one_line_a_record(box: sandbox.Box) -> None:
    """URLs, headers and names of servers stand in it."""
    box.sign_in()
    box.emulator.script("graph", [Fault.redirect(f"https://evil.example/{EVIL}".replace("\r", ""))])
    for errors_only in (False, True):
        text, _ = on_terminal(box, "-v", "graph", "/me/x%1b", errors_only=errors_only)
        assert_harmless(text)
    result = box.run("-v", "graph", "/me/x%1b")
    assert all(line.startswith(("devicelogin: ", "    ")) for line in result.err.splitlines())


@pytest.mark.parametrize("words", [[], ["--format", "header"], ["--json"]])
def test_a_token_that_holds_controls_steers_no_terminal(box: sandbox.Box, words: list[str]) -> None:
    """From a provider that is odd, or not what it seems; a pipe gets what there is."""
    box.sign_in()
    odd = f"token\x1b[2J\x9b31m{EVIL}".replace("\r", "")
    box.emulator.script("refresh", [Fault.patch({"access_token": odd})])
    text, status = on_terminal(box, "token", "--force-refresh", *words)
    assert_harmless(text)
    if status == 0:
        assert "token\\u001b[2J" in text


def test_what_is_saved_steers_no_terminal(box: sandbox.Box) -> None:
    """The names of the account in `status`, `doctor`, `store move` and `logout`."""
    box.sign_in()
    trace = box.state / "default" / "sign-in"
    saved = json.loads(trace.read_bytes())
    hostile = re.sub(
        r'("(?:name|username)": ?")[^"]*"', lambda found: found[1] + json.dumps(EVIL)[1:], json.dumps(saved)
    )
    assert hostile != json.dumps(saved)
    trace.write_text(hostile)
    for words in (["status"], ["-v", "doctor"], ["store", "move", "--to", "file"], ["logout"]):
        for errors_only in (False, True):
            text, status = on_terminal(box, *words, errors_only=errors_only)
            assert status != 70, text
            assert_harmless(text)


@pytest.mark.parametrize(
    "words",
    [
        [EVIL],
        ["login", EVIL],
        ["--profile", EVIL, "token"],
        ["token", f"--{EVIL}"],
        ["token", "--scope", EVIL],
        ["token", "--output-file", f"/nowhere/{EVIL}"],
        ["graph", EVIL],
        ["graph", "POST", "me", "--input", f"/nowhere/{EVIL}"],
        ["graph", EVIL, EVIL],
        ["login", "--client-id", EVIL],
        ["login", "--tenant", EVIL],
        ["login", "--ca-file", EVIL],
        ["login", "--store", EVIL],
        ["login", "--on-code", EVIL],
        ["store", "move", "--to", EVIL],
        ["completion", EVIL],
    ],
    ids=lambda words: " ".join(word for word in words if word.isprintable()),
)
def test_what_was_typed_is_quoted_harmlessly(box: sandbox.Box, words: list[str]) -> None:
    """A word that was pasted from somewhere, or came by way of a script."""
    text, status = on_terminal(box, *words)
    assert status in {2, 4, 73, 74, 78}, text
    assert_harmless(text)


def test_the_environment_and_the_profile_are_quoted_harmlessly(box: sandbox.Box, tmp_path: Path) -> None:
    """Variables, TOML that is none, directories with odd names."""
    box.sign_in()
    tame = EVIL.replace("\r", "")
    for variables in (
        {"DEVICELOGIN_TENANT": EVIL},
        {"DEVICELOGIN_SCOPE": EVIL},
        {"DEVICELOGIN_STORE": EVIL},
        {"DEVICELOGIN_PROFILE": EVIL},
        {"HTTPS_PROXY": f"http://{EVIL}:1"},
        {"SSL_CERT_FILE": f"/{EVIL}"},
        {"PYTHON_KEYRING_BACKEND": EVIL, "DEVICELOGIN_STORE": "keyring"},
        {"DEVICELOGIN_HOME": f"{tmp_path}/{tame}"},
        {f"DEVICELOGIN_{tame}": "x"},
        {"LANG": "C", "DEVICELOGIN_TENANT": EVIL},
    ):
        for words in (["status"], ["token", "--force-refresh"]):
            text, _ = on_terminal(box, *words, **variables)
            assert_harmless(text)
    for line in (f"x{EVIL} = 1", f'"{tame}" = 1', f'tenant = "{EVIL}"', 'on_code = ["\\u001b[2J"]', "store = '\u202e'"):
        (box.config / "default.toml").write_text(line + "\n")
        for words in (["token"], ["status"], ["doctor"]):
            text, _ = on_terminal(box, *words)
            assert_harmless(text)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii", "utf-8", "koi8-r"])
def test_no_terminal_lacks_a_character_so_that_a_command_fails(box: sandbox.Box, encoding: str) -> None:
    """What its encoding does not have is replaced, on stdout as on stderr."""
    box.sign_in()
    said = json.dumps({"displayName": f"\u4e2d\u6587 \u20ac \U0001f600 \u0141 {EVIL}"}, ensure_ascii=False).encode()
    box.emulator.script("me", [Fault.content(said, content_type="application/json")])
    text, status = on_terminal(box, "graph", "me", PYTHONIOENCODING=encoding)
    assert status == 0, text
    for words in (["graph", "\u4e2d\u20ac", "x"], ["st\u00e4tus"], ["status"]):
        text, status = on_terminal(box, *words, PYTHONIOENCODING=encoding)
        assert status in {0, 2}, text
