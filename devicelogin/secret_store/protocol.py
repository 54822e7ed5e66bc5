"""What every secret store promises; `tests/contract/test_secret_store_promises.py` holds each one to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from devicelogin import models


@runtime_checkable
class SecretStore(Protocol):
    """A place for one secret record, which survives the process, the boot and a `kill -9` at any moment.

    Writers hold the profile's lock; readers need none. Files of ours with a wrong owner or mode are ConfigError.
    """

    @property
    def location(self) -> models.StoreLocation:
        """Where the record lies, in a form that can be written down."""

    @property
    def protection(self) -> str:
        """One honest phrase for people: what protects the record, and from what it does not."""

    def probe(self) -> None:
        """Save, load, compare and delete a throw-away secret of realistic size under a name of its own.

        Raises StoreUnusableError with the reason where any of that fails.
        """

    def load(self) -> models.SecretRecord | None:
        """Return the saved record, None where nothing was saved.

        Raises StoreUnusableError where the store cannot be asked, DataBadError where what it holds is damaged, of a
        newer version or of another machine. Nothing is deleted in any case.
        """

    def save(self, record: models.SecretRecord) -> None:
        """Replace the saved record and read it back.

        Raises StoreUnusableError where that fails; the record saved before is then intact.
        """

    def delete(self) -> None:
        """Delete the record and verify that it is gone; it is no error if there was none.

        Raises StoreUnusableError where it cannot be deleted.
        """
