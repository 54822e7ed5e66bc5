"""The owner's own commands: whether a job could start them when the day comes on which somebody has to be told."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

from devicelogin import redaction, user_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devicelogin import models
    from devicelogin.doctor import subject
    from devicelogin.settings import Settings

_NAMES = ("on_login_needed", "on_code")


def look(
    about: subject.Subject, chosen: Settings, profile_file: str, environ: Mapping[str, str]
) -> Iterator[models.Finding]:
    """Yield a finding for each command that the settings name; nothing is run."""
    for name in _NAMES:
        words = getattr(chosen, name).value
        if words:
            yield _look_at(about, name, user_session.program(words[0], environ), profile_file, environ)
    if chosen.remote_login.value and not chosen.on_code.value:
        hint = f'write on_code = ["/usr/local/bin/program"] into {profile_file}'
        yield about.yellow("on_code", "remote_login is on, but there is no on_code that would tell anybody", hint=hint)


def _look_at(
    about: subject.Subject, name: str, program: str, profile_file: str, environ: Mapping[str, str]
) -> models.Finding:
    # SECURITY: of a command only its program is shown; its arguments may be somebody's password.
    shown = redaction.redacted(redaction.printable(program, limit=200))
    whole = f"write the whole path of a program as the first word of {name} in {profile_file}"
    if "/" not in program:
        if shutil.which(program, path=user_session.CRON_PATH) is not None:
            return about.green(name, f"{shown} can be started")
        here = shutil.which(program, path=environ.get("PATH"))
        why = f"there is no program {shown}" if here is None else f"cron does not find {shown} by its name"
        return about.yellow(name, f"{why}, so nobody would be told", hint=whole if here is None else f"{whole}: {here}")
    if not os.path.isabs(program):
        return about.yellow(name, f"{shown} depends on the directory that a job starts in", hint=whole)
    if not os.path.isfile(program):
        return about.yellow(name, f"there is no {shown}, so nobody would be told", hint=whole)
    if not os.access(program, os.X_OK):
        hint = f"chmod +x {shlex.quote(program)}"
        return about.yellow(name, f"{shown} may not be run, so nobody would be told", hint=hint)
    return about.green(name, f"{shown} can be started")
