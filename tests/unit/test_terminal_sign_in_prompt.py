"""What a person is shown during a sign-in, on terminals of every size and elsewhere."""

from __future__ import annotations

import errno
import itertools
import re

import pyte
import pytest
from conftest import repetitions
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal_fixtures import (
    CLIENT_ID,
    KNOWN,
    NEWER,
    PUBLIC,
    UTF8,
    MemoryStream,
    is_whole_qr_code,
    pipe,
    seen,
    show,
    terminal,
)

from devicelogin import errors
from devicelogin.terminal import big_letters, prompt_layout, qr_code, screen, sign_in_prompt

BLOCKS = set("\u2580\u2584\u2588")


def standing(columns: int = 80, rows: int = 24, *, qr: str = "auto", environ=UTF8, **changed) -> pyte.Screen:
    """Return what stands on a terminal after the prompt and the first countdown line."""
    target, stream = terminal(columns, rows, **environ)
    prompt = sign_in_prompt.SignInPrompt(target, qr=qr, known_hosts=KNOWN)
    show(prompt, **changed)
    prompt.waiting(900)
    return seen(stream.text, columns, rows)


def shown(columns: int = 80, rows: int = 24, **changed) -> list[str]:
    """Return the rows of such a terminal."""
    return list(standing(columns, rows, **changed).display)


@pytest.mark.parametrize("uri", [PUBLIC, NEWER])
def test_everything_fits_a_terminal_of_80x24(uri):
    """QR code with quiet zone 4, address, code, who asks, the sentence and the countdown stand there at one time."""
    rows = shown(verification_uri=uri)
    text = "\n".join(rows)
    for part in (uri, "BPP-VYQ-ZMA", "BPPVYQZMA", "board-7", "ada", CLIENT_ID, "contoso.com", "User.Read"):
        assert part in text
    assert "Enter the code only if you started this" in text
    assert "sign-in yourself, on this machine." in text
    assert "expires in 15:00" in text
    quiet_zone_4 = qr_code.render(uri, style="half", quiet_zone=4)
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in quiet_zone_4]
    assert [row[:37] for row in rows[1:20]] == bare
    assert rows[23].strip() == "", "one row has to stay free"


def test_a_window_of_60x20_has_the_address_above_and_the_code_beside_the_qr_code():
    """Quiet zone 2 is taken before the QR code is given up."""
    rows = shown(60, 20, verification_uri=NEWER)
    assert rows[0].rstrip() == NEWER
    assert "BPP-VYQ-ZMA" in "\n".join(rows)
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in qr_code.render(NEWER, style="half", quiet_zone=2)]
    assert [row[:33] for row in rows[1:18]] == bare


@pytest.mark.parametrize(
    ("uri", "folded"),
    [
        (PUBLIC, ["https://microsoft.com/", "devicelogin"]),
        (NEWER, ["https://login.microsoft", ".com/device"]),
    ],
)
def test_a_window_of_60x19_has_the_address_folded_beside_the_qr_code(uri, folded):
    """What tmux leaves of 60x20: broken after a slash or before a dot, where nobody reads a hyphen into it."""
    stands = standing(60, 19, verification_uri=uri)
    assert is_whole_qr_code(stands, uri)
    beside = [row[35:].strip() for row in stands.display]
    assert beside[beside.index("Open") + 1 :][:2] == folded
    assert "BPP-VYQ-ZMA" in beside
    assert "15:00" in stands.display[18]


def test_a_tall_narrow_window_has_everything_below_the_qr_code():
    """Where nothing fits beside it."""
    rows = shown(44, 40)
    assert BLOCKS & set(rows[3])
    assert PUBLIC in "\n".join(rows[19:])
    assert "BPP-VYQ-ZMA" in "\n".join(rows[19:])


def test_a_window_of_40x12_has_no_qr_code_and_says_why():
    """A09: address and code stay whole and in sight."""
    rows = shown(40, 12)
    text = "\n".join(rows)
    assert not BLOCKS & set(text)
    assert "No QR code: this window of 40x12 is too" in text
    assert PUBLIC in text
    assert "BPP-VYQ-ZMA" in text
    assert "expires in 15:00" in text


