"""Class DeviceLogin: runs sign-in, token, status and sign-out of one profile, each in its order.

login    settings -> secret store, probed -> authority, keys -> device code -> person -> poll -> ID token checked
         -> refresh token saved and read back -> profile written
token    cache -> lock -> cache again -> secret store -> silent refresh -> secret store -> cache
"""

from __future__ import annotations

import os

from devicelogin import settings
from devicelogin.client.workplace import Workplace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from devicelogin import models
    from devicelogin.graph import GraphClient
    from devicelogin.http_session import HttpSession
    from devicelogin.secret_store import SecretStore

__all__ = ["DeviceLogin", "Workplace", "profiles"]


class DeviceLogin:
    """One profile: one saved sign-in, its access tokens, its end.

    `client_id`, `tenant` and `scopes` matter for `login`; later calls take them from what login wrote, and raise
    ConfigError where what is given here contradicts it. `store` replaces the secret store that the settings name.
    Methods may be called from several threads.
    """

    def __init__(
        self,
        profile: str = "default",
        *,
        client_id: str | None = None,
        tenant: str | None = None,
        scopes: Iterable[str] | None = None,
        store: SecretStore | None = None,
    ) -> None:
        flags = {"client_id": client_id, "tenant": tenant, "scopes": _scopes(scopes)}
        self._workplace = Workplace(profile, flags=flags, environ=os.environ, store=store)

    def login(self, show: Callable[[models.DeviceAuthorization], None] | None = None) -> models.Account:
        """Sign a person in, and return who it was. Takes minutes: a person reads, types and approves.

        `show` is given the address and the code to show; without it they are printed to stderr in plain lines. Raises
        LoginNotCompletedError where the person declined or was too late or is not the one saved before, and the others
        of the family; whatever was saved before is then unchanged.
        """
        from devicelogin.client import observing, signing_in

        return signing_in.login(self._workplace, signing_in.Options(), observing.Calling(show)).account

    def access_token(
        self,
        scopes: Iterable[str] | None = None,
        *,
        min_valid: float | None = None,
        force_refresh: bool = False,
        claims: str | None = None,
    ) -> models.AccessToken:
        """Return an access token for `scopes`, else for those of the profile. Never prompts; takes 75 s at most.

        `min_valid` is how long it must last (seconds). `force_refresh` asks for a new one whatever is cached; `claims` is
        the JSON text of a claims challenge, which only a new one can answer. Raises LoginRequiredError where a person must
        sign in, and TryLaterError where nothing was lost and trying again may help.
        """
        from devicelogin.tokens import silent

        wish = silent.Wish(scopes=_scopes(scopes), min_valid=min_valid, force=force_refresh, claims=claims)
        return self._workplace.silent_tokens().access_token(wish)

    def graph(self) -> GraphClient:
        """Return a client for the sign-in's Graph, with the profile's certificates and proxies.

        It answers a 401 and a claims challenge by itself, each once. Raises LoginRequiredError where nobody is signed in,
        and ConfigError where the sign-in has no Graph.
        """
        from devicelogin.client import graph_access

        return graph_access.graph_client(self._workplace)

    def _connect_to_graph(self) -> HttpSession:
        """Return the session for a GraphClient that is given `access_token`."""
        from devicelogin.client import graph_access

        return graph_access.session(self._workplace, self._workplace.settings())

    def status(self) -> models.SignInStatus:
        """Return what can be said about the sign-in without network and without touching a secret."""
        from devicelogin.client import reporting

        return reporting.read_status(self._workplace)

    def logout(self) -> None:
        """Delete the saved sign-in and the cached tokens, and verify that they are gone.

        Raises StoreUnusableError where they are not. No error where nobody was signed in.
        """
        from devicelogin.client import signing_out

        signing_out.logout(self._workplace)


def _scopes(given: Iterable[str] | None) -> tuple[str, ...]:
    """Return the scopes without those that are always asked for. Raises UsageError for what is none."""
    if given is None:
        return ()
    from devicelogin import errors
    from devicelogin.settings import shapes

    if isinstance(given, str):
        raise errors.UsageError("scopes is one text, not several", hint=f"write it as a list: scopes=[{given!a}]")
    try:
        return shapes.scopes(tuple(given), is_oidc=False)
    except shapes.BadValueError as bad:
        raise errors.UsageError(f"cannot use these scopes: {bad.why}", hint=bad.hint) from None


def profiles() -> tuple[str, ...]:
    """Return the names of all profiles that have a profile file or a saved sign-in, sorted.

    Raises ConfigError where what lies above our directories can be changed by others, or cannot be read.
    """
    settings.check_home_owner(os.environ)
    return settings.locate(os.environ).profile_names()
