"""The key sources of the sealed file: what each takes, what it says where it is missing, and that none opens a wrong record."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import shutil
import time
from pathlib import Path

import conftest
import pytest
from cryptography.hazmat.primitives.ciphers import aead

from devicelogin import errors, models, secret_store
from devicelogin.secret_store import key_command, key_credential, key_passphrase, key_sources, sealed_file
from devicelogin.settings import paths

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
RECORD = models.SecretRecord(generation=7, text="canary-refresh-token-0123456789")
PASSPHRASE = "correct horse battery"
KEY = b"0123456789abcdef0123456789abcdef"


class Person:
    """Somebody at a terminal, who answers with what they were given, in that order."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, question: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0)


def profile_paths(home: Path, profile: str = "default") -> paths.ProfilePaths:
    """Return the paths of `profile` under `home`."""
    return paths.locate({"DEVICELOGIN_HOME": str(home)}).of(profile)


def give_credential(home: Path, content: bytes = KEY, name: str = key_credential.ID) -> dict[str, str]:
    """Make a directory as systemd makes it for a unit, and return the environment that names it."""
    directory = home / "credentials"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    file = directory / name
    file.write_bytes(content)
    file.chmod(0o400)
    directory.chmod(0o500)
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def write_command(home: Path, *command: str) -> None:
    """Write `key = [...]` into the profile."""
    file = Path(profile_paths(home).profile_file)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text(f"key = {json.dumps(command)}\n")


def sealed(home: Path, key: str, supply: key_sources.KeySupply | None = None) -> sealed_file.SealedFile:
    """Open a sealed file of the key source `key`."""
    location = models.StoreLocation(kind="file", key=key, bind="none")
    return sealed_file.SealedFile(location, profile_paths(home), supply=supply)


def prepared(home: Path, key: str) -> key_sources.KeySupply:
    """Return a supply with which the key source `key` works."""
    supply = key_sources.KeySupply(give_credential(home) if key == "credential" else {"PATH": os.environ["PATH"]})
    if key == "command":
        write_command(home, "printf", "%s", KEY.decode())
    if key == "passphrase":
        supply.passphrase = PASSPHRASE
    return supply


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
    begun = time.monotonic()
    with pytest.raises(errors.DataBadError, match="is damaged"):
        sealed(tmp_path, "passphrase", supply).load()
    assert time.monotonic() - begun < 5


def test_the_credential_is_taken_as_systemd_makes_it(tmp_path: Path) -> None:
    """0400, 0440 by an access list, any bytes of a reasonable length; in a directory that is closed even 0444."""
    for content in (KEY[:16], os.urandom(32), b"\0" * 32, b"x" * 65536):
        supply = key_sources.KeySupply(give_credential(tmp_path, content))
        file = tmp_path / "credentials" / key_credential.ID
        for mode in (0o400, 0o440, 0o444):
            file.chmod(mode)
            assert sealed(tmp_path, "credential", supply)._source.read(None) == content


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"x" * 15, "less than 16"), (b"x" * 65537, "more than 65536")]
)
def test_a_credential_that_is_no_key_is_73(tmp_path: Path, content: bytes, words: str) -> None:
    """Empty, guessable or no key at all: named, with the command that makes one; nothing is written."""
    supply = key_sources.KeySupply(give_credential(tmp_path, content))
    with pytest.raises(errors.StoreUnusableError, match=words) as caught:
        secret_store.choose_store("file", profile_paths(tmp_path), supply=supply)
    assert key_credential.ID in caught.value.message
    assert "openssl rand -hex 32" in (caught.value.hint or "")
    assert not os.path.exists(profile_paths(tmp_path).key_file)


@pytest.mark.parametrize(("kind", "family"), [("link", 73), ("directory", 78), ("pipe", 78), ("everybody", 78)])
def test_a_credential_that_is_not_systemds_is_refused(tmp_path: Path, kind: str, family: int) -> None:
    """A link is not followed, a pipe not waited for, and what everybody can reach is no key."""
    supply = key_sources.KeySupply(give_credential(tmp_path))
    directory = tmp_path / "credentials"
    file = directory / key_credential.ID
    directory.chmod(0o700)
    file.rename(directory / "other")
    if kind == "link":
        file.symlink_to(directory / "other")
    elif kind == "directory":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        (directory / "other").rename(file)
        file.chmod(0o644)
        directory.chmod(0o755)
    with pytest.raises(errors.DeviceLoginError) as caught:
        secret_store.choose_store("file", profile_paths(tmp_path), supply=supply)
    assert caught.value.exit_code == family
    assert str(file) in caught.value.message


def test_a_record_of_a_unit_is_73_outside_of_it_and_says_how_to_run_it(tmp_path: Path) -> None:
    """Without the credential, and in a unit that has only another one, it is named with the way to get it; nothing is made."""
    sealed(tmp_path, "credential", key_sources.KeySupply(give_credential(tmp_path))).save(RECORD)
    other = give_credential(tmp_path, name="database.password")
    for environ in ({}, {"CREDENTIALS_DIRECTORY": ""}, {"CREDENTIALS_DIRECTORY": "relative"}, other):
        with pytest.raises(errors.StoreUnusableError, match=r"the systemd credential devicelogin\.key") as caught:
            sealed(tmp_path, "credential", key_sources.KeySupply(environ)).load()
        assert caught.value.code == "key_missing"
        assert "systemd-run --pty -p LoadCredentialEncrypted=devicelogin.key:" in (caught.value.hint or "")
    assert not os.path.exists(profile_paths(tmp_path).key_file)
    changed = key_sources.KeySupply(give_credential(tmp_path, b"f" * 32))
    with pytest.raises(errors.DataBadError, match="sealed with another key"):
        sealed(tmp_path, "credential", changed).load()


