"""Questions to a person at a terminal, one line each. Whoever asks makes sure that somebody is there."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

from devicelogin import errors, redaction

if sys.platform != "win32":
    import termios

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devicelogin.terminal.screen import Screen

#: How often is a question asked before an unusable answer ends the command?
ATTEMPTS = 3

#: How long may an answer be?
_LONGEST = 4096


def ask(screen: Screen, stdin: TextIO, question: str, *, check: Callable[[str], str]) -> str:
    """Return what `check` makes of the answer.

    `check` gets the answer without surrounding white space and raises a `DeviceLoginError` for one that is unusable:
    its message is shown and the question asked again; the last one is raised. End of input raises
    `LoginNotCompletedError`.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return check(_answer(screen, stdin, question))
        except errors.LoginNotCompletedError:
            raise
        except errors.DeviceLoginError as error:
            screen.line(redaction.printable(error.message))
    return check(_answer(screen, stdin, question))


def confirm(screen: Screen, stdin: TextIO, question: str, *, default: bool) -> bool:
    """Return yes or no; an empty answer is `default`."""

    def is_yes(answer: str) -> str:
        word = answer.casefold() or ("yes" if default else "no")
        if word not in {"y", "yes", "n", "no"}:
            message = "the answer has to be yes or no"
            raise errors.UsageError(message, hint="answer y or n")
        return word[0]

    return ask(screen, stdin, f"{question} [{'Y/n' if default else 'y/N'}]", check=is_yes) == "y"


def choose_one(
    screen: Screen, stdin: TextIO, question: str, options: Sequence[tuple[str, str]], *, default: str | None = None
) -> str:
    """Show the numbered `options` (a key and what it means) and return the key chosen, by number or by key."""
    keys = [key for key, _ in options]

    def chosen(answer: str) -> str:
        if not answer and default is not None:
            return default
        if answer in keys:
            return answer
        if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(keys):
            return keys[int(answer) - 1]
        message = f"the answer has to be a number from 1 to {len(keys)}"
        raise errors.UsageError(message, hint="answer with the number in front of it")

    for number, (key, meaning) in enumerate(options, start=1):
        screen.line(f"  {number}  {redaction.printable(key)}: {redaction.printable(meaning)}")
    usual = f" [{keys.index(default) + 1}]" if default is not None else ""
    return ask(screen, stdin, question + usual, check=chosen)


def hidden(question: str, stream: TextIO) -> str:
    """Return the answer to a question for a secret, which does not appear on the terminal.

    It is asked and answered at the terminal of this session, else at `stream` and stdin.

    Raises LoginNotCompletedError at the end of input or for what is no text.
    """
    import getpass

    try:
        return getpass.getpass(redaction.printable(question).rstrip() + " ", stream)
    except BaseException as end:
        with contextlib.suppress(OSError, ValueError):  # the line of the question has not been ended
            stream.write("\n")
            stream.flush()
        if not isinstance(end, (EOFError, ValueError)):
            raise
        message = f"the question was not answered: {redaction.printable(question, limit=80)}"
        raise errors.LoginNotCompletedError(message, hint="nothing was changed; run the command again") from None


def is_enter_pressed(screen: Screen, stdin: TextIO, question: str, *, seconds: float) -> bool:
    """Tell whether Enter is pressed within `seconds`; Ctrl-D, or nobody in sight, is no.

    Only what is typed from now on counts. However it ends, the line of the question is ended too.
    """
    if sys.platform == "win32" or not _is_in_foreground(stdin):
        return False
    with contextlib.suppress(termios.error):
        termios.tcflush(stdin, termios.TCIFLUSH)
    try:
        screen.write(f"{redaction.printable(question)} ")
        ready, _, _ = select.select([stdin], [], [], seconds)
        if ready and os.read(stdin.fileno(), _LONGEST):
            return True  # the terminal has shown the Enter, which ended the line
    except OSError:
        pass  # the terminal is gone
    except BaseException:
        with contextlib.suppress(OSError, ValueError):
            screen.line()
        raise
    screen.line()
    return False


def _is_in_foreground(stdin: TextIO) -> bool:
    """Tell whether this process may read from its terminal: one in the background would be stopped for it."""
    try:
        return os.tcgetpgrp(stdin.fileno()) == os.getpgrp()
    except OSError:
        return True  # a terminal that is not this session's stops nobody


def _answer(screen: Screen, stdin: TextIO, question: str) -> str:
    try:
        screen.write(f"{redaction.printable(question)} ")
        line = stdin.readline(_LONGEST)
    except BaseException:  # a signal: what is said of it stands on a line of its own
        with contextlib.suppress(OSError, ValueError):
            screen.line()
        raise
    if not line:
        screen.line()
        message = f"the question was not answered: {redaction.printable(question, limit=80)}"
        raise errors.LoginNotCompletedError(message, hint="nothing was changed; answer it, or give the option instead")
    return line.strip()