@pytest.mark.parametrize(("columns", "rows", "has_qr"), [(80, 24, False), (60, 20, False), (100, 40, True)])
def test_a_complete_address_of_90_characters_has_a_qr_code_where_it_fits_and_a_reason_elsewhere(columns, rows, has_qr):
    """Version 6: 45x23 cells at least. Without it, address and code stand there whole."""
    complete = (PUBLIC + "?user_code=" + "aB3-xYz9" * 6)[:90]
    stands = standing(columns, rows, verification_uri_complete=complete)
    text = "\n".join(stands.display)
    assert is_whole_qr_code(stands, complete) is has_qr
    assert ("No QR code: this window of" in text) is not has_qr
    for part in (PUBLIC, "BPP-VYQ-ZMA", "15:00"):
        assert part in text


def test_the_size_that_will_do_really_does():
    """The line that says why there is no QR code names a size that is large enough."""
    text = " ".join(row.strip() for row in shown(40, 12))
    columns, rows = map(int, re.search(r"small, (\d+)x(\d+) will do", text).groups())
    assert is_whole_qr_code(standing(columns, rows), PUBLIC)
    assert not is_whole_qr_code(standing(columns - 1, rows), PUBLIC)
    assert not is_whole_qr_code(standing(columns, rows - 1), PUBLIC)


@settings(max_examples=repetitions(600), deadline=None)
@given(columns=st.integers(34, 200), rows=st.integers(10, 70), qr=st.sampled_from(["auto", "full", "ascii", "off"]))
def test_code_address_and_countdown_are_in_sight_in_every_window_and_a_qr_code_is_whole(columns, rows, qr):
    """From 34x10 on: never a broken user code, never part of a QR code."""
    stands = standing(columns, rows, qr=qr)
    display = stands.display
    text = "\n".join(display)
    assert "BPP-VYQ-ZMA" in text
    beside = ["".join(row[start:].strip() for row in display) for start in (35, 39, 68, 76)]
    assert any(PUBLIC in words for words in [text, *beside]), "folded at the worst, in a window that has no row for it"
    assert "15:00" in text
    if is_whole_qr_code(stands, PUBLIC):
        assert qr != "off"
        assert not display[-1].strip(), "one row has to stay free"
    elif qr != "off":
        assert "QR code:" in re.sub(r"\s+", " ", text) or rows < 16


def test_qr_off_says_nothing_about_it():
    """Whoever turned it off knows why there is none."""
    assert "QR" not in "\n".join(shown(qr="off"))


@pytest.mark.parametrize(
    ("user_code", "expected"),
    [
        ("BPPVYQZMA", "BPP-VYQ-ZMA"),
        ("ABCDEFGH", "ABCD-EFGH"),
        ("ABCDEF", "ABC-DEF"),
        ("ABCDE", "ABC-DE"),
        ("ABCD", "ABCD"),
        ("1234567", "1234-567"),
        ("ABCDEFGHIJKL", "ABCD-EFGH-IJKL"),
        ("ABCDEFGHIJ", "ABCD-EFG-HIJ"),
        ("WDJB-MJHT", "WDJB-MJHT"),
        ("WD JB MJ HT", "WD JB MJ HT"),
        ("", ""),
    ],
)
def test_codes_are_grouped_only_where_they_have_no_separators(user_code, expected):
    """Groups of three or four, the larger first."""
    assert sign_in_prompt.grouped(user_code) == expected


def test_dashes_are_explained_only_where_they_were_added():
    """A code with its own dashes has to be entered with them."""
    assert "BPPVYQZMA" in "\n".join(shown())
    assert "no dashes" not in "\n".join(shown(user_code="WDJB-MJHT"))
    target, stream = pipe()
    show(sign_in_prompt.SignInPrompt(target), user_code="WDJB-MJHT")
    assert "without the dashes" not in stream.text


def test_the_device_code_is_never_shown():
    """It is the program's secret."""
    for target, stream in (terminal(), pipe()):
        show(sign_in_prompt.SignInPrompt(target))
        assert "never-shown" not in stream.text


