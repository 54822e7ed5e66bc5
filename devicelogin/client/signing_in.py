"""The sign-in in its order; nothing that was saved before is touched until a new sign-in has been checked."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import TYPE_CHECKING

from devicelogin import (
    authority,
    clock,
    clouds,
    errors,
    explain,
    hints,
    models,
    msal_client,
    redaction,
    secret_store,
    settings,
)
from devicelogin.client import leftovers, preparing, starting, unfinished
from devicelogin.signin import device_flow, scopes, signing_keys
from devicelogin.terminal import verification_uri
from devicelogin.tokens import cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devicelogin import http_session
    from devicelogin.client import observing
    from devicelogin.client.workplace import Workplace
    from devicelogin.settings import resolve
    from devicelogin.signin import id_token


#: How often are the provider's keys fetched again for a token that is signed with none of them?
_MOST_FETCHES = 4


@models.record
class Options:
    """What a caller may wish. `expect_user` is a user name or an object id; `patient` waits a minute for a keyring.

    `only`: nobody but this account, whatever else is wished. `saved` is called when the secret has been saved and read back.
    """

    expect_user: str | None = None
    only: models.Account | None = None
    replace: bool = False
    patient: bool = False
    saved: Callable[[], None] = lambda: None
    clock: clock.Clock = dataclasses.field(default_factory=clock.SystemClock)


def login(work: Workplace, options: Options, observer: observing.Observer) -> models.SignIn:
    """Sign a person in to the profile of `work`, and return the saved sign-in.

    Raises the errors of each step; until the new refresh token has been read back, the old sign-in is as it was.
    """
    chosen = work.settings(for_login=True)
    client_id = chosen.client_id.value
    if client_id is None:
        raise missing_client_id(work.profile)
    with _login_lock(work):
        leftovers.sweep(work.paths)
        old = preparing.old_sign_in(work, observer.note)
        preparing.try_profile(work, chosen)
        store = preparing.choose_store(work, chosen, old, patient=options.patient)
        preparing.check_room(work, store, old)
        unbound = preparing.unbound(chosen, store.location)
        for note in (*chosen.notes, *([] if unbound is None else [unbound])):
            observer.note(note)
        return _Login(work, chosen, client_id, store, old, options, observer).run()


def is_expected(account: models.Account, wanted: str) -> bool:
    """Tell whether `wanted`, a user name, an object id or a subject as a person typed it, names `account`."""
    return account.is_named(redaction.unmistakable(redaction.printable(wanted, limit=200)))


def missing_client_id(profile: str) -> errors.ConfigError:
    """Return the error for a login that knows no app registration."""
    return errors.ConfigError(
        "no client id: signing in needs the Application (client) ID of an app registration",
        hint=f"{hints.login(profile)} --client-id ID --tenant TENANT (how to get one: see the README)",
        code="no_client_id",
    )


class _Login:
    """One run; its attributes are what the steps hand to each other."""

    def __init__(
        self,
        work: Workplace,
        chosen: resolve.Settings,
        client_id: str,
        store: secret_store.SecretStore,
        old: models.SignIn | None,
        options: Options,
        observer: observing.Observer,
    ) -> None:
        self._work = work
        self._chosen = chosen
        self._client_id = client_id
        self._store = store
        self._old = old
        self._options = options
        self._observer = observer
        self._keys: id_token.KeySet | None = None
        self._start = starting.Start(observer, options.clock)

    def run(self) -> models.SignIn:
        with self._work.connect(self._chosen.ca_file.value) as http:
            url, is_oidc = self._chosen.authority_url.value, self._chosen.is_oidc
            provider = self._start.request(
                lambda: authority.known_provider(http, self._work.paths.provider, url, is_oidc=is_oidc, anew=True)
            )
            if provider.device_authorization_endpoint is None:
                raise _no_device_flow(provider)
            if provider.is_oidc and provider.other_hosts():
                self._observer.note(f"{provider.origin} sends sign-ins to {', '.join(provider.other_hosts())} as well")
            published = self._start.request(lambda: signing_keys.request_keys(http, provider))
            client = msal_client.MsalClient(http, provider, client_id=self._client_id, profile=self._work.profile)
            answer, wait = self._wait_for_approval(client, provider, published)
            account = self._checked_account(http, provider, answer, wait)
        self._check_person(account)
        # A cron job may hold the lock for a while; the approval is worth waiting for it as long as the code would last.
        return self._keep(provider, answer, account, wait_seconds=max(wait.remaining(), secret_store.WAIT_SECONDS))

    def _wait_for_approval(
        self, client: msal_client.MsalClient, provider: authority.Provider, published: signing_keys.Published
    ) -> tuple[models.TokenAnswer, device_flow.Wait]:
        """Show a code, and new ones where the observer wishes that; return the answer, and the wait that brought it."""
        scopes_asked = self._chosen.scopes.value
        authorization = self._start.request(lambda: client.request_device_code(scopes_asked))
        while True:
            wait = device_flow.Wait(
                authorization, clock=self._options.clock, observer=self._observer, profile=self._work.profile
            )
            verification_uri.require_clean(authorization.verification_uri)
            self._observer.show(authorization, provider, self._chosen.authority_choice)
            if self._keys is None:
                self._keys = self._get_ready(published)
            try:
                return wait.for_approval(client.poll), wait
            except errors.LoginNotCompletedError as error:
                if error.code != explain.CODE_EXPIRED or not self._observer.may_renew():
                    raise
            authorization = wait.for_new_code(lambda: client.request_device_code(scopes_asked))

    def _get_ready(self, published: signing_keys.Published) -> id_token.KeySet:
        """Do what only the end needs, and no code should wait for: the person has just begun to type."""
        from devicelogin.signin import id_token

        if self._old is None:
            self._old = preparing.sign_in_of_record(self._work, self._store)
        return id_token.read_keys(published)

    def _checked_account(
        self,
        http: http_session.HttpSession,
        provider: authority.Provider,
        answer: models.TokenAnswer,
        wait: device_flow.Wait,
    ) -> models.Account:
        """Return who signed in."""
        if answer.id_token is None:
            raise errors.BadAnswerError(
                f"{provider.origin} did not say who signed in (no ID token); nothing was saved",
                hint="the app registration must allow the scope openid",
                code="bad_id_token",
            )
        if answer.refresh_token is None:
            raise errors.LoginNotCompletedError(
                f"{provider.origin} granted no refresh token, so nothing could be renewed later; nothing was saved",
                hint="let the app registration allow the scope offline_access, then run devicelogin login again",
                code="no_refresh_token",
            )
        return self._verified(answer.id_token, http, provider, answer, wait)

    def _verified(
        self,
        token: str,
        http: http_session.HttpSession,
        provider: authority.Provider,
        answer: models.TokenAnswer,
        wait: device_flow.Wait,
    ) -> models.Account:
        """Check the ID token. A person has approved by now, so trouble with the keys is waited out."""
        from devicelogin.signin import id_token

        now = answer.server_date if answer.server_date is not None else self._options.clock.wall()
        who = {"client_id": self._client_id, "home_account_id": answer.home_account_id}
        keys, fetches = self._keys or self._new_keys(http, provider, wait), 0
        while True:
            try:
                return id_token.check(token, keys, provider, now=now, **who)
            except id_token.UnverifiedError as error:
                # The keys may have been changed while the person typed; a copy of the old ones may be in the way for a while.
                if fetches >= (1 if error.has_key else _MOST_FETCHES) or wait.remaining() <= 0:
                    raise
                if fetches:
                    self._observer.trouble(error.message)
                    wait.sleep(wait.back_off(fetches, error))
            keys, fetches = self._new_keys(http, provider, wait), fetches + 1

    def _new_keys(
        self, http: http_session.HttpSession, provider: authority.Provider, wait: device_flow.Wait
    ) -> id_token.KeySet:
        """Fetch the provider's keys; what fails is tried again until the code expires."""
        from devicelogin.signin import id_token

        failures = 0
        while True:
            try:
                return id_token.read_keys(signing_keys.request_keys(http, provider))
            except (errors.TryLaterError, errors.BadAnswerError) as error:
                if wait.remaining() <= 0:
                    raise
                failures += 1
                self._observer.trouble(error.message)
                wait.sleep(wait.back_off(failures, error))

    def _check_person(self, account: models.Account) -> None:
        wanted = self._options.expect_user
        login = hints.login(self._work.profile)
        if wanted is not None and not is_expected(account, wanted):
            raise errors.LoginNotCompletedError(
                f"{account.username} signed in, but {wanted} was expected; nothing was saved",
                hint=f"run {login} again and sign in as {wanted}",
                code="unexpected_account",
            )
        only, old = self._options.only, self._old
        if only is not None and only.key != account.key:
            raise errors.LoginNotCompletedError(
                f"{account.username} signed in, but {only.username} was asked to; nothing was changed",
                hint=f"run {login} at a terminal to sign somebody else in",
                code="unexpected_account",
            )
        if old is None or old.account.key == account.key or self._options.replace:
            return
        if not self._observer.may_replace(old.account, account):
            raise errors.LoginNotCompletedError(
                f"{account.username} signed in, but the saved sign-in is that of {old.account.username}; it was left as it is",
                hint=f"keep both: devicelogin login --profile NAME; or replace it: {login} --replace",
                code="unexpected_account",
            )

    def _keep(
        self,
        provider: authority.Provider,
        answer: models.TokenAnswer,
        account: models.Account,
        *,
        wait_seconds: float,
    ) -> models.SignIn:
        chosen, work = self._chosen, self._work
        graph_root = chosen.graph_root.value
        if graph_root is None:
            graph_root = "" if provider.is_oidc else clouds.graph_root_for(provider.origin, provider.graph_host)
        self._warn_of_missing(answer, graph_root)
        sign_in = models.SignIn(
            state="pending",
            account=account,
            client_id=self._client_id,
            authority=provider.url,
            is_oidc=provider.is_oidc,
            issuer=provider.issuer,
            graph_root=graph_root,
            scopes=chosen.scopes.value,
            granted_scopes=answer.scopes,
            location=self._store.location,
            previous=preparing.other_place(self._store.location, self._old),
            hosts=provider.hosts(),
        )
        with secret_store.ProfileLock(work.paths, wait_seconds=wait_seconds):
            saved = self._save(sign_in, answer)
            try:
                settings.write_profile(work.paths, chosen.profile_changes())
            except errors.DeviceLoginError as error:
                self._observer.note(f"signed in, but the settings could not be written: {error.message}")
            cache = work.token_cache(chosen)
            try:
                cache.clear()
            except errors.DeviceLoginError as error:
                self._observer.note(
                    f"not all cached tokens could be deleted; none of them is used any more: {error.message}"
                )
            cache.write(cache_directory.new_entry(work.paths, "", answer, min_valid=cache.min_valid))
        return saved

    def _warn_of_missing(self, answer: models.TokenAnswer, graph_root: str) -> None:
        missing = scopes.missing(self._chosen.scopes.value, answer.scopes, graph_root=graph_root)
        if missing:
            self._observer.note(f"not all that was asked for was granted; missing: {' '.join(missing)}")

    def _save(self, sign_in: models.SignIn, answer: models.TokenAnswer) -> models.SignIn:
        """Trace "pending", secret, trace "saved", then the old secret goes. The caller holds the lock."""
        paths = self._work.paths
        generation = self._next_generation()
        done = dataclasses.replace(sign_in, state="saved", previous=None)
        record = secret_store.pack_record(
            secret_store.SavedSignIn(sign_in=done, credentials=answer.credentials), generation=generation
        )
        secret_store.write_sign_in(paths, sign_in)
        try:
            self._store.save(record)
        except errors.DeviceLoginError:
            unfinished.take_back(self._work, self._store, self._old)
            raise
        self._options.saved()
        # The provider's clock if it said: it is right also where this machine's is not.
        now = int(answer.server_date if answer.server_date is not None else time.time())
        try:
            secret_store.write_times(paths, models.Times(generation=generation, made=now, last_refreshed=now))
        except errors.DeviceLoginError as error:  # the person has approved, and the sign-in is saved
            self._observer.note(f"it could not be noted how old this sign-in is: {error.message}")
        secret_store.write_sign_in(paths, dataclasses.replace(done, previous=sign_in.previous))
        if self._has_deleted_old_secret(sign_in):
            secret_store.write_sign_in(paths, done)
        return done

    def _has_deleted_old_secret(self, sign_in: models.SignIn) -> bool:
        """Delete the secret in the place that is left; False: it is still there, and has to stay traced."""
        work = self._work
        try:
            secret_store.remove_set_aside(work.paths)
            if work.given_store is not None:
                return True
            if sign_in.previous is not None:
                unfinished.delete_left(work, sign_in.previous, sign_in)
            if sign_in.location.kind != "file":
                secret_store.remove_key(work.paths)  # of a sign-in that was killed before it had written its trace
        except errors.DeviceLoginError as error:
            self._observer.note(
                f"the old saved sign-in could not be deleted and stays until the next login or logout: {error.message}"
            )
            return sign_in.previous is None
        return True

    def _next_generation(self) -> int:
        """Return a number above every one in use; a damaged record is moved aside, not overwritten."""
        known = secret_store.read_times(self._work.paths)
        highest = known.generation if known is not None else 0
        if secret_store.needs_other_key(self._work.paths, self._store.location):
            # The old key may be gone, and that is then why a person signs in. The save replaces the record whole.
            return highest + 1
        try:
            record = self._store.load()
        except errors.DataBadError as error:
            self._observer.note(f"{error.message}; it is moved aside until the new one is saved")
            secret_store.set_aside(self._work.paths)
            record = None
        return max(highest, record.generation if record is not None else 0) + 1


@contextlib.contextmanager
def _login_lock(work: Workplace) -> Iterator[None]:
    """Let one sign-in to this profile run at a time; tokens are meanwhile refreshed as ever."""
    lock = secret_store.ProfileLock(work.paths, path=work.paths.login_lock)
    if not lock.try_acquire():
        raise errors.TryLaterError(
            f"another sign-in to the profile {work.profile} is running",
            hint="finish or end that one first, or use another profile: devicelogin login --profile NAME",
            code="login_running",
        )
    try:
        yield
    finally:
        lock.release()


def _no_device_flow(provider: authority.Provider) -> errors.BadAnswerError:
    return errors.BadAnswerError(
        f"{provider.origin} does not offer the device flow (its discovery document names no device_authorization_endpoint)",
        hint="ask its operator to enable the OAuth 2.0 Device Authorization Grant",
        code="no_device_flow",
    )
