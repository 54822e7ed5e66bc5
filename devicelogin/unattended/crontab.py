"""The user's crontab: our lines in it, between two markers; every other line stays as it is, byte for byte."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from devicelogin import child_process, errors, redaction
from devicelogin.unattended import job as jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How long may the crontab program take (seconds)?
SECONDS = 10.0

BEGIN = "# devicelogin keepalive begin"
END = "# devicelogin keepalive end"

#: What is the `code` of the error that somebody edited the markers?
MARKERS = "crontab_markers"

#: How does Debian's `crontab -l` show control characters?
_SPELLED = {b"\r": rb"\r", b"\b": rb"\b"}

_BLOCK = re.compile(rf"^{re.escape(BEGIN)}\n(.*?)^{re.escape(END)}(?:\n|\Z)".encode(), re.MULTILINE | re.DOTALL)
_MARKER = re.compile(rf"^(?:{re.escape(BEGIN)}|{re.escape(END)})[ \t\r]*$".encode(), re.MULTILINE)
_DAILY = re.compile(r"([0-9]{1,2})[ \t]+([0-9]{1,2})[ \t]+\*[ \t]+\*[ \t]+\*[ \t]")

#: What do the crontab programs say where there is none yet (Debian's, cronie's, busybox's)?
_NONE_YET = re.compile(rb"no crontab for|No such file or directory")


def line(job: jobs.Job, time_of_day: jobs.TimeOfDay) -> str:
    """Return the crontab line of the job. Raises ConfigError where it cannot be one."""
    words = [f"{name}={value}" for name, value in job.environment.items()]
    # `env`, because a crontab may say SHELL=/bin/csh, which knows no variables before a command.
    command = shlex.join([*(["/usr/bin/env", *words] if words else []), *job.command])
    if "\\" in command:
        raise errors.ConfigError(
            "a path of this job has a backslash in it, which every cron reads in a way of its own",
            hint="choose a path without it",
        )
    # An unescaped % is a line break to cron (crontab(5)).
    escaped = command.replace("%", r"\%")
    return f"{time_of_day.minute} {time_of_day.hour} * * * {escaped}"


def read(environ: Mapping[str, str]) -> bytes:
    """Return the user's whole crontab, empty where there is none. Raises ConfigError where it cannot be read."""
    outcome = _run(["crontab", "-l"], environ)
    if outcome.status == 0:
        return _unescaped(environ, outcome.output)
    if outcome.status is not None and _NONE_YET.search(outcome.diagnostics):
        return b""
    raise _refused("read", outcome)


def ours(content: bytes) -> str | None:
    """Return our line in a crontab, None where there is none. Raises ConfigError where the markers are no pair."""
    blocks = _BLOCK.findall(content)
    if len(_MARKER.findall(content)) != 2 * len(blocks) or len(blocks) > 1:
        raise errors.ConfigError(
            "the marker lines of devicelogin in the crontab are no pair any more; it was left as it is",
            hint="delete them and what is ours between them: crontab -e",
            code=MARKERS,
        )
    return None if not blocks else blocks[0].decode("utf-8", "surrogateescape").removesuffix("\n")


def time_of_day(own_line: str) -> jobs.TimeOfDay | None:
    """Return when a line of ours runs; None where its owner made something else of it than once a day."""
    found = _DAILY.match(own_line)
    if found is None or int(found[2]) > 23 or int(found[1]) > 59:
        return None
    return jobs.TimeOfDay(int(found[2]), int(found[1]))


def put(environ: Mapping[str, str], content: bytes, own_line: str) -> None:
    """Put our line into the crontab `content`, at the end or where it was. Raises ConfigError where that fails."""
    block = f"{BEGIN}\n{own_line}\n{END}\n".encode()
    found = _BLOCK.search(content)
    if found is not None:
        _write(environ, content[: found.start()] + block + content[found.end() :])
        return
    gap = b"" if not content or content.endswith(b"\n") else b"\n"
    _write(environ, content + gap + block)


def take_out(environ: Mapping[str, str], content: bytes) -> None:
    """Take our lines out of the crontab `content`. Raises ConfigError where that fails."""
    _write(environ, _BLOCK.sub(b"", content))


def _unescaped(environ: Mapping[str, str], listed: bytes) -> bytes:
    """Return what a crontab holds of which `crontab -l` says `listed`: Debian's spells two control characters.

    Written back as they are shown, a DOS line end would become part of a command. An editor is given the file itself, so
    `cat` is made the editor.
    """
    if not any(shown in listed for shown in _SPELLED.values()):
        return listed
    outcome = _run(["crontab", "-e"], {**environ, "VISUAL": "cat", "EDITOR": "cat"})
    spelled = outcome.output
    for character, shown in _SPELLED.items():
        spelled = spelled.replace(character, shown)
    if listed not in (outcome.output, spelled):
        raise errors.ConfigError(
            "the crontab has characters in it that this program could not write back as they are",
            hint="look for control characters: crontab -l",
        )
    return outcome.output


def _write(environ: Mapping[str, str], content: bytes) -> None:
    # Without a line left there is to be no crontab, as before there was one.
    command = ["crontab", "-"] if content else ["crontab", "-r"]
    outcome = _run(command, environ, content)
    if outcome.status != 0:
        raise _refused("written", outcome)
    if read(environ) != content:
        raise errors.ConfigError("the crontab is not what was written to it", hint="look at it: crontab -l")


def _run(command: list[str], environ: Mapping[str, str], stdin: bytes = b"") -> child_process.Outcome:
    try:
        return child_process.run(command, deadline_seconds=SECONDS, stdin=stdin, environment={**environ, "LC_ALL": "C"})
    except OSError as error:
        raise errors.ConfigError(
            f"the program crontab cannot be started: {error.strerror}", hint="install cron, or start the job yourself"
        ) from error


def _refused(what: str, outcome: child_process.Outcome) -> errors.ConfigError:
    said = outcome.diagnostics.decode("utf-8", "replace").strip().splitlines()
    why = "it did not answer" if outcome.timed_out else redaction.printable(said[-1] if said else "no reason given")
    return errors.ConfigError(f"the crontab cannot be {what}: {why}", hint="ask whoever runs this machine for cron")
