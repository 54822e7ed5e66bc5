"""Other APIs for a profile that is signed in already: what is added to it, and what of that needs a person (D17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin import errors, models, resources, settings
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


def _lowered(scopes: tuple[str, ...]) -> frozenset[str]:
    return frozenset(scope.lower() for scope in scopes)
