"""Other APIs for a profile that is signed in already: what is added to it, and what of that needs a person (D17)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from devicelogin import errors, hints, models, resources, settings
from devicelogin.client import preparing
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from devicelogin.client import signing_in
    from devicelogin.client.workplace import Workplace
    from devicelogin.settings import resolve


def are_all_that_is_new(chosen: resolve.Settings, old: models.SignIn, options: signing_in.Options) -> bool:
    """Tell whether a login adds scopes of other APIs to the sign-in `old` and changes nothing else of it."""
    if old.state != "saved" or chosen.is_oidc or options.replace or options.only is not None:
        return False
    if chosen.store.value not in {"auto", old.location.kind}:
        return False
    if options.expect_user is not None and not preparing.is_expected(old.account, options.expect_user):
        return False
    try:
        settings.check_pinned(chosen, old)
    except errors.ConfigError:
        return False
    own, known = _lowered(chosen.scopes.value), _lowered(old.scopes)
    added = _lowered(chosen.added)
    return not added <= own and added & own <= known


def that_need_a_person(
    work: Workplace, chosen: resolve.Settings, old: models.SignIn
) -> tuple[tuple[str, ...], ...] | None:
    """Return the scopes of each added API that nobody has consented to yet; None where the sign-in itself is over.

    Raises what only a later try can mend, and what no sign-in would.
    """
    try:
        work.silent_tokens().access_token(silent.Wish(scopes=old.scopes))
    except (errors.LoginRequiredError, errors.DataBadError, errors.DeniedByPolicyError):
        return None
    added, needed = _lowered(chosen.added), []
    for group in resources.grouped(chosen.also.value, old.graph_root).values():
        if added.isdisjoint(_lowered(group)):
            continue
        try:
            work.silent_tokens().access_token(silent.Wish(scopes=group, force=True))
        except errors.LoginRequiredError:
            needed.append(group)
    return tuple(needed)


def unfinished(
    error: errors.DeviceLoginError,
    account: models.Account,
    missing: tuple[tuple[str, ...], ...],
    graph_root: str,
    profile: str,
) -> errors.DeviceLoginError:
    """Return `error`, for which the APIs of `missing` are not part of a sign-in that is saved, in words that say so."""
    apis = " and ".join(resources.name(next(iter(resources.grouped(group, graph_root)))) for group in missing)
    # What follows a semicolon says that nothing was saved.
    error.message = f"{account.username} is signed in, but not for {apis}: {error.message.partition('; ')[0]}"
    wanted = tuple(scope for group in missing for scope in group)
    error.hint = f"{hints.login(profile)} {resources.options(wanted)}"
    return error


def without(chosen: resolve.Settings, missing: tuple[tuple[str, ...], ...]) -> resolve.Settings:
    """Return `chosen` without those scopes of the APIs of `missing` that were to be added now; the profile's own stay."""
    left_out = _lowered(tuple(scope for group in missing for scope in group)) & _lowered(chosen.added)
    kept = tuple(scope for scope in chosen.also.value if scope.lower() not in left_out)
    return dataclasses.replace(chosen, also=dataclasses.replace(chosen.also, value=kept))


def _lowered(scopes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(scope.lower() for scope in scopes)
