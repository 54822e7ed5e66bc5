"""Why a keyring cannot be used, as the process that talks to it says it to `keyring_store`, which has the words."""

from __future__ import annotations


class RefusedError(Exception):
    """A keyring cannot be used; `reason` is one of those that `keyring_store` has words for."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
