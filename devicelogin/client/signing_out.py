"""The end of a sign-in: revoked where the provider can, deleted here in any case, and verified."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from typing import TYPE_CHECKING

from devicelogin import clock, errors, explain, hints, models, private_files, secret_store
from devicelogin.client import leftovers, preparing
from devicelogin.tokens import cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.client.workplace import Workplace

#: How long may a provider take to revoke (seconds)? The secret here is deleted whether or not it answers.
REVOKE_SECONDS = 20.0

#: Where does Entra end sessions, since it revokes no single refresh token?
_ENTRA_PAGE = "https://mysignins.microsoft.com (Sign out everywhere)"

#: Where does a sealed record lie, however it was sealed?
_SEALED = models.StoreLocation(kind="file", key="file", bind="none")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a logout did: whose sign-in it ended (None: nobody was signed in), and remarks for the person."""

    account: models.Account | None = None
    revoked: bool = False
    notes: tuple[str, ...] = ()


def logout(work: Workplace) -> Outcome:
    """End the sign-in of the profile. Safe to repeat.

    The refresh token goes first, then all that is derived from it (design decision D23). What fails stops nothing else: at
    the end one error names all that is left. The trace stays only where a store may still hold a secret, so that a second
    run can finish. Raises StoreUnusableError and others of the family; DataBadError where a newer version wrote the trace.
    """
    if work.given_store is None and not work.paths.is_there():
        return Outcome()  # no directory is made for a lock: the name may be a slip of the keyboard
    with secret_store.ProfileLock(work.paths):
        notes: list[str] = []
        failures = _Failures()
        sign_in, is_readable = _read_trace(work, notes)
        revoked = sign_in is not None and _revoke(work, sign_in, notes)
        places = _places(work, sign_in, is_readable=is_readable)
        has_gone = True
        for name in ("record", "access"):
            for place in places:
                has_gone &= failures.tried(_delete, work, place, name)
        _delete_rest(work, failures)
        if has_gone:
            failures.tried(secret_store.remove_sign_in, work.paths)
        elif sign_in is not None and is_readable:
            # Anew: a cached token that could not be deleted then belongs to no trace, and nobody is given it.
            failures.tried(secret_store.write_sign_in, work.paths, sign_in)
            failures.tried(_note_unfinished, work)
        failures.raise_first(notes)
    return Outcome(account=sign_in.account if sign_in is not None else None, revoked=revoked, notes=tuple(notes))


class _Failures:
    """What went wrong in a row of things that are all to be done."""

    def __init__(self) -> None:
        self._met: list[errors.DeviceLoginError] = []

    def tried(self, action: Callable[..., object], *arguments: object) -> bool:
        """Do `action` and tell whether that worked."""
        try:
            action(*arguments)
        except errors.DeviceLoginError as error:
            self._met.append(error)
            return False
        except OSError as error:
            what = f"cannot delete {error.filename or 'a file of the sign-in'}: {error.strerror}"
            self._met.append(errors.StoreUnusableError(what, hint="mend that, then run the command again"))
            return False
        return True

    def raise_first(self, notes: list[str]) -> None:
        """Raise the first failure, which is the gravest because secrets go first; its detail has the others, and `notes`."""
        if not self._met:
            return
        first, *others = self._met
        words = [first.detail, *(other.message for other in others if other.message != first.message), *notes]
        first.detail = "; ".join(dict.fromkeys(word for word in words if word)) or None
        raise first


def _read_trace(work: Workplace, notes: list[str]) -> tuple[models.SignIn | None, bool]:
    """Return the trace, else what a sealed record says, whose place is fixed; and whether a trace that is there is readable."""
    is_readable = True
    try:
        found = secret_store.read_sign_in(work.paths)
    except errors.DeviceLoginError as error:
        if error.code == "newer_version":
            raise
        notes.append(error.message)
        found, is_readable = None, False
    if found is None and work.given_store is None:
        store = secret_store.open_store(_SEALED, work.paths, supply=work.key_supply)
        with contextlib.suppress(errors.DeviceLoginError):
            found = preparing.sign_in_of_record(work, store)
    return found, is_readable


def _places(work: Workplace, sign_in: models.SignIn | None, *, is_readable: bool) -> list[models.StoreLocation]:
    """Return where secrets of this profile may lie."""
    named = [] if sign_in is None else [sign_in.location, sign_in.previous]
    places = [place for place in named if place is not None and place.kind != "file"]
    # A sealed record beside a trace that cannot be read says that it was kept there. A keyring that cannot be asked is
    # then no reason to stop. Else it is: the trace stays, so that a second run can finish.
    if not is_readable and not os.path.lexists(work.paths.record):
        places.append(secret_store.keyring_location(work.paths, service=work.keyring_service))
    return [*places, _SEALED]


