"""The key sources of the sealed file: what holds for each of them, and that a record passes from any to any other."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import conftest
import pytest
from sealing import KEY, PASSPHRASE, RECORD, Person, prepared, profile_paths, sealed

from devicelogin import errors, models, secret_store
from devicelogin.secret_store import key_sources, sealed_file

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.mark.parametrize("key", ["file", "credential", "command", "passphrase"])
def test_what_a_source_sealed_opens_in_another_process_and_names_the_source(tmp_path: Path, key: str) -> None:
    """The header names the source, holds nothing of the key, and a store opened anew finds the record by it alone."""
    sealed(tmp_path, key, prepared(tmp_path, key)).save(RECORD)
    again = prepared(tmp_path, key)
    assert sealed(tmp_path, key, again).load() == RECORD
    assert sealed(tmp_path, "file", again).load() == RECORD, "the header decides, not what was written beside it"
    content = Path(profile_paths(tmp_path).record).read_bytes()
    header = json.loads(content.partition(b"\n")[0])
    assert header["key"] == key
    assert header["format_version"] == (2 if key == "passphrase" else 1)
    assert not any(secret in content for secret in (KEY, PASSPHRASE.encode(), b"printf", b"canary"))


@pytest.mark.parametrize("key", ["file", "credential", "command", "passphrase"])
def test_every_changed_byte_and_every_truncation_is_65_whatever_the_source(tmp_path: Path, key: str) -> None:
    """Each byte flipped, header, parameters and sealed text, and each length: damaged, never a crash, never another text."""
    supply = prepared(tmp_path, key)
    store = sealed(tmp_path, key, supply)
    store.save(models.SecretRecord(generation=7, text="short"))
    path = Path(profile_paths(tmp_path).record)
    good = path.read_bytes()
    salt = range(good.find(b'"salt"'), good.find(b"\n")) if key == "passphrase" else range(0)
    positions = set(range(len(good)))
    if not conftest.SOAK:  # a wrong salt takes a third of a second to be found wrong
        positions -= set(random.sample(list(salt), max(0, len(salt) - 4)))
    for position in positions:
        for bit in range(8) if conftest.SOAK else random.sample(range(8), 1):
            path.write_bytes(good[:position] + bytes([good[position] ^ 1 << bit]) + good[position + 1 :])
            with pytest.raises(errors.DataBadError):
                store.load()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        with pytest.raises(errors.DataBadError):
            store.load()
    path.write_bytes(good)
    assert store.load() == models.SecretRecord(generation=7, text="short")


def test_a_record_can_pass_from_any_source_to_any_other(tmp_path: Path) -> None:
    """The first save with another source makes what that one needs, and the old source is needed no more."""
    names = ["file", "credential", "file", "command", "passphrase", "credential", "command"]
    for number, name in enumerate(names):
        supply = prepared(tmp_path, name)
        supply.ask = Person(PASSPHRASE)
        store = secret_store.choose_store("file", profile_paths(tmp_path), key=name, supply=supply)
        store.save(models.SecretRecord(generation=number, text=name))
        assert store.load() == models.SecretRecord(generation=number, text=name)
        if os.path.exists(profile_paths(tmp_path).key_file):
            os.unlink(profile_paths(tmp_path).key_file) if name != "file" else None


@pytest.mark.parametrize(
    ("golden", "profile", "expected"),
    [
        ("sealed-with-key-file", "work", (42, '{"golden": "sealed before the other key sources, é 中"}')),
        ("sealed-with-passphrase", "default", (7, RECORD.text)),
    ],
)
def test_records_of_earlier_versions_open_as_ever(
    tmp_path: Path, golden: str, profile: str, expected: tuple[int, str]
) -> None:
    """A record of the first release, from before there were other sources, and the first one with a passphrase."""
    ours = profile_paths(tmp_path, profile)
    for directory in (ours.state, os.path.dirname(ours.key_file)):
        os.makedirs(directory, mode=0o700)
    shutil.copyfile(GOLDEN / golden / "record", ours.record)
    if (GOLDEN / golden / "work.key").exists():
        shutil.copyfile(GOLDEN / golden / "work.key", ours.key_file)
        os.chmod(ours.key_file, 0o600)
    os.chmod(ours.record, 0o600)
    supply = key_sources.KeySupply({}, ask=Person(PASSPHRASE))
    location = models.StoreLocation(kind="file", key="file", bind="none")
    record = sealed_file.SealedFile(location, ours, supply=supply).load()
    assert record == models.SecretRecord(generation=expected[0], text=expected[1])


def test_each_source_says_what_it_protects_from(tmp_path: Path) -> None:
    """For `status`: one honest phrase each, which names the source and what it does not keep away."""
    said = {key: sealed(tmp_path, key).protection for key in key_sources.names()}
    assert len(set(said.values())) == 4
    assert all("does not protect against root" in words for words in said.values())
    assert "systemd credential" in said["credential"]
    assert "needs a person at a terminal" in said["passphrase"]