@pytest.mark.parametrize("environ", [{}, {"TERM": "dumb"}])
def test_elsewhere_than_on_a_terminal_there_are_plain_whole_lines(environ):
    """Pipes, log files and screen readers: no escape sequence, no carriage return, no QR code, nothing missing."""
    target, stream = terminal(**environ) if environ else pipe()
    with sign_in_prompt.SignInPrompt(target) as prompt:
        show(prompt)
        for left in range(900, 780, -1):
            prompt.waiting(left)
        prompt.done("signed in as ada@contoso.com")
    text = stream.text
    assert not set("\x1b\r") & set(text)
    assert not BLOCKS & set(text)
    for part in (PUBLIC, "BPP-VYQ-ZMA", "BPPVYQZMA", "board-7", "ada", CLIENT_ID, "contoso.com", "User.Read"):
        assert part in text
    assert prompt_layout.SENTENCE in text
    assert text.count("expires in") == 2
    assert "15 minutes" in text
    assert "14 minutes" in text
    assert text.endswith("signed in as ada@contoso.com\n")


def test_an_explicit_qr_code_is_refused_with_a_reason_where_it_cannot_be_drawn():
    """Nobody should wait for a picture that does not come."""
    target, stream = pipe()
    show(sign_in_prompt.SignInPrompt(target, qr="half"))
    assert "No QR code: this is not a terminal" in stream.text


@pytest.mark.parametrize(
    "uri",
    [
        "http://microsoft.com/devicelogin",
        "javascript:alert(1)",
        "ftp://microsoft.com/",
        "microsoft.com/devicelogin",
        " ",
        "https://",
        "https:///devicelogin",
        "https://microsoft.com@evil.example/devicelogin",
        "https://a:b@microsoft.com/",
        "https://microsoft.com\\@evil.example/",
        "https://microsoft.com/\x1b]52;c;AAAA\x07",
        "https://microsoft.com/\nhttps://evil.example",
        "https://microsoft.com/ devicelogin",
        "https://m\u0456crosoft.com/devicelogin",
        "https://microsoft.com/\u202egnp.exe",
        "https://microsoft.com:port/",
        "https://[::1/",
        "https://microsoft.com/" + "x" * 2000,
    ],
)
@pytest.mark.parametrize("field", ["verification_uri", "verification_uri_complete"])
def test_an_address_that_nobody_should_open_ends_with_76_before_anything_is_shown(field, uri):
    """C06: https, plain characters, no user information, at most 2000 characters."""
    target, stream = terminal()
    prompt = sign_in_prompt.SignInPrompt(target, known_hosts=KNOWN)
    with pytest.raises(errors.BadAnswerError) as caught:
        show(prompt, **{field: uri})
    assert caught.value.exit_code == 76
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250
    assert stream.text == ""


@pytest.mark.parametrize("uri", ["https://evil.example/devicelogin", "https://xn--mcrosoft-tkg.com/devicelogin"])
@pytest.mark.parametrize("qr", ["auto", "ascii"])
def test_a_foreign_host_gets_a_loud_warning_and_no_qr_code(uri, qr):
    """S04: a phone must not be sent to a look-alike by a picture nobody can read."""
    rows = shown(verification_uri=uri, qr=qr)
    text = re.sub(r"\s+", " ", " ".join(rows))
    assert f"WARNING: {uri.split('/')[2]} is not known" in text
    assert uri in text
    assert not (BLOCKS | {"#"}) & set(text)
    target, stream = pipe()
    show(sign_in_prompt.SignInPrompt(target, known_hosts=KNOWN), verification_uri=uri)
    assert "WARNING: " in stream.text


@pytest.mark.parametrize(
    ("uri", "authority", "known"),
    [
        ("https://MICROSOFT.com/devicelogin", "https://login.microsoftonline.com/x", KNOWN),
        ("https://microsoft.com./devicelogin", "https://login.microsoftonline.com/x", KNOWN),
        ("https://localhost:8443/device", "https://localhost:8443/tenant", KNOWN),
        ("https://anything.example/device", "https://login.example/x", None),
    ],
)
def test_known_hosts_and_the_authoritys_own_host_get_no_warning(uri, authority, known):
    """An emulator and a private authority show pages on their own host; `known_hosts` None judges none."""
    target, stream = terminal()
    show(sign_in_prompt.SignInPrompt(target, known_hosts=known), verification_uri=uri, authority=authority)
    assert "WARNING" not in stream.text
    assert BLOCKS & set(stream.text)