def _delete(work: Workplace, place: models.StoreLocation, name: str) -> None:
    if name == "record" and work.given_store is not None:
        work.given_store.delete()
    secret_store.open_store(place, work.paths, name=name).delete()


def _delete_rest(work: Workplace, failures: _Failures) -> None:
    """Delete what is left when the secrets are gone, but for the trace."""
    failures.tried(cache_directory.TokenCache(work.paths).clear)
    failures.tried(secret_store.remove_key, work.paths)  # it opens nothing any more
    leftovers.sweep(work.paths)
    for path in (work.paths.provider, work.paths.login_needed, work.paths.remote_login):
        failures.tried(private_files.remove, path)


def _note_unfinished(work: Workplace) -> None:
    """Note for `status` that what is left is no sign-in to count on."""
    now = int(time.time())
    times = secret_store.read_times(work.paths) or models.Times(generation=0, made=now, last_refreshed=now)
    why = f"a logout was not finished (to finish it: {hints.command('logout', work.profile)})"
    secret_store.write_times(work.paths, dataclasses.replace(times, refused=why))


def _revoke(work: Workplace, sign_in: models.SignIn, notes: list[str]) -> bool:
    """Revoke the refresh token (RFC 7009) where the provider names an endpoint for that; never fails."""
    if not sign_in.is_oidc:
        notes.append(f"Entra cannot revoke one sign-in; to end all of them, everywhere: {_ENTRA_PAGE}")
        return False
    revoked = False
    for place in (sign_in.location, sign_in.previous):
        if place is None:
            continue
        try:
            revoked |= _revoked(work, dataclasses.replace(sign_in, location=place))
        except (errors.DeviceLoginError, OSError) as error:
            why = error.message if isinstance(error, errors.DeviceLoginError) else str(error.strerror)
            detail = f" ({error.detail})" if isinstance(error, errors.DeviceLoginError) and error.detail else ""
            notes.append(f"{_not_revoked(error)}: {why}{detail}")
    return revoked


def _not_revoked(error: Exception) -> str:
    """Return what is known about a token after `error` instead of the provider's word that it is revoked (D21)."""
    from devicelogin import http_session  # only who revokes needs it

    # RFC 7009 section 2.2.1: after a 503 the token still exists.
    if isinstance(error, http_session.NoAnswerError) and error.request_may_have_arrived:
        return "whether it was revoked at the provider is not known; if not, it stays valid there until it expires"
    return "it could not be revoked at the provider, where it stays valid until it expires"


def _revoked(work: Workplace, sign_in: models.SignIn) -> bool:
    """Revoke the token of the record that lies where `sign_in` says; tell whether there was one."""
    from devicelogin import authority  # only who revokes needs what speaks HTTP

    record = work.open_store(sign_in).load()
    if record is None:
        return False
    saved = secret_store.unpack_record(record, login=hints.login(work.profile))
    chosen = work.settings()
    with work.connect(chosen.ca_file.value, clock.Deadline(REVOKE_SECONDS)) as http:
        # SECURITY: to the authority of the sealed record, not to one that the settings name now.
        issuer, is_oidc = saved.sign_in.authority, saved.sign_in.is_oidc
        provider = authority.known_provider(http, work.paths.provider, issuer, is_oidc=is_oidc)
        if provider.revocation_endpoint is None:
            raise errors.ConfigError(f"{provider.origin} offers no revocation")
        provider.check_hosts(saved.sign_in.hosts, endpoint=provider.revocation_endpoint)
        form = {
            "token": _refresh_token(saved),
            "token_type_hint": "refresh_token",
            "client_id": saved.sign_in.client_id,
        }
        answer = http.post_form(provider.revocation_endpoint, form, may_be_empty=True)
    # RFC 7009 section 2.2 knows 200 alone; providers also send 204, and every 2xx says that it was done.
    if not 200 <= answer.status < 300:
        why = explain.read_refusal(answer.body).detail if answer.body else None
        raise errors.TryLaterError(f"{provider.origin} answered with HTTP {answer.status}", detail=why)
    return True


def _refresh_token(saved: secret_store.SavedSignIn) -> str:
    try:
        return str(json.loads(saved.credentials)["RefreshToken"]["secret"])
    except (KeyError, TypeError):
        raise errors.DataBadError("the saved sign-in is damaged") from None
