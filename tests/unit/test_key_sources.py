"""The key sources of the sealed file: what holds for each of them, and that a record passes from any to any other."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import conftest
import pytest
from sealing import (
    KEY,
    PASSPHRASE,
    RECORD,
    Person,
    give_credential,
    prepared,
    profile_paths,
    sealed,
    write_command,
)

from devicelogin import errors, models, secret_store
from devicelogin.secret_store import key_sources, sealed_file, stretching

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
    assert header["format_version"] == {"file": 1, "passphrase": 2}.get(key, 3)
    assert not any(secret in content for secret in (KEY, PASSPHRASE.encode(), b"printf", b"canary"))


@pytest.mark.parametrize("key", ["file", "credential", "command", "passphrase"])
def test_every_changed_byte_and_every_truncation_is_65_whatever_the_source(tmp_path: Path, key: str) -> None:
    """Each byte flipped, header, parameters and sealed text, and each length: damaged, never a crash, never another text."""
    supply = prepared(tmp_path, key)
    store = sealed(tmp_path, key, supply)
    store.save(models.SecretRecord(generation=7, text="short"))
    path = Path(profile_paths(tmp_path).record)
    good = path.read_bytes()
    salt = range(good.find(b'"salt"'), good.find(b"\n")) if key != "file" else range(0)
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
        ("sealed-with-command", "default", (7, RECORD.text)),
        ("sealed-with-credential", "default", (7, RECORD.text)),
    ],
)
def test_records_of_earlier_versions_open_as_ever(
    tmp_path: Path, golden: str, profile: str, expected: tuple[int, str]
) -> None:
    """A record of the first release, from before there were other sources, and the first one of each of those."""
    ours = profile_paths(tmp_path, profile)
    for directory in (ours.state, os.path.dirname(ours.key_file)):
        os.makedirs(directory, mode=0o700)
    shutil.copyfile(GOLDEN / golden / "record", ours.record)
    if (GOLDEN / golden / "work.key").exists():
        shutil.copyfile(GOLDEN / golden / "work.key", ours.key_file)
        os.chmod(ours.key_file, 0o600)
    os.chmod(ours.record, 0o600)
    supply = prepared(tmp_path, golden.removeprefix("sealed-with-"))
    supply.ask = Person(PASSPHRASE)
    location = models.StoreLocation(kind="file", key="file", bind="none")
    record = sealed_file.SealedFile(location, ours, supply=supply).load()
    assert record == models.SecretRecord(generation=expected[0], text=expected[1])


def header_of(home: Path) -> dict[str, Any]:
    line = Path(profile_paths(home).record).read_bytes().partition(b"\n")[0]
    return dict(json.loads(line))


def give(home: Path, key: str, material: bytes) -> key_sources.KeySupply:
    """Let the source `key` give `material`."""
    if key == "credential":
        return key_sources.KeySupply(give_credential(home, material))
    write_command(home, "printf", "%s", material.decode())
    return key_sources.KeySupply({"PATH": os.environ["PATH"]})


RANDOM = bytes.fromhex("f2c3a9d0017e55b86a4f93e2d8b10c7764ab29fd3c5e80162b97da4471c6e5fb")


@pytest.mark.parametrize("key", ["command", "credential"])
@pytest.mark.parametrize(
    "material",
    [RANDOM.hex().encode(), RANDOM.hex().upper().encode(), base64.b64encode(RANDOM), base64.urlsafe_b64encode(RANDOM)],
)
def test_what_is_a_key_by_its_looks_costs_nothing(tmp_path: Path, key: str, material: bytes) -> None:
    """32 bytes of hex or base64, as `openssl rand` prints them: no scrypt, and a former release opens the record."""
    sealed(tmp_path, key, give(tmp_path, key, material)).save(RECORD)
    assert header_of(tmp_path)["format_version"] == 1
    assert sealed(tmp_path, key, give(tmp_path, key, material)).load() == RECORD


@pytest.mark.parametrize("key", ["command", "credential"])
@pytest.mark.parametrize(
    "material",
    [
        b"correct horse battery staple, correct horse!",
        RANDOM[:16].hex().encode(),
        base64.b64encode(RANDOM[:24]),
        b"=" * 44,
        b"letmein" * 3,
    ],
)
def test_what_can_be_guessed_is_stretched(tmp_path: Path, key: str, material: bytes) -> None:
    """A password that a command prints, 16 bytes of hex, 24 of base64: scrypt with a salt, and the mark is that of the stretched key."""
    sealed(tmp_path, key, give(tmp_path, key, material)).save(RECORD)
    header = header_of(tmp_path)
    cost = header["key_parameters"]
    assert (header["format_version"], cost["kdf"], cost["n"], cost["r"], cost["p"]) == (3, "scrypt", 32768, 8, 3)
    secret = hashlib.scrypt(
        material, salt=bytes.fromhex(cost["salt"]), n=cost["n"], r=cost["r"], p=cost["p"], dklen=32, maxmem=1 << 27
    )
    assert header["key_mark"] == sealed_file._derive(secret, "mark").hex()[:16]
    assert header["key_mark"] != sealed_file._derive(material, "mark").hex()[:16], "cheap to guess"
    assert sealed(tmp_path, key, give(tmp_path, key, material)).load() == RECORD


def test_a_record_that_was_not_stretched_is_with_its_next_save(tmp_path: Path) -> None:
    """One of a former release opens as it is; a refresh seals it anew."""
    supply = prepared(tmp_path, "command")
    os.makedirs(profile_paths(tmp_path).state, mode=0o700)
    shutil.copyfile(GOLDEN / "sealed-with-command" / "record", profile_paths(tmp_path).record)
    os.chmod(profile_paths(tmp_path).record, 0o600)
    store = sealed(tmp_path, "command", supply)
    assert store.load() == RECORD
    assert header_of(tmp_path)["format_version"] == 1
    store.save(RECORD)
    assert header_of(tmp_path)["format_version"] == 3
    assert sealed(tmp_path, "command", prepared(tmp_path, "command")).load() == RECORD


@pytest.mark.parametrize("key", ["command", "credential", "passphrase"])
def test_one_command_stretches_once(tmp_path: Path, key: str) -> None:
    """Probe, load and save, of the record and of the access tokens beside it: one derivation, now and in the next command."""
    for _ in range(3):
        supply = prepared(tmp_path, key)
        for name in ("record", "access"):
            location = models.StoreLocation(kind="file", key=key, bind="none")
            store = sealed_file.SealedFile(location, profile_paths(tmp_path), name, supply=supply)
            store.probe()
            store.load()
            store.save(RECORD)
            assert store.load() == RECORD
        assert len(supply.derived) == 1


def test_a_header_that_says_a_cheaper_guess_does_not_make_the_next_one_cheap() -> None:
    """What is sealed anew costs what a new record costs, whatever the one before did."""
    supply = key_sources.KeySupply({})
    dear = stretching.fresh()
    stretching.keep({**dear, "n": stretching.COST["n"] // 2}, supply)
    assert supply.parameters is None
    stretching.keep(dear, supply)
    assert supply.parameters == dear


def test_each_source_says_what_it_protects_from(tmp_path: Path) -> None:
    """For `status`: one honest phrase each, which names the source and what it does not keep away."""
    said = {key: sealed(tmp_path, key).protection for key in key_sources.names()}
    assert len(set(said.values())) == 4
    assert all("does not protect against root" in words for words in said.values())
    assert "systemd credential" in said["credential"]
    assert "needs a person at a terminal" in said["passphrase"]
