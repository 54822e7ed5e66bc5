"""C07 and S31: whatever a server, a settings file or the environment says, the screen shows it as harmless text."""

from __future__ import annotations

import base64
import functools
import re
from typing import TYPE_CHECKING

import pytest
from conftest import SOAK, repetitions
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal_fixtures import PUBLIC, is_whole_qr_code, pipe, seen, show, terminal

from devicelogin import errors, redaction
from devicelogin.terminal import messages, sign_in_prompt

if TYPE_CHECKING:
    import pyte

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
    # cursor and erasing
    "\x1b[H\x1b[J",
    "\x1b[3J",
    "\x1b[1K\x1b[1J",
    "\x1b[5;10f",
    "\x1b[s\x1b[u",
    "\x1b[20A\x1b[40C",
    "\x1b[999B",
    "\x1b[5E\x1b[5F\x1b[1G",
    "\x1b[1;5r",
    "\x1b[10S\x1b[10T",
    "\x1b[5L\x1b[5M",
    "\x1b[10@\x1b[10P\x1b[10X",
    "\x1bD\x1bE\x1bH",
    "\x1b[3g\x1b[0g\t",
    "\x1b[10b",
    # modes and resets
    "\x1b[?7l",
    "\x1b[4h",
    "\x1b[20h",
    "\x1b[?5h",
    "\x1b[?6h",
    "\x1b[?47h",
    "\x1b[?1000h\x1b[?1003h\x1b[?1006h",
    "\x1b[?2004h",
    "\x1b[?2026h",
    "\x1b[!p",
    '\x1b[61"p',
    "\x1b=\x1b>",
    "\x1b[8m hidden \x1b[28m",
    "\x1b[7;5;31;40m",
    "\x1b[38;2;0;0;0;48;2;0;0;0m",
    "\x1b[10m\x1b[11m",
    # what makes a terminal answer, as if a person typed
    "\x1b[>c",
    "\x1b[=c",
    "\x1b[0x",
    "\x1b[18t\x1b[21t",
    "\x1b[?15n",
    "\x1bZ",
    "\x05",
    "\x1bP$qm\x1b\\",
    "\x1b]10;?\x07\x1b]11;?\x07",
    "\x1b]4;1;?\x07",
    # windows, titles, files, clipboards, programs
    "\x1b[3;0;0t\x1b[8;1;1t",
    "\x1b[2t",
    "\x1b]1;icon\x07",
    "\x1b]7;file:///etc\x07",
    "\x1b]9;notify\x07",
    "\x1b]777;notify;a;b\x07",
    "\x1b]133;A\x07",
    "\x1b]50;font\x07",
    "\x1b]52;p;?\x07",
    "\x1b]52;c;!\x1b\\",
    "\x1b]104\x07",
    "\x1bPtmux;\x1b\x1b]52;c;ZXZpbA==\x07\x1b\\",
    "\x1bP\x1b]52;c;ZXZpbA==\x07\x1b\\",
    "\x1bk window\x1b\\",
    "\x1b_screen\x1b\\",
    "\x1bPq#0;2;0;0;0~~@@vv\x1b\\",
    "\x1bX sos \x1b\\",
    # without an end, cut, nested, with what follows taken into it
    "\x1b",
    "\x1b[",
    "\x1b]52;c;",
    "\x1bP",
    "\x9b",
    "\x9d52;c;",
    "\x1b[\x1b[31m",
    "\x1b[999999999999m",
    "\x1b[" + ";" * 500 + "m",
    "\x1b%G\x1b%@",
    "\x1b(A\x1b)0\x1bn\x1bo",
    # character sets, directions, lines, marks
    "\u202a\u202b\u202d\u202e" * 20,
    "\u2066\u2067\u2068" * 20,
    "\u05d0\u05d1\u05d2 \u0627\u0644\u0639",
    "\u0085next\u2028line",
    "\u180e\u034f\u115f\u1160\u3164\uffa0",
    "\u00ad\u00ad",
    "\ufff9a\ufffab\ufffb",
    "\U000e0001\U000e007f",
    "a" + "\u0335" * 50 + "\u20e0" * 50,
    "\u1f468\u200d\u1f469\u200d\u1f467",
    "\U0001f1e9\U0001f1ea\U0001f3f3\ufe0f\u200d\U0001f308",
    "\uff21\uff22\u3000\uff23",
    "\u2580\u2584\u2588" * 30,
    # what looks like a part of ours
    "Code to enter: EVIL-CODE",
    "To sign in, open https://evil.example and enter ABC-DEF-GHI",
    "Waiting for you to sign in; the code expires in 99:99",
    "x\r\x1b[KSigned in as root.",
    "\n\n\n\nEnter the code on https://evil.example\n",
    "<b>html</b> &amp; `rm -rf ~` $(id) | sh",
    " \t \r\n ",
    "\\x1b[31m \\u001b[2J \\033c",
]

#: The only sequences that the prompt writes itself: colours of the QR code and emphasis, and erasing to the end of a line.
OURS = re.compile(
    r"\x1b\[(?:0|1|1;7|38;5;16;48;5;231|38;5;231;48;5;16)m|\x1b\[K|\r(?=Waiting for you|The code expires|\x1b\[K)"
)