@pytest.mark.parametrize(
    ("complete", "carried"),
    [
        ("https://microsoft.com/devicelogin?user_code=BPPVYQZMA", True),
        ("https://login.microsoft.com/device?user_code=BPPVYQZMA", False),
        (None, False),
    ],
)
def test_the_qr_code_carries_the_complete_address_only_if_the_server_sent_one_on_the_same_host(complete, carried):
    """D10: never a made-up one; the address in words and the code stay for comparison."""
    target, stream = terminal(120, 40)
    show(sign_in_prompt.SignInPrompt(target, known_hosts=KNOWN), verification_uri_complete=complete)
    drawn = qr_code.render(complete if carried else PUBLIC, style="half", quiet_zone=4)
    assert all(line in stream.text for line in drawn)
    assert PUBLIC in stream.text
    assert "BPP-VYQ-ZMA" in stream.text


def test_the_countdown_stays_on_its_line_and_is_erased_at_the_end():
    """In place: after close, only the prompt is left, with the cursor at the start of an empty line."""
    target, stream = terminal()
    with sign_in_prompt.SignInPrompt(target) as prompt:
        show(prompt)
        before = seen(stream.text, 80, 24)
        for left in range(900, 800, -1):
            prompt.waiting(left)
        during = seen(stream.text, 80, 24)
        assert during.display[21].rstrip() == "Waiting for you to sign in; the code expires in 13:21"
        assert during.display[:21] == before.display[:21]
    after = seen(stream.text, 80, 24)
    assert after.display == before.display
    assert (after.cursor.x, after.cursor.y, after.cursor.hidden) == (0, 21, False)


@pytest.mark.parametrize("columns", [8, 20, 40, 60, 80])
def test_the_countdown_never_wraps(columns):
    """A wrapped line cannot be erased in place."""
    target, stream = terminal(columns, 24)
    prompt = sign_in_prompt.SignInPrompt(target)
    prompt.waiting(900, note="x" * 300)
    prompt.waiting(899.5)
    prompt.close()
    assert all(len(part) < columns for part in re.split(r"\r|\x1b\[K", stream.text))
    assert seen(stream.text, columns, 24).display == [" " * columns] * 24


def test_an_unchanged_countdown_is_not_written_again():
    """A poll loop may call as often as it likes."""
    target, stream = terminal()
    prompt = sign_in_prompt.SignInPrompt(target)
    prompt.waiting(100.0)
    length = len(stream.text)
    prompt.waiting(99.9)
    assert len(stream.text) == length
    prompt.waiting(-5)
    assert "0:00" in stream.text


@pytest.mark.parametrize("make", [terminal, pipe])
def test_after_two_minutes_the_hint_about_a_blocked_page_is_given_once(make):
    """Conditional Access refuses in the browser only; the poller hears nothing of it."""
    target, stream = make()
    with sign_in_prompt.SignInPrompt(target) as prompt:
        show(prompt)
        for left in range(900, 780, -1):
            prompt.waiting(left)
        assert "53003" not in stream.text
        for left in range(780, 600, -1):
            prompt.waiting(left)
    assert stream.text.count("530033") == 1
    show(prompt)
    prompt.waiting(900)
    prompt.waiting(700)
    assert stream.text.count("530033") == 2, "a new code waits anew"


def test_the_hint_leaves_the_whole_qr_code_in_sight_at_80x24():
    """What scrolls away is what stood above the prompt."""
    target, stream = terminal()
    prompt = sign_in_prompt.SignInPrompt(target)
    stream.write("$ devicelogin login\n")
    show(prompt)
    prompt.waiting(900)
    prompt.waiting(779)
    rows = seen(stream.text, 80, 24).display
    assert "".join(rows).count("530033") == 1
    bare = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in qr_code.render(PUBLIC, style="half", quiet_zone=4)]
    assert [row[:37] for row in rows[:19]] == bare


@pytest.mark.parametrize("make", [terminal, pipe])
def test_network_trouble_is_said_once_an_episode(make):
    """Ten seconds of resets are one line, the next outage another."""
    target, stream = make()
    prompt = sign_in_prompt.SignInPrompt(target)
    for left in (900, 899):
        prompt.trouble("connection refused")
        prompt.waiting(left)
    assert stream.text.count("Network trouble (connection refused); still trying until the code expires.") == 1
    assert "network trouble, still trying" in stream.text
    prompt.recovered()
    prompt.recovered()
    assert stream.text.count("The network is back.") == 1
    prompt.trouble("timed out")
    assert "Network trouble (timed out)" in stream.text


