"""`devicelogin store move` and `store rekey`: the saved sign-in, brought to another store or sealed with a new key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from devicelogin import errors, redaction
from devicelogin.cli import cron_remarks, output, unlocking, waiting
from devicelogin.cli.options import one_of, profile_option
from devicelogin.client import moving, rekeying
from devicelogin.settings import shapes
from devicelogin.terminal import messages

if TYPE_CHECKING:
    from devicelogin.cli.invocation import Invocation
    from devicelogin.client.moving import Outcome

_GROUP_HELP = """Keep the saved sign-in elsewhere, or seal it with a new key.

\b
  devicelogin store move --to file
  devicelogin store rekey
"""

_HELP = """Move the saved sign-in to another store; nobody has to sign in again.

It is copied, read back, and then deleted where it was. Run it where both stores can be reached: to move a sign-in out of a
keyring, in a session where that keyring is unlocked. Cron jobs can use a file, unless a passphrase opens it.

\b
  devicelogin store move --to file
  devicelogin store move --to keyring

A sign-in that is in the file already is sealed again if the profile now has another `key` or `bind`.
"""

_REKEY_HELP = """Seal the saved sign-in in its file with a new key; nobody has to sign in again.

With a key file, a new one is made, and the old one is deleted when the sign-in has been read back. With a passphrase, type
the old one, then the new one twice. A key that comes from a command or a credential is not changed: the file is sealed again
with that key. To use another key of that kind, put it into the profile and sign in again.

\b
  devicelogin store rekey
  devicelogin store rekey --profile work
"""


@click.group(
    "store",
    help=_GROUP_HELP,
    invoke_without_command=True,
    short_help="Move the saved sign-in, or seal it with a new key.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """Run the command: help, where none is after it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("move", help=_HELP, short_help="Move the saved sign-in to another store.")
@profile_option
@click.option(
    "--to",
    "kind",
    required=True,
    metavar="STORE",
    shell_complete=one_of(("keyring", "file")),
    help="keyring, file or keyring:module.Class.",
)
@click.pass_obj
def _move(invocation: Invocation, *, kind: str) -> None:
    work = unlocking.let_ask(invocation, invocation.workplace({"store": _checked(kind)}))
    with waiting.said(waiting.with_keyring("moving the saved sign-in", invocation), invocation):
        outcome = moving.move(work, patient=invocation.is_at_display())
    for note in outcome.notes:
        output.say(messages.warning_line(note))
    if invocation.quiet:
        return
    output.say(_sentence(invocation.profile_name, outcome))
    remark = cron_remarks.of_move(work) if outcome.sign_in.location.kind == "keyring" else None
    if remark is not None:
        output.say(messages.warning_line(remark))


@command.command("rekey", help=_REKEY_HELP, short_help="Seal the saved sign-in with a new key.")
@profile_option
@click.pass_obj
def _rekey(invocation: Invocation) -> None:
    work = unlocking.let_ask(invocation, invocation.workplace({}))
    outcome = rekeying.rekey(work)
    if invocation.quiet:
        return
    who = redaction.printable(outcome.sign_in.account.username, limit=80)
    key = outcome.sign_in.location.key
    what = (
        f"sealed with a new {_NEW[key or '']}"
        if outcome.key_is_new
        else f"sealed anew; its key is the {key}'s, as before"
    )
    output.say(f"devicelogin: the sign-in of {who} (profile {invocation.profile_name}) is {what}")


#: What is new, by key source?
_NEW = {"file": "key file; copies of the old one no longer open it", "passphrase": "passphrase"}


def _checked(kind: str) -> str:
    try:
        store = shapes.store(kind)
    except shapes.BadValueError as bad:
        raise errors.UsageError(
            f"cannot move a sign-in: {bad.why}", hint="--to is one of keyring, file, keyring:module.Class"
        ) from None
    if store == "auto":
        raise errors.UsageError("--to auto names no store", hint="it is one of keyring, file, keyring:module.Class")
    return store


def _sentence(profile: str, outcome: Outcome) -> str:
    who = redaction.printable(outcome.sign_in.account.username, limit=80)
    what = "was moved; it is now" if outcome.moved else "was there already, and nothing was moved; it is"
    where = outcome.protection
    if not outcome.sign_in.location.kind.startswith("keyring:"):  # what is said of those names them
        where = f"in {moving.named(outcome.sign_in.location)}, {where}"
    return f"devicelogin: the sign-in of {who} (profile {profile}) {what} {where}"
