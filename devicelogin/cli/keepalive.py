"""`devicelogin keepalive`: refreshes what would die of being left alone; installs, shows and removes the job that does."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from devicelogin import client, errors, redaction, user_session
from devicelogin.cli import output, waiting
from devicelogin.cli.invocation import Invocation
from devicelogin.cli.options import json_option, profile_option, wait_for_clock_option
from devicelogin.terminal import messages
from devicelogin.unattended import job as daily
from devicelogin.unattended import keep_alive, keep_alive_record, schedule, timer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devicelogin import clock
    from devicelogin.settings.paths import Places

_HELP = """Refresh every saved sign-in that was not refreshed for a week, so that none expires unused.

It says nothing while all is well, and one line on stderr for each profile that fails. The exit code is the most important
one of all profiles: 4, 77, 65, 78, 73, 76, 75, in this order.

\b
  devicelogin keepalive install   install a daily job for it
"""


@click.group("keepalive", help=_HELP, short_help="Refresh idle sign-ins.", invoke_without_command=True)
@profile_option
@click.option(
    "--older-than",
    type=click.IntRange(0, 89),
    default=keep_alive.DUE_DAYS,
    metavar="DAYS",
    help="Refresh what is older; 0 for all. Default: 7.",
)
@wait_for_clock_option
@click.pass_context
def command(context: click.Context, older_than: int, clock_wait: clock.ClockWait) -> int:
    """Run the command, or the one after it."""
    if context.invoked_subcommand is not None:
        return 0
    clock_wait.until_plausible()
    return _run(context.ensure_object(Invocation), older_than)


def _run(invocation: Invocation, older_than: int) -> int:
    places = invocation.places()
    named = invocation.profile or os.environ.get("DEVICELOGIN_PROFILE")
    names = (invocation.profile_name,) if named else places.profile_names()
    works = [client.Workplace(name, flags={}, environ=os.environ) for name in names]
    if not any(work.paths.is_there() for work in works) and (named or not os.path.lexists(places.state)):
        # No directory is made for a lock: there is nothing to refresh, or the name is a slip of the keyboard.
        results = keep_alive.KeepAlive(works, are_named=bool(named)).run()
        _tell(results, verbose=invocation.verbose)
        return keep_alive.worst(results)
    lock = keep_alive.run_lock(places)
    if not lock.try_acquire():
        if not named and older_than == keep_alive.DUE_DAYS:
            if invocation.verbose or _is_watched():
                output.say("devicelogin: another keepalive is at work; it does what this one would do")
            return 0
        _say_or_not(invocation)(
            "another keepalive is at work; waiting for it, as it may do less than this one was told to"
        )
        lock.acquire()
    try:
        spread = 0.0 if _is_watched() else keep_alive.SPREAD_SECONDS
        work = keep_alive.KeepAlive(
            works, older_than=older_than, spread=spread, note=_say_or_not(invocation), are_named=bool(named)
        )
        with waiting.said("refreshing the saved sign-ins", invocation):
            results = work.run()
        _tell(results, verbose=invocation.verbose)
        if not named:
            results = _noted(places, results)
    finally:
        lock.release()
    return keep_alive.worst(results)


def _noted(places: Places, results: tuple[keep_alive.Result, ...]) -> tuple[keep_alive.Result, ...]:
    """Note the run; where that fails, that is one more failure, and not a more important one than what went before."""
    try:
        keep_alive.note_run(places, results)
    except errors.DeviceLoginError as error:
        output.say(f"devicelogin: error: the run could not be noted: {redaction.printable(error.message)}")
        return (*results, keep_alive.Result(profile="", outcome="failed", error=error))
    return results


def _say_or_not(invocation: Invocation) -> Callable[[str], None]:
    def note(message: str) -> None:
        if invocation.verbose or _is_watched():
            output.say(f"devicelogin: note: {redaction.printable(message)}")

    return note


def _tell(results: Sequence[keep_alive.Result], *, verbose: bool) -> None:
    for result in results:
        error = result.error
        if error is not None:
            words = f"profile {result.profile}: {error.message}" + (f"; {error.hint}" if error.hint else "")
            output.say(f"devicelogin: error: {redaction.printable(words, limit=1000)}")
        elif verbose:
            output.say(f"devicelogin: profile {result.profile}: {result.outcome.replace('-', ' ')}")


def _is_watched() -> bool:
    """Tell whether a person waits for this run."""
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


@command.command("install", short_help="Install a daily job for it.")
@click.pass_obj
def install(invocation: Invocation) -> None:
    """Let this machine refresh all saved sign-ins daily: by a systemd user timer where lingering is on, else by cron.

    Installing again changes nothing, but for a program or an environment that has changed.
    """
    _refuse_profile(invocation, "install")
    lingers = _lingers(invocation)
    names = invocation.places().profile_names()
    spans = daily.spans_of_asking([client.Workplace(name, flags={}, environ=os.environ) for name in names])
    changed = schedule.install(os.environ, lingers=lingers, spans=spans)
    if invocation.quiet:
        return
    for note in changed.notes:
        output.say(f"devicelogin: note: {note}")
    why_not = _why_not_started() if "crontab" in changed.kinds else None
    if why_not is not None:
        output.say(messages.warning_line(why_not))
    how = "installed" if changed.is_new else "already installed; nothing was changed"
    output.say(f"devicelogin: the daily keepalive ({changed.kinds[0]}) is {how}; see: devicelogin keepalive show")


@command.command("remove", short_help="Undo install.")
@click.pass_obj
def remove(invocation: Invocation) -> None:
    """Take the timer and the lines in the crontab away, and nothing else."""
    _refuse_profile(invocation, "remove")
    invocation.places()
    changed = schedule.remove(os.environ)
    if invocation.quiet:
        return
    for note in changed.notes:
        output.say(f"devicelogin: note: {note}")
    if changed.is_new:
        output.say(f"devicelogin: the daily keepalive ({' and '.join(changed.kinds)}) is removed")
    else:
        output.say("devicelogin: the daily keepalive is not installed; nothing was changed")


@command.command("show", short_help="Show the job's schedule and its last result.")
@json_option("Print an object with all that is known.")
@click.pass_obj
def show(invocation: Invocation, *, as_json: bool) -> None:
    """Show where the daily job is installed, when it runs next, and how the last run went."""
    _refuse_profile(invocation, "show")
    places = invocation.places()
    jobs = [_remarked(job) for job in schedule.installed(os.environ, lingers=user_session.has_lasting_timers())]
    last = keep_alive_record.read(places)
    output.write(_shown_as_json(jobs, last) if as_json else _shown(jobs, last))


def _remarked(job: schedule.Installed) -> schedule.Installed:
    """Return `job` with what is known here of why nothing starts it."""
    why_not = _why_not_started() if job.kind == "crontab" and job.remark is None else None
    return job if why_not is None else dataclasses.replace(job, remark=why_not)


def _why_not_started() -> str | None:
    """Return why nothing starts the lines of the crontab; None where something does, as far as is known."""
    from devicelogin.doctor import scheduler

    found = scheduler.find()
    return None if found.remark is None or found.name == "systemd" else f"{found.remark}; {found.hint}"


def _refuse_profile(invocation: Invocation, command_name: str) -> None:
    if invocation.profile is not None:
        raise errors.UsageError(
            "the daily keepalive is for every profile, so --profile has no meaning here",
            hint=f"leave --profile out: devicelogin keepalive {command_name}",
        )


def _lingers(invocation: Invocation) -> bool:
    """Tell whether the user's services go on without a session; where they do not, offer to change that."""
    if user_session.lingers() or not user_session.has_systemd():
        return user_session.has_lasting_timers()
    if not invocation.can_ask():
        if not invocation.quiet:
            output.say(
                "devicelogin: note: for a systemd timer instead of cron: loginctl enable-linger, and install again"
            )
        return False
    from devicelogin.terminal import ask, screen

    view = screen.Screen(output.people(), environ=os.environ)
    question = (
        "A systemd timer needs services that go on when you are signed out (loginctl enable-linger). Turn that on?"
    )
    if not ask.confirm(view, sys.stdin, question, default=True):
        return False
    why = timer.enable_linger(os.environ)
    if why is not None:
        output.say(f"devicelogin: note: lingering could not be turned on ({why}); cron is used instead")
    return user_session.lingers()


