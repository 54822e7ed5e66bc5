"""A disk that is full or read-only, a real one: 73, and what was saved before is still there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import conftest
import fill_a_disk
import namespace
import pytest

if TYPE_CHECKING:
    from pathlib import Path


def run_on_a_small_disk(case: str, directory: Path) -> dict[str, Any]:
    """Run the program `fill_a_disk` in a mount namespace; skip where this user may make none."""
    outcome = subprocess.run(
        [*namespace.words("mount"), sys.executable, fill_a_disk.__file__, case, str(directory)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert outcome.returncode == 0, outcome.stderr
    return dict(json.loads(outcome.stdout))


@pytest.mark.parametrize("store", ["file", pytest.param("keyring", marks=pytest.mark.keyring)])
def test_a_full_disk_is_73_and_the_old_record_stays(store: str, tmp_path: Path) -> None:
    """Neither the sealed file nor the keyring loses the old record when the disk is full; later the new one fits."""
    if store == "keyring":
        conftest.need("gnome-keyring-daemon", "dbus-daemon")
    seen = run_on_a_small_disk(store, tmp_path)
    assert seen["failure"] is not None, "the disk was not full"
    assert seen["failure"]["exit"] == 73
    assert "what was saved before is unchanged" in seen["failure"]["message"]
    assert seen["failure"]["hint"]
    assert seen["kept"]
    assert seen["saved_later"]


def test_where_no_lock_can_be_made_it_is_73(tmp_path: Path) -> None:
    """On a read-only disk there is no going on unlocked."""
    seen = run_on_a_small_disk("lock", tmp_path)
    assert seen["failure"]["exit"] == 73
    assert seen["failure"]["code"] == "lock_unusable"
    assert seen["held"] == []
