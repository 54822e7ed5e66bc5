"""One profile: its settings, the store of its sign-in, and the sign-in itself."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from devicelogin import errors, hints, redaction, secret_store, settings
from devicelogin.client import reporting
from devicelogin.doctor import commands, files, network, subject
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devicelogin import client, models

#: What says how long a sign-in lasts, and when to care?
if TYPE_CHECKING:
    Forecaster = Callable[[models.SignInStatus], models.Forecast]


class Patient:
    """A profile under examination. Reads its settings and the trace of its sign-in at once; raises nothing for them.

    `chosen` is None where the settings are wrong, `sign_in` where nobody is signed in or that cannot be read.
    """

    def __init__(self, work: client.Workplace) -> None:
        self.work = work
        self.about = subject.Subject(f"profile {work.profile}")
        self.chosen: settings.Settings | None = None
        self.sign_in: models.SignIn | None = None
        self._trace_error: errors.DeviceLoginError | None = None
        try:
            self.sign_in = secret_store.read_sign_in(work.paths)
        except errors.DeviceLoginError as error:
            self._trace_error = error
        self._settings = self.about.tried("settings", self._look_at_settings)

    @property
    def target(self) -> network.Target | None:
        """The authority of this profile, None where the settings are wrong."""
        if self.chosen is None:
            return None
        if self.sign_in is not None:
            signed = self.sign_in
            return network.Target(signed.authority, signed.is_oidc, self.chosen.ca_file.value, signed.hosts)
        return network.Target(self.chosen.authority_url.value, self.chosen.is_oidc, self.chosen.ca_file.value)

    @property
    def is_in_keyring(self) -> bool:
        """Tell whether the saved sign-in is in the OS keyring."""
        return self.sign_in is not None and self.sign_in.location.kind == "keyring"

    def look(self, forecast: Forecaster) -> Iterator[models.Finding]:
        """Yield what is found, the settings first. The store may take its five seconds."""
        yield self._settings
        if self.chosen is None:
            yield self.about.skipped("authority", "the settings must be right first")
        permissions, *others = files.look(self.work, is_saved=self.sign_in is not None)
        yield from (permissions, *others)
        if permissions.level == "red":
            yield self.about.skipped("store", "the permissions must be right first")
        else:
            yield self.about.tried("store", self._look_at_store)
        yield self.about.tried("sign-in", lambda: self._look_at_sign_in(forecast))
        if self.chosen is not None:
            yield from commands.look(self.about, self.chosen, self.work.paths.profile_file, self.work.environ)

    def _look_at_settings(self) -> models.Finding:
        chosen = self.work.settings()
        self.chosen = chosen
        if self.sign_in is not None:
            settings.check_pinned(chosen, self.sign_in)
        details = tuple(_shown(chosen))
        if chosen.notes:
            return self.about.yellow("settings", "; ".join(chosen.notes), details=details)
        given = sum(1 for line in details if not line.endswith(f" ({_DEFAULT})"))
        return self.about.green("settings", f"readable, {given} given", details=details)

    def _look_at_store(self) -> models.Finding:
        if self._trace_error is not None:
            return self.about.skipped("store", "it cannot be read where the sign-in lies")
        if self.sign_in is None:
            return self._look_at_future_store()
        began = time.monotonic()
        store = self.work.open_store(self.sign_in)
        times = secret_store.read_times(self.work.paths)
        try:
            record = store.load()
            store.probe()
        except errors.StoreUnusableError as error:
            if error.code != "key_passphrase":
                raise silent.out_of_reach(error, store.location, self.work.profile) from error
            return self.about.yellow("store", f"{error.message}: no job can use it", hint=error.hint)
        if record is None:
            raise errors.LoginRequiredError(
                f"the saved sign-in is not {_where(store.location)} any more", hint=hints.login(self.work.profile)
            )
        if secret_store.is_older_copy(record, times):
            return self.about.yellow("store", secret_store.OLDER_COPY, hint=hints.login(self.work.profile))
        seconds = f"{time.monotonic() - began:.1f} s"
        return self.about.green("store", f"{_where(store.location)}, read and tried in {seconds}; {store.protection}")

    def _look_at_future_store(self) -> models.Finding:
        """Return which store `login` would take. A sealed file is not tried: that would make its key."""
        if self.chosen is None:
            return self.about.skipped("store", "the settings must be right first")
        wanted = self.chosen.store.value
        if wanted == "file":
            return self.about.green("store", "login would keep the sign-in in a sealed file")
        try:
            store = secret_store.choose_store(wanted, self.work.paths)
        except errors.StoreUnusableError as error:
            if wanted != "auto":
                raise
            return self.about.yellow("store", f"login would not find a store: {error.message}", hint=error.hint)
        return self.about.green("store", f"login would keep the sign-in {_where(store.location)}; it was tried")

    def _look_at_sign_in(self, forecast: Forecaster) -> models.Finding:
        if self._trace_error is not None:
            raise self._trace_error
        status, login = reporting.read_status(self.work), hints.login(self.work.profile)
        if status.state == "unreadable":
            return self.about.skipped("sign-in", "its files must be right first")
        if status.sign_in is None:
            return self.about.yellow("sign-in", "nobody is signed in", hint=login)
        who = redaction.printable(status.sign_in.account.username)
        if status.needs_login:
            raise errors.LoginRequiredError(f"{who} must sign in again: {status.reason}", hint=login)
        expected = forecast(status)
        if status.lasts_until is not None and expected.level in {"warning", "critical"}:
            words = f"{who}; unused it ends on {status.lasts_until.date().isoformat()}, in {expected.days_left} days"
            return self.about.yellow("sign-in", words, hint=hints.command("token --force-refresh", self.work.profile))
        return self.about.green("sign-in", f"{who}; lasts {expected.words}" if expected.words else who)


_DEFAULT = "default"


def _where(location: models.StoreLocation) -> str:
    if location.kind == "file":
        return "in the sealed file"
    if location.kind == "keyring":
        return "in the OS keyring"
    return f"in the keyring backend {location.kind.removeprefix('keyring:')}"


def _shown(chosen: settings.Settings) -> Iterator[str]:
    """Yield a line for each setting: its value and where that comes from."""
    for field in dataclasses.fields(chosen):
        given = getattr(chosen, field.name)
        if not isinstance(given, settings.Value):
            continue
        value = given.value
        if field.name in {"key", "on_code", "on_login_needed"} and isinstance(value, tuple):
            # SECURITY: the arguments of an owner's command may be somebody's password.
            value = f"{value[0]} and {len(value) - 1} arguments" if value else None
        if isinstance(value, tuple):
            value = " ".join(value) or None
        shown = "none" if value is None else str(value)
        yield f"{field.name} = {shown} ({given.source})"