def test_an_interrupt_erases_the_countdown():
    """The context manager cleans up whatever ends it."""
    target, stream = terminal()
    with pytest.raises(KeyboardInterrupt), sign_in_prompt.SignInPrompt(target) as prompt:
        prompt.waiting(900)
        raise KeyboardInterrupt
    assert seen(stream.text, 80, 24).display == [" " * 80] * 24


def test_an_interrupt_while_the_prompt_is_drawn_leaves_no_colours_behind():
    """The rest of a person's session must not be black on white."""

    class Interrupting(MemoryStream):
        def write(self, text: str) -> int:
            if len(text) > 1000:
                super().write(text[: text.index("231m", 500) + 5])
                self.flush()
                raise KeyboardInterrupt
            return super().write(text)

    stream = Interrupting(is_terminal=True)
    target = screen.Screen(stream, environ={**UTF8, "COLUMNS": "80", "LINES": "24"})
    with pytest.raises(KeyboardInterrupt), sign_in_prompt.SignInPrompt(target) as prompt:
        show(prompt)
    left = seen(stream.text, 80, 24)
    assert (left.cursor.attrs.fg, left.cursor.attrs.bg) == ("default", "default")
    assert left.cursor.x == 0


def test_close_never_hides_the_error_that_is_on_its_way():
    """A terminal that has hung up cannot be written to any more."""
    target, stream = terminal()
    with pytest.raises(KeyboardInterrupt), sign_in_prompt.SignInPrompt(target) as prompt:
        prompt.waiting(900)
        stream.close()
        raise KeyboardInterrupt


def test_no_color_takes_the_emphasis_but_not_the_qr_codes_own_black_and_white():
    """Without its colours the code would not scan on half of all terminals."""
    target, stream = terminal(NO_COLOR="1")
    show(sign_in_prompt.SignInPrompt(target))
    assert set(re.findall(r"\x1b\[[0-9;]*m", stream.text)) == {
        "\x1b[38;5;16;48;5;231m",
        "\x1b[38;5;231;48;5;16m",
        "\x1b[0m",
    }


def test_terminals_without_256_colours_get_the_basic_ones():
    """The Linux console and serial terminals may take 38;5 for blinking."""
    for name in ("linux", "vt220", "ansi"):
        target, stream = terminal(120, 50, TERM=name)
        show(sign_in_prompt.SignInPrompt(target))
        assert is_whole_qr_code(seen(stream.text, 120, 50), PUBLIC)
        assert "38;5" not in stream.text


def test_the_linux_console_gets_no_half_blocks_unless_they_are_wanted():
    """Most of the fonts that Debian sets up there lack them: the code would be a field of question marks."""
    console = {"TERM": "linux"}
    large = standing(120, 50, environ=console)
    assert is_whole_qr_code(large, PUBLIC)
    assert not BLOCKS & set("".join(large.display))
    small = " ".join(" ".join(row.split()) for row in shown(80, 25, environ=console))
    assert "80x25 is too small, 89x35 will do; or --qr half, if the font has half blocks" in small
    assert is_whole_qr_code(standing(89, 35, environ=console), PUBLIC)
    assert is_whole_qr_code(standing(80, 25, qr="half", environ=console), PUBLIC)


def test_a_latin1_terminal_gets_a_code_in_ascii():
    """A08, and the words beside it lose no line to a longer ellipsis."""
    target, stream = terminal(120, 50, encoding="latin-1")
    show(sign_in_prompt.SignInPrompt(target), tenant="Zoë " * 60)
    assert is_whole_qr_code(seen(stream.text, 120, 50), PUBLIC)
    assert not BLOCKS & set(stream.text)
    assert "Zoë" in stream.text


def test_an_application_with_a_name_is_shown_with_its_client_id():
    """The name is what a settings file says; the client id is what the page will show."""
    rows = "\n".join(shown(app="Backup of the NAS"))
    assert "Backup of the NAS" in rows
    assert CLIENT_ID in rows