def test_without_a_wish_the_credential_is_the_key_and_else_the_key_file(tmp_path: Path) -> None:
    """A unit that has some other credential, or none, has its key file."""
    ours = profile_paths(tmp_path)
    for name, expected in ((key_credential.ID, "credential"), ("database.password", "file"), (None, "file")):
        environ = give_credential(tmp_path, name=name) if name else {}
        store = secret_store.choose_store("file", ours, supply=key_sources.KeySupply(environ))
        assert store.location.key == expected
    with_credential = key_sources.KeySupply(give_credential(tmp_path))
    assert secret_store.choose_store("file", ours, key="file", supply=with_credential).location.key == "file"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["false"], "false failed with exit status 1"),
        (["sh", "-c", "exit 7 # canary"], "sh failed with exit status 7"),
        (["sh", "-c", "kill -9 $$"], "sh failed with signal 9"),
        (["/nowhere/canary-program"], "cannot be started: No such file"),
        (["true", "canary"], "the key that true printed is empty"),
        (["printf", "short"], "the key that printf printed has less than 16 bytes"),
        (["sh", "-c", "head -c 70000 /dev/zero"], "has more than 65536 bytes"),
    ],
)
def test_a_command_that_gives_no_key_is_73_and_names_its_program_only(
    tmp_path: Path, command: list[str], words: str
) -> None:
    """What went wrong is said of the program; its arguments and what it printed are not shown."""
    write_command(tmp_path, *command)
    with pytest.raises(errors.StoreUnusableError, match=words) as caught:
        secret_store.choose_store("file", profile_paths(tmp_path), key="command")
    shown = f"{caught.value.message} {caught.value.hint} {caught.value.detail}"
    assert ("canary" not in shown) == (command[0] != "/nowhere/canary-program")
    assert "short" not in shown


def test_a_command_that_does_not_end_is_killed_in_time_and_not_waited_for_again(tmp_path: Path) -> None:
    """A program that waits for a password which nobody types costs one deadline, under the 8 s that a store may take."""
    write_command(tmp_path, "sh", "-c", f"sleep 60; echo {tmp_path}")
    begun = time.monotonic()
    with pytest.raises(errors.StoreUnusableError, match="sh did not end within 6 seconds"):
        sealed(tmp_path, "command").load() or sealed(tmp_path, "command").probe()
    assert key_command.LIMIT_SECONDS <= time.monotonic() - begun < 8
    begun = time.monotonic()
    with pytest.raises(errors.StoreUnusableError, match="did not end"):
        sealed(tmp_path, "command").probe()
    assert time.monotonic() - begun < 1


def test_a_command_sees_as_much_as_cron_would_give_it(tmp_path: Path) -> None:
    """HOME, PATH and the bus, and nothing of ours or of a login shell's own; stdin is empty."""
    seen = tmp_path / "seen"
    write_command(tmp_path, "sh", "-c", f"env >{seen}; cat >>{seen}; printf {KEY.decode()}")
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": "/nowhere",
        "PASSWORD_STORE_DIR": "/p", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/b",
        "DEVICELOGIN_HOME": "/x", "LD_PRELOAD": "", "PYTHONPATH": "/x", "AWS_SECRET": "canary", "MY_SHELL_ONLY": "1",
    }  # fmt: skip
    sealed(tmp_path, "command", key_sources.KeySupply(environ)).probe()
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()} - {"PWD", "SHLVL", "_", "OLDPWD"}
    assert names == {
        "PATH", "HOME", "LC_ALL", "XDG_RUNTIME_DIR", "PASSWORD_STORE_DIR", "DBUS_SESSION_BUS_ADDRESS",
    }  # fmt: skip


def test_a_program_is_found_beside_the_profile_and_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./give-key` lies beside the profile wherever cron starts us, `~/give-key` in HOME."""
    ours = profile_paths(tmp_path)
    os.makedirs(ours.places.config, mode=0o700)
    for place in (Path(ours.places.config), tmp_path):
        script = place / "give-key"
        script.write_text(f"#!/bin/sh\necho {KEY.decode()}\n")
        script.chmod(0o700)
    monkeypatch.chdir("/")
    supply = key_sources.KeySupply({"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    for program in ("./give-key", "~/give-key", str(tmp_path / "give-key")):
        write_command(tmp_path, program)
        assert sealed(tmp_path, "command", supply)._source.read(None) == KEY, (
            "one newline at the end is no part of the key"
        )


def test_a_command_that_left_the_profile_is_73_and_another_ones_key_is_65(tmp_path: Path) -> None:
    """Where the profile no longer names it, the error says where to write it; a command that prints another key is told."""
    sealed(tmp_path, "command", prepared(tmp_path, "command")).save(RECORD)
    profile = Path(profile_paths(tmp_path).profile_file)
    for text in ("", 'key = "file"\n'):
        profile.write_text(text)
        with pytest.raises(errors.StoreUnusableError, match="the profile no longer names one") as caught:
            sealed(tmp_path, "command").load()
        assert str(profile) in (caught.value.hint or "")
    write_command(tmp_path, "printf", "another key of some length")
    with pytest.raises(errors.DataBadError, match="sealed with another key"):
        sealed(tmp_path, "command").load()


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
            "file", profile_paths(tmp_path, "work"), key="passphrase", supply=key_sources.KeySupply({}, ask=never)
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
    derived = key_passphrase._derive("pleaseletmein", n=16384, r=8, p=1, salt=b"SodiumChloride")
    assert derived.hex() == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"


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
