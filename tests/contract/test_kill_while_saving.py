"""`kill -9` at random moments of saving: the next run finds the old record or the new one, never none and never half."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING

import conftest
import keyring_session
import line_program
import pytest
import save_until_killed
import secretstorage

from devicelogin import models, secret_store
from devicelogin.secret_store import slots
from devicelogin.settings import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: How often is a writer killed? The issue names both numbers.
KILLS = 1000 if conftest.SOAK else 40


class _Savers(line_program.LineProgram):
    """Starts savers, kills them, and knows what they said they had saved."""

    def __init__(self, location: models.StoreLocation, home: Path) -> None:
        command = [sys.executable, save_until_killed.__file__, json.dumps(dataclasses.asdict(location)), str(home)]
        super().__init__(command, {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)})

    def kill_one(self, generation: int, after: float) -> None:
        """Let one begin with `generation` and kill it `after` seconds, and with it whoever writes for it."""
        self.tell(str(generation))
        pid = int(self.line().split()[1])
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)

    def saved(self) -> list[int]:
        """Return the generations that were said to be saved. To be asked only when nobody writes any more."""
        return [int(line.split()[1]) for line in self.lines_so_far()]


@pytest.fixture
def start_savers() -> Iterator[Callable[[models.StoreLocation, Path], _Savers]]:
    """Start savers that end with the test."""
    started: list[_Savers] = []

    def start(location: models.StoreLocation, home: Path) -> _Savers:
        started.append(_Savers(location, home))
        return started[-1]

    yield start
    for savers in started:
        savers.end()


def _kill_again_and_again(
    savers: _Savers,
    store: secret_store.SecretStore,
    profile: paths.ProfilePaths,
    look: Callable[[], models.SecretRecord | None],
    is_tidy: Callable[[], bool],
) -> None:
    begun = time.monotonic()
    record = models.SecretRecord(generation=1, text=save_until_killed.text_of(1))
    store.save(record)
    one_save = time.monotonic() - begun
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    last, left_overs = 1, 0
    for turn in range(KILLS):
        savers.kill_one(last + 1, chance.uniform(0, one_save * 1.5))
        with secret_store.ProfileLock(profile, wait_seconds=10):  # free when nobody writes any more
            last = (savers.saved() or [last])[-1]
            found = look()
            assert found is not None, f"nothing left after kill {turn} (seed {seed})"
            assert found.generation in {last, last + 1}, f"kill {turn} (seed {seed})"
            assert found.text == save_until_killed.text_of(found.generation), (
                f"half a record, kill {turn} (seed {seed})"
            )
            left_overs += not is_tidy()
            last = found.generation
            if turn % 10 == 9:
                assert store.load() == found
                last += 1
                store.save(models.SecretRecord(generation=last, text=save_until_killed.text_of(last)))
                assert is_tidy(), f"left over after one more save, kill {turn} (seed {seed})"
    assert left_overs, "no kill met a save half-way, so this proved nothing"


def test_a_killed_writer_of_the_sealed_file_leaves_old_or_new(
    tmp_path: Path, start_savers: Callable[[models.StoreLocation, Path], _Savers]
) -> None:
    """The sealed file: old or new after every kill, and no stray file after one more save."""
    profile = paths.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")
    location = models.StoreLocation(kind="file", key="file", bind="none")
    store = secret_store.open_store(location, profile)

    def is_tidy() -> bool:
        assert os.listdir(os.path.dirname(profile.key_file)) == ["default.key"]
        return sorted(os.listdir(profile.state)) == ["lock", "record"]

    _kill_again_and_again(start_savers(location, tmp_path), store, profile, store.load, is_tidy)


@pytest.mark.keyring
def test_a_killed_writer_of_the_keyring_leaves_old_or_new(
    tmp_path: Path,
    start_savers: Callable[[models.StoreLocation, Path], _Savers],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real gnome-keyring: old or new after every kill, and no stray part after one more save."""
    profile = paths.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        location = models.StoreLocation(kind="keyring", service="devicelogin", user="default")
        store = secret_store.open_store(location, profile)

        def items() -> dict[str, str]:
            # gnome-keyring itself dies now and then when its client does (once in some thousand kills). That is one more
            # crash that the record has to survive.
            try:
                return session.items("devicelogin")
            except secretstorage.exceptions.SecretServiceNotAvailableException:
                session.start_service(unlock=True)
                return session.items("devicelogin")

        def look() -> models.SecretRecord | None:
            # What lies in the keyring, read by the layout's own rules; a process for each would only cost time.
            found = slots.load(_Snapshot(items()), "default/record/")
            return models.SecretRecord(generation=found.generation, text=found.text) if found is not None else None

        def is_tidy() -> bool:
            names = sorted(items())
            return names == [names[0], *(f"{names[0]}{number}" for number in range(1, len(names)))]

        _kill_again_and_again(start_savers(location, tmp_path), store, profile, look, is_tidy)


class _Snapshot(dict[str, str]):
    """What lay in a keyring at one moment, to be read as `slots.Items`."""

    def set(self, name: str, value: str) -> None:
        raise AssertionError("a snapshot is not written")

    def delete(self, name: str) -> None:
        raise AssertionError("a snapshot is not written")