class _Failing(MemoryStream):
    """A stream that takes what it is given until the terminal behind it is gone."""

    is_gone = False

    def write(self, text: str) -> int:
        if self.is_gone:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(text)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_stream_that_fails_once_the_code_was_shown_does_not_end_the_sign_in(is_terminal):
    """The person has the code; that nobody sees the countdown any more is no reason to stop. A closed one neither."""
    stream = _Failing(is_terminal=is_terminal)
    with sign_in_prompt.SignInPrompt(screen.Screen(stream, environ=UTF8), known_hosts=KNOWN) as prompt:
        show(prompt)
        stream.is_gone = True
        for seconds in (800.0, 700.0, 600.0):
            prompt.waiting(seconds)
        prompt.trouble("no route")
        prompt.recovered()
        stream.close()
        prompt.waiting(500.0)
        prompt.done("signed in")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_code_that_cannot_be_shown_is_74_each_time(is_terminal):
    """Nobody waits for a code that nobody has seen, the first one as little as the second."""
    stream = _Failing(is_terminal=is_terminal)
    with sign_in_prompt.SignInPrompt(screen.Screen(stream, environ=UTF8), known_hosts=KNOWN) as prompt:
        for code in ("BPPVYQZMA", "CPPVYQZMA"):
            stream.is_gone = True
            with pytest.raises(errors.OutputError, match="Input/output error"):
                show(prompt, user_code=code)
            stream.is_gone = False
            show(prompt, user_code=code)
        stream.close()
        with pytest.raises(errors.OutputError, match="closed"):
            show(prompt)


def test_the_code_is_as_large_as_there_is_room_for():
    """Big letters beside the QR code at 100x40, a plate at 80x24, a word where nothing else fits; never two of a row."""
    letters = big_letters.draw("BPP-VYQ-ZMA")
    large = shown(100, 40)
    start = next(number for number, row in enumerate(large) if letters[0].strip() in row)
    assert [row[40:99].rstrip() for row in large[start : start + 4]] == [row.rstrip() for row in letters]
    assert large[start + 4][39:].strip() == "BPP-VYQ-ZMA"
    plate = standing(80, 24)
    code = next(number for number, row in enumerate(plate.display) if "BPP-VYQ-ZMA" in row)
    column = plate.display[code].index("BPP")
    assert [plate.buffer[y][column].reverse for y in range(code - 2, code + 3)] == [False, True, True, True, False]
    without_colours = standing(80, 24, environ={"NO_COLOR": "1"})
    assert not any(cell.reverse for row in without_colours.buffer.values() for cell in row.values())
    assert letters[0].strip() in "".join(shown(80, 24, qr="off")), "there is room without the QR code"
    assert letters[0].strip() not in "".join(shown(100, 60, qr="ascii")), "the font has no block characters"
    assert letters[0].strip() not in "".join(shown(100, 60, environ={"LC_ALL": "C"}))


@pytest.mark.parametrize("code", ["BPP-VYQ-ZMA", "WDJB-MJHT", "ABCD", "ABCD-EFGH-IJKL-MNOP"])
@pytest.mark.parametrize("has_qr", [True, False])
def test_no_line_is_wider_than_its_place_in_any_window(code, has_qr):
    """A wrapped row would tear the QR code and the big letters; only the address may be longer than a narrow window."""
    text = prompt_layout.PromptText(address=PUBLIC, code=code, bare_code="x" * 12, facts=(("host", "board"),))
    shapes = qr_code.shapes(PUBLIC, has_blocks=True) if has_qr else qr_code.NoQrCode("")
    for columns, rows in itertools.product(range(24, 130), (12, 20, 24, 40, 60)):
        plan = prompt_layout.arrange(text, shapes, columns=columns, rows=rows, looks=("big", "plate", "line"))
        beside = columns - 1 - plan.shape.columns - prompt_layout.GAP if plan.shape else 0
        assert all(line.width <= beside for line in plan.beside)
        assert all(line.width < columns for line in plan.above + plan.below if line.style != "address")
        lines = plan.above + plan.beside + plan.below
        assert all(line.indent >= 0 for line in lines)
        assert sum(code in line.text for line in lines) == 1


def test_no_two_letters_look_alike_and_each_is_as_high_and_wide_as_it_says():
    """At least three pixels apart; a code with a character that has no drawing is not drawn."""
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    drawings = {sign: "".join(f"{row:5}" for row in big_letters.draw(sign)) for sign in signs}
    assert {len(big_letters.draw(sign)) for sign in signs} == {big_letters.ROWS}
    pixels = {"\u2580": (1, 0), "\u2584": (0, 1), "\u2588": (1, 1), " ": (0, 0)}
    seen_as = {sign: [dot for cell in drawing for dot in pixels[cell]] for sign, drawing in drawings.items()}
    for one, other in itertools.combinations(signs, 2):
        apart = sum(a is not b for a, b in zip(seen_as[one], seen_as[other], strict=True))
        assert apart >= 3 or {one, other} == {"B", "8"}, (one, other, apart)
    for code in ("", "abc", "A B", "\u00c4", "A_B"):
        assert big_letters.draw(code) is None


