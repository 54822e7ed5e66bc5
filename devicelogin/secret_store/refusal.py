"""Why a keyring cannot be used, as the process that talks to it says it to `keyring_store`, which has the words."""

from __future__ import annotations

#: What a Secret Service says of what has to be unlocked first, and where it was started again since we came.
IS_LOCKED = "org.freedesktop.Secret.Error.IsLocked"
NO_SESSION = "org.freedesktop.Secret.Error.NoSession"


class RefusedError(Exception):
    """A keyring cannot be used; `reason` is one of those that `keyring_store` has words for."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
