"""The events of `login --json`: one JSON object a line on stdout, for a program that shows the code itself.

`events.schema.json` beside this file says what they hold; a program may rely on it as long as `format_version` stays.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from devicelogin import errors, models, redaction
from devicelogin.cli import ending, output
from devicelogin.terminal import verification_uri

if TYPE_CHECKING:
    from devicelogin import authority

#: Who is called when a code is on the screen.
OnShown = Callable[[models.DeviceAuthorization], None]

#: How often does an event say that we still wait (seconds)?
_EVERY = 60


class EventStream:
    """The observer that writes events; each has `format_version` and `event`. With `renew` each code has a successor."""

    def __init__(self, *, renew: bool = False) -> None:
        self._renew = renew
        self._shown: tuple[str, ...] | None = None
        self._said_at = math.inf

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Write the event `code`, for later codes `renewed`.

        SECURITY: there is nothing for a QR code where the address is on a host that is not the identity provider's, and a
        complete address on another host than the plain one is not passed on.
        """
        uri: str | None = verification_uri.for_qr_code(authorization)
        complete = authorization.verification_uri_complete if uri == authorization.verification_uri_complete else None
        try:
            verification_uri.require_known(authorization, is_oidc=provider.is_oidc)
        except errors.BadAnswerError as error:
            self.note(error.message)
            uri = None
        # Each API has an approval of its own, which begins with a code of its own.
        event = "renewed" if self._shown == authorization.scopes else "code"
        self._shown, self._said_at = authorization.scopes, math.inf
        self._write(
            event,
            verification_uri=authorization.verification_uri,
            verification_uri_complete=complete,
            qr_text=uri,
            user_code=redaction.printable(authorization.user_code, limit=64),
            expires_in=authorization.expires_in,
            expires_at=_moment(time.time() + authorization.expires_in),
            client_id=authorization.client_id,
            authority=provider.url,
            tenant=tenant,
            scopes=list(authorization.scopes),
        )

    def waiting(self, seconds_left: float) -> None:
        """Write the event `waiting`, at first and then once a minute."""
        ending.go_on_unless_ended()
        if self._said_at - seconds_left >= _EVERY:
            self._said_at = seconds_left
            self._write("waiting", seconds_left=math.ceil(seconds_left))

    def trouble(self, message: str) -> None:
        """Write the event `trouble`."""
        self._write("trouble", message=redaction.printable(message))

    def recovered(self) -> None:
        """Write the event `recovered`."""
        self._write("recovered")

    def note(self, message: str) -> None:
        """Write the event `note`."""
        self._write("note", message=redaction.printable(message))

    def announce(self, message: str) -> None:
        """Write the event `note`."""
        self.note(message)

    def may_renew(self) -> bool:
        """Write that no time is left; wish for a new code where that was said beforehand."""
        self._write("waiting", seconds_left=0)
        return self._renew

    def may_replace(self, old: models.Account, new: models.Account) -> bool:
        """Never: there is nobody to ask."""
        return False

    def signed_in(self, sign_in: models.SignIn) -> None:
        """Write the last event of a sign-in that worked."""
        account = sign_in.account
        self._write(
            "signed_in",
            username=redaction.printable(account.username),
            name=redaction.printable(account.name),
            tenant_id=account.tenant_id,
            object_id=account.object_id,
            granted_scopes=list(sign_in.granted_scopes),
            store=sign_in.location.kind,
        )

    def failed(self, error: errors.DeviceLoginError) -> None:
        """Write the last event of a sign-in that did not."""
        fields = {key: _printable(value) for key, value in error.as_json().items() if key != "format_version"}
        self._write("failed", **fields)

    def _write(self, event: str, **fields: object) -> None:
        output.write(json.dumps({"format_version": 1, "event": event, **fields}) + "\n")


def _printable(value: object) -> object:
    return redaction.printable(value) if isinstance(value, str) else value


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
