"""Microsoft Graph as a profile reaches it: its sign-in's Graph and tokens, its certificates, its proxies (D16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin import errors, graph, hints, resources, secret_store
from devicelogin.client import unfinished
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin import clock, http_session, models
    from devicelogin.client.workplace import Workplace
    from devicelogin.settings import resolve


def graph_client(
    work: Workplace,
    *,
    deadline: clock.Deadline | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> graph.GraphClient:
    """Return a client for the Graph of the sign-in. `warn` hears what tokens come with; `deadline` is for all but bodies.

    Raises LoginRequiredError where nobody is signed in, ConfigError where the sign-in has no Graph.
    """
    sign_in = graph_sign_in(work)
    chosen = work.settings()
    tokens = _Tokens(work, sign_in, graph_scopes(sign_in, chosen), warn)
    return graph.GraphClient(tokens, sign_in.graph_root, session=session(work, chosen, deadline))


def graph_sign_in(work: Workplace) -> models.SignIn:
    """Return the saved sign-in. Raises as `graph_client` does."""
    sign_in = unfinished.read_settled(work)
    if sign_in is None:
        raise silent.not_signed_in(work.paths)
    if not sign_in.graph_root:
        raise errors.ConfigError(
            f"the sign-in at {sign_in.authority} has no Microsoft Graph",
            hint=f"{hints.login(work.profile)} --graph-root URL",
        )
    return sign_in


def session(
    work: Workplace, chosen: resolve.Settings, deadline: clock.Deadline | None = None
) -> http_session.HttpSession:
    """Return a session with the certificates and proxies of the profile."""
    return work.connect(chosen.ca_file.value, deadline)


def graph_scopes(sign_in: models.SignIn, chosen: resolve.Settings) -> tuple[str, ...]:
    """Return the scopes of the token for Graph: the profile's own if all are Graph's, else Graph's among them, else all."""
    scopes = chosen.scopes.value if chosen.scopes.explicit else sign_in.scopes
    found = resources.grouped(scopes, sign_in.graph_root)
    if set(found) <= {resources.GRAPH}:
        return ()
    also = resources.grouped(chosen.also.value, sign_in.graph_root)
    of_graph = found.get(resources.GRAPH) or also.get(resources.GRAPH)
    return of_graph or (f"{sign_in.graph_root.rstrip('/')}/.default",)


class _Tokens:
    """The tokens of one sign-in, for as long as it is that of the profile."""

    def __init__(
        self, work: Workplace, sign_in: models.SignIn, scopes: tuple[str, ...], warn: Callable[[str], None]
    ) -> None:
        self._work = work
        self._sign_in = sign_in
        self._scopes = scopes
        self._warn = warn

    def __call__(self, *, force_refresh: bool = False, claims: str | None = None) -> models.AccessToken:
        """Return a token. Raises what `SilentTokens.access_token` raises; ConfigError where another sign-in has come."""
        wish = silent.Wish(scopes=self._scopes, force=force_refresh, claims=claims)
        found = self._work.silent_tokens().access_token(wish)
        self._check_unchanged()
        for warning in found.warnings:
            self._warn(warning)
        return found

    def _check_unchanged(self) -> None:
        """Raise ConfigError where another sign-in has come meanwhile.

        SECURITY: the token may be of the new one, and the request is addressed to the Graph of the old one.
        """
        now, then = secret_store.read_sign_in(self._work.paths), self._sign_in
        if now is None or (now.authority, now.client_id, now.graph_root) != (
            then.authority,
            then.client_id,
            then.graph_root,
        ):
            raise errors.ConfigError(
                f"the sign-in of the profile {self._work.profile} was replaced in the middle of this call; it was not sent",
                hint="run the command again",
                code="sign_in_replaced",
            )
