"""A person's approval for the scopes of one API: a code that is shown and waited for, and an ID token that is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devicelogin import errors, explain, models, msal_client, resources
from devicelogin.client import starting
from devicelogin.signin import device_flow, identity, signing_keys
from devicelogin.terminal import verification_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from devicelogin import authority, clock, http_session
    from devicelogin.client import observing
    from devicelogin.signin import id_token

#: How often are the provider's keys fetched again for a token that is signed with none of them?
_MOST_FETCHES = 4

#: What is the `code` of an error that somebody else approved than is to?
UNEXPECTED_ACCOUNT = "unexpected_account"

#: SECURITY: after which errors is it in doubt who signs in, so that nothing may be saved, not even what was approved before?
IN_DOUBT = frozenset({UNEXPECTED_ACCOUNT, "other_account", "bad_id_token"})


class Approvals:
    """The approvals of one sign-in at `provider`; they share the keys by which ID tokens are checked.

    `tenant` is what was asked for, for people. `meanwhile` is called once, while a person types the first code. `start`
    tries what comes before a code.
    """

    def __init__(
        self,
        http: http_session.HttpSession,
        provider: authority.Provider,
        *,
        client_id: str,
        profile: str,
        tenant: str,
        observer: observing.Observer,
        clock: clock.Clock,
        meanwhile: Callable[[], None],
        start: starting.Start,
    ) -> None:
        self.provider = provider
        self._http = http
        self._client_id = client_id
        self._profile = profile
        self._tenant = tenant
        self._observer = observer
        self._clock = clock
        self._meanwhile = meanwhile
        self._first_start: starting.Start | None = start
        self._published = start.request(lambda: signing_keys.request_keys(http, provider))
        self._keys: id_token.KeySet | None = None
        self._wait: device_flow.Wait | None = None

    def remaining(self) -> float:
        """Return the seconds until the code that was shown last would have expired."""
        return self._wait.remaining() if self._wait is not None else 0.0

    def names(self, groups: Iterable[tuple[str, ...]], graph_root: str) -> tuple[str, ...]:
        """Return what people call the APIs of these groups of scopes."""
        return tuple(
            resources.name(next(iter(resources.grouped(group, graph_root)), resources.GRAPH)) for group in groups
        )

    def ask(self, scopes: tuple[str, ...]) -> tuple[models.TokenAnswer, models.Account]:
        """Have a person approve `scopes`, which are those of one API; return the answer and who it was.

        Raises what the wait and the check of the ID token raise.
        """
        answer, wait = self._wait_for_approval(self._client(), scopes)
        return answer, self._checked_account(answer, wait)

    def without_person(
        self, latest: models.TokenAnswer, account: models.Account, scopes: tuple[str, ...], graph_root: str
    ) -> models.TokenAnswer | None:
        """Return the answer to a refresh for `scopes`, None where a person has to approve them."""
        try:
            answer = starting.Start(self._observer, self._clock).request(
                lambda: self._client().refresh(
                    latest.credentials, scopes, who=account.username, are_others=True, graph_root=graph_root
                )
            )
        except errors.LoginRequiredError:
            return None
        if answer.id_token is not None and not identity.names_same_person(answer.id_token, account):
            raise errors.BadAnswerError(
                f"{self.provider.origin} answered with another person's token; nothing was saved",
                hint="tell the operator of that server",
                code="other_account",
            )
        return answer

    def _client(self) -> msal_client.MsalClient:
        return msal_client.MsalClient(self._http, self.provider, client_id=self._client_id, profile=self._profile)

    def _wait_for_approval(
        self, client: msal_client.MsalClient, scopes: tuple[str, ...]
    ) -> tuple[models.TokenAnswer, device_flow.Wait]:
        """Show a code, and new ones where the observer wishes that; return the answer, and the wait that brought it."""
        # What comes before the first code has one time; each further code has its own, however long a person took.
        start, self._first_start = self._first_start or starting.Start(self._observer, self._clock), None
        authorization = start.request(lambda: client.request_device_code(scopes))
        while True:
            wait = device_flow.Wait(authorization, clock=self._clock, observer=self._observer, profile=self._profile)
            self._wait = wait
            verification_uri.require_clean(authorization.verification_uri)
            self._observer.show(authorization, self.provider, self._tenant)
            if self._keys is None:
                # What only the end needs, no code should wait for: the person has just begun to type.
                self._meanwhile()
                self._keys = self._read(self._published)
            try:
                return wait.for_approval(client.poll), wait
            except errors.LoginNotCompletedError as error:
                if error.code != explain.CODE_EXPIRED or not self._observer.may_renew():
                    raise
            authorization = wait.for_new_code(lambda: client.request_device_code(scopes))

    def _read(self, published: signing_keys.Published) -> id_token.KeySet:
        from devicelogin.signin import id_token

        return id_token.read_keys(published)

    def _checked_account(self, answer: models.TokenAnswer, wait: device_flow.Wait) -> models.Account:
        """Return who signed in."""
        if answer.id_token is None:
            raise errors.BadAnswerError(
                f"{self.provider.origin} did not say who signed in (no ID token); nothing was saved",
                hint="the app registration must allow the scope openid",
                code="bad_id_token",
            )
        if answer.refresh_token is None:
            raise errors.LoginNotCompletedError(
                f"{self.provider.origin} granted no refresh token, so nothing could be renewed later; nothing was saved",
                hint="let the app registration allow the scope offline_access, then run devicelogin login again",
                code="no_refresh_token",
            )
        return self._verified(answer.id_token, answer, wait)

    def _verified(self, token: str, answer: models.TokenAnswer, wait: device_flow.Wait) -> models.Account:
        """Check the ID token. A person has approved by now, so trouble with the keys is waited out."""
        from devicelogin.signin import id_token

        now = answer.server_date if answer.server_date is not None else self._clock.wall()
        who = {"client_id": self._client_id, "home_account_id": answer.home_account_id}
        keys, fetches = self._keys or self._new_keys(wait), 0
        while True:
            try:
                return id_token.check(token, keys, self.provider, now=now, **who)
            except id_token.UnverifiedError as error:
                # The keys may have been changed while the person typed; a copy of the old ones may be in the way for a while.
                if fetches >= (1 if error.has_key else _MOST_FETCHES) or wait.remaining() <= 0:
                    raise
                if fetches:
                    self._observer.trouble(error.message)
                    wait.sleep(wait.back_off(fetches, error))
            keys, fetches = self._new_keys(wait), fetches + 1

    def _new_keys(self, wait: device_flow.Wait) -> id_token.KeySet:
        """Fetch the provider's keys; what fails is tried again until the code expires."""
        failures = 0
        while True:
            try:
                return self._read(signing_keys.request_keys(self._http, self.provider))
            except (errors.TryLaterError, errors.BadAnswerError) as error:
                if wait.remaining() <= 0:
                    raise
                failures += 1
                self._observer.trouble(error.message)
                wait.sleep(wait.back_off(failures, error))


def no_device_flow(provider: authority.Provider) -> errors.BadAnswerError:
    """Return the error for a provider that offers no device flow."""
    return errors.BadAnswerError(
        f"{provider.origin} does not offer the device flow (its discovery document names no device_authorization_endpoint)",
        hint="ask its operator to enable the OAuth 2.0 Device Authorization Grant",
        code="no_device_flow",
    )
