"""The end of a sign-in: revoked where the provider can, deleted here in any case, and verified."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from devicelogin import clock, errors, explain, hints, models, private_files, secret_store

if TYPE_CHECKING:
    from devicelogin.client.workplace import Workplace

#: How long may a provider take to revoke (seconds)? The secret here is deleted whether or not it answers.
REVOKE_SECONDS = 20.0

#: Where does Entra end sessions, since it revokes no single refresh token?
_ENTRA_PAGE = "https://mysignins.microsoft.com (Sign out everywhere)"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a logout did: whose sign-in it ended (None: nobody was signed in), and remarks for the person."""

    account: models.Account | None = None
    revoked: bool = False
    notes: tuple[str, ...] = ()


def logout(work: Workplace) -> Outcome:
    """End the sign-in of the profile. Safe to repeat.

    Raises StoreUnusableError where the secret or a cached token could not be deleted; what is left is then still traced,
    so that a second run can finish.
    """
    with secret_store.ProfileLock(work.paths):
        notes: list[str] = []
        try:
            sign_in = secret_store.read_sign_in(work.paths)
        except errors.DataBadError as error:
            if error.code == "newer_version":
                raise
            notes.append(error.message)
            sign_in = None
            _delete_from_keyring(work)
        # The cached access tokens first: without its trace the place of the spare ones would be forgotten.
        _clear_cached(work, sign_in)
        if sign_in is None:
            _delete_untraced(work)
            return Outcome(notes=tuple(notes))
        revoked = _revoke(work, sign_in, notes)
        for location in (sign_in.location, sign_in.previous):
            if location is not None:
                work.open_store(dataclasses.replace(sign_in, location=location)).delete()
        _delete_rest(work)
    return Outcome(account=sign_in.account, revoked=revoked, notes=tuple(notes))


def _delete_rest(work: Workplace) -> None:
    """Delete what is left when the secrets are gone, the trace last."""
    secret_store.remove_set_aside(work.paths)
    private_files.remove(work.paths.key_file)  # it opens nothing any more
    private_files.remove(work.paths.provider)
    private_files.remove(work.paths.login_needed)  # who is told again when a job fails from now on
    private_files.remove(work.paths.remote_login)
    secret_store.remove_sign_in(work.paths)


def _clear_cached(work: Workplace, sign_in: models.SignIn | None) -> None:
    from devicelogin.tokens import cache_directory

    spare = work.open_store(sign_in, name="access") if sign_in is not None and work.given_store is None else None
    cache_directory.TokenCache(work.paths, spare=lambda: spare).clear()


def _delete_from_keyring(work: Workplace) -> None:
    """Delete what the keyring holds for a trace that cannot be read: the names of its items are fixed.

    A sealed record beside the trace says that it was kept there, and a keyring that cannot be asked is then no reason to
    stop. Else it is: raises StoreUnusableError, and the trace stays so that a second run can finish.
    """
    location = secret_store.keyring_location(work.paths, service=work.keyring_service)
    try:
        for name in ("record", "access"):
            secret_store.open_store(location, work.paths, name=name).delete()
    except errors.StoreUnusableError:
        if private_files.read(work.paths.record) is None:
            raise


def _delete_untraced(work: Workplace) -> None:
    """Without a trace there can only be a sealed record of a trace that was damaged: it lies at a fixed place."""
    location = models.StoreLocation(kind="file", key="file", bind="none")
    for name in ("record", "access"):
        secret_store.open_store(location, work.paths, name=name).delete()
    _delete_rest(work)


def _revoke(work: Workplace, sign_in: models.SignIn, notes: list[str]) -> bool:
    """Revoke the refresh token (RFC 7009) where the provider names an endpoint for that; never fails."""
    if not sign_in.is_oidc:
        notes.append(f"Entra cannot revoke one sign-in; to end all of them, everywhere: {_ENTRA_PAGE}")
        return False
    try:
        return _revoked(work, sign_in)
    except errors.DeviceLoginError as error:
        detail = f" ({error.detail})" if error.detail else ""
        notes.append(
            f"it could not be revoked at the provider, where it stays valid until it expires: {error.message}{detail}"
        )
        return False


def _revoked(work: Workplace, sign_in: models.SignIn) -> bool:
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
