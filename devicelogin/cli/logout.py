"""`devicelogin logout`: the end of a saved sign-in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from devicelogin import client, errors, hints, redaction, user_session
from devicelogin.cli import output, waiting
from devicelogin.cli.options import profile_option
from devicelogin.client import purging, signing_out
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from devicelogin.cli.invocation import Invocation
    from devicelogin.client.signing_out import Outcome

_HELP = """Delete the saved sign-in and every cached token of the profile, and verify that they are gone.

Where the provider can revoke the refresh token, it is asked to. The profile's settings stay.

\b
  devicelogin logout
  devicelogin logout --profile work
  devicelogin logout --all

--purge deletes the settings, the locks and the empty directories of the profile as well.
"""


@click.command("logout", help=_HELP, short_help="Delete the saved sign-in.")
@profile_option
@click.option("--all", "every", is_flag=True, help="Every profile.")
@click.option("--purge", is_flag=True, help="Delete the profile's settings and directories as well.")
@click.pass_obj
def command(invocation: Invocation, *, every: bool, purge: bool) -> None:
    """Run the command."""
    if every and invocation.profile is not None:
        raise errors.UsageError(
            "--all is every profile, and --profile names one of them",
            hint="give one of the two: devicelogin logout --all",
        )
    names = _names(invocation, purge=purge) if every else (invocation.profile_name,)
    failed: errors.DeviceLoginError | None = None
    for name in names:
        work = client.Workplace(name, flags={}, environ=os.environ)
        try:
            with waiting.said(f"deleting the saved sign-in (profile {name})", invocation):
                done = purging.purge(work) if purge else purging.Outcome(logout=signing_out.logout(work))
            _tell(work, done.logout, quiet=invocation.quiet)
            _tell_purged(done, quiet=invocation.quiet)
        except errors.DeviceLoginError as error:
            # One store that is locked must not keep the others' secrets alive.
            if every:
                output.say(f"devicelogin: profile {name}: {redaction.printable(error.message)}")
            failed = failed or _in_place(error, name)
    if every and not names and not invocation.quiet:
        output.say("devicelogin: nobody was signed in")
    if failed is not None:
        raise failed
    if purge and not purging.profile_names(invocation.places()):
        _end_daily_job(invocation)


def _names(invocation: Invocation, *, purge: bool) -> tuple[str, ...]:
    places = invocation.places()
    return purging.profile_names(places) if purge else places.profile_names()


def _tell_purged(done: purging.Outcome, *, quiet: bool) -> None:
    _tell_removed(done.removed, quiet=quiet)
    for path in done.left:
        output.say(f"devicelogin: note: left, because it is not ours: {redaction.printable(path)}")


def _tell_removed(paths: Iterable[str], *, quiet: bool) -> None:
    for path in () if quiet else paths:
        output.say(f"devicelogin: removed: {redaction.printable(path)}")


def _end_daily_job(invocation: Invocation) -> None:
    """Delete the notes of the daily job, for which no profile is left, and name it where it is installed."""
    from devicelogin.unattended import keep_alive, schedule  # only a purge asks for them

    _tell_removed(keep_alive.forget(invocation.places()), quiet=invocation.quiet)
    if invocation.quiet:
        return
    if schedule.installed(os.environ, lingers=user_session.has_lasting_timers()):
        output.say(
            "devicelogin: note: no profile is left here, but the daily keepalive is still installed "
            "(devicelogin keepalive show); to remove it: devicelogin keepalive remove"
        )


def _in_place(error: errors.DeviceLoginError, name: str) -> errors.DeviceLoginError:
    """Return `error` with a hint that is one for who wants to be signed out: another store would not help."""
    if (error.hint or "").endswith("--store file"):
        again = hints.command("logout", name)
        error.hint = f"repeat this where that keyring is open, and what is left goes: {again}"
    return error


def _tell(work: client.Workplace, outcome: Outcome, *, quiet: bool) -> None:
    if quiet:
        return
    name = work.profile
    if outcome.account is None:
        unknown = silent.unknown_profile(work.paths)
        which = f" to the profile {name}" if unknown is None else f": {unknown[0]}"
        output.say(f"devicelogin: nobody was signed in{which}")
    else:
        revoked = ", and revoked at the provider" if outcome.revoked else ""
        who = redaction.printable(outcome.account.username, limit=80)
        output.say(f"devicelogin: the sign-in of {who} (profile {name}) is deleted from this machine{revoked}")
    for note in outcome.notes:
        output.say(f"devicelogin: note: {redaction.printable(note)}")
