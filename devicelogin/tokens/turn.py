"""What comes of asking for a token: one to use, or the lead of the refresh. Imports nothing: the warm path makes one."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from devicelogin import errors
    from devicelogin.secret_store import lock
    from devicelogin.tokens import access_cache


class Turn:
    """What came of asking: a token to use (`lock` None), or the lead (`lock` held, to be released by who leads).

    `entry` is the best token at hand, None where there is none. `is_early`: it is good, and the refresh only ahead of time.
    `began` is when it was asked for (boot seconds). `error` says why nothing came of it: then there is no lock, and `entry`
    may still be better than nothing. `is_refused`: the provider refused it lately, and there is neither a lock then.
    """

    __slots__ = ("asked", "began", "entry", "error", "is_early", "is_refused", "lock")

    def __init__(
        self,
        asked: str,
        entry: "access_cache.Entry | None",
        *,
        began: float,
        held: "lock.ProfileLock | None" = None,
        is_early: bool = False,
        error: "errors.DeviceLoginError | None" = None,
        is_refused: bool = False,
    ) -> None:
        self.asked = asked
        self.began = began
        self.entry = entry
        self.lock = held
        self.is_early = is_early
        self.error = error
        self.is_refused = is_refused

    def release(self) -> None:
        """Give the lock back where it is held."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None