def resized(prompt, stream, before: pyte.Screen, columns: int, rows: int) -> pyte.Screen:
    """Let the countdown run for 3 s in a window of another size, and return what stands there."""
    drawn = len(stream.text)
    for left in (890, 889, 888):
        prompt.waiting(left)
    before.resize(rows, columns)
    pyte.Stream(before).feed(stream.text[drawn:].replace("\n", "\r\n"))
    return before


@pytest.mark.parametrize(
    ("first", "then", "has_qr"),
    [
        ((100, 40), (80, 24), True),
        ((80, 24), (60, 20), True),
        ((80, 24), (40, 12), False),
        ((40, 12), (80, 24), True),
        ((80, 24), (44, 40), True),
    ],
)
def test_a_window_resized_while_waiting_has_the_whole_prompt_again(first, then, has_qr):
    """Where it was broken by that, or had no room before: a whole QR code or the line that says why there is none."""
    window = {"COLUMNS": str(first[0]), "LINES": str(first[1])}
    stream = MemoryStream(is_terminal=True)
    environ = {**UTF8, **window}
    prompt = sign_in_prompt.SignInPrompt(screen.Screen(stream, environ=environ), known_hosts=KNOWN)
    show(prompt, note_below="a remark of ours")
    prompt.waiting(900)
    stands = seen(stream.text, *first)
    environ.update(COLUMNS=str(then[0]), LINES=str(then[1]))
    after = resized(prompt, stream, stands, *then)
    assert is_whole_qr_code(after, PUBLIC) is has_qr
    text = "\n".join(after.display)
    for part in (PUBLIC, "BPP-VYQ-ZMA", "14:48", "a remark of ours"):
        assert part in text
    assert text.count("expires in") == 1
    assert ("No QR code" in text) is not has_qr


def test_a_window_that_became_larger_keeps_what_stands_there():
    """There is nothing to repair, and a person may be holding their phone up to it."""
    environ = {**UTF8, "COLUMNS": "80", "LINES": "24"}
    stream = MemoryStream(is_terminal=True)
    prompt = sign_in_prompt.SignInPrompt(screen.Screen(stream, environ=environ), known_hosts=KNOWN)
    show(prompt)
    prompt.waiting(900)
    environ.update(COLUMNS="120", LINES="50")
    before = len(stream.text)
    for left in range(899, 890, -1):
        prompt.waiting(left)
    assert "\x1b[2J" not in stream.text[before:]
    assert PUBLIC not in stream.text[before:]


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 2), (1, 24), (80, 1), (9, 4)])
def test_a_window_pulled_shut_ends_no_sign_in(columns, rows):
    """A pane of tmux: who waits there has an approval to lose. Pulled open, it has the code again."""
    environ = {**UTF8, "COLUMNS": str(columns), "LINES": str(rows)}
    stream = MemoryStream(is_terminal=True)
    prompt = sign_in_prompt.SignInPrompt(screen.Screen(stream, environ=environ), known_hosts=KNOWN)
    show(prompt)
    for size in ((columns, rows), (80, 24), (columns, rows), (80, 24)):
        environ.update(COLUMNS=str(size[0]), LINES=str(size[1]))
        for left in (890, 889, 888):
            prompt.waiting(left)
    assert is_whole_qr_code(seen(stream.text, 80, 24), PUBLIC)


def test_a_window_that_is_still_being_pulled_is_left_alone():
    """It is drawn anew once its size is the same twice: a tiling window manager passes through a dozen sizes."""
    environ = {**UTF8, "COLUMNS": "80", "LINES": "24"}
    stream = MemoryStream(is_terminal=True)
    prompt = sign_in_prompt.SignInPrompt(screen.Screen(stream, environ=environ), known_hosts=KNOWN)
    show(prompt)
    for columns in range(79, 60, -1):
        environ["COLUMNS"] = str(columns)
        prompt.waiting(800 + columns)
    assert stream.text.count(PUBLIC) == 1
    prompt.waiting(800)
    assert stream.text.count(PUBLIC) == 2
