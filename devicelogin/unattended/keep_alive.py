"""Keeping saved sign-ins fresh: each that was not refreshed for a week is, so that none dies of being left alone.

One profile that fails does not stop the others. What the last run did is noted, so that somebody can ask whether the job runs
at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin import clock, errors, private_files, secret_store
from devicelogin.client import reporting
from devicelogin.tokens import silent
from devicelogin.unattended import keep_alive_record, login_needed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from devicelogin import client, models
    from devicelogin.settings import paths as settings_paths

_logger = logging.getLogger("devicelogin.unattended")

#: After how many days is a sign-in refreshed? Entra keeps one for 90, so a dozen failures in a row cost nothing.
DUE_DAYS = 7

#: Over how long do boxes that all start at the same minute spread their requests (seconds)?
SPREAD_SECONDS = 3.0

#: Which failure is reported by the exit code where profiles fail in different ways? What needs a person comes first, what
#: mends itself last.
IMPORTANCE = (4, 77, 65, 78, 73, 76, 75)

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one profile: `refreshed`, `signed-in` (a person was asked from afar), `not-due`, `signed-out`, `failed`."""

    profile: str
    outcome: str
    error: errors.DeviceLoginError | None = None


class KeepAlive:
    """One run over `works`, each a profile. Refreshes what was not refreshed for `older_than` days.

    `spread` is how long the first refresh may be put off by chance (seconds). `note` is told what goes on while a person is
    asked from afar. `are_named`: somebody named the profiles, so that one without a sign-in is a failure.
    """

    def __init__(
        self,
        works: Sequence[client.Workplace],
        *,
        older_than: float = DUE_DAYS,
        spread: float = 0.0,
        note: Callable[[str], None] = _logger.debug,
        are_named: bool = False,
        clocks: clock.Clock | None = None,
    ) -> None:
        self._works = works
        self._older_than = older_than
        self._spread = spread
        self._note = note
        self._are_named = are_named
        self._clock = clocks or clock.SystemClock()

    def run(self) -> tuple[Result, ...]:
        """Refresh what is due and return what became of each profile, in their order. Raises nothing of ours."""
        results = {work.profile: self._one(work) for work in self._works}
        # A person takes minutes; the other profiles were not kept waiting for that.
        for work in self._works:
            error = results[work.profile].error
            if isinstance(error, errors.LoginRequiredError):
                results[work.profile] = self._asked(work, error)
        return tuple(results.values())

    def _one(self, work: client.Workplace) -> Result:
        try:
            work.paths.check_directories()
            sign_in = secret_store.read_sign_in(work.paths)
            if sign_in is None and self._are_named:
                raise silent.not_signed_in(work.paths)
            if sign_in is None:
                return Result(profile=work.profile, outcome="signed-out")
            before = secret_store.read_times(work.paths)
            # Also of one that is not due: what cannot be opened any more is not fresh.
            reporting.check_record(work, sign_in)
            if not is_due(before, older_than=self._older_than, now=self._clock.wall()):
                return Result(profile=work.profile, outcome="not-due")
            self._put_off()
            self._refresh(work, before)
        except errors.DeviceLoginError as error:
            login_needed.notify(work, error)
            return Result(profile=work.profile, outcome="failed", error=error)
        return Result(profile=work.profile, outcome="refreshed")

    def _put_off(self) -> None:
        delay, self._spread = random.uniform(0.0, self._spread), 0.0  # noqa: S311 - nothing has to be secret here
        if delay:
            self._clock.sleep(delay)

    def _refresh(self, work: client.Workplace, before: models.Times | None) -> None:
        token = work.silent_tokens().access_token(silent.Wish(force=True))
        if token.warnings and secret_store.read_times(work.paths) == before:
            # The token is good, but the refresh was for what could not be saved.
            raise errors.StoreUnusableError(
                token.warnings[0], hint="free some space, or look at the store: devicelogin status"
            )

    def _asked(self, work: client.Workplace, error: errors.LoginRequiredError) -> Result:
        """Ask for a person from afar, where the owner wants that (D12)."""
        from devicelogin.unattended import remote_login  # a whole sign-in is behind it, which hardly any run needs

        try:
            if remote_login.ask(work, note=self._note) is not None:
                return Result(profile=work.profile, outcome="signed-in")
        except errors.DeviceLoginError as failure:
            error = errors.LoginRequiredError(f"{error.message}; asked from afar: {failure.message}", hint=error.hint)
        return Result(profile=work.profile, outcome="failed", error=error)


def is_due(times: models.Times | None, *, older_than: float, now: float) -> bool:
    """Tell whether a sign-in is to be refreshed: it is `older_than` days old, or nobody knows how old, or was refused.

    One that was refused is tried again each time: an administrator may have changed a policy back.
    """
    if times is None or times.refused is not None:
        return True
    return not 0 <= now - times.last_refreshed < older_than * _DAY


def run_lock(places: settings_paths.Places) -> secret_store.ProfileLock:
    """Return the lock under which one run works at a time; it stops no refresh."""
    return secret_store.ProfileLock(places.of("keepalive"), path=_run_lock_file(places))


def _run_lock_file(places: settings_paths.Places) -> str:
    return os.path.join(places.state, ".keepalive-lock")


def forget(places: settings_paths.Places) -> tuple[str, ...]:
    """Delete what the runs have left, for when no profile is left; return the paths. A run that is going on keeps its own.

    Raises StoreUnusableError where a file stays.
    """
    mine = [path for path in (keep_alive_record.path(places), _run_lock_file(places)) if os.path.lexists(path)]
    lock = run_lock(places)
    if not mine or not lock.try_acquire():
        return ()
    try:
        for path in mine:
            private_files.remove(path)
    finally:
        lock.release()
    with contextlib.suppress(OSError):  # something else is in it
        os.rmdir(places.state)
        mine.append(places.state)
    return tuple(mine)


def worst(results: Sequence[Result]) -> int:
    """Return the exit code for all of `results`: that of the most important failure, 0 where there is none."""
    codes = {result.error.exit_code for result in results if result.error is not None}
    return min(codes, key=lambda code: IMPORTANCE.index(code) if code in IMPORTANCE else len(IMPORTANCE), default=0)


def note_run(places: settings_paths.Places, results: Sequence[Result]) -> None:
    """Note that and how a run ended. Raises StoreUnusableError where that cannot be written."""
    profiles = {
        result.profile: keep_alive_record.Noted(
            outcome=result.outcome,
            exit_code=0 if result.error is None else result.error.exit_code,
            message=None if result.error is None else result.error.message,
        )
        for result in results
    }
    keep_alive_record.write(places, keep_alive_record.LastRun(at=int(time.time()), profiles=profiles))
