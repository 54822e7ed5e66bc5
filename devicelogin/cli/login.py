"""`devicelogin login`: one sign-in with a phone."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, cast

import click

from devicelogin import errors, redaction, resources, secret_store
from devicelogin.cli import (
    cron_remarks,
    ending,
    output,
    qr_file,
    unlocking,
    waiting,
)
from devicelogin.cli.invocation import Ended, Invocation
from devicelogin.cli.options import file_names, json_option, one_of, profile_option, wait_for_clock_option
from devicelogin.cli.short_help import ShortHelpCommand
from devicelogin.cli.sign_in_screen import SignInScreen
from devicelogin.client import preparing, reporting, signing_in
from devicelogin.terminal import ask, screen
from devicelogin.unattended import on_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin import client, clock, models
    from devicelogin.cli import events
    from devicelogin.client import observing
    from devicelogin.settings import resolve

_HELP = """Sign a person in: show an address and a code, wait for their phone, keep the refresh token. The settings go into the
profile. Nobody but who runs this should enter the code.

\b
  devicelogin login --client-id ID --tenant contoso.com
  devicelogin login --profile home --client-id ID --tenant consumers
"""

#: Which options are for other providers, for displays and for boards?
_RARE = (
    "authority",
    "oidc_issuer",
    "no_default_scope",
    "graph_root",
    "ca_file",
    "copy",
    "qr_image",
    "renew",
    "on_code",
    "clock_wait",
    "from_env_file",
)

#: What is said of the sealed file before a person takes it, by the source of its key?
_SEALED_FILE = {
    "file": (
        "The sign-in can be kept in a file instead, encrypted with a key that lies in another file of yours.",
        "That protects copies and backups of one of the two; it does not protect against root or programs run as you.",
    ),
    "credential": (
        "The sign-in can be kept in a file instead, encrypted with the systemd credential devicelogin.key of this unit.",
        "Only units that have it can use the sign-in; it does not protect against root or programs in such a unit.",
    ),
    "command": (
        "The sign-in can be kept in a file instead, encrypted with the key that the command in your profile prints.",
        "That protects it as well as the command keeps that key; it does not protect against root or programs run as you.",
    ),
    "passphrase": (
        "The sign-in can be kept in a file instead, encrypted with a passphrase that you choose now.",
        "It protects the disk and its copies; every refresh asks for it, so cron jobs cannot use this sign-in.",
    ),
}


@click.command(
    "login", cls=ShortHelpCommand, rare=_RARE, help=_HELP, short_help="Sign in with a phone; needs a person once."
)
@profile_option
@click.option("--client-id", metavar="ID", help="The Application (client) ID of your app.")
@click.option(
    "--tenant",
    metavar="TENANT",
    shell_complete=one_of(("organizations", "common", "consumers")),
    help="Id, domain, organizations (default) or consumers.",
)
@click.option("--authority", metavar="URL", help="Another Entra-shaped authority, with a tenant.")
@click.option("--oidc-issuer", metavar="URL", help="Another OpenID provider, by its issuer.")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="Add a scope; again for more. Default User.Read."
)
@click.option("--no-default-scope", is_flag=True, help="Do not add User.Read to the scopes.")
@click.option(
    "--from-env",
    "from_env_file",
    metavar="FILE",
    shell_complete=file_names,
    help="Take client id, tenant and scopes from a .env file.",
)
@click.option("--graph-root", metavar="URL", help="Where Graph is; default: that of the cloud.")
@click.option(
    "--ca-file", metavar="FILE", shell_complete=file_names, help="Certificates to trust (PEM), not the system's."
)
@click.option(
    "--store",
    metavar="STORE",
    shell_complete=one_of(("auto", "keyring", "file")),
    help="Where to keep the secret: auto, keyring or file.",
)
@click.option(
    "--qr",
    metavar="FORM",
    shell_complete=one_of(("auto", "half", "full", "ascii", "off")),
    help="The QR code: auto, half, full, ascii or off.",
)
@click.option("--copy", is_flag=True, help="Send the code to the clipboard of your terminal.")
@click.option("--qr-image", metavar="FILE", shell_complete=file_names, help="Draw the QR code into FILE, .png or .svg.")
@click.option("--renew", is_flag=True, help="Show a new code when one has expired.")
@click.option(
    "--on-code", metavar="COMMAND", shell_complete=file_names, help="Run this, without a shell, for each code."
)
@click.option("--if-needed", is_flag=True, help="Do nothing if the saved sign-in still works.")
@click.option("--expect-user", metavar="USER", help="Refuse anybody but this user name or object id.")
@click.option("--replace", is_flag=True, help="Let another account replace the saved one.")
@wait_for_clock_option
@json_option("Print events, one JSON object a line.")
@click.pass_obj
def command(invocation: Invocation, /, clock_wait: clock.ClockWait, **options: object) -> None:
    """Run the command."""
    if_needed, as_json = bool(options.pop("if_needed")), bool(options.pop("as_json"))
    expected, replace = options.pop("expect_user"), bool(options.pop("replace"))
    copy, renew = bool(options.pop("copy")), bool(options.pop("renew"))
    picture = qr_file.QrFile(cast("str | None", options.pop("qr_image")))
    if copy and as_json:
        raise errors.UsageError("--copy is for a person at a terminal, --json is not", hint="leave one of them out")
    flags = {name: (list(value) if isinstance(value, tuple) else value) for name, value in options.items()}
    flags["default_scope"] = False if flags.pop("no_default_scope") else None
    flags["on_code"] = _arguments(flags["on_code"])
    env_file = flags.pop("from_env_file")
    if env_file is not None:
        _take(invocation, str(env_file), flags)
    expected = str(expected) if expected is not None else None
    if expected is not None and not expected.strip():
        raise errors.UsageError("--expect-user names nobody", hint="give a user name or an object id, or leave it out")
    wishes = signing_in.Options(
        expect_user=expected,
        replace=replace,
        patient=invocation.is_at_display(),
        saved=ending.see_it_through,
    )
    if as_json:
        from devicelogin.cli import events

        stream = events.EventStream(renew=renew)
        with _ending(stream, invocation), picture:
            clock_wait.until_plausible()
            sign_in = sign_in_with_events(invocation, flags, wishes, stream, if_needed=if_needed, picture=picture)
        stream.signed_in(sign_in)
        return
    with picture:
        clock_wait.until_plausible()
        if if_needed and _working(invocation, flags, expected) is not None:
            if not invocation.quiet:
                profile = invocation.profile_name
                output.say(f"devicelogin: the saved sign-in of the profile {profile} still works; nothing to do")
        else:
            cron_remarks.say(invocation, flags)
            sign_in_on_screen(invocation, flags, wishes, copy=copy, renew=renew, picture=picture)


def _take(invocation: Invocation, path: str, flags: dict[str, object]) -> None:
    """Add to `flags` what the `.env` file at `path` says and no option does, and say what that was."""
    from devicelogin.cli import from_env

    taken = from_env.read(path, flags)
    flags |= taken.flags
    if not invocation.quiet:
        for remark in taken.remarks:
            output.say(f"devicelogin: note: {remark}")


def sign_in_on_screen(
    invocation: Invocation,
    flags: dict[str, object],
    wishes: signing_in.Options,
    *,
    copy: bool = False,
    renew: bool = False,
    picture: qr_file.QrFile | None = None,
    note_below: str | None = None,
    shown: events.OnShown | None = None,
) -> models.SignIn:
    """Run the sign-in with a person at stderr, who is asked what is missing if they can be.

    With `copy` the code goes to the clipboard of their terminal, with `renew` a code that has expired has a successor,
    `picture` is where each is drawn. `note_below` is a sentence shown under the code; `shown` is called when the code is
    on the screen.
    """
    work, chosen = _with_app(invocation, flags)
    if sys.stderr is None and not chosen.on_code.value and (picture is None or not picture.is_wanted):
        raise errors.OutputError(
            "cannot show the sign-in code on stderr: it is closed", hint="look at what stderr is connected to"
        )
    view = SignInScreen(
        work,
        chosen,
        can_ask=invocation.can_ask(),
        copy=copy,
        renew=renew,
        live=not invocation.verbose,
        asking=lambda: waiting.said("asking for a new code", invocation),
        note_below=note_below,
        shown=shown,
    )
    observer = picture.before(view) if picture is not None else view
    words = waiting.with_keyring("asking for a code", invocation)

    def sign_in_once() -> models.SignIn:
        with waiting.said(words, invocation):  # until the code is shown
            return _sign_in(work, wishes, observer, chosen)

    with view:
        try:
            sign_in = sign_in_once()
        except errors.StoreUnusableError as error:
            if view.was_shown or chosen.store.value != "auto" or not _takes_file(invocation, work, error):
                _name_the_command(invocation, error)
                raise
            flags["store"] = "file"
            work = unlocking.let_ask(invocation, invocation.workplace(flags))
            view.work = work
            sign_in = sign_in_once()
        if not invocation.quiet:
            from devicelogin.cli import after_sign_in

            view.signed_in(after_sign_in.lines(work, sign_in, stays=invocation.keyring_service is None))
    return sign_in


def sign_in_with_events(
    invocation: Invocation,
    flags: dict[str, object],
    wishes: signing_in.Options,
    stream: events.EventStream,
    *,
    if_needed: bool,
    picture: qr_file.QrFile,
) -> models.SignIn:
    """Run the sign-in for a program that shows the code itself, and return it; neither last event is written here."""
    working = _working(invocation, flags, wishes.expect_user) if if_needed else None
    if working is not None:
        return working
    work = unlocking.let_ask(invocation, invocation.workplace(flags))
    for remark in cron_remarks.remarks(work):
        stream.note(remark)
    return _sign_in(work, wishes, picture.before(stream), work.settings(for_login=True))


def _with_app(invocation: Invocation, flags: dict[str, object]) -> tuple[client.Workplace, resolve.Settings]:
    """Return the workplace and the settings of `flags`, to which a person adds the app that is missing."""
    work = unlocking.let_ask(invocation, invocation.workplace(flags))
    chosen = work.settings(for_login=True)
    if chosen.client_id.value is not None or not invocation.can_ask():
        return work, chosen
    from devicelogin.cli import registration

    needs_tenant = not chosen.authority_url.explicit
    registration.ask_for_app(flags, needs_tenant=needs_tenant, is_oidc=chosen.is_oidc, stdin=sys.stdin)
    work = unlocking.let_ask(invocation, invocation.workplace(flags))
    return work, work.settings(for_login=True)


@contextlib.contextmanager
def _ending(stream: events.EventStream, invocation: Invocation) -> Iterator[None]:
    """Let the stream end with an event `failed`, whatever ends the block; that goes on as it is."""
    try:
        yield
    except errors.DeviceLoginError as error:
        if isinstance(error, errors.StoreUnusableError):
            _name_the_command(invocation, error)
        stream.failed(error)
        raise
    except (KeyboardInterrupt, Ended) as end:
        stream.failed(ending.interruption(end.number if isinstance(end, Ended) else signal.SIGINT))
        raise
    except output.ReaderGoneError:
        raise
    except Exception as error:
        stream.failed(ending.error_of(error))
        raise


def _sign_in(
    work: client.Workplace, wishes: signing_in.Options, observer: observing.Observer, chosen: resolve.Settings
) -> models.SignIn:
    """Run the sign-in with `observer`, and beside it what `on_code` names."""
    with on_code.OnCode(observer, chosen.on_code.value, work) as watched:
        return signing_in.login(work, wishes, watched)


def _arguments(command: object) -> list[str] | None:
    """Return the words of `--on-code`, which is split as a shell would, and then given to none."""
    if command is None:
        return None
    try:
        words = shlex.split(str(command))
    except ValueError:
        words = []
    if not words:
        raise errors.UsageError(
            "--on-code holds no command, or a quotation that does not end",
            hint="""--on-code '/usr/local/bin/show-code "a word with spaces"'""",
        )
    return words


def _working(invocation: Invocation, flags: dict[str, object], expected: str | None) -> models.SignIn | None:
    """Return the saved sign-in if it is the one asked for and works. Raises what only a later try can mend."""
    pinned = {name: value for name, value in flags.items() if name not in {"scopes", "store", "qr"}}
    work: client.Workplace = invocation.workplace(pinned)
    try:
        sign_in = secret_store.read_sign_in(work.paths)
        if sign_in is None or (expected is not None and not preparing.is_expected(sign_in.account, expected)):
            return None
        wanted = invocation.workplace({**pinned, "scopes": flags["scopes"]}).settings(for_login=True)
        # User.Read, which every sign-in to Graph has by now, is no reason to ask somebody who has none yet.
        implied = {"user.read"} - {name.lower() for name in wanted.added}
        lacking = {name.lower() for name in wanted.scopes.value} - {name.lower() for name in sign_in.scopes} - implied
        if wanted.scopes.explicit and lacking:
            return None
        groups = resources.grouped(wanted.also.value, sign_in.graph_root).values()
        with waiting.said("trying the saved sign-in", invocation):
            for asked in ((), *groups):
                get = functools.partial(_token, work, asked)
                unlocking.with_passphrase(invocation, work, get)
        # The token may be a cached one, of a sign-in that is known to bring no other.
        if reporting.read_status(work).needs_login:
            return None
    except (errors.LoginRequiredError, errors.DataBadError, errors.DeniedByPolicyError, errors.ConfigError):
        return None
    return sign_in


def _token(work: client.Workplace, scopes: tuple[str, ...]) -> models.AccessToken:
    from devicelogin.tokens import silent

    return work.silent_tokens().access_token(silent.Wish(scopes=scopes))


def _name_the_command(invocation: Invocation, error: errors.StoreUnusableError) -> None:
    """Make the command in the hint the exact one (D4): as it was typed, with the sealed file as its store."""
    if error.hint is None or not error.hint.endswith("--store file") or not invocation.arguments:
        return
    advice = error.hint[: error.hint.rindex("devicelogin login")]
    words: list[str] = []
    for word in invocation.arguments:
        if words[-1:] == ["--store"]:
            words.pop()
        elif not word.startswith("--store="):
            words.append(word)
    error.hint = f"{advice}{shlex.join(['devicelogin', *words])} --store file"


def _takes_file(invocation: Invocation, work: client.Workplace, error: errors.StoreUnusableError) -> bool:
    """Explain in three lines and ask once (D4). Without a terminal the answer is no, and the error says what to do.

    Only where it was the keyring that failed: a full disk or a missing key is not mended by another store.
    """
    if not invocation.can_ask() or not secret_store.is_of_keyring(error):
        return False
    view = screen.Screen(output.people(), environ=os.environ)
    first = f"The operating system's keyring cannot be used here: {redaction.printable(error.message)}."
    for text in (first, *_SEALED_FILE[preparing.new_key_source(work)]):
        for line in screen.wrapped(text, view.columns - 1):
            view.line(line)
    return ask.confirm(view, sys.stdin, "Keep it in that file?", default=True)