def _shown(jobs: Sequence[schedule.Installed], last: keep_alive_record.LastRun | None) -> str:
    facts: list[tuple[str, str]] = []
    for job in jobs:
        kind = "a systemd timer" if job.kind == "timer" else "a crontab line"
        unknown = "at times that its owner chose" if job.enabled else "never"
        when = unknown if job.next_run is None else _local(job.next_run)
        facts += [("installed", f"as {kind}: {job.where}"), ("runs", job.how), ("next", when)]
        if job.remark is not None:
            facts.append(("warning", job.remark))
    if not jobs:
        facts.append(("installed", "no; to install it: devicelogin keepalive install"))
    facts.append(("last run", "none is recorded" if last is None else f"{_local(last.at)}: {_outcomes(last)}"))
    for name, noted in () if last is None else last.profiles.items():
        if noted.exit_code:
            facts.append(("failed", f"profile {name} ({noted.exit_code}): {noted.message}"))
    return "".join(f"{label:<11}{redaction.printable(value, limit=2000)}\n" for label, value in facts)


def _outcomes(last: keep_alive_record.LastRun) -> str:
    counts = collections.Counter(noted.outcome.replace("-", " ") for noted in last.profiles.values())
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "nobody was signed in"


def _shown_as_json(jobs: Sequence[schedule.Installed], last: keep_alive_record.LastRun | None) -> str:
    last_run = None
    if last is not None:
        profiles = {name: dataclasses.asdict(noted) for name, noted in last.profiles.items()}
        last_run = {"at": _utc(last.at), "profiles": profiles}
    fields: dict[str, object] = {
        "format_version": 1,
        "installed": bool(jobs),
        "jobs": [{**dataclasses.asdict(job), "next_run": _utc(job.next_run)} for job in jobs],
        "last_run": last_run,
    }
    return json.dumps(fields) + "\n"


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z").strip()


def _utc(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
