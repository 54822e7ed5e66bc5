"""`devicelogin logout`: the end of a saved sign-in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from devicelogin import client, errors, hints, redaction
from devicelogin.cli import output, waiting
from devicelogin.cli.options import profile_option
from devicelogin.client import signing_out
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from devicelogin.cli.invocation import Invocation
    from devicelogin.client.signing_out import Outcome

_HELP = """Delete the saved sign-in and every cached token of the profile, and verify that they are gone.

Where the provider can revoke the refresh token, it is asked to. The profile's settings stay.

\b
  devicelogin logout
  devicelogin logout --profile work
  devicelogin logout --all
"""


@click.command("logout", help=_HELP, short_help="Delete the saved sign-in.")
@profile_option
@click.option("--all", "every", is_flag=True, help="Every profile.")
@click.pass_obj
def command(invocation: Invocation, *, every: bool) -> None:
    """Run the command."""
    if every and invocation.profile is not None:
        raise errors.UsageError(
            "--all is every profile, and --profile names one of them",
            hint="give one of the two: devicelogin logout --all",
        )
    names = invocation.places().profile_names() if every else (invocation.profile_name,)
    failed: errors.DeviceLoginError | None = None
    for name in names:
        work = client.Workplace(name, flags={}, environ=os.environ)
        unknown = silent.unknown_profile(work.paths)
        if unknown is not None and not os.path.lexists(work.paths.state):
            # No directory is made for a lock: the name may be a slip of the keyboard.
            output.say(f"devicelogin: nobody was signed in: {unknown[0]}")
            continue
        try:
            with waiting.said(f"deleting the saved sign-in (profile {name})", invocation):
                outcome = signing_out.logout(work)
            _tell(name, outcome, quiet=invocation.quiet)
        except errors.DeviceLoginError as error:
            # One store that is locked must not keep the others' secrets alive.
            if every:
                output.say(f"devicelogin: profile {name}: {redaction.printable(error.message)}")
            failed = _in_place(error, name)
    if every and not names and not invocation.quiet:
        output.say("devicelogin: nobody was signed in")
    if failed is not None:
        raise failed


def _in_place(error: errors.DeviceLoginError, name: str) -> errors.DeviceLoginError:
    """Return `error` with a hint that is one for who wants to be signed out: another store would not help."""
    if (error.hint or "").endswith("--store file"):
        again = hints.command("logout", name)
        error.hint = f"repeat this where that keyring is open, and what is left goes: {again}"
    return error


def _tell(name: str, outcome: Outcome, *, quiet: bool) -> None:
    if quiet:
        return
    if outcome.account is None:
        output.say(f"devicelogin: nobody was signed in to the profile {name}")
    else:
        revoked = ", and revoked at the provider" if outcome.revoked else ""
        who = redaction.printable(outcome.account.username, limit=80)
        output.say(f"devicelogin: the sign-in of {who} (profile {name}) is deleted from this machine{revoked}")
    for note in outcome.notes:
        output.say(f"devicelogin: note: {redaction.printable(note)}")
