"""A disk that says it has written and gives back something else: the record of before stays, and nothing is claimed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A process on such a disk: whatever new record it reads back is what the disk held there before, whole and with a good seal.
LIES = """
import json, os, sys
from devicelogin import errors, models, secret_store, settings
from devicelogin.secret_store import sealed_file

paths = settings.locate(os.environ).of("default")
store = sealed_file.SealedFile(models.StoreLocation(kind="file", key="file", bind="none"), paths)
saved = store.load()
with open(paths.record, "rb") as file:
    older = file.read()
lies = []

def lie(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and not lies:
        name = os.path.basename(arguments[0])
        if name.startswith(".new-record-") and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            lies.append(name)
            with open(os.path.join(paths.state, name), "wb") as file:
                file.write(older)

sys.addaudithook(lie)
code = None
try:
    if sys.argv[1] == "rekey":
        store.choose_new_key()
        store.rekey(saved)
    else:
        store.save(models.SecretRecord(generation=saved.generation + 1, text="newer"))
except errors.StoreUnusableError as error:
    code = error.code
with open(paths.record, "rb") as file:
    print(json.dumps([len(lies), code, file.read() == older]))
"""


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened(mode="strict") as opened:
        opened.sign_in()
        yield opened


def test_a_record_that_reads_back_as_another_one_is_not_taken_for_saved(box: sandbox.Box) -> None:
    """Its seal is good, but it is not what was written: 73, `lost`, and the record of before is as it was."""
    said = subprocess.run(
        [sys.executable, "-c", LIES, "save"], env=box.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(said) == [1, "lost", True]
    box.check_works()


def test_a_new_key_does_not_replace_the_former_one_where_the_record_was_not_written(box: sandbox.Box) -> None:
    """A rekey on such a disk does not claim a new key: the former record opens with the former key, the only one left."""
    before = (box.config / "keys" / "default.key").read_text()
    said = subprocess.run(
        [sys.executable, "-c", LIES, "rekey"], env=box.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(said) == [1, "lost", True]
    assert (box.config / "keys" / "default.key").read_text() == before
    assert [file.name for file in (box.config / "keys").iterdir()] == ["default.key"]
    box.check_works()
