"""What `login` says about cron before the code is shown: that its jobs will look elsewhere, or find the keyring gone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from devicelogin import errors, hints, redaction, secret_store, user_session
from devicelogin.cli import output
from devicelogin.terminal import ask, messages, screen

if TYPE_CHECKING:
    from devicelogin import client, models
    from devicelogin.cli.invocation import Invocation
    from devicelogin.doctor import durability


def say(invocation: Invocation, flags: dict[str, object]) -> None:
    """Say what there is to say on stderr; a person who can be asked may take the sealed file, which `flags` then names."""
    work = invocation.workplace(flags)
    for remark in _of_places():
        _warn(invocation, remark)
    ending = _ending_keyring(work)
    if ending is None:
        return
    is_open = work.settings(for_login=True).store.value == "auto" and _old_sign_in(work) is None
    if not (is_open and invocation.can_ask()):
        _warn(invocation, _of_keyring(ending, _login(work)))
        return
    view = screen.Screen(output.people(), environ=os.environ)
    for line in screen.wrapped(f"{_lead(ending)} A sealed file stays, and needs nobody signed in.", view.columns - 1):
        view.line(line)
    if ask.confirm(view, sys.stdin, "Keep the sign-in in a sealed file instead?", default=True):
        flags["store"] = "file"


def remarks(work: client.Workplace) -> list[str]:
    """Return what `say` warns of where nobody can be asked."""
    ending = _ending_keyring(work)
    return [*_of_places(), *([] if ending is None else [_of_keyring(ending, _login(work))])]


def of_move(work: client.Workplace) -> str | None:
    """Return the warning for who has moved a sign-in into the OS keyring over SSH; None where that keyring may stay."""
    ending = _of_session(work.profile)
    return None if ending is None else _of_keyring(ending, hints.command("store move --to file", work.profile))


def _of_places() -> list[str]:
    """Return the one remark about where cron's jobs look for our files; none where there are no crontabs.

    It is for a person at a terminal or over SSH: a service manager that sets DEVICELOGIN_HOME knows what it does.
    """
    from devicelogin.doctor import crontab

    if not (screen.Screen(output.people(), environ=os.environ).is_terminal or user_session.is_over_ssh(os.environ)):
        return []
    if not crontab.is_installed() or not crontab.missing_places(os.environ, user_session.cron_environment()):
        return []
    # Only now is it worth reading the crontab, which may have the lines already.
    return [crontab.note(line) for line in crontab.missing_places(os.environ)[:1]]


def _ending_keyring(work: client.Workplace) -> durability.Outlook | None:
    """Return why the keyring that is about to be used will be gone after logout; None where it is not known to be."""
    wanted, old = work.settings(for_login=True).store.value, _old_sign_in(work)
    if (old.location.kind if wanted == "auto" and old is not None else wanted) not in {"auto", "keyring"}:
        return None
    return _of_session(work.profile)


def _of_session(profile: str) -> durability.Outlook | None:
    """Return why the OS keyring of this SSH session will be gone after logout; None where it may stay, or without SSH."""
    if not user_session.is_over_ssh(os.environ):
        return None
    from devicelogin.doctor import durability

    outlook = durability.keyring_after_logout(os.environ, profile)
    return outlook if outlook is not None and outlook.works is False else None


def _old_sign_in(work: client.Workplace) -> models.SignIn | None:
    try:
        return secret_store.read_sign_in(work.paths)
    except errors.DeviceLoginError:
        return None  # login itself has words for that


def _lead(ending: durability.Outlook) -> str:
    return (
        f"After you log out, cron will not find a sign-in kept in this keyring: {redaction.printable(ending.reason)}."
    )


def _login(work: client.Workplace) -> str:
    return hints.command("login --store file", work.profile)


def _of_keyring(ending: durability.Outlook, command: str) -> str:
    lead = _lead(ending)
    return f"{lead[:1].lower()}{lead[1:-1]}; keep it in a sealed file: {command}"


def _warn(invocation: Invocation, remark: str) -> None:
    if not invocation.quiet:
        output.say(messages.warning_line(remark))