SIZES = ((80, 24), (100, 40), (60, 20), (40, 12))


def drawn(notes: str, *, size: tuple[int, int] = (80, 24), **changed) -> tuple[str, pyte.Screen]:
    """Return what is written for a whole sign-in with some fields `changed` and `notes` as notes, and what stood there
    while it waited."""
    target, stream = terminal(*size)
    with sign_in_prompt.SignInPrompt(target) as prompt:
        show(prompt, **changed)
        prompt.waiting(900, note=notes)
        stands = seen(stream.text, *size)
        prompt.trouble(notes)
        prompt.done(notes)
    return stream.text, stands


def harmless(text: str) -> str:
    """Return `text` with every character that is more than a sign on paper replaced by one that is not."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "\ufffd" for sign in text)


@functools.cache
def calm_screen(size: tuple[int, int]) -> pyte.Screen:
    """Return what stands there where nothing is hostile."""
    return drawn("calm", size=size)[1]


def cells(stands: pyte.Screen) -> list[list[tuple]]:
    """Return every cell with its colours, and where the cursor is."""
    rows = [[tuple(stands.buffer[y][x]) for x in range(stands.columns)] for y in range(stands.lines)]
    return [*rows, [(stands.cursor.x, stands.cursor.y, stands.cursor.hidden, tuple(stands.cursor.attrs))]]


def state(stands: pyte.Screen) -> tuple:
    """Return what a sequence could have changed about the terminal itself."""
    return (
        stands.title,
        stands.icon_name,
        stands.mode,
        stands.margins,
        stands.charset,
        stands.tabstops,
        stands.savepoints,
    )


def assert_harmless(text: str) -> None:
    """No control, format, private or surrogate character but our own sequences and line ends."""
    rest = OURS.sub("", text).replace("\n", "")
    assert all(character.isprintable() or character == "\u3000" for character in rest), ascii(rest[:200])


FIELDS = ("user_code", "host_name", "user", "app", "tenant", "client_id")


def test_the_corpus_is_as_large_as_promised():
    """A hundred and more, none twice, and most of it would steer a terminal."""
    assert len(set(HOSTILE)) == len(HOSTILE) >= 100
    assert sum("\x1b" in text or "\x9b" in text for text in HOSTILE) >= 60


def assert_nothing_moved(text: str, field: str, size: tuple[int, int]) -> None:
    """Compare the whole screen, cell by cell, with that of the same words as harmless text."""
    written, stands = drawn(text, size=size, **{field: text})
    assert_harmless(written)
    _, as_words = drawn(harmless(text), size=size, **{field: harmless(text)})
    is_the_same = cells(stands) == cells(as_words) and state(stands) == state(as_words)
    assert is_the_same, "\n".join([*stands.display, *as_words.display])
    calm = calm_screen(size)
    assert state(stands) == state(calm)
    shown = "\n".join(stands.display)
    assert PUBLIC in shown
    assert "15:00" in shown
    if field == "user_code":
        is_whole_qr_code(stands, PUBLIC)
    else:
        assert is_whole_qr_code(stands, PUBLIC) is is_whole_qr_code(calm, PUBLIC)
        assert "BPP-VYQ-ZMA" in shown


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_text_changes_nothing_on_the_screen_but_shows_as_text(number):
    """On the whole prompt: every cell and its colours, the cursor, the modes and the title are as with harmless words.

    The QR code is whole and the right one; address, user code and countdown stand there.
    """
    text = HOSTILE[number]
    for place, field in enumerate(FIELDS):
        # In sample counts, each text in two of the six places.
        if SOAK or place in {number % len(FIELDS), (number + 3) % len(FIELDS)}:
            assert_nothing_moved(text, field, SIZES[(number + place) % len(SIZES)])
    written, stands = drawn(text, scopes=(text, text))
    assert_harmless(written)
    assert is_whole_qr_code(stands, PUBLIC)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_code_is_not_put_on_the_clipboard(text):
    """What would be pasted is what stands there, or nothing: no line end that a shell would take for Enter."""
    target, stream = terminal()
    show(sign_in_prompt.SignInPrompt(target, copy=True), user_code=text)
    sent = re.findall(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", stream.text)
    if redaction.printable(text, limit=64) != text:
        assert sent == []
        assert "not copied" in " ".join(stream.text.split())
    else:
        assert [base64.b64decode(part).decode() for part in sent] == [text]


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
@given(text=st.text(st.characters(), max_size=120), field=st.sampled_from(FIELDS), size=st.sampled_from(SIZES))
def test_no_text_at_all_changes_the_screen(text, field, size):
    """Hypothesis looks for the string that nobody thought of."""
    assert_nothing_moved(text, field, size)


@settings(max_examples=repetitions(1000), deadline=None)
@given(
    text=st.lists(
        st.sampled_from(["\x1b", "[", "]", "P", "\\", "\x07", "\x9b", "\x9c", "52;c;", "?", "8;;", "m", "H", "2J"])
    )
    .map("".join)
    .filter(bool),
    field=st.sampled_from(FIELDS),
)
def test_no_escape_sequence_that_can_be_put_together_changes_the_screen(text, field):
    """The same, of the pieces that sequences are made of."""
    assert_nothing_moved(text, field, (80, 24))
