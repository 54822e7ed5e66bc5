"""Where the keep-alive job is installed: a systemd user timer where one outlives the session, else the user's crontab."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin import errors, user_session
from devicelogin.unattended import crontab, timer
from devicelogin.unattended import job as jobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CRONTAB = "your crontab (crontab -l)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The job as it is installed: `kind` is `timer` or `crontab`, `where` names it, `how` says what it runs.

    `next_run` is in seconds since 1970, None where its owner gave it times of their own, or it never runs because it is not
    `enabled`. `remark` says what is wrong.
    """

    kind: str
    where: str
    how: str
    next_run: float | None
    remark: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What an installation or a removal did; `notes` for the person, `is_new` false where nothing had to be changed."""

    kinds: tuple[str, ...]
    is_new: bool = True
    notes: tuple[str, ...] = ()


def install(environ: Mapping[str, str], *, lingers: bool, spans: Sequence[str] = ()) -> Changed:
    """Install the job: as a timer where `lingers` (services go on without a session), else as a crontab line.

    `spans` are the hours in which somebody may be asked from afar; the job's time is chosen within them. The other kind
    is taken away: the job is there once. What is installed as it should be stays untouched. Raises ConfigError where
    neither is possible, with the line to install by hand.
    """
    job = jobs.job_of_this_program(environ)
    notes = tuple(
        f"{name} has a password in it and is not written down; the job runs without it" for name in job.left_out
    )
    if lingers:
        is_new = _install_timer(environ, job, spans)
        with contextlib.suppress(errors.ConfigError):
            is_new |= _remove_line(environ)
        return Changed(kinds=("timer",), is_new=is_new, notes=notes)
    is_new = _install_line(environ, job, spans)
    if timer.read(environ) is not None:
        timer.remove(environ)
        is_new = True
    return Changed(kinds=("crontab",), is_new=is_new, notes=notes)


def installed(environ: Mapping[str, str], *, lingers: bool, now: float | None = None) -> tuple[Installed, ...]:
    """Return where the job is installed; nothing where it is not. `lingers` as for `install`."""
    job = jobs.job_of_this_program(environ)
    moment = time.time() if now is None else now
    found = []
    units = timer.read(environ)
    if units is not None:
        found.append(_as_timer(environ, units, job, lingers=lingers, now=moment))
    try:
        line = crontab.ours(crontab.read(environ))
        if line is not None:
            found.append(_as_line(line, job, moment))
    except errors.ConfigError as error:
        if error.code == crontab.MARKERS:
            damaged = Installed(kind="crontab", where=_CRONTAB, how="nobody knows", next_run=None, remark=error.message)
            found.append(damaged)
    return tuple(found)


def remove(environ: Mapping[str, str]) -> Changed:
    """Take the job away wherever it is installed, and nothing else. Raises ConfigError where that fails."""
    kinds: list[str] = []
    notes: list[str] = []
    if timer.read(environ) is not None or timer.is_enabled(environ):
        why = timer.remove(environ)
        kinds.append("timer")
        if why is not None:
            notes.append(f"systemd could not be told ({why}) and may keep the timer until you sign out")
    try:
        if _remove_line(environ):
            kinds.append("crontab")
    except errors.ConfigError as error:
        if not kinds:
            raise
        notes.append(f"whether it is in the crontab as well could not be seen: {error.message}")
    return Changed(kinds=tuple(kinds), is_new=bool(kinds), notes=tuple(notes))


def _install_timer(environ: Mapping[str, str], job: jobs.Job, spans: Sequence[str]) -> bool:
    found = timer.read(environ) or {}
    wanted = timer.units(job, _time(timer.time_of_day(found), spans))
    if found == wanted and timer.is_enabled(environ):
        return False
    timer.write(environ, wanted)
    timer.start(environ)
    return True


def _install_line(environ: Mapping[str, str], job: jobs.Job, spans: Sequence[str]) -> bool:
    line = crontab.line(job, _time(None, spans))
    try:
        content = crontab.read(environ)
        found = crontab.ours(content)
        if found is not None:
            line = crontab.line(job, _time(crontab.time_of_day(found), spans))
            if found == line:
                return False
        crontab.put(environ, content, line)
    except errors.ConfigError as error:
        if error.code == crontab.MARKERS:
            raise
        raise errors.ConfigError(
            f"the job cannot be installed here: {error.message}",
            hint=f"let something else run it once a day; as a line for a crontab: {line}",
            code="no_scheduler",
        ) from error
    return True


def _time(present: jobs.TimeOfDay | None, spans: Sequence[str]) -> jobs.TimeOfDay:
    """Return the time of the job: the present one, unless nobody could be asked from afar then."""
    return present if present is not None and present.is_within(spans) else jobs.some_time_of_day(spans)


def _remove_line(environ: Mapping[str, str]) -> bool:
    try:
        content = crontab.read(environ)
    except errors.ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False  # no cron, so no line of ours
        raise
    if crontab.ours(content) is None:
        return False
    crontab.take_out(environ, content)
    return True


def _as_timer(
    environ: Mapping[str, str], units: Mapping[str, str], job: jobs.Job, *, lingers: bool, now: float
) -> Installed:
    at = timer.time_of_day(units)
    enabled = timer.is_enabled(environ)
    remark = None
    if not enabled:
        remark = "it is not enabled, so it never runs; to mend that: devicelogin keepalive install"
    elif not user_session.has_systemd():
        remark = "systemd does not run this machine, so it never runs; for cron: devicelogin keepalive install"
    elif not lingers:
        remark = "it runs only while you are signed in; to mend that: loginctl enable-linger"
    elif at is not None and units != timer.units(job, at):
        remark = _other_than_now()
    where = os.path.join(timer.directory(environ), f"{timer.NAME}.timer")
    next_run = None if at is None or not enabled or not user_session.has_systemd() else at.next_after(now)
    return Installed(
        kind="timer", where=where, how=timer.command(units), next_run=next_run, remark=remark, enabled=enabled
    )


def _as_line(line: str, job: jobs.Job, now: float) -> Installed:
    at = crontab.time_of_day(line)
    remark = _other_than_now() if at is not None and line != crontab.line(job, at) else None
    next_run = None if at is None else at.next_after(now)
    return Installed(kind="crontab", where=_CRONTAB, how=line, next_run=next_run, remark=remark)


def _other_than_now() -> str:
    return "it is another program or another environment than this one; to change that: devicelogin keepalive install"
