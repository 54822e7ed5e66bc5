"""C07 and S31: whatever a server, a settings file or the environment says, the screen shows it as harmless text."""

from __future__ import annotations

import re

import pytest
from conftest import repetitions
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal_fixtures import pipe, seen, show, terminal

from devicelogin import errors, redaction
from devicelogin.terminal import messages, screen, sign_in_prompt

HOSTILE = [
    "\x1b[2J\x1b[H",
    "\x1b[31mred",
    "\x1b[1;1Hhome",
    "\x1b[999C",
    "\x1b[10A\x1b[2K",
    "\x1b[?1049h",
    "\x1b[?25l",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[5i",
    "\x1bc",
    "\x1b7\x1b8",
    "\x1b#8",
    "\x1b(0lqqk",
    "\x1bM\x1bD",
    "\x1b]0;title\x07",
    "\x1b]2;title\x1b\\",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]1337;File=:AAAA\x07",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gf=24;AAAA\x1b\\",
    "\x1b^pm\x1b\\",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\x84\x85\x8d",
    "\x07\x07\x07",
    "\x08\x08\x08\x08evil",
    "\rWaiting",
    "a\nb\r\nc\vd\fe",
    "\ttab\ttab",
    "\x0e\x0f",
    "\x00nul\x7fdel",
    "\u202eevil\u202c",
    "\u2066left\u2069\u2067right\u2069",
    "\u200bzero\u200cwidth\u200d\u2060\ufeff",
    "\u061c\u200e\u200f",
    "\u2028line\u2029paragraph",
    "\U000e0041\U000e0042",
    "\ue000\U000f0000",
    "\ud800\udfff",
    "\U0010ffff\ufffe",
    "[bold]rich markup[/bold] :smile: [link=https://evil.example]x[/link]",
    "%s %d {0} {secret}",
    "\u4e2d" * 400,
    "e" + "\u0301" * 400,
    "\u2764\ufe0f" * 200,
    "x" * 10_000,
    ("\x1b[31m" * 2000) + "end",
    "a b " * 2500,
]

#: The only sequences that the prompt writes itself: colours of the QR code and emphasis, and erasing to the end of a line.
OURS = re.compile(
    r"\x1b\[(?:0|1|1;7|38;5;16;48;5;231|38;5;16;48;5;16)m|\x1b\[K|\r(?=Waiting for you|The code expires|\x1b\[K)"
)


def drawn(text: str, **changed) -> tuple[str, list[str]]:
    """Return what is written, and the rows, for a whole sign-in on 80x24 with some fields `changed` and `text` as notes."""
    target, stream = terminal()
    with sign_in_prompt.SignInPrompt(target) as prompt:
        show(prompt, **changed)
        prompt.waiting(900, note=text)
        rows = list(seen(stream.text, 80, 24).display)
        prompt.trouble(text)
        prompt.done(text)
    return stream.text, rows


def is_too_wide(user_code: str) -> bool:
    return screen.cell_width(sign_in_prompt.grouped(redaction.printable(user_code, limit=64))) > WIDEST_CODE


def assert_harmless(text: str) -> None:
    """No control, format, private or surrogate character but our own sequences and line ends."""
    rest = OURS.sub("", text).replace("\n", "")
    assert all(character.isprintable() or character == "\u3000" for character in rest), ascii(rest[:200])


#: How wide may a user code be, so that it stands beside the QR code at 80x24? Longer ones may cost the QR code.
WIDEST_CODE = 36

FIELDS = ("user_code", "host_name", "user", "app", "tenant", "client_id")


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_changes_nothing_on_the_screen_but_shows_as_text(number):
    """The QR code beside it stays exactly where it was, and so does the countdown below."""
    text = HOSTILE[number]
    _, calm = drawn("calm")
    for field in FIELDS:
        written, rows = drawn(text, **{field: text})
        assert_harmless(written)
        if field == "user_code" and is_too_wide(text):
            assert sum(bool({"\u2580", "\u2588"} & set(row)) for row in rows) in {0, 15}, "all of it or nothing"
            continue
        assert [row[:37] for row in rows[:20]] == [row[:37] for row in calm[:20]], field
        assert "he code expires in 15:00" in rows[21]
    written, rows = drawn(text, scopes=(text, text))
    assert_harmless(written)
    assert [row[:37] for row in rows[:20]] == [row[:37] for row in calm[:20]]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_harmless_line_elsewhere(text):
    """Log files, pipes and error messages."""
    target, stream = pipe()
    with sign_in_prompt.SignInPrompt(target) as prompt:
        show(prompt, **dict.fromkeys(FIELDS, text))
        prompt.waiting(900, note=text)
        prompt.trouble(text)
    assert_harmless(stream.text)
    assert all(len(line) <= 400 for line in stream.text.splitlines())
    error = errors.TryLaterError(text, hint=text, detail=text, correlation_id=text)
    lines = [*messages.error_lines(error), messages.warning_line(text)]
    assert_harmless("".join(lines))
    assert all(line.startswith("devicelogin: ") for line in lines)
    assert all(len(line) <= 1030 for line in lines)


@settings(max_examples=repetitions(1000), deadline=None)
@given(text=st.text(st.characters(), max_size=120), field=st.sampled_from(FIELDS))
def test_no_text_at_all_moves_the_qr_code(text, field):
    """Hypothesis looks for the string that nobody thought of."""
    _, calm = drawn("calm")
    written, rows = drawn(text, **{field: text})
    assert_harmless(written)
    if not (field == "user_code" and is_too_wide(text)):
        assert [row[:37] for row in rows[:20]] == [row[:37] for row in calm[:20]]
