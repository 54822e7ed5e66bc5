"""What a sign-in was made with stays what it is used with: a setting that says otherwise stops the command.

SECURITY: this is what keeps a refresh token from being sent to an authority, and an access token to a Graph root, that
somebody slipped into an environment or a profile after the sign-in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin import errors, hints

if TYPE_CHECKING:
    from devicelogin import models
    from devicelogin.settings.resolve import Settings


def check_pinned(settings: Settings, sign_in: models.SignIn) -> None:
    """Raise ConfigError where a setting that somebody gave differs from what `sign_in` was made with.

    Client id, authority (kind, host, port and path) and Graph root are compared; a default never differs.
    """
    client_id, authority, graph_root = settings.client_id, settings.authority_url, settings.graph_root
    if client_id.explicit and (client_id.value or "").lower() != sign_in.client_id.lower():
        raise _differs(settings, "client id", client_id.source, client_id.value, sign_in.client_id)
    if authority.explicit:
        if normal_url(authority.value) != normal_url(sign_in.authority):
            raise _differs(settings, "authority", authority.source, authority.value, sign_in.authority)
        if settings.is_oidc != sign_in.is_oidc:
            kinds = ("an Entra authority", "an OpenID issuer")
            raise _differs(settings, "authority", authority.source, kinds[settings.is_oidc], kinds[sign_in.is_oidc])
    if graph_root.explicit and normal_url(graph_root.value or "") != normal_url(sign_in.graph_root):
        raise _differs(settings, "Graph root", graph_root.source, graph_root.value, sign_in.graph_root or "none")


def normal_url(url: str) -> str:
    """Return `url`, whatever it is, so that one place has one form: no slash at its end, no capitals or :443 in its host."""
    scheme, separator, rest = url.rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{separator}{host.lower().removesuffix(':443')}{slash}{path}"


def _differs(settings: Settings, what: str, source: str, given: str | None, pinned: str) -> errors.ConfigError:
    if source.startswith("environment variable "):
        undo = f"unset {source.removeprefix('environment variable ')}"
    elif source.startswith("profile "):
        undo = f"put the old value back into {source.removeprefix('profile ')}"
    else:
        undo = f"leave out {source}"
    return errors.ConfigError(
        f"the {what} {given} of {source} is not that of the saved sign-in, {pinned}",
        hint=f"to go on with the saved sign-in: {undo}; to replace it: {hints.login(settings.profile)}",
    )
