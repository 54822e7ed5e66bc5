"""Hyperlinks and the clipboard: which terminals get the sequences, and what is in them."""

from __future__ import annotations

import base64
import re

import pytest
from terminal_fixtures import PUBLIC, pipe, seen, show, terminal

from devicelogin.terminal import far_end, sign_in_prompt

COPIED = re.compile(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-ghostty"}, True),
        ({"TERM": "foot"}, True),
        ({"TERM": "alacritty"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "6800"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "5000"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4999"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "x" * 50}, False),
        ({"TERM": "xterm-256color", "WT_SESSION": "1-2-3"}, True),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "TERM_PROGRAM_VERSION": "3.4.19"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "TERM_PROGRAM_VERSION": "2.9"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "TERM_PROGRAM_VERSION": "1.94.2"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "TERM_PROGRAM_VERSION": "1.60.0"}, False),
        (
            {"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm", "TERM_PROGRAM_VERSION": "20240203-110809-5046fc22"},
            True,
        ),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal", "TERM_PROGRAM_VERSION": "455"}, False),
        ({"TERM": "tmux-256color", "TMUX": "/s,1,0", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.4"}, True),
        ({"TERM": "screen-256color", "TMUX": "/s,1,0", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.5a"}, True),
        ({"TERM": "tmux-256color", "TMUX": "/s,1,0", "TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.3a"}, False),
        ({"TERM": "tmux-256color", "VTE_VERSION": "6800"}, False),
        ({"TERM": "screen.xterm-256color", "VTE_VERSION": "6800"}, False),
        ({"TERM": "xterm-256color", "STY": "1.pts", "VTE_VERSION": "6800"}, False),
        ({"TERM": "linux", "VTE_VERSION": "6800"}, False),
        ({"TERM": "dumb", "VTE_VERSION": "6800"}, False),
        ({"TERM": "vt220", "WT_SESSION": "1"}, False),
    ],
)
def test_hyperlinks_go_only_to_terminals_that_are_known_to_show_them(environ, expected):
    """Elsewhere the sequence might stand there as text, in the middle of the one address that matters."""
    assert far_end.has_hyperlinks(environ) is expected


def test_the_address_is_a_link_to_itself_and_looks_the_same():
    """What is opened is what is read."""
    target, stream = terminal(TERM="xterm-kitty")
    show(sign_in_prompt.SignInPrompt(target))
    assert f"\x1b]8;;{PUBLIC}\x1b\\\x1b[1m{PUBLIC}\x1b[0m\x1b]8;;\x1b\\" in stream.text
    assert stream.text.count("\x1b]8;") == 2
    plain, without = terminal()
    show(sign_in_prompt.SignInPrompt(plain))
    assert "\x1b]8;" not in without.text
    assert seen(stream.text, 80, 24).display == seen(without.text, 80, 24).display


@pytest.mark.parametrize("make", [lambda: pipe(VTE_VERSION="6800"), lambda: terminal(TERM="dumb", VTE_VERSION="6800")])
def test_no_sequence_goes_where_plain_lines_are_read(make):
    """A log file, a screen reader: neither link nor clipboard, and a sentence instead."""
    target, stream = make()
    show(sign_in_prompt.SignInPrompt(target, copy=True))
    assert "\x1b" not in stream.text
    assert "not copied: no terminal with a clipboard" in stream.text


@pytest.mark.parametrize(
    ("environ", "before", "after"),
    [
        ({"TERM": "xterm-256color"}, "", ""),
        ({"TERM": "screen", "STY": "1.pts"}, "\x1bP", "\x1b\\"),
        ({"TERM": "screen-256color"}, "", ""),
    ],
)
def test_the_code_goes_to_the_clipboard_as_the_server_sent_it(environ, before, after):
    """Without our dashes; screen hands on what is wrapped in its way."""
    target, stream = terminal(**environ)
    show(sign_in_prompt.SignInPrompt(target, copy=True))
    sequence = f"\x1b]52;c;{base64.b64encode(b'BPPVYQZMA').decode()}\x07"
    assert stream.text.endswith(f"\n{before}{sequence}{after}")
    assert "sent to your terminal's clipboard" in stream.text
    assert len(COPIED.findall(stream.text)) == 1


def test_in_tmux_the_code_is_offered_to_tmux_and_to_the_terminal_around_it():
    """Whichever of `set-clipboard` and `allow-passthrough` is on; it drops what it does not take."""
    target, stream = terminal(TERM="tmux-256color", TMUX="/tmp/s,1,0")
    show(sign_in_prompt.SignInPrompt(target, copy=True))
    code = base64.b64encode(b"BPPVYQZMA").decode()
    assert stream.text.endswith(f"\x1b]52;c;{code}\x07\x1bPtmux;\x1b\x1b]52;c;{code}\x07\x1b\\")
    assert "through tmux" in stream.text


@pytest.mark.parametrize("term", ["linux", "vt220", "ansi"])
def test_a_terminal_that_cannot_have_a_clipboard_is_told_so(term):
    """The Linux console and serial terminals may show the sequence as text."""
    target, stream = terminal(TERM=term)
    show(sign_in_prompt.SignInPrompt(target, copy=True))
    assert "]52;" not in stream.text
    assert "not copied" in stream.text


def test_a_new_code_is_copied_as_well_and_nothing_without_being_asked():
    """The old one would be refused."""
    target, stream = terminal()
    prompt = sign_in_prompt.SignInPrompt(target, copy=True)
    for code in ("BPPVYQZMA", "CPPVYQZMA"):
        show(prompt, user_code=code)
    assert [base64.b64decode(code).decode() for code in COPIED.findall(stream.text)] == ["BPPVYQZMA", "CPPVYQZMA"]
    quiet, untouched = terminal()
    show(sign_in_prompt.SignInPrompt(quiet))
    assert "]52;" not in untouched.text
