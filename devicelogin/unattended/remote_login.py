"""Being asked from afar to sign in again (design decision D12): only by `keepalive`, only where the owner said so.

SECURITY: whoever can make a person enter a code that they did not ask for has that person's account. So this is off by
default, says who asks for what, accepts nobody but the account that was signed in before, and asks once in six hours at
most.
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

from devicelogin import clock, hints, private_files, secret_store, settings
from devicelogin.client import signing_in, unfinished
from devicelogin.signin import device_flow
from devicelogin.terminal import verification_uri
from devicelogin.tokens import access_cache
from devicelogin.unattended import hooks, login_needed, on_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin import authority, client, models
    from devicelogin.settings import paths as settings_paths
    from devicelogin.settings import resolve

#: How long is nobody asked again (seconds)? Somebody who does not answer is asleep, or tired of being asked.
PAUSE_SECONDS = 6 * 3600.0

#: How far behind the last refresh may the clock be and still tell the time of day (seconds)? Servers' clocks differ.
_TOLERANCE = 600.0

_FORMAT_VERSION = 1


def ask(
    work: client.Workplace, *, note: Callable[[str], None], options: signing_in.Options | None = None
) -> models.SignIn | None:
    """Have the person who was signed in before asked, by `on_code`, to sign in again; wait and return the new sign-in.

    None where it is not to be done now: `note` is told why, but for a profile that never wished it. Takes as long as the
    code lasts. Raises what `login` raises: StoreUnusableError before anything is sent, LoginNotCompletedError where
    another account approved, somebody declined or nobody came; what was saved is then as it was.
    """
    chosen = work.settings(for_login=True)
    if not chosen.remote_login.value:
        return None
    lock = secret_store.ProfileLock(work.paths, path=f"{work.paths.remote_login}-lock")
    if not lock.try_acquire():
        note("nobody is asked to sign in from afar: another process is asking just now")
        return None
    try:
        old = unfinished.read_settled(work)
        reason = _why_not(work, chosen, old)
        if reason is not None or old is None:
            note(f"nobody is asked to sign in from afar: {reason}")
            return None
        # SECURITY: an edited profile or a variable sends nobody to another authority or into another app.
        settings.check_pinned(chosen, old)
        options = dataclasses.replace(options or signing_in.Options(), only=old.account, replace=False)
        asking = on_code.OnCode(_Remote(work.paths, note), chosen.on_code.value, work, reason=_reason(work, old))
        with asking:
            return signing_in.login(work, options, asking)
    finally:
        lock.release()


class _Remote(device_flow.Silence):
    """The observer that shows a code to nobody: the command does."""

    def __init__(self, paths: settings_paths.ProfilePaths, note: Callable[[str], None]) -> None:
        self._paths = paths
        self._note = note

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Note that somebody is asked, before they are.

        Raises StoreUnusableError where that cannot be noted, BadAnswerError where the address is nobody's to be sent to.
        """
        verification_uri.require_known(authorization, is_oidc=provider.is_oidc)
        _note_asking(self._paths)

    def note(self, message: str) -> None:
        """Pass the remark on."""
        self._note(message)

    def announce(self, message: str) -> None:
        """Pass it on."""
        self._note(message)

    def may_renew(self) -> bool:
        """Never: nobody came, and is asked again when the pause is over."""
        return False

    def may_replace(self, old: models.Account, new: models.Account) -> bool:
        """Never."""
        return False


def _why_not(work: client.Workplace, chosen: resolve.Settings, old: models.SignIn | None) -> str | None:
    """Return why nobody is asked now, None where somebody is to be."""
    if not chosen.on_code.value:
        return "the profile says remote_login, but no on_code that would tell anybody"
    if old is None:
        return f"nobody was signed in before; sign in once at a terminal: {hints.login(work.profile)}"
    if not login_needed.is_needed(work.paths):
        return "the saved sign-in has not been refused"
    return _wrong_hour(work.paths, chosen.remote_login_hours.value) or _asked_lately(work.paths)


def _wrong_hour(paths: settings_paths.ProfilePaths, hours: str | None) -> str | None:
    if hours is None:
        return None
    times = secret_store.read_times(paths)
    if times is not None and time.time() < times.last_refreshed - _TOLERANCE:
        return f"it is allowed at {hours}, and this machine's clock is behind"
    now = time.localtime()
    if is_within(hours, now.tm_hour * 60 + now.tm_min):
        return None
    return f"it is allowed at {hours}, and it is {now.tm_hour:02}:{now.tm_min:02}"


def is_within(hours: str, minute: int) -> bool:
    """Tell whether `minute` of the day lies in the span `hours`, as in "22:00-06:00"; its end is outside of it.

    A span that ends when it begins is the whole day.
    """
    start, end = ((int(moment[:2]) * 60 + int(moment[3:])) for moment in hours.split("-"))
    if start == end:
        return True
    if start < end:
        return start <= minute < end
    return minute >= start or minute < end


def _asked_lately(paths: settings_paths.ProfilePaths) -> str | None:
    passed = seconds_since_asking(paths)
    if passed is None or passed >= PAUSE_SECONDS:
        return None
    return (
        f"somebody was asked {int(passed // 60)} minutes ago, and it is done once in {int(PAUSE_SECONDS // 3600)} hours"
    )


def seconds_since_asking(paths: settings_paths.ProfilePaths) -> float | None:
    """Return how long ago somebody was asked, at least; None: never, or nobody knows.

    Within one boot the boot clock counts, which no one sets. Across boots the wall clock does; where that was set back,
    what is sure is the time since this boot: so a clock that once ran ahead stops nothing for longer than the pause.
    """
    content = private_files.read(paths.remote_login)
    if content is None:
        return None
    try:
        data = json.loads(content)
        if data["boot"] and data["boot"] == access_cache.boot_id():
            return max(0.0, clock.boot_seconds() - float(data["asked_boot"]))
        passed = time.time() - float(data["asked_at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return passed if passed >= 0 else clock.boot_seconds()


def _note_asking(paths: settings_paths.ProfilePaths) -> None:
    fields = {
        "format_version": _FORMAT_VERSION,
        "asked_at": time.time(),
        "boot": access_cache.boot_id(),
        "asked_boot": clock.boot_seconds(),
    }
    private_files.replace(paths.remote_login, (json.dumps(fields, indent=1) + "\n").encode())


def _reason(work: client.Workplace, old: models.SignIn) -> str:
    """Return the sentence that comes with the code: who asks whom for what."""
    return (
        f"{old.account.username} is asked to sign in again, by devicelogin on {hooks.this_machine()}, profile "
        f"{work.profile}, app {old.client_id}; only enter this code if you expect this"
    )
