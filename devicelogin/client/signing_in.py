"""The sign-in in its order; nothing that was saved before is touched until a new sign-in has been checked."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from typing import TYPE_CHECKING

from devicelogin import authority, clock, clouds, errors, hints, models, resources, secret_store, settings
from devicelogin.client import approving, further_apis, leftovers, preparing, starting, unfinished
from devicelogin.signin import scopes
from devicelogin.tokens import access_cache, cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devicelogin import http_session
    from devicelogin.client import observing
    from devicelogin.client.workplace import Workplace
    from devicelogin.settings import resolve

    #: Which scopes were asked for, and what came of it?
    _Granted = tuple[tuple[str, ...], models.TokenAnswer]


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
        run = _Login(work, chosen, client_id, store, old, options, observer)
        if old is None or not further_apis.are_all_that_is_new(chosen, old, options):
            return run.run()
        needed = further_apis.that_need_a_person(work, chosen, old)
        if needed is None:
            return run.run()
        if not needed:
            observer.announce(
                f"{' '.join(chosen.added)}: no approval is needed, the saved sign-in of {old.account.username} serves"
            )
            write_settings(work, chosen, observer, is_addition=True)
            return secret_store.read_sign_in(work.paths) or old
        return run.run(needed)


def write_settings(
    work: Workplace, chosen: resolve.Settings, observer: observing.Observer, *, is_addition: bool
) -> None:
    """Write what was chosen into the profile, of an addition no more than that; a failure is a remark."""
    changes = chosen.profile_changes()
    if is_addition:
        changes = {"also": changes["also"]}
    try:
        settings.write_profile(work.paths, changes)
    except errors.DeviceLoginError as error:
        observer.note(f"the settings could not be written: {error.message}")


def _are_among(scopes_asked: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return not {scope.lower() for scope in scopes_asked}.isdisjoint(scope.lower() for scope in others)


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

    def run(self, additions: tuple[tuple[str, ...], ...] | None = None) -> models.SignIn:
        """Sign in; with `additions`, only to these other APIs, each by its scopes, beside the saved sign-in."""
        granted: list[_Granted] = []
        failed: errors.DeviceLoginError | None = None
        with self._work.connect(self._chosen.ca_file.value) as http:
            approvals = self._approvals(http)
            root = self._graph_root(approvals.provider)
            if additions is None:
                further = tuple(resources.grouped(self._chosen.also.value, root).values())
                self._tell_how_many(approvals.names((self._chosen.scopes.value, *further), root))
                answer, account = approvals.ask(self._chosen.scopes.value)
                self._check_person(account)
                granted.append((self._chosen.scopes.value, answer))
            else:
                assert self._old is not None
                further, account = additions, self._old.account
                self._tell_how_many(approvals.names(further, root))
            for number, group in enumerate(further):
                try:
                    found = self._further(approvals, granted[-1][1] if granted else None, account, group, root)
                except errors.DeviceLoginError as error:
                    if not granted or error.code in approving.IN_DOUBT:
                        raise
                    # What was approved before is kept; then it is told what is missing.
                    failed = further_apis.unfinished(error, account, further[number:], root, self._work.profile)
                    self._chosen = further_apis.without(self._chosen, further[number:])
                    break
                if found is not None:
                    granted.append((group, found))
        # A cron job may hold the lock for a while; the approval is worth waiting for it as long as the code would last.
        wait_seconds = max(approvals.remaining(), secret_store.WAIT_SECONDS)
        sign_in = self._new_sign_in(approvals.provider, account, granted, root, is_addition=additions is not None)
        saved = self._keep(sign_in, granted, wait_seconds=wait_seconds, is_addition=additions is not None)
        if failed is not None:
            raise failed
        return saved

    def _approvals(self, http: http_session.HttpSession) -> approving.Approvals:
        url, is_oidc = self._chosen.authority_url.value, self._chosen.is_oidc
        start = starting.Start(self._observer, self._options.clock)
        provider = start.request(
            lambda: authority.known_provider(http, self._work.paths.provider, url, is_oidc=is_oidc, anew=True)
        )
        if provider.device_authorization_endpoint is None:
            raise approving.no_device_flow(provider)
        if provider.is_oidc and provider.other_hosts():
            self._observer.note(f"{provider.origin} sends sign-ins to {', '.join(provider.other_hosts())} as well")
        return approving.Approvals(
            http,
            provider,
            client_id=self._client_id,
            profile=self._work.profile,
            tenant=self._chosen.authority_choice,
            observer=self._observer,
            clock=self._options.clock,
            meanwhile=self._get_ready,
            start=start,
        )

    def _get_ready(self) -> None:
        """Do what only the end needs, and no code should wait for: the person has just begun to type."""
        if self._old is None:
            self._old = preparing.sign_in_of_record(self._work, self._store)

    def _graph_root(self, provider: authority.Provider) -> str:
        if self._chosen.graph_root.value is not None:
            return self._chosen.graph_root.value
        return "" if provider.is_oidc else clouds.graph_root_for(provider.origin, provider.graph_host)

    def _tell_how_many(self, apis: tuple[str, ...]) -> None:
        if len(apis) > 1:
            self._observer.announce(
                f"{len(apis)} approvals: {', '.join(apis)}; those that turn out not to be needed are skipped"
            )

    def _further(
        self,
        approvals: approving.Approvals,
        latest: models.TokenAnswer | None,
        account: models.Account,
        scopes_asked: tuple[str, ...],
        root: str,
    ) -> models.TokenAnswer | None:
        """Return what one more API grants, without a person if that can be (D17); None where it has to be left out.

        Only what was asked for just now is worth the whole sign-in: an API of the profile that has become unavailable must
        not keep a person from signing in to the others.
        """
        api = approvals.names((scopes_asked,), root)[0]
        try:
            if (
                latest is not None
                and (found := approvals.without_person(latest, account, scopes_asked, root)) is not None
            ):
                return found
            answer, other = approvals.ask(scopes_asked)
        except (
            errors.LoginNotCompletedError,
            errors.DeniedByPolicyError,
            errors.ConfigError,
            errors.TryLaterError,
        ) as error:
            if _are_among(scopes_asked, self._chosen.added):
                raise
            self._observer.note(f"{api} is left out of this sign-in: {error.message}")
            return None
        if other.key != account.key:
            raise errors.LoginNotCompletedError(
                f"{other.username} approved for {api}, but it is {account.username} who signs in; nothing was changed",
                hint=f"run it again, and approve both as {account.username}",
                code=approving.UNEXPECTED_ACCOUNT,
            )
        return answer

    def _check_person(self, account: models.Account) -> None:
        wanted = self._options.expect_user
        login = hints.login(self._work.profile)
        if wanted is not None and not preparing.is_expected(account, wanted):
            raise errors.LoginNotCompletedError(
                f"{account.username} signed in, but {wanted} was expected; nothing was saved",
                hint=f"run {login} again and sign in as {wanted}",
                code=approving.UNEXPECTED_ACCOUNT,
            )
        only, old = self._options.only, self._old
        if only is not None and only.key != account.key:
            raise errors.LoginNotCompletedError(
                f"{account.username} signed in, but {only.username} was asked to; nothing was changed",
                hint=f"run {login} at a terminal to sign somebody else in",
                code=approving.UNEXPECTED_ACCOUNT,
            )
        if old is None or old.account.key == account.key or self._options.replace:
            return
        if not self._observer.may_replace(old.account, account):
            raise errors.LoginNotCompletedError(
                f"{account.username} signed in, but the saved sign-in is that of {old.account.username}; it was left as it is",
                hint=f"keep both: devicelogin login --profile NAME; or replace it: {login} --replace",
                code=approving.UNEXPECTED_ACCOUNT,
            )

    def _new_sign_in(
        self,
        provider: authority.Provider,
        account: models.Account,
        granted: list[_Granted],
        root: str,
        *,
        is_addition: bool,
    ) -> models.SignIn:
        """Return the trace of the new sign-in; what is added to a saved one leaves its own scopes as they are."""
        for asked, answer in granted:
            missing = scopes.missing(asked, answer.scopes, graph_root=root)
            if missing:
                self._observer.note(f"not all that was asked for was granted; missing: {' '.join(missing)}")
        old = self._old if is_addition else None
        return models.SignIn(
            state="pending",
            account=account,
            client_id=self._client_id,
            authority=provider.url,
            is_oidc=provider.is_oidc,
            issuer=provider.issuer,
            graph_root=old.graph_root if old is not None else root,
            scopes=old.scopes if old is not None else self._chosen.scopes.value,
            granted_scopes=old.granted_scopes if old is not None else granted[0][1].scopes,
            location=self._store.location,
            previous=preparing.other_place(self._store.location, self._old),
            hosts=provider.hosts(),
        )

    def _keep(
        self, sign_in: models.SignIn, granted: list[_Granted], *, wait_seconds: float, is_addition: bool
    ) -> models.SignIn:
        """Save the newest refresh token, which serves every API, then the settings and the access tokens."""
        chosen, work = self._chosen, self._work
        with secret_store.ProfileLock(work.paths, wait_seconds=wait_seconds):
            write = functools.partial(write_settings, work, chosen, self._observer, is_addition=is_addition)
            saved = self._save(sign_in, granted[-1][1], write)
            cache = work.token_cache(chosen)
            self._try("not all cached tokens could be deleted; none of them is used any more", cache.clear)
            for number, (asked, answer) in enumerate(granted):
                line = "" if number == 0 and not is_addition else access_cache.scope_line(asked)
                cache.write(cache_directory.new_entry(work.paths, line, answer, min_valid=cache.min_valid))
        return saved

    def _save(
        self, sign_in: models.SignIn, answer: models.TokenAnswer, write_profile: Callable[[], None]
    ) -> models.SignIn:
        """Trace "pending", secret and settings, trace "saved", then the old secret goes. The caller holds the lock."""
        paths = self._work.paths
        generation = self._next_generation()
        done = dataclasses.replace(sign_in, state="saved", previous=None)
        record = secret_store.pack_record(
            secret_store.SavedSignIn(sign_in=done, credentials=answer.credentials), generation=generation
        )
        secret_store.write_sign_in(paths, sign_in)
        if self._old is None:
            write_profile()  # before anything is called saved, for without its certificates nothing can be refreshed
        try:
            self._store.save(record)
        except errors.DeviceLoginError:
            unfinished.take_back(self._work, self._store, self._old)
            raise
        self._options.saved()
        if self._old is not None:
            write_profile()  # until now it was that of the old sign-in, which would have gone on
        # The provider's clock if it said: it is right also where this machine's is not.
        now = int(answer.server_date if answer.server_date is not None else time.time())
        times = models.Times(generation=generation, made=now, last_refreshed=now)
        # The person has approved and the secret is saved. Whoever uses it first finds it by the pending trace as well.
        self._try("it could not be noted how old this sign-in is", lambda: secret_store.write_times(paths, times))
        self._try("the sign-in is saved, but its trace could not be written", lambda: self._finish(sign_in, done))
        return done

    def _finish(self, sign_in: models.SignIn, done: models.SignIn) -> None:
        """Call it saved, and then let the old secret go."""
        paths = self._work.paths
        secret_store.write_sign_in(paths, dataclasses.replace(done, previous=sign_in.previous))
        if self._has_deleted_old_secret(sign_in):
            secret_store.write_sign_in(paths, done)

    def _try(self, words: str, write: Callable[[], None]) -> None:
        """Do what is no reason for a sign-in to fail; the observer is told `words` where it could not be done."""
        try:
            write()
        except errors.DeviceLoginError as error:
            # Not what the message says of what was saved before: it is no more what counts.
            self._observer.note(f"{words}: {error.message.partition(';')[0]}")

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
