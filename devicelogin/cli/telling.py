"""Telling somebody elsewhere that a person is needed here, when a silent command ends so."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from devicelogin import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin import client


@contextlib.contextmanager
def if_login_is_needed(work: client.Workplace) -> Iterator[None]:
    """Start the profile's `on_login_needed` where the block ends with 4 or 65; the error goes on as it is."""
    try:
        yield
    except (errors.LoginRequiredError, errors.DataBadError) as error:
        from devicelogin.unattended import login_needed  # what goes well does not pay for it

        login_needed.notify(work, error)
        raise
