"""What every operation on one profile needs: its paths, its settings, its store, a way to the network."""

from __future__ import annotations

from devicelogin import errors, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from devicelogin import clock, http_session, models, secret_store
    from devicelogin.settings import resolve
    from devicelogin.tokens import cache_directory, silent
    from devicelogin.tokens import turn as turns

#: With which `detail` does a refresh fail where what is kept of the provider is out of date: its endpoints moved, or the
#: tenant did? A redirect is not followed with a secret (301, 302, 307, 308).
_MOVED = ("HTTP 404", "HTTP 410", "HTTP 301", "HTTP 302", "HTTP 307", "HTTP 308", "invalid_tenant")


#: For how short a pause of a server does a refresh wait (seconds)?
_PAUSE = 5.0


class Workplace:
    """One profile in one environment. Cheap to make: nothing is read before it is asked for."""

    def __init__(
        self,
        profile: str,
        *,
        flags: Mapping[str, object],
        environ: Mapping[str, str],
        store: secret_store.SecretStore | None = None,
        keyring_service: str | None = None,
    ) -> None:
        self.environ = environ
        self.flags = flags
        self.paths = settings.locate(environ).of(profile)
        self.keyring_service = keyring_service
        self.given_store = store
        self._key_supply: secret_store.KeySupply | None = None
        settings.check_home_owner(environ)

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self.paths.profile

    @property
    def key_supply(self) -> secret_store.KeySupply:
        """What the key of a sealed file needs from outside. Nobody is asked until a command sets its `ask`."""
        if self._key_supply is None:
            from devicelogin import secret_store

            self._key_supply = secret_store.KeySupply(self.environ)
        return self._key_supply

    def settings(self, *, for_login: bool = False) -> resolve.Settings:
        """Return the settings. Raises ConfigError or UsageError where they are wrong."""
        from devicelogin.settings import resolve

        return resolve.resolve(self.paths, self.flags, self.environ, for_login=for_login)

    def connect(self, ca_file: str | None, deadline: clock.Deadline | None = None) -> http_session.HttpSession:
        """Return a session for HTTPS that ends at `deadline`; the caller closes it."""
        from devicelogin import http_session

        return http_session.HttpSession(environ=self.environ, ca_file=ca_file, deadline=deadline)

    def open_store(self, sign_in: models.SignIn, *, name: str = "record") -> secret_store.SecretStore:
        """Return the store in which the secret of `sign_in` lies; touches nothing."""
        from devicelogin import secret_store

        if self.given_store is not None and name == "record":
            return self.given_store
        return secret_store.open_store(sign_in.location, self.paths, name=name, supply=self.key_supply)

    def token_cache(self, chosen: resolve.Settings) -> cache_directory.TokenCache:
        """Return the cache of this profile's access tokens."""
        from devicelogin.tokens import cache_directory

        return cache_directory.TokenCache(
            self.paths,
            enabled=chosen.cache.value == "on",
            spare=self._spare_store,
            min_valid=chosen.min_valid.value if chosen.min_valid.source.startswith("profile") else None,
        )

    def _spare_store(self) -> secret_store.SecretStore | None:
        """Return where access tokens are kept for want of memory: beside the sign-in, wherever that is now."""
        from devicelogin import secret_store

        if self.given_store is not None:
            return None
        try:
            trace = secret_store.read_sign_in(self.paths)
        except errors.DeviceLoginError:
            return None
        return self.open_store(trace, name="access") if trace is not None else None

    def silent_tokens(self, turn: turns.Turn | None = None) -> silent.SilentTokens:
        """Return what gives access tokens without a person; `turn` is one that was taken already."""
        from devicelogin.tokens import access_cache, silent

        profile_stat = access_cache.stat_line(self.paths.profile_file)
        chosen = self.settings()
        self._check_pinned(chosen)
        scopes = chosen.scopes
        return silent.SilentTokens(
            self.paths,
            cache=self.token_cache(chosen),
            open_store=self.open_store,
            check=lambda sign_in: settings.check_pinned(chosen, sign_in),
            refresh=Refresher(self, chosen),
            min_valid=chosen.min_valid.value,
            own_scopes=scopes.value if scopes.explicit else (),
            graph_root=None if chosen.is_oidc else chosen.graph_root.value or "",
            # Those of the profile are part of what the cache calls "own"; the environment may differ from call to call.
            is_own=not scopes.source.startswith("environment"),
            profile_stat=profile_stat,
            turn=turn,
        )

    def _check_pinned(self, chosen: resolve.Settings) -> None:
        """Refuse what a flag or a variable says and the saved sign-in does not, also where a cached token would do.

        An edited profile makes the cached tokens void by itself, and is compared when they are refreshed.
        """
        from devicelogin import secret_store

        given = (chosen.client_id, chosen.authority_url, chosen.graph_root)
        if any(value.explicit and not value.source.startswith("profile") for value in given):
            trace = secret_store.read_sign_in(self.paths)
            if trace is not None:
                settings.check_pinned(chosen, trace)


