"""The sign-in as a person at stderr sees it: an observer that draws with `terminal`."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import sys
from typing import TYPE_CHECKING, Self, cast

from devicelogin import redaction
from devicelogin.cli import ending, output
from devicelogin.terminal import ask, messages, screen, sign_in_prompt, verification_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from devicelogin import authority, client, models
    from devicelogin.cli import events
    from devicelogin.settings import resolve
    from devicelogin.terminal import qr_code


#: How long may a terminal ask whether a new code is wanted, once one has expired (seconds)? Nobody's waits for ever.
_ASK_FOR_CODE_SECONDS = 600

_QUESTION = "The code has expired. Enter: a new one; Ctrl-C: end"


class SignInScreen:
    """What signing_in tells, on a screen; a context manager that leaves the terminal as it was.

    `asking` gives what tells that a new code is asked for, until that is shown. Without `live` there is no countdown in
    place: a log is written between the lines.
    """

    def __init__(
        self,
        work: client.Workplace,
        chosen: resolve.Settings,
        *,
        can_ask: bool,
        copy: bool = False,
        renew: bool = False,
        live: bool = True,
        asking: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
        note_below: str | None = None,
        shown: events.OnShown | None = None,
    ) -> None:
        self.work = work
        self.was_shown = False
        self._can_ask = can_ask
        self._renew = renew
        self._asking = asking
        self._asked = contextlib.ExitStack()
        self._note_below = note_below
        self._shown = shown
        self._screen = screen.Screen(output.people(), environ=os.environ)
        known = verification_uri.hosts_of(chosen.authority_url.value, is_oidc=chosen.is_oidc)
        self._prompt = sign_in_prompt.SignInPrompt(
            self._screen, qr=cast("qr_code.Wanted", chosen.qr.value), known_hosts=known, copy=copy, live=live
        )

    def __enter__(self) -> Self:
        self._prompt.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asked.close()
        self._prompt.__exit__(kind, error, trace)

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Show the address, the code and who asks."""
        self._asked.close()
        output.clear_the_line()
        self._prompt.show(
            authorization,
            host_name=platform.node() or "unknown",
            app=f"devicelogin, profile {self.work.profile}",
            tenant=tenant if "://" in tenant else f"{tenant} at {provider.origin}",
            user=_user(),
            note_below=self._note_below,
        )
        self.was_shown = True
        if self._shown is not None:
            self._shown(authorization)

    def waiting(self, seconds_left: float) -> None:
        """Count down."""
        ending.go_on_unless_ended()
        self._prompt.waiting(seconds_left)

    def trouble(self, message: str) -> None:
        """Say that the network is in trouble."""
        output.clear_the_line()
        self._prompt.trouble(message)

    def recovered(self) -> None:
        """Say that it is back."""
        self._prompt.recovered()

    def note(self, message: str) -> None:
        """Pass a remark on."""
        self._prompt.close()
        output.say(messages.warning_line(message))

    def announce(self, message: str) -> None:
        """Say what comes."""
        self._prompt.close()
        output.clear_the_line()
        output.say(f"devicelogin: {redaction.printable(message)}")

    def may_renew(self) -> bool:
        """Where that was said beforehand, or where a person at the terminal presses a key for it."""
        self._prompt.close()
        is_wanted = self._renew or (
            self._can_ask and ask.is_enter_pressed(self._screen, sys.stdin, _QUESTION, seconds=_ASK_FOR_CODE_SECONDS)
        )
        if is_wanted:
            self._asked.enter_context(self._asking())
        return is_wanted

    def may_replace(self, old: models.Account, new: models.Account) -> bool:
        """Ask a person at a terminal; nobody else."""
        if not self._can_ask:
            return False
        self._prompt.close()
        question = f"{_shown(new.username)} signed in. Replace the saved sign-in of {_shown(old.username)}?"
        return ask.confirm(self._screen, sys.stdin, question, default=False)

    def signed_in(self, lines: Sequence[str]) -> None:
        """Say what there is to say when it has worked."""
        self._prompt.done(*lines)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None  # a container's user id without a name


def _shown(text: str) -> str:
    return redaction.printable(text, limit=80)
