"""Who is told how a sign-in goes: the protocol, the observer of the Python API, and one that stands before another."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Protocol

from devicelogin import authority, errors, models
from devicelogin.signin import device_flow

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("devicelogin.login")


class Observer(device_flow.Observer, Protocol):
    """Who is told how a sign-in goes."""

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Show the person where to go and what to enter; again for a new code after one that has expired."""

    def note(self, message: str) -> None:
        """Pass a remark on to the person."""

    def announce(self, message: str) -> None:
        """Tell the person what comes, or that there is nothing for them to do."""

    def may_renew(self) -> bool:
        """Take away the code, which has expired, and tell whether a new one shall be requested; may take its time."""

    def may_replace(self, old: models.Account, new: models.Account) -> bool:
        """Ask whether `new` shall replace the saved sign-in of `old`."""


class Calling(device_flow.Silence):
    """The observer of the Python API: a callable that shows, else plain lines on stderr; replaces nobody."""

    def __init__(self, show: Callable[[models.DeviceAuthorization], None] | None) -> None:
        self._show = show

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Hand the authorization to the callable, or write it to stderr."""
        if self._show is not None:
            self._show(authorization)
            return
        if sys.stderr is None:
            raise errors.OutputError(
                "there is no stderr to show the code on", hint="give login() a function that shows it"
            )
        from devicelogin import redaction

        uri, code = redaction.printable(authorization.verification_uri), redaction.printable(authorization.user_code)
        sys.stderr.write(f"To sign in, open {uri} and enter the code {code}\n")

    def note(self, message: str) -> None:
        """Log the remark."""
        _logger.warning("%s", message)

    def announce(self, message: str) -> None:
        """Log it."""
        _logger.info("%s", message)

    def may_renew(self) -> bool:
        """Never."""
        return False

    def may_replace(self, old: models.Account, new: models.Account) -> bool:
        """Never."""
        return False


class Relay:
    """An observer before another one, which it tells everything."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Pass it on."""
        self._observer.show(authorization, provider, tenant)

    def waiting(self, seconds_left: float) -> None:
        """Pass it on."""
        self._observer.waiting(seconds_left)

    def trouble(self, message: str) -> None:
        """Pass it on."""
        self._observer.trouble(message)

    def recovered(self) -> None:
        """Pass it on."""
        self._observer.recovered()

    def note(self, message: str) -> None:
        """Pass it on."""
        self._observer.note(message)

    def announce(self, message: str) -> None:
        """Pass it on."""
        self._observer.announce(message)

    def may_renew(self) -> bool:
        """Ask the other observer."""
        return self._observer.may_renew()

    def may_replace(self, old: models.Account, new: models.Account) -> bool:
        """Ask the other observer."""
        return self._observer.may_replace(old, new)
