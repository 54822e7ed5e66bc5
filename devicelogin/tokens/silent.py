"""The one refresh at a time: a token without a person, from the cache or with a single request (design decision D6).

The lock is held from looking again into the cache until the new refresh token is saved, so that two hundred processes that
find the token expired make one request. A failed refresh never deletes a refresh token. This module never prompts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from devicelogin import clock, errors, explain, hints, models, redaction, resources, secret_store
from devicelogin.tokens import access_cache, cache_directory, refusals, single_flight
from devicelogin.tokens import turn as turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.settings.paths import ProfilePaths

_logger = logging.getLogger("devicelogin.tokens")

#: How long may a silent command take altogether (seconds)?
SILENT_SECONDS = 75.0
#: How long may whoever holds the lock work (seconds)? It gives up by itself before the waiters do.
HOLDER_SECONDS = 45.0
#: How long is a failed early refresh not tried again (seconds)?
EARLY_PAUSE = 60.0
#: How long must a token last to be printed although the refresh that was due failed (seconds)?
STILL_USEFUL = 60.0

#: What says that a keyring is not there, or not open, for this process, and may well be for another one?
_OUT_OF_REACH = frozenset(
    {"store_locked", "store_hung", "store_no_bus", "store_dead_bus", "store_no_backend", "store_no_collection"}
    | {"store_no_logon_session", "store_not_viable", "store_failed"}
)


#: Which refusals may come of a refresh token that another one has replaced?
_MAY_BE_OLD = frozenset({errors.LoginRequiredError.code, errors.DeniedByPolicyError.code, explain.REQUEST_REFUSED})


class Refresher(Protocol):
    """Who can exchange a saved refresh token at the provider it belongs to."""

    def __call__(
        self,
        saved: secret_store.SavedSignIn,
        scopes: tuple[str, ...],
        *,
        deadline: clock.Deadline,
        claims: str | None,
    ) -> models.TokenAnswer:
        """Return the provider's answer, or raise; the answer's identity has been compared with the saved account."""


@models.record
class Wish:
    """What a caller wants of a token. `scopes` empty: those of the profile. `min_valid` in seconds."""

    scopes: tuple[str, ...] = ()
    min_valid: float | None = None
    force: bool = False
    claims: str | None = None


class SilentTokens:
    """Access tokens of one profile for whoever is not at a terminal.

    `min_valid` (seconds) and `own_scopes` are wanted where a caller names none; with neither, the sign-in's scopes.
    `graph_root` is Graph's address where scopes have resources, None where they have none (other providers than Entra).
    `is_own`: they come from the profile, not from an environment that another call may not have. `profile_stat` is the
    `stat_line` of the profile file from before the settings were read. `turn` is what the entry point already has.
    """

    def __init__(
        self,
        paths: ProfilePaths,
        *,
        cache: cache_directory.TokenCache,
        open_store: Callable[[models.SignIn], secret_store.SecretStore],
        check: Callable[[models.SignIn], None],
        refresh: Refresher,
        min_valid: float | None = None,
        own_scopes: tuple[str, ...] = (),
        graph_root: str | None = None,
        is_own: bool = True,
        profile_stat: str | None = None,
        turn: turns.Turn | None = None,
    ) -> None:
        self._paths = paths
        self._cache = cache
        self._open_store = open_store
        self._check = check
        self._refresh = refresh
        self._min_valid = min_valid
        self._own_scopes = own_scopes
        self._graph_root = graph_root
        self._is_own = is_own
        self._profile_stat = profile_stat
        self._turn = turn

    def access_token(self, wish: Wish) -> models.AccessToken:
        """Return a token as wished: from the cache, from whoever is refreshing right now, or by a refresh of our own.

        Raises LoginRequiredError where a person is needed, TryLaterError where trying again may help, and the others of
        the family for what they say.
        """
        if wish.min_valid is None and self._min_valid is not None:
            wish = dataclasses.replace(wish, min_valid=self._min_valid)
        self._check_resource(wish.scopes)
        if self._turn is None and not _exists(self._paths.sign_in):
            # Where nothing is saved, no directory is made for a lock: the name may be a slip of the keyboard.
            self._paths.check_directories()
            secret_store.sweep(self._paths)
            raise not_signed_in(self._paths)
        turn = self._take_turn(wish)
        while turn.is_refused:
            refused = self._recall(turn.asked, wish)
            if isinstance(refused, errors.TryLaterError):
                return _still_useful(turn.entry, refused)
            if refused is not None:
                raise refused
            turn = self._take_turn(wish)  # that minute is just over
        limit = clock.Deadline(SILENT_SECONDS - (access_cache.boot_seconds() - turn.began))
        if turn.error is not None:
            return _still_useful(turn.entry, turn.error)
        if turn.lock is None and turn.entry is not None:
            return _token(turn.entry, _shortness(turn.entry, wish))
        try:
            refused = self._recall(turn.asked, wish)  # the entry point does not know everywhere where that lies
            if refused is not None:
                raise refused
            return self._refreshed(turn.asked, wish, limit)
        except errors.DeviceLoginError as error:
            if turn.is_early and turn.entry is not None:
                _logger.debug("early refresh failed: %s", error.code)
                turn.entry.postpone_early(EARLY_PAUSE)
                self._cache.write(turn.entry)
                return _token(turn.entry)
            if isinstance(error, errors.TryLaterError):
                return _still_useful(turn.entry, error)
            raise
        finally:
            turn.release()

    def is_cached(self, wish: Wish) -> bool:
        """Tell whether a good token for `wish` lies in the cache, so that neither network nor clock is needed."""
        if self._turn is not None:
            return self._turn.lock is None and self._turn.entry is not None and not self._turn.is_refused
        minimum = wish.min_valid if wish.min_valid is not None else self._min_valid
        entry = None if wish.force or wish.claims is not None else self._cache.read(self._asked(wish))
        return entry is not None and entry.is_good(minimum)

    def _asked(self, wish: Wish) -> str:
        return access_cache.scope_line(wish.scopes or (() if self._is_own else self._own_scopes))

    def _take_turn(self, wish: Wish) -> turns.Turn:
        asked = self._asked(wish)
        turn, self._turn = self._turn, None
        if turn is not None:
            if turn.asked == asked:
                return turn
            turn.release()
        return single_flight.join(
            self._paths,
            self._cache.read,
            asked,
            min_valid=wish.min_valid,
            force=wish.force or wish.claims is not None,
            # A token that answers no claims challenge is not what was asked for, however new.
            accepts_new=wish.claims is None,
            is_refused=lambda line: self._recall(line, wish) is not None,
        )

    def _recall(self, asked: str, wish: Wish) -> errors.DeviceLoginError | None:
        return self._refusals().recall(asked, claims=wish.claims, force=wish.force)

    def _refusals(self) -> refusals.Refusals:
        return refusals.Refusals(self._paths, self._cache.in_memory() or self._paths.state)

    def _check_resource(self, scopes: tuple[str, ...]) -> None:
        """Raise UsageError where `scopes`, of Entra, belong to several APIs or are all of one beside some of it (D17)."""
        if len(scopes) < 2 or self._graph_root is None:
            return
        found = resources.grouped(scopes, self._graph_root)
        whole = resources.whole_beside_others(scopes)
        if whole is not None:
            raise errors.UsageError(
                f"{redaction.printable(whole)} {resources.NOT_BESIDE_OTHERS}", hint=resources.LEAVE_OUT
            )
        if len(found) > 1:
            apis = " and ".join(resources.name(resource) for resource in found)
            raise errors.UsageError(
                f"a token is for one API, and these scopes belong to {apis}",
                hint="ask for each by itself: "
                + hints.command(f"token {resources.options(next(iter(found.values())))}", self._paths.profile),
            )

    def _refreshed(self, asked: str, wish: Wish, limit: clock.Deadline) -> models.AccessToken:
        """Refresh, save, remember. The caller holds the lock."""
        deadline = limit.at_most(HOLDER_SECONDS)
        store, record, saved = self._load()
        self._check(saved.sign_in)
        scopes = wish.scopes or self._own_scopes or saved.sign_in.scopes
        try:
            answer = self._refresh(saved, scopes, deadline=deadline, claims=wish.claims)
        except (errors.LoginRequiredError, errors.DeniedByPolicyError, errors.ConfigError) as error:
            if error.code in _MAY_BE_OLD and secret_store.is_older_copy(record, secret_store.read_times(self._paths)):
                error.message += f"; {secret_store.OLDER_COPY}"
            self._remember(record.generation, asked, wish, error)
            raise
        except errors.TryLaterError as error:
            self._refusals().put_off(asked, error, claims=wish.claims)
            raise
        warnings = self._save(store, record, saved, answer)
        entry = cache_directory.new_entry(
            self._paths,
            asked,
            answer,
            min_valid=self._cache.min_valid,
            # As it was before the settings were read: an edit since then makes the entry void at once.
            profile_stat=self._profile_stat,
        )
        self._cache.write(entry)
        return _token(entry, warnings + _shortness(entry, wish))

    def _load(self) -> tuple[secret_store.SecretStore, models.SecretRecord, secret_store.SavedSignIn]:
        """Return the store, the record and what it says. Raises LoginRequiredError where nothing is saved."""
        secret_store.sweep(self._paths)
        trace = secret_store.read_sign_in(self._paths)
        if trace is None:
            raise not_signed_in(self._paths)
        places = [trace.location, *([trace.previous] if trace.previous is not None else [])]
        for location in places:
            store = self._open_store(dataclasses.replace(trace, location=location))
            try:
                record = store.load()
            except errors.StoreUnusableError as error:
                raise out_of_reach(error, store.location, self._paths.profile) from error
            if record is None:
                continue
            saved = secret_store.unpack_record(record, login=hints.login(self._paths.profile))
            if trace.state != "saved":
                # A login was killed between saving and saying so. The record says whose it is; the trace follows it. The
                # other place may hold a secret, or parts of one: it stays traced for whoever deletes it.
                others = [other for other in places if not other.is_same_place(location)]
                found = dataclasses.replace(saved.sign_in, state="saved", previous=others[0] if others else None)
                secret_store.write_sign_in(self._paths, found)
            return store, record, saved
        gone = not_signed_in(self._paths)
        if trace.state == "saved":
            self._note_refusal(0, gone)  # else `status` would go on saying that all is well
        raise gone

    def _save(
        self,
        store: secret_store.SecretStore,
        record: models.SecretRecord,
        saved: secret_store.SavedSignIn,
        answer: models.TokenAnswer,
    ) -> tuple[str, ...]:
        """Save what the refresh brought; return warnings. The token at hand is good whether or not that works."""
        generation = record.generation
        try:
            if answer.refresh_token is not None:
                known = secret_store.read_times(self._paths)
                # Above every one in use, also where the record is an older copy that was put back.
                generation = max(generation, known.generation if known is not None else 0) + 1
                newer = dataclasses.replace(saved, credentials=answer.credentials)
                store.save(secret_store.pack_record(newer, generation=generation))
            # The provider's clock if it said: it is right also where this machine's is not.
            now = int(answer.server_date if answer.server_date is not None else time.time())
            old = secret_store.read_times(self._paths)
            made = old.made if old is not None else now
            secret_store.write_times(self._paths, models.Times(generation=generation, made=made, last_refreshed=now))
        except errors.DeviceLoginError as error:
            _logger.debug("saving after the refresh failed: %s", error.code)
            return (f"the refreshed sign-in could not be saved: {error.message}; this token is good all the same",)
        return ()

    def _remember(self, generation: int, asked: str, wish: Wish, error: errors.DeviceLoginError) -> None:
        """Keep what was refused from being asked again at once, and note it where it is the end of the sign-in.

        Other scopes may need a consent of their own, a challenge may want what no sign-in brings: that says nothing about
        the sign-in.
        """
        from devicelogin import http_session

        if error.detail is None or error.code == http_session.PROXY_REFUSED:
            return  # it was not the provider that said so
        is_own = not wish.scopes and self._is_own and wish.claims is None
        # Of another request that is only said where it is known to be over; of its own it may be the policy of one API.
        has_ended = error.code == errors.LoginRequiredError.code
        if has_ended or (is_own and not isinstance(error, errors.ConfigError)):
            self._note_refusal(generation, error)
        self._refusals().remember(asked, error, claims=wish.claims, for_all=has_ended and not is_own)

    def _note_refusal(self, generation: int, error: errors.DeviceLoginError) -> None:
        """Note once per episode that a person is needed, so that `status` can say so without the network."""
        times = secret_store.read_times(self._paths)
        now = int(time.time())
        if times is None:
            times = models.Times(generation=generation, made=now, last_refreshed=now)
        if times.refused is None:
            with contextlib.suppress(errors.DeviceLoginError):
                secret_store.write_times(self._paths, dataclasses.replace(times, refused=error.message))


def not_signed_in(paths: ProfilePaths) -> errors.LoginRequiredError:
    """Return the error for a profile that has no saved sign-in, or that is none."""
    profile = paths.profile
    login = f"sign in once at a terminal: {hints.login(profile)}"
    unknown = unknown_profile(paths)
    if unknown is None:
        return errors.LoginRequiredError(f"nobody is signed in to the profile {profile}", hint=login)
    message, near = unknown
    return errors.LoginRequiredError(message, hint=f"name it: --profile {near}" if near else login)


def _exists(path: str) -> bool:
    """Return False only if there is no such file; what cannot be looked at is told by whoever reads it."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def unknown_profile(paths: ProfilePaths) -> tuple[str, str | None] | None:
    """Return what to say of a profile that has neither a file nor a sign-in, and the name of the one it may stand for.

    None for a profile that there is, or if there are no others.
    """
    names = paths.places.profile_names()
    if paths.profile in names or not names:
        return None
    near = hints.nearest(paths.profile, names)
    more = f" and {len(names) - 9} more" if len(names) > 9 else ""
    message = (
        f"there is no profile {paths.profile}; there {'are' if len(names) > 1 else 'is'} {', '.join(names[:9])}{more}"
    )
    return message, near


