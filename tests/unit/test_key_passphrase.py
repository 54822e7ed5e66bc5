"""The key source `passphrase`: who is asked and how often, what the header says of it, and that its key is what the RFC says."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import aead
from sealing import PASSPHRASE, RECORD, Person, prepared, profile_paths, sealed

from devicelogin import errors, secret_store
from devicelogin.secret_store import key_sources, stretching


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kdf", "argon2id"), ("n", 1 << 30), ("n", 32767), ("n", 0), ("n", True), ("n", "32768"), ("r", 1 << 20), ("p", 0),
        ("p", 1 << 20), ("salt", ""), ("salt", "00"), ("salt", "G" * 32), ("salt", 5), ("more", 1),
    ],
)  # fmt: skip
def test_parameters_that_we_would_not_write_are_damage_and_cost_nothing(
    tmp_path: Path, name: str, value: object
) -> None:
    """A header that asks for a terabyte of memory, or for another function, is refused before anything is derived."""
    supply = prepared(tmp_path, "passphrase")
    sealed(tmp_path, "passphrase", supply).save(RECORD)
    path = Path(profile_paths(tmp_path).record)
    line, _, rest = path.read_bytes().partition(b"\n")
    header = json.loads(line)
    header["key_parameters"][name] = value
    path.write_bytes(json.dumps(header, separators=(",", ":")).encode() + b"\n" + rest)
    begun = time.process_time()
    with pytest.raises(errors.DataBadError, match="is damaged"):
        sealed(tmp_path, "passphrase", supply).load()
    assert time.process_time() - begun < 5


def test_nobody_is_asked_for_a_passphrase_in_silence(tmp_path: Path) -> None:
    """Without a person probe, load and save are 73, and say what a job can use instead; a delete needs none."""
    store = sealed(tmp_path, "passphrase", prepared(tmp_path, "passphrase"))
    store.save(RECORD)
    silent = sealed(tmp_path, "passphrase")
    for attempt in (silent.probe, silent.load, lambda: silent.save(RECORD)):
        with pytest.raises(errors.StoreUnusableError, match="a passphrase, and nobody is here") as caught:
            attempt()
        assert caught.value.code == "key_passphrase"
        assert 'write key = "file" into' in (caught.value.hint or "")
    assert store.load() == RECORD
    silent.delete()
    assert silent.load() is None


def test_a_new_passphrase_is_typed_twice_and_a_known_one_once(tmp_path: Path) -> None:
    """Too short and mistyped ones are asked for again; later one answer is enough for all that a command does."""
    first = Person("short", PASSPHRASE, PASSPHRASE + "x", PASSPHRASE, PASSPHRASE)
    supply = key_sources.KeySupply({}, ask=first)
    store = secret_store.choose_store("file", profile_paths(tmp_path), key="passphrase", supply=supply)
    store.save(RECORD)
    assert [question.split()[0] for question in first.asked] == ["Choose", "That", "The", "The", "The"]
    later = Person(PASSPHRASE)
    supply = key_sources.KeySupply({}, ask=later)
    for name in ("record", "access"):
        again = secret_store.open_store(store.location, profile_paths(tmp_path), name=name, supply=supply)
        again.save(RECORD)
        assert again.load() == RECORD
    assert len(later.asked) == 1
    never = Person("a", "b", "c")
    with pytest.raises(errors.LoginNotCompletedError, match="no passphrase was chosen"):
        secret_store.choose_store(
            "file",
            profile_paths(tmp_path, "work"),
            key="passphrase",
            supply=key_sources.KeySupply({}, ask=never),
        )
    assert os.listdir(tmp_path / "state") == ["default"]


def test_a_mistyped_passphrase_is_65_and_never_becomes_the_new_one(tmp_path: Path) -> None:
    """At a new sign-in too: the probe compares it with the saved record, which is kept."""
    sealed(tmp_path, "passphrase", prepared(tmp_path, "passphrase")).save(RECORD)
    before = Path(profile_paths(tmp_path).record).read_bytes()
    for act in ("load", "probe"):
        store = sealed(tmp_path, "passphrase", key_sources.KeySupply({}, ask=Person("wrong horse battery")))
        with pytest.raises(errors.DataBadError, match="the passphrase does not open") as caught:
            getattr(store, act)()
        assert caught.value.code == "another_key"
        assert (caught.value.hint or "").startswith("try again; if it is forgotten: devicelogin logout")
    assert Path(profile_paths(tmp_path).record).read_bytes() == before


def test_a_passphrase_is_the_same_however_its_letters_are_typed(tmp_path: Path) -> None:
    """An accent typed by itself and one within its letter open the same record."""
    composed, apart = "r\u00e9sum\u00e9 number 5", "re\u0301sume\u0301 number 5"
    sealed(tmp_path, "passphrase", key_sources.KeySupply({}, ask=Person(composed, apart))).save(RECORD)
    for typed in (composed, apart):
        assert sealed(tmp_path, "passphrase", key_sources.KeySupply({}, ask=Person(typed))).load() == RECORD
        handed_down = key_sources.KeySupply({})
        handed_down.passphrase = typed
        assert sealed(tmp_path, "passphrase", handed_down).load() == RECORD


def _hkdf(secret: bytes, info: str) -> bytes:
    """Return 32 bytes by RFC 5869 with SHA-256 and no salt, written down here once more."""
    extracted = hmac.digest(b"\0" * 32, secret, hashlib.sha256)
    return hmac.digest(extracted, info.encode() + b"\x01", hashlib.sha256)


def test_a_passphrase_record_is_what_the_format_says(tmp_path: Path) -> None:
    """Opened here with Python's own scrypt (RFC 7914) and an HKDF of this test: the header tells all but the passphrase."""
    sealed(tmp_path, "passphrase", prepared(tmp_path, "passphrase")).save(RECORD)
    line, _, rest = Path(profile_paths(tmp_path).record).read_bytes().partition(b"\n")
    header = json.loads(line)
    cost = header["key_parameters"]
    assert (cost["kdf"], cost["n"], cost["r"], cost["p"], len(cost["salt"])) == ("scrypt", 32768, 8, 3, 32)
    secret = hashlib.scrypt(
        PASSPHRASE.encode(), salt=bytes.fromhex(cost["salt"]), n=cost["n"], r=cost["r"], p=cost["p"], dklen=32,
        maxmem=1 << 27,
    )  # fmt: skip
    assert header["key_mark"] == _hkdf(secret, "devicelogin sealed record v1 mark").hex()[:16]
    opened = aead.AESGCM(_hkdf(secret, "devicelogin sealed record v1 seal")).decrypt(rest[:12], rest[12:], line + b"\n")
    assert opened.decode() == RECORD.text


def test_scrypt_gives_what_rfc_7914_says() -> None:
    """Section 12, the third vector, through our own derivation."""
    derived = stretching._derive(b"pleaseletmein", n=16384, r=8, p=1, salt=b"SodiumChloride")
    assert derived.hex() == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
