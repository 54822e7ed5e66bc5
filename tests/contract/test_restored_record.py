"""A record that was put back from a backup is named where it matters: where it is refused, and by `doctor`."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import doctor_report
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLDER = "may have been restored from a backup"


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    # "strict": a refresh token works once, so an older copy is refused.
    with sandbox.opened(mode="strict") as opened:
        yield opened


def in_file(box: sandbox.Box) -> tuple[str, Callable[[], None], Callable[[], None]]:
    """Return the store's name, what makes a backup of its record, and what puts that back."""
    record, copy = box.state / "default" / "record", box.home / "backup"
    return "file", lambda: shutil.copy2(record, copy) and None, lambda: shutil.copy2(copy, record) and None


def in_keyring(box: sandbox.Box) -> tuple[str, Callable[[], None], Callable[[], None]]:
    """Do what `in_file` does for a keyring whose items are files."""
    items, copy = box.give_odd_keyrings(), box.home / "backup"

    def restore() -> None:
        shutil.rmtree(items)
        shutil.copytree(copy, items)

    return sandbox.HONEST, lambda: shutil.copytree(items, copy) and None, restore


@pytest.mark.parametrize("place", [in_file, in_keyring])
def test_a_record_of_a_backup_is_named_by_doctor_and_where_it_is_refused(
    box: sandbox.Box, place: Callable[[sandbox.Box], tuple[str, Callable[[], None], Callable[[], None]]]
) -> None:
    """Its generation is below the last one saved here: doctor warns of it, and the refusal gives it as the likely reason."""
    store, back_up, restore = place(box)
    box.login(store=store)
    back_up()
    box.check_works()
    box.check_works()
    assert OLDER not in doctor_report.examined(box)["store"]["message"]
    restore()
    found = doctor_report.examined(box)["store"]
    assert (found["level"], OLDER in found["message"]) == ("yellow", True), found
    refused = box.run("token", "--force-refresh")
    assert refused.status == 4, refused
    assert OLDER in refused.lines("error")[0]
    assert OLDER in box.run("status").out or OLDER in str(box.status().reason)
    box.login("--replace", store=store)
    assert OLDER not in doctor_report.examined(box)["store"]["message"]


def test_a_record_of_a_backup_that_still_works_becomes_the_last_one_saved() -> None:
    """Entra's refresh tokens stay valid: a refresh with an older copy is above every generation that was in use."""
    with sandbox.opened(mode="entra") as box:
        box.sign_in()
        record = box.state / "default" / "record"
        backup = record.read_bytes()
        for _ in range(3):
            box.access_token(force=True)
        times = box.status().times
        record.write_bytes(backup)
        os.chmod(record, 0o600)
        box.access_token(force=True)
        now = box.status().times
        assert times is not None
        assert now is not None
        assert now.generation == times.generation + 1
        assert OLDER not in doctor_report.examined(box)["store"]["message"]