def out_of_reach(
    error: errors.StoreUnusableError, place: models.StoreLocation, profile: str
) -> errors.StoreUnusableError:
    """Return the error for a saved sign-in in a keyring that does not answer here; other errors of stores as they are.

    Whoever signs in is told to choose another store. A sign-in that is saved need only be moved, from where it was made.
    """
    if not place.kind.startswith("keyring") or error.code not in _OUT_OF_REACH:
        return error
    return errors.StoreUnusableError(
        f"this profile's sign-in is in a keyring that cannot be read from here: {error.message}",
        hint=f"for jobs, run once in the session where it opens: {hints.command('store move --to file', profile)}",
        detail=error.detail,
        code=error.code,
    )


def _shortness(entry: access_cache.Entry, wish: Wish) -> tuple[str, ...]:
    """Return the warning for a token that was just received and is shorter than wished; it is good all the same (D5)."""
    if wish.min_valid is None or entry.lifetime() >= wish.min_valid:
        return ()
    return (f"the token lasts {int(entry.lifetime())} s, less than the {int(wish.min_valid)} s asked for",)


def _still_useful(entry: access_cache.Entry | None, error: errors.DeviceLoginError) -> models.AccessToken:
    """Return a token that is shorter than wished but still good, with a warning; raise `error` where there is none."""
    if entry is None or entry.seconds_left() < STILL_USEFUL:
        raise error
    return _token(entry, (f"could not refresh ({error.message}); the token lasts {int(entry.seconds_left())} s more",))


def _token(entry: access_cache.Entry, warnings: tuple[str, ...] = ()) -> models.AccessToken:
    left = entry.seconds_left()
    ends = time.time() + left
    if abs(ends - entry.expires_wall) < 1:
        ends = entry.expires_wall  # the clock was not set meanwhile, and two calls name the same second
    return models.AccessToken(
        token=entry.token,
        # The server's clock is the one that counts for whoever checks the token.
        expires_at=datetime.fromtimestamp(int(entry.expires_server), UTC),
        scopes=tuple(entry.granted.split()),
        warnings=warnings,
        expires_in=int(left),
        expires_at_local=datetime.fromtimestamp(int(ends), UTC),
    )
