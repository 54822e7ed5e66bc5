"""Errors and warnings as lines for a person: what could not be done, one next step, the server's code.

Imports nothing heavy: a failing `token` in a cron job writes its three lines through here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from devicelogin import redaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin import errors
    from devicelogin.terminal.screen import Screen

#: The most characters of one line. A hint may hold a whole command with a client id and scopes.
_LONGEST = 1000

#: The style of the word that tells what kind of line it is.
_STYLES = {"error": "red", "warning": "yellow", "hint": "bold"}

_INDENT = "    "

#: One word of a sentence, with what is quoted in it.
_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s])+""")

#: Programs of commands that hints give after a colon.
_PROGRAMS = frozenset(
    [
        "az",
        "cat",
        "chmod",
        "chown",
        "crontab",
        "curl",
        "df",
        "dmesg",
        "export",
        "journalctl",
        "kill",
        "loginctl",
        "ls",
        "mkdir",
        "mount",
        "mv",
        "pip",
        "python3",
        "quota",
        "rm",
        "stat",
        "sudo",
        "systemctl",
        "ulimit",
        "umask",
    ]
)

#: Words in small letters that belong to a command of ours; another one after it goes on with the sentence.
_OURS = frozenset(
    [
        "login",
        "token",
        "graph",
        "status",
        "logout",
        "store",
        "move",
        "rekey",
        "doctor",
        "keepalive",
        "install",
        "show",
        "remove",
        "completion",
        "demo",
        "me",
        "file",
        "keyring",
        "bash",
        "zsh",
        "fish",
    ]
)

#: What goes before a value in small letters.
_VALUED = frozenset(
    [
        "--profile",
        "-p",
        "--store",
        "--to",
        "--scope",
        "--tenant",
        "--client-id",
        "--format",
        "--output-file",
        "--from-env",
        "--expect-user",
        "--input",
        "--authority",
        "--ca-file",
        "--qr",
        "|",
    ]
)


def error_lines(error: errors.DeviceLoginError, program: str = "devicelogin") -> list[str]:
    """Return the lines for stderr: `error:`, then `hint:` and `detail:` where there is one."""
    return [f"{program}: {kind}: {text}" for kind, text in _parts(error)]


def warning_line(text: str, program: str = "devicelogin") -> str:
    """Return the line for stderr that warns of `text`."""
    return f"{program}: warning: {_printable(text)}"


def fitted(line: str, screen: Screen) -> list[str]:
    """Return `line`, one of those above, as lines for the terminal `screen`: with color, and no wider than it.

    A command in it that is to be pasted is never broken: it stands on a line of its own, however long.
    """
    line = redaction.harmless(line)
    program, _, rest = line.partition(": ")
    kind, colon, text = rest.partition(": ")
    if not colon or " " in kind or " " in program:
        program, kind, text = "", "", line
    prefix = f"{program}: {kind}: " if kind else ""
    lines = _wrapped(prefix, text, screen.columns - 1)
    return (
        [f"{program}: {screen.styled(f'{kind}:', _STYLES.get(kind, ''))}{lines[0][len(prefix) - 1 :]}", *lines[1:]]
        if kind
        else lines
    )


def _parts(error: errors.DeviceLoginError) -> Iterator[tuple[str, str]]:
    yield "error", _printable(error.message)
    if error.hint:
        yield "hint", _printable(error.hint)
    details = [error.detail] if error.detail else []
    if error.correlation_id and error.correlation_id not in (error.detail or ""):
        details.append(f"correlation_id {error.correlation_id}")
    if details:
        yield "detail", _printable(", ".join(details))


def _printable(text: str) -> str:
    return redaction.printable(text, limit=_LONGEST)


def _wrapped(prefix: str, text: str, width: int) -> list[str]:
    """Return `text` after `prefix` in lines of at most `width` cells; only a word or a command may be longer."""
    from devicelogin.terminal import screen

    if screen.cell_width(prefix + text) <= width:
        return [prefix + text]
    lines, start = [prefix], True
    for is_command, piece in _pieces(text):
        if is_command:
            lines.append(_INDENT + piece)
            lines.append(_INDENT)
            start = True
            continue
        for word in piece.split():
            candidate = lines[-1] + ("" if start else " ") + word
            if not start and screen.cell_width(candidate) > width:
                candidate = _INDENT + word
                lines.append(candidate)
            lines[-1], start = candidate, False
    return [line.rstrip() for line in lines if line.strip()]


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the sentence and the commands in it, in their order; `True` goes with a command."""
    prose: list[str] = []
    words = _WORD.findall(text)
    while words:
        count = _command_length(words, prose[-1] if prose else ":")
        if not count:
            prose.append(words.pop(0))
            continue
        yield False, " ".join(prose)
        command = " ".join(words[:count])
        yield True, command.rstrip(";,") if command.count("(") == command.count(")") else command.rstrip(");,")
        prose, words = [], words[count:]
    yield False, " ".join(prose)


def _command_length(words: list[str], before: str) -> int:
    """Return of how many of `words` the command consists that begins with the first of them; 0 for none."""
    if words[0] == "(devicelogin":
        return next((number for number, word in enumerate(words, 1) if word.endswith(")")), 0)
    if words[0] != "devicelogin":
        if words[0] not in _PROGRAMS or not before.endswith(":"):
            return 0
        return next((number for number, word in enumerate(words, 1) if word.endswith(";")), len(words))
    count = 1
    for word in words[1:]:
        plain = word.rstrip(";,)")
        if plain.isalpha() and plain.islower() and plain not in _OURS and words[count - 1] not in _VALUED:
            break
        if plain.startswith("("):
            break
        count += 1
        if word != plain:
            break
    return count if count > 1 else 0
