"""What can be said of a saved sign-in without network and without touching a secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import clock, errors, hints, models, secret_store

if TYPE_CHECKING:
    from devicelogin.client.workplace import Workplace

#: How long does an Entra refresh token last unused (Microsoft: 90 days, not configurable since 2021)?
ENTRA_IDLE = timedelta(days=90)

#: Which tenant do personal Microsoft accounts have? Microsoft does not say how long theirs last.
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"

#: Where are Entra's sign-ins for customers, whose lifetimes are each owner's own setting?
_CUSTOMERS = (".b2clogin.com", ".ciamlogin.com")


def read_status(work: Workplace) -> models.SignInStatus:
    """Return the status of the profile; `unreadable` where its files are not ours or not to be had."""
    sign_in = times = None
    try:
        work.paths.check_directories()
        sign_in = secret_store.read_sign_in(work.paths)
        if sign_in is None:
            return models.SignInStatus(profile=work.profile, state="signed-out", reason="nobody is signed in")
        times = secret_store.read_times(work.paths)
        if times is None or times.refused is None:  # else a person is needed, whatever is left of the record
            check_record(work, sign_in)
        lost = None
    except errors.LoginRequiredError as error:
        lost = error.message
    except errors.DataBadError as error:
        return _unusable(work, "damaged", sign_in, error.message)
    except (errors.ConfigError, errors.StoreUnusableError) as error:
        # No sign-in mends that, and it must not hide the other profiles.
        why = f"{error.message}; {error.hint}" if error.hint else error.message
        return _unusable(work, "unreadable", sign_in, why)
    assert sign_in is not None
    until = _lasts_until(sign_in, times)
    reason = _why_login_is_needed(sign_in, times, until) or lost
    return models.SignInStatus(
        profile=work.profile,
        state=_state(sign_in, reason),
        sign_in=sign_in,
        times=times,
        protection=_protection(work, sign_in),
        needs_login=reason is not None,
        reason=reason,
        lasts_until=until,
        also=_also(work, sign_in),
    )


def check_record(work: Workplace, sign_in: models.SignIn) -> None:
    """Raise what a silent command will end with because of the saved record, as far as that shows without a secret.

    DataBadError where it was sealed on another machine or its header is damaged, StoreUnusableError where its key file is
    missing, LoginRequiredError where there is no record. What a keyring holds is a secret as a whole, so nothing is said of it.
    """
    if work.given_store is not None or sign_in.previous is not None:
        return
    if secret_store.is_record_there(sign_in.location, work.paths) is False:
        raise errors.LoginRequiredError(
            "the saved sign-in is not in the sealed file any more", hint=hints.login(work.profile)
        )


def _unusable(work: Workplace, state: str, sign_in: models.SignIn | None, why: str) -> models.SignInStatus:
    return models.SignInStatus(
        profile=work.profile, state=state, sign_in=sign_in, needs_login=state == "damaged", reason=why
    )


def _state(sign_in: models.SignIn, reason: str | None) -> str:
    if sign_in.state != "saved":
        return "pending"
    return "signed-in" if reason is None else "login-required"


def _protection(work: Workplace, sign_in: models.SignIn) -> str:
    try:
        return work.open_store(sign_in).protection
    except errors.DeviceLoginError as error:
        return error.message


def _also(work: Workplace, sign_in: models.SignIn) -> tuple[str, ...]:
    """Return the scopes of other APIs that the profile holds; none where it cannot be read, which other commands tell."""
    if sign_in.is_oidc:
        return ()
    try:
        return work.settings().also.value
    except errors.DeviceLoginError:
        return ()


def _lasts_until(sign_in: models.SignIn, times: models.Times | None) -> datetime | None:
    """Return until when the sign-in lasts unused; nobody knows that of others than Entra's work and school accounts."""
    if sign_in.is_oidc or times is None or times.refused is not None:
        return None
    host = urlsplit(sign_in.authority).hostname or ""
    if (sign_in.account.tenant_id or "").lower() == PERSONAL_TENANT or host.endswith(_CUSTOMERS):
        return None
    if times.last_refreshed < clock.EARLIEST:
        return None  # the clock was not set then
    return datetime.fromtimestamp(times.last_refreshed, UTC) + ENTRA_IDLE


def _why_login_is_needed(sign_in: models.SignIn, times: models.Times | None, until: datetime | None) -> str | None:
    if sign_in.state != "saved" and times is None:
        return "the last sign-in was interrupted"
    if times is not None and times.refused is not None:
        return times.refused
    if until is not None and until < datetime.now(UTC):
        return "it was not used for 90 days, by this machine's clock"
    return None
