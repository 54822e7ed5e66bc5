"""Questions to a person."""

from __future__ import annotations

import io
import os
import pty
import termios
import threading
import time

import pytest
import sandbox
from terminal_fixtures import terminal

from devicelogin import errors
from devicelogin.terminal import ask

OPTIONS = (("file", "a sealed file on this machine"), ("keyring", "the keyring of the desktop"))


def number(answer: str) -> str:
    if not answer.isdigit():
        raise errors.ConfigError(f"{answer} is not a number")
    return answer


def test_an_answer_is_returned_as_the_check_makes_it():
    """White space around it is no part of it."""
    target, stream = terminal()
    assert ask.ask(target, io.StringIO("  42 \n"), "How many?", check=number) == "42"
    assert stream.text == "How many? "


def test_a_bad_shape_is_explained_and_asked_again_three_times_in_all():
    """The third bad answer ends the command with the check's own error."""
    target, stream = terminal()
    stdin = io.StringIO("a\nb\n3\nleft\n")
    assert ask.ask(target, stdin, "How many?", check=number) == "3"
    assert stream.text == "How many? a is not a number\nHow many? b is not a number\nHow many? "
    with pytest.raises(errors.ConfigError, match="c is not a number"):
        ask.ask(target, io.StringIO("a\nb\nc\n4\n"), "How many?", check=number)


def test_the_end_of_input_is_an_error_with_a_next_step():
    """Ctrl-D, or a terminal that went away."""
    target, stream = terminal()
    for question in (
        lambda stdin: ask.ask(target, stdin, "Client id?", check=number),
        lambda stdin: ask.confirm(target, stdin, "Replace it?", default=True),
        lambda stdin: ask.choose_one(target, stdin, "Where?", OPTIONS),
    ):
        with pytest.raises(errors.LoginNotCompletedError) as caught:
            question(io.StringIO(""))
        assert "was not answered" in caught.value.message
        assert caught.value.hint
    assert stream.text.count("?") == 3, "nobody is there to be asked again"


def test_a_signal_while_the_question_is_written_ends_its_line(monkeypatch):
    """What is said of the signal stands on a line of its own."""
    target, stream = terminal()

    def interrupted() -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(stream, "flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask.confirm(target, io.StringIO("y\n"), "Replace it?", default=True)
    assert stream.text == "Replace it? [Y/n] \n"


@pytest.mark.parametrize(
    ("answer", "default", "expected"),
    [
        ("y", False, True),
        ("YES", False, True),
        ("n", True, False),
        ("no", True, False),
        ("", True, True),
        ("", False, False),
    ],
)
def test_yes_and_no_and_what_enter_means(answer, default, expected):
    """The capital letter is the default."""
    target, stream = terminal()
    assert ask.confirm(target, io.StringIO(answer + "\n"), "Replace it?", default=default) is expected
    assert stream.text == f"Replace it? [{'Y/n' if default else 'y/N'}] "


def test_neither_yes_nor_no_is_asked_again_and_never_taken_for_yes():
    """Three odd answers are an error."""
    target, _ = terminal()
    with pytest.raises(errors.UsageError):
        ask.confirm(target, io.StringIO("maybe\nja\n1\n"), "Replace it?", default=True)


@pytest.mark.parametrize(
    ("answer", "expected"), [("1", "file"), ("2", "keyring"), ("keyring", "keyring"), ("", "file")]
)
def test_a_choice_is_made_by_number_by_key_or_by_default(answer, expected):
    """Each option is shown with what it means."""
    target, stream = terminal()
    assert ask.choose_one(target, io.StringIO(answer + "\n"), "Where?", OPTIONS, default="file") == expected
    assert "  1  file: a sealed file on this machine\n" in stream.text
    assert stream.text.endswith("Where? [1] ")


@pytest.mark.parametrize("answer", ["0", "3", "-1", "²", "x", ""])
def test_a_choice_outside_the_options_is_asked_again(answer):
    """Without a default, an empty answer is none."""
    target, _ = terminal()
    stdin = io.StringIO(f"{answer}\n2\n")
    assert ask.choose_one(target, stdin, "Where?", OPTIONS) == "keyring"
    assert stdin.read() == ""


def test_a_pasted_answer_shows_no_escape_sequences_in_the_complaint():
    """What was typed goes through the same filter as everything else."""
    target, stream = terminal()
    ask.ask(target, io.StringIO("\x1b[2Jx\n1\n"), "How many?", check=number)
    assert "\x1b" not in stream.text


@pytest.mark.parametrize(("keys", "is_pressed"), [(b"\n", True), (b"y\n", True), (b"\x04", False), (None, False)])
def test_enter_is_waited_for_as_long_as_was_said_and_no_longer(keys, is_pressed):
    """Ctrl-D and nobody are no; the line of the question is ended, by the terminal where it shows the Enter."""
    master, slave = pty.openpty()
    target, stream = terminal()
    began = time.monotonic()
    over = threading.Event()

    def press() -> None:
        # What is typed before the question is dropped, so more than once.
        while not over.wait(0.1):
            os.write(master, keys)

    person = threading.Thread(target=press)
    if keys is not None:
        person.start()
    with open(slave) as stdin:
        modes = termios.tcgetattr(stdin)
        seconds = 0.3 if keys is None else sandbox.LATER
        try:
            assert ask.is_enter_pressed(target, stdin, "Again?", seconds=seconds) is is_pressed
        finally:
            over.set()
            if keys is not None:
                person.join()
        assert termios.tcgetattr(stdin) == modes
    assert 0.05 < time.monotonic() - began < sandbox.SOON
    assert stream.text == ("Again? " if is_pressed else "Again? \n")
    os.close(master)


def test_an_enter_that_was_pressed_before_the_question_is_no_answer_to_it():
    """Nobody has read the question by then."""
    master, slave = pty.openpty()
    target, _ = terminal()
    os.write(master, b"\n\n")
    with open(slave) as stdin:
        assert ask.is_enter_pressed(target, stdin, "Again?", seconds=0.2) is False
    os.close(master)


def test_a_terminal_that_is_gone_answers_nothing():
    """The window was closed, and nohup lets the program live."""
    master, slave = pty.openpty()
    target, _ = terminal()
    with open(slave) as stdin:
        os.close(master)
        assert ask.is_enter_pressed(target, stdin, "Again?", seconds=20) is False
