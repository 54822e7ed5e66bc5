"""`devicelogin doctor --as-cron` as a person or a program reads it: three answers, each with its reason and a command."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from devicelogin.cli import output, waiting
from devicelogin.doctor import crontab, rehearsal
from devicelogin.terminal import messages, screen

if TYPE_CHECKING:
    from devicelogin.cli.invocation import Invocation

#: How is the first answer called, by what starts jobs here?
_NOW = {"cron": "works from cron now:", "systemd": "works from a timer now:", None: "works without a person now:"}
_TITLES = {"after_logout": "after you log out:", "after_reboot": "after a reboot:"}
_WORDS = {True: "yes", False: "no", None: "not known"}
_STYLES = {True: "green", False: "red", None: "yellow"}


def show(invocation: Invocation, *, as_json: bool, force_refresh: bool) -> int:
    """Rehearse cron for the profile, write the three answers, and return the exit code of the first no.

    Raises ConfigError where no command would use this HOME: then a crontab that names it would not help.
    """
    invocation.places()
    with waiting.said("getting a token as cron would", invocation):
        done = rehearsal.rehearse(invocation.profile_name, os.environ, force_refresh=force_refresh)
    if as_json:
        output.write(json.dumps(_as_json(invocation.profile_name, done)) + "\n")
        return done.exit_code
    said = ""
    titles = {"now": _NOW[done.scheduler.name], **_TITLES}
    width = max(map(len, titles.values())) + 2
    with output.guarded() as stream:
        view = screen.Screen(stream, environ=os.environ)
        for answer in done.answers:
            word = view.styled(_WORDS[answer.works], _STYLES[answer.works])
            view.line(f"{titles[answer.moment]:{width}}{word}: {answer.reason}")
            if answer.command is not None and answer.command not in said:
                view.line(" " * width + answer.command)
                said += answer.command
    if not invocation.quiet:
        if done.scheduler.remark is not None and not done.scheduler.refuses:
            advice = "" if done.scheduler.hint is None else f"; {done.scheduler.hint}"
            output.say(messages.warning_line(f"{done.scheduler.remark}{advice}"))
        for line in done.missing:
            if line not in said:
                output.say(messages.warning_line(crontab.note(line)))
        if done.program is not None:
            output.say(
                f"devicelogin: note: cron does not find devicelogin by name; write {done.program} in the crontab"
            )
    return done.exit_code


def _as_json(profile: str, done: rehearsal.Rehearsal) -> dict[str, object]:
    answers = {
        answer.moment: {
            "works": answer.works,
            "reason": answer.reason,
            "command": answer.command,
            "exit": answer.exit_code,
        }
        for answer in done.answers
    }
    return {
        "format_version": 1,
        "profile": profile,
        **answers,
        "crontab_lacks": list(done.missing),
        "crontab_command": done.program,
        "scheduler": done.scheduler.name,
        "scheduler_remark": done.scheduler.remark,
    }
