"""Who refreshes and who waits: of two hundred processes that find a token expired, one goes to the network (D6).

Whoever misses takes the profile's lock and reads the cache again. Who then still finds nothing leads: it refreshes while it
holds the lock. Everybody else finds the leader's token and has imported nothing heavy; so this module does not either.
"""

from devicelogin import clock, errors
from devicelogin.secret_store import lock
from devicelogin.tokens import access_cache, turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.settings.paths import ProfilePaths

    Read = Callable[[str], access_cache.Entry | None]
    IsRefused = Callable[[str], bool]

#: How long do we wait for somebody else's refresh (seconds)?
WAITER_SECONDS = 60.0


def join(
    paths: "ProfilePaths",
    read: "Read",
    asked: str,
    *,
    min_valid: "float | None" = None,
    force: bool = False,
    accepts_new: bool = True,
    is_refused: "IsRefused" = lambda asked: False,
) -> turn.Turn:
    """Return the turn of one call that wants a token for the scope line `asked` that lasts `min_valid` seconds.

    `read` looks into the cache. With `force` a token from before this call is not taken; one that came while waiting is,
    unless `accepts_new` is false. `is_refused` tells whether the provider refused that lately. Raises StoreUnusableError or
    ConfigError where there can be no lock.
    """
    began = access_cache.boot_seconds()
    entry = read(asked)
    own = lock.ProfileLock(paths)
    if entry is not None and not force and entry.is_good(min_valid):
        return _early(own, read, entry, began) if entry.is_early_due() else turn.Turn(asked, entry, began=began)
    if is_refused(asked):
        return turn.Turn(asked, None if force else entry, began=began, is_refused=True)
    try:
        own.acquire(clock.Deadline(WAITER_SECONDS))
    except errors.TryLaterError as error:
        return turn.Turn(asked, None if force else entry, began=began, error=error)
    try:
        # Only what is read now: a logout or another sign-in may have come in between.
        entry = read(asked)
        if entry is not None:
            came_meanwhile = accepts_new and entry.was_received_since(began)
            if came_meanwhile or (not force and entry.is_good(min_valid)):
                own.release()
                return turn.Turn(asked, entry, began=began)
        if is_refused(asked):
            own.release()
            return turn.Turn(asked, None if force else entry, began=began, is_refused=True)
    except BaseException:
        own.release()
        raise
    return turn.Turn(asked, None if force else entry, began=began, held=own)


def _early(own: "lock.ProfileLock", read: "Read", entry: access_cache.Entry, began: float) -> turn.Turn:
    """Lead an early refresh if nobody else is at it; the token at hand is good in any case."""
    try:
        if not own.try_acquire():
            return turn.Turn(entry.asked, entry, began=began)
    except errors.DeviceLoginError:
        return turn.Turn(entry.asked, entry, began=began)
    current = read(entry.asked)
    if current is not None and not current.is_early_due():
        own.release()
        return turn.Turn(entry.asked, current, began=began)
    # Without one now, the sign-in has changed in between, and the token at hand is not to be used any more.
    return turn.Turn(entry.asked, current, began=began, held=own, is_early=current is not None)
