"""The systemd user timer: its two unit files, and telling the user's service manager of them."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from devicelogin import child_process, errors, private_files, redaction, user_session
from devicelogin.unattended import job as jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "devicelogin-keepalive"

#: How long may systemctl take (seconds)?
SECONDS = 20.0

_TIMER = """# Written by: devicelogin keepalive install
[Unit]
Description=Daily refresh of the saved sign-ins of devicelogin

[Timer]
OnCalendar=*-*-* {hour:02}:{minute:02}:00
RandomizedDelaySec={late}min
Persistent=true

[Install]
WantedBy=timers.target
"""

_SERVICE = """# Written by: devicelogin keepalive install
[Unit]
Description=Refresh of the saved sign-ins of devicelogin

[Service]
Type=oneshot
ExecStart={command}
# The command of on_login_needed goes on when this has ended.
KillMode=process
{environment}"""

_DAILY = re.compile(r"^OnCalendar=\*-\*-\* ([0-9]{2}):([0-9]{2}):00$", re.MULTILINE)


def units(job: jobs.Job, time_of_day: jobs.TimeOfDay) -> dict[str, str]:
    """Return the unit files of the job, by name."""
    environment = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in job.environment.items())
    # A colon before the program: a dollar sign in a path is no variable (systemd.service(5), from 244 on).
    colon = ":" if any("$" in word for word in job.command) else ""
    # systemd takes no quotes and backslashes in the program's own name; as an argument they are welcome.
    by_env = ("/usr/bin/env",) if set(job.command[0]) & set("'\"\\") else ()
    command = colon + " ".join(map(_quoted, (*by_env, *job.command)))
    return {
        f"{NAME}.service": _SERVICE.format(command=command, environment=environment),
        f"{NAME}.timer": _TIMER.format(hour=time_of_day.hour, minute=time_of_day.minute, late=jobs.LATE_MINUTES),
    }


def directory(environ: Mapping[str, str]) -> str:
    """Return where the user's own units lie."""
    given = environ.get("XDG_CONFIG_HOME", "")
    config = given if os.path.isabs(given) else os.path.join(environ.get("HOME", "/"), ".config")
    return os.path.join(config, "systemd", "user")


def read(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return the unit files that are there, by name; None where there is no timer of ours."""
    found = {}
    for name in (f"{NAME}.service", f"{NAME}.timer"):
        with contextlib.suppress(OSError), open(os.path.join(directory(environ), name), "rb") as file:
            found[name] = os.fsdecode(file.read(private_files.SIZE_LIMIT))
    return found or None


def command(found: Mapping[str, str]) -> str:
    """Return the command of a timer of ours, as its unit says it."""
    lines = found.get(f"{NAME}.service", "").splitlines()
    return next((line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")), "nothing")


def is_enabled(environ: Mapping[str, str]) -> bool:
    """Tell whether the user's service manager starts the timer by itself."""
    return os.path.lexists(_wanted(environ))


def time_of_day(found: Mapping[str, str]) -> jobs.TimeOfDay | None:
    """Return when a timer of ours fires; None where its owner made something else of it than once a day."""
    match = _DAILY.search(found.get(f"{NAME}.timer", ""))
    return None if match is None else jobs.TimeOfDay(int(match[1]), int(match[2]))


def write(environ: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Write the unit files. Raises ConfigError where that fails."""
    place = directory(environ)
    try:
        os.makedirs(place, exist_ok=True)
        for name, text in wanted.items():
            private_files.replace_beside(os.path.join(place, name), os.fsencode(text))
    except OSError as error:
        raise errors.ConfigError(
            f"cannot write the units into {place}: {error.strerror}",
            hint=f"look at its owner and mode: ls -ld {private_files.as_word(place)}",
        ) from error


def start(environ: Mapping[str, str]) -> None:
    """Let the user's service manager read the units and start the timer. Raises ConfigError where it cannot be told."""
    commands = (["daemon-reload"], ["enable", "--now", f"{NAME}.timer"])
    for words in commands:
        why = _systemctl(environ, words)
        if why is not None:
            by_hand = " && ".join("systemctl --user " + " ".join(each) for each in commands)
            raise errors.ConfigError(f"the timer is written but could not be started: {why}", hint=by_hand)


def remove(environ: Mapping[str, str]) -> str | None:
    """Stop the timer and delete its units; return why the service manager could not be told, None where it was.

    Raises ConfigError where a unit cannot be deleted.
    """
    why = _systemctl(environ, ["disable", "--now", f"{NAME}.timer"])
    place = directory(environ)
    for path in (_wanted(environ), *(os.path.join(place, f"{NAME}.{kind}") for kind in ("timer", "service"))):
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise errors.ConfigError(
                f"cannot delete {path}: {error.strerror}", hint=f"rm {private_files.as_word(path)}"
            ) from error
    return why or _systemctl(environ, ["daemon-reload"])


def enable_linger(environ: Mapping[str, str]) -> str | None:
    """Let the user's services go on without a session; return why that failed, None where it did not."""
    return _why_not(["loginctl", "--no-ask-password", "enable-linger"], environ)


def _wanted(environ: Mapping[str, str]) -> str:
    return os.path.join(directory(environ), "timers.target.wants", f"{NAME}.timer")


def _systemctl(environ: Mapping[str, str], words: list[str]) -> str | None:
    """Run systemctl for the user's own service manager; return why it failed, None where it did not."""
    variables = dict(environ)
    runtime = user_session.runtime_directory()
    if not variables.get("XDG_RUNTIME_DIR") and os.path.isdir(runtime):
        variables["XDG_RUNTIME_DIR"] = runtime  # `su` and cron leave it out, and systemctl finds the manager by it
    return _why_not(["systemctl", "--user", "--no-ask-password", *words], variables)


def _why_not(command: list[str], environ: Mapping[str, str]) -> str | None:
    """Run a program of systemd; return why it failed, None where it did not."""
    try:
        outcome = child_process.run(command, deadline_seconds=SECONDS, environment={**environ, "LC_ALL": "C"})
    except OSError as error:
        return f"{command[0]} cannot be started: {error.strerror}"
    if outcome.timed_out:
        return f"{command[0]} did not answer"
    said = outcome.diagnostics.decode("utf-8", "replace").strip().splitlines()
    return None if outcome.status == 0 else redaction.printable(said[-1] if said else f"{command[0]} gave no reason")


def _quoted(word: str) -> str:
    """Return a word as systemd.syntax(7) and systemd.unit(5) want it: no specifier, no escape, one word."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[\s\"'\\;]", word) or not word else escaped