def _within_grant(sign_in: models.SignIn, scopes: tuple[str, ...]) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return what a refresh asks for so that it asks for no more than was granted (RFC 6749 section 6).

    First what was granted, where asking for nothing says just that; then the scopes to ask for. Other scopes than the
    sign-in's own are the caller's wish and asked for as they are.
    """
    from devicelogin.signin import scopes as compared

    if {scope.lower() for scope in scopes} != {scope.lower() for scope in sign_in.scopes}:
        return None, scopes
    if sign_in.is_oidc:
        return sign_in.granted_scopes, scopes
    missing = compared.missing(scopes, sign_in.granted_scopes, graph_root=sign_in.graph_root)
    return None, tuple(scope for scope in scopes if scope not in missing) or scopes


class Refresher:
    """Exchanges a saved refresh token at the provider that the record names, and at no other."""

    def __init__(self, workplace: Workplace, chosen: resolve.Settings) -> None:
        self.workplace = workplace
        self.chosen = chosen

    def __call__(
        self,
        saved: secret_store.SavedSignIn,
        scopes: tuple[str, ...],
        *,
        deadline: clock.Deadline,
        claims: str | None,
    ) -> models.TokenAnswer:
        """Return the provider's answer. Raises what `msal_client.MsalClient.refresh` raises; BadAnswerError for another's."""
        from devicelogin.signin import identity

        sign_in = saved.sign_in
        with self.workplace.connect(self.chosen.ca_file.value, deadline) as http:
            try:
                answer = self._request(http, saved, scopes, deadline=deadline, claims=claims)
            except errors.DeviceLoginError as error:
                if not (error.detail or "").startswith(_MOVED) or deadline.passed():
                    raise
                answer = self._request(http, saved, scopes, deadline=deadline, claims=claims, anew=True)
        if answer.id_token is not None and not identity.names_same_person(answer.id_token, sign_in.account):
            raise errors.BadAnswerError(
                f"{sign_in.authority} answered the refresh with another person's token; nothing was saved",
                hint="tell the operator of that server; the saved sign-in is unchanged",
                code="other_account",
            )
        return answer

    def _request(
        self,
        http: http_session.HttpSession,
        saved: secret_store.SavedSignIn,
        scopes: tuple[str, ...],
        *,
        deadline: clock.Deadline,
        claims: str | None,
        anew: bool = False,
    ) -> models.TokenAnswer:
        from devicelogin import authority, clock, http_session, msal_client, retry

        sign_in, work = saved.sign_in, self.workplace
        provider = authority.known_provider(
            http, work.paths.provider, sign_in.authority, is_oidc=sign_in.is_oidc, anew=anew
        )
        # SECURITY: the one place that the refresh token is sent to. Where the others are is no matter of a refresh.
        provider.check_hosts(sign_in.hosts, endpoint=provider.token_endpoint)
        client = msal_client.MsalClient(http, provider, client_id=sign_in.client_id, profile=work.profile)
        own = {scope.lower() for scope in sign_in.scopes}
        are_others = not {scope.lower() for scope in scopes} <= own
        as_granted, scopes = _within_grant(sign_in, scopes)
        wanted: dict[str, Any] = {
            "who": sign_in.account.username,
            "claims": claims,
            "as_granted": as_granted,
            "are_others": are_others,
            "graph_root": sign_in.graph_root,
        }
        # Whoever refreshes holds the lock: one short pause, where the server asks for one, and no longer.
        patience = retry.Patience(min(_PAUSE, deadline.remaining()), clock.SystemClock(), tries=1)
        try:
            return retry.call(
                lambda: client.refresh(saved.credentials, scopes, **wanted),
                patience,
                passes=lambda error: retry.asked_by(error) is not None,
            )
        except http_session.NoAnswerError as error:
            # The request may have been carried out. Entra keeps the old refresh token valid, so asking again is safe; a
            # server with one-time tokens refuses, which is then the truth.
            if not error.request_may_have_arrived or deadline.passed():
                raise
        try:
            return client.refresh(saved.credentials, scopes, **wanted)
        except errors.LoginRequiredError as error:
            if error.code == errors.LoginRequiredError.code:
                error.message += "; the answer to a refresh was just lost on the way, and with it a one-time token"
            raise
