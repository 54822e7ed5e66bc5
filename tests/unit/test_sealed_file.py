"""The sealed file: what seals it, what damages it, and whose it is."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import conftest
import pytest
from sealing import profile_paths

from devicelogin import errors, models, private_files, secret_store
from devicelogin.secret_store import key_sources, machine, record_files, sealed_file, sealed_header

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "canary-refresh-token-0123456789"
RECORD = models.SecretRecord(generation=7, text=CANARY * 50)
MACHINE_ID = "0123456789abcdef" * 2


def sealed(home: Path, profile: str = "default", name: str = "record", bind: str = "none") -> sealed_file.SealedFile:
    """Open a sealed file; its machine is the one under `home`."""
    location = models.StoreLocation(kind="file", key="file", bind=bind)
    return sealed_file.SealedFile(location, profile_paths(home, profile), name, machine_root=str(home))


def give_machine_id(home: Path, text: str = MACHINE_ID) -> None:
    """Make `home` the root of a machine."""
    (home / "etc").mkdir(exist_ok=True)
    (home / "etc" / "machine-id").write_text(text + "\n")


def content(home: Path) -> bytearray:
    """Return what lies in the record's file."""
    with open(profile_paths(home).record, "rb") as file:
        return bytearray(file.read())


def put(home: Path, changed: bytes) -> None:
    """Put `changed` in the place of the record's file."""
    with open(profile_paths(home).record, "wb") as file:
        file.write(changed)


def test_nothing_readable_is_on_the_disk(tmp_path: Path) -> None:
    """The secret is in no file in the clear; the record's directory and files are ours alone, whatever the umask."""
    old = os.umask(0)
    try:
        sealed(tmp_path).save(RECORD)
    finally:
        os.umask(old)
    files = [os.path.join(top, name) for top, _, names in os.walk(tmp_path) for name in names]
    assert sorted(os.path.basename(path) for path in files) == ["default.key", "record"]
    for path in files:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        with open(path, "rb") as file:
            assert b"canary" not in file.read()


def test_two_writes_of_one_record_share_no_sealed_byte_run(tmp_path: Path) -> None:
    """Each write has a nonce of its own: the same text twice gives another file."""
    store = sealed(tmp_path)
    found = set()
    for _ in range(20):
        store.save(RECORD)
        found.add(bytes(content(tmp_path)).partition(b"\n")[2][:12])
    assert len(found) == 20


@pytest.mark.parametrize("bind", ["none", "machine"])
def test_every_changed_byte_is_65_and_the_file_is_kept(tmp_path: Path, bind: str) -> None:
    """Any one bit flipped in any byte, header or sealed text, is found, and nothing is deleted or rewritten."""
    give_machine_id(tmp_path)
    store = sealed(tmp_path, bind=bind)
    store.save(models.SecretRecord(generation=7, text="short"))
    good = content(tmp_path)
    for position in range(len(good)):
        for bit in range(8) if conftest.SOAK else random.sample(range(8), 2):
            changed = bytearray(good)
            changed[position] ^= 1 << bit
            put(tmp_path, changed)
            with pytest.raises(errors.DataBadError) as caught:
                store.load()
            assert "canary" not in caught.value.message
            assert caught.value.hint == "sign in again: devicelogin login"
            assert content(tmp_path) == changed
    put(tmp_path, good)
    assert store.load() == models.SecretRecord(generation=7, text="short")


def test_every_truncation_and_every_addition_is_65(tmp_path: Path) -> None:
    """A file cut at any length, the empty one too, or longer by a byte, is damaged."""
    store = sealed(tmp_path)
    store.save(RECORD)
    good = bytes(content(tmp_path))
    lengths = range(len(good)) if conftest.SOAK else [*random.sample(range(len(good)), 200), 0, len(good) - 1]
    for changed in [*(good[:length] for length in lengths), good + b"\0", b"\n" + good, good * 2]:
        put(tmp_path, changed)
        with pytest.raises(errors.DataBadError):
            store.load()


def test_random_files_are_65(tmp_path: Path) -> None:
    """Whatever stands there instead of a record is damaged, never a crash."""
    store = sealed(tmp_path)
    store.save(RECORD)
    for junk in (b"[" * 100_000, b"{}\n", b"null\n", b'{"magic":1}\n', b"\xff" * 300, os.urandom(5000), b"\n\n\n"):
        put(tmp_path, junk)
        with pytest.raises(errors.DataBadError, match="is damaged"):
            store.load()


def test_records_of_two_profiles_or_names_cannot_be_swapped(tmp_path: Path) -> None:
    """A record copied over that of another profile or name is 65, even where both have one key."""
    work, default, access = sealed(tmp_path, "work"), sealed(tmp_path), sealed(tmp_path, name="access")
    for store in (work, default, access):
        store.save(RECORD)
    ours = profile_paths(tmp_path)
    for source in (profile_paths(tmp_path, "work").record, record_files.path_of(ours, "access")):
        with open(source, "rb") as file:
            put(tmp_path, file.read())
        with pytest.raises(errors.DataBadError) as caught:
            default.load()
        assert caught.value.code == "another_profile"


def test_another_profiles_name_in_the_header_does_not_help(tmp_path: Path) -> None:
    """With the same key and a header rewritten to fit, the seal does not open: the header is authenticated."""
    sealed(tmp_path).save(RECORD)
    key = profile_paths(tmp_path).key_file
    work = profile_paths(tmp_path, "work")
    os.makedirs(work.state, mode=0o700)
    with open(key, "rb") as source, open(work.key_file, "wb") as target:
        target.write(source.read())
    os.chmod(work.key_file, 0o600)
    with open(work.record, "wb") as file:
        file.write(bytes(content(tmp_path)).replace(b'"profile":"default"', b'"profile":"work"'))
    with pytest.raises(errors.DataBadError, match="is damaged"):
        sealed(tmp_path, "work").load()


def test_another_machine_is_65_and_told_from_damage(tmp_path: Path) -> None:
    """A bound record on a machine with another id, or with none, is 65 and says why; the first machine still opens it."""
    give_machine_id(tmp_path)
    sealed(tmp_path, bind="machine").save(RECORD)
    for other in ("f" * 32, "", "uninitialized", "0" * 32):
        give_machine_id(tmp_path, other)
        with pytest.raises(errors.DataBadError, match="another machine"):
            sealed(tmp_path, bind="machine").load()
    give_machine_id(tmp_path)
    assert sealed(tmp_path, bind="machine").load() == RECORD
    assert MACHINE_ID.encode() not in content(tmp_path)


def test_a_bound_record_cannot_be_made_without_a_machine_id(tmp_path: Path) -> None:
    """`bind = "machine"` where there is no machine id is 73 before anything is written."""
    with pytest.raises(errors.StoreUnusableError, match="no machine id"):
        sealed(tmp_path, bind="machine").probe()


def test_a_missing_key_is_73_and_is_not_made_anew(tmp_path: Path) -> None:
    """While a record exists a lost key file is named and never replaced, at load, save and probe; logout goes on."""
    store = sealed(tmp_path)
    store.save(RECORD)
    key = profile_paths(tmp_path).key_file
    os.rename(key, key + ".away")
    for attempt in (store.load, store.probe, lambda: store.save(RECORD), sealed(tmp_path, name="access").probe):
        with pytest.raises(errors.StoreUnusableError, match="is missing") as caught:
            attempt()
        assert key in caught.value.message
        assert not os.path.exists(key)
    os.rename(key + ".away", key)
    assert store.load() == RECORD
    os.unlink(key)
    store.delete()
    assert store.load() is None
    store.save(RECORD)
    assert store.load() == RECORD


def test_another_key_is_65_and_a_broken_key_file_too(tmp_path: Path) -> None:
    """A wrong key is told from a damaged record; a key file that is none is named."""
    store = sealed(tmp_path)
    store.save(RECORD)
    key = profile_paths(tmp_path).key_file
    for text, words in (
        ("a" * 64, "another key"),
        ("", "is damaged"),
        ("zz" * 32, "is damaged"),
        ("a" * 63, "is damaged"),
    ):
        with open(key, "w", encoding="ascii") as file:
            file.write(text)
        with pytest.raises(errors.DataBadError, match=words):
            store.load()


def test_a_key_that_others_can_read_is_78(tmp_path: Path) -> None:
    """A key file of mode 0640 or 0604 is refused with the command that mends it."""
    store = sealed(tmp_path)
    store.save(RECORD)
    key = profile_paths(tmp_path).key_file
    for mode in (0o640, 0o604, 0o660):
        os.chmod(key, mode)
        with pytest.raises(errors.ConfigError) as caught:
            store.load()
        assert f"{key}" in (caught.value.hint or "")
    os.chmod(key, 0o600)
    assert store.load() == RECORD


@pytest.mark.parametrize("kind", ["link", "directory", "pipe", "writable"])
def test_a_record_that_is_no_private_file_is_78(tmp_path: Path, kind: str) -> None:
    """A link, a directory, a pipe or a file that others may write to is refused and never followed or waited for."""
    store = sealed(tmp_path)
    store.save(RECORD)
    path = profile_paths(tmp_path).record
    os.rename(path, path + "-moved")
    if kind == "link":
        os.symlink(path + "-moved", path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        os.rename(path + "-moved", path)
        os.chmod(path, 0o666)
    with pytest.raises(errors.ConfigError):
        store.load()


def test_a_newer_version_is_65_and_kept(tmp_path: Path) -> None:
    """A record of a format version above the last one that is known is not guessed at."""
    store = sealed(tmp_path)
    store.save(RECORD)
    newer = bytes(content(tmp_path)).replace(
        b'"format_version":1', b'"format_version":%d' % (sealed_header.FORMAT_VERSION + 1)
    )
    put(tmp_path, newer)
    with pytest.raises(errors.DataBadError, match="newer version"):
        store.load()
    assert content(tmp_path) == newer


def test_a_damaged_record_is_set_aside_for_a_new_sign_in(tmp_path: Path) -> None:
    """`login` moves it aside, saves the new one and then deletes the old; logout deletes one that was left."""
    ours = profile_paths(tmp_path)
    assert not secret_store.set_aside(ours)
    store = sealed(tmp_path)
    store.save(RECORD)
    put(tmp_path, b"damaged")
    assert secret_store.set_aside(ours)
    assert store.load() is None
    store.save(RECORD)
    assert sorted(os.listdir(ours.state)) == ["record", "record.damaged"]
    secret_store.remove_set_aside(ours)
    assert os.listdir(ours.state) == ["record"]
    put(tmp_path, b"damaged")
    secret_store.set_aside(ours)
    store.delete()
    assert os.listdir(ours.state) == []


def test_a_save_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    """Half-written files and probes go with the next save."""
    store = sealed(tmp_path)
    store.save(RECORD)
    ours = profile_paths(tmp_path)
    for name in (".new-record-0011223344ff", ".new-probe-0022334455ee"):
        with open(os.path.join(ours.state, name), "wb") as file:
            file.write(b"half")
    store.save(RECORD)
    assert os.listdir(ours.state) == ["record"]


def test_a_probe_while_another_saves_is_no_failure(tmp_path: Path) -> None:
    """A login tries the store without the lock, while a cron job saves what it refreshed."""
    store = sealed(tmp_path)
    store.save(RECORD)
    stop = threading.Event()

    def save() -> None:
        while not stop.is_set():
            sealed(tmp_path).save(RECORD)

    saver = threading.Thread(target=save)
    saver.start()
    try:
        for _ in range(100):
            store.probe()
    finally:
        stop.set()
        saver.join()
    assert os.listdir(profile_paths(tmp_path).state) == ["record"]


_PROBE = """
import sys
from devicelogin import secret_store
from devicelogin.settings import paths
sys.stdin.readline()
secret_store.choose_store("file", paths.locate({"DEVICELOGIN_HOME": sys.argv[1]}).of("default"))
with open(paths.locate({"DEVICELOGIN_HOME": sys.argv[1]}).of("default").key_file) as file:
    print(file.read().strip())
"""


def test_two_first_sign_ins_at_once_end_with_one_key(tmp_path: Path) -> None:
    """Processes that all make the key at the same moment all see the same one: none seals with a key that is lost."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROBE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert os.listdir(os.path.dirname(profile_paths(tmp_path).key_file)) == ["default.key"]


def test_a_key_that_exists_is_never_replaced(tmp_path: Path) -> None:
    """Of two that make the key at once the second finds it made, and its own is gone without a trace."""
    path = os.path.join(tmp_path, "keys", "default.key")
    assert private_files.create(path, b"first")
    assert not private_files.create(path, b"second")
    assert private_files.read(path) == b"first"
    assert os.listdir(tmp_path / "keys") == ["default.key"]


def test_a_seal_of_a_known_key_opens_as_ever(tmp_path: Path) -> None:
    """A record sealed by the first version of this format opens: a change of the format needs a new version number."""
    ours = profile_paths(tmp_path)
    os.makedirs(ours.state, mode=0o700)
    os.makedirs(os.path.dirname(ours.key_file), mode=0o700)
    for path, text in (
        (ours.key_file, ("00112233445566778899aabbccddeeff" * 2).encode()),
        (ours.record, bytes.fromhex(_GOLDEN)),
    ):
        with open(path, "wb") as file:
            file.write(text)
        os.chmod(path, 0o600)
    give_machine_id(tmp_path)
    assert sealed(tmp_path, bind="machine").load() == models.SecretRecord(generation=3, text="golden é")


_GOLDEN = (
    "7b226d61676963223a226465766963656c6f67696e207365616c6564207265636f7264222c22666f726d61745f7665727369"
    "6f6e223a312c2270726f66696c65223a2264656661756c74222c226e616d65223a227265636f7264222c2267656e65726174"
    "696f6e223a332c226b6579223a2266696c65222c226b65795f6d61726b223a2237356431616435656532626135663435222c"
    "2262696e64223a226d616368696e65222c226d616368696e655f6d61726b223a226231396234643134643335313534336422"
    "7d0a3e0640e676fe17a1de6c097b573318e79df472171c98bcf534c56851195d8b5792d6b50ee1"
)


def test_a_key_source_or_binding_of_no_known_name_is_refused(tmp_path: Path) -> None:
    """78 in a setting; there is no plaintext store behind any name."""
    ours = profile_paths(tmp_path)
    with pytest.raises(errors.ConfigError, match="not a source of encryption keys"):
        secret_store.choose_store("file", ours, key="none")
    with pytest.raises(errors.ConfigError, match="bind"):
        secret_store.choose_store("file", ours, bind="host")
    assert key_sources.names() == ("file", "credential", "command", "passphrase")


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({}, "machine"),
        ({".dockerenv": ""}, "none"),
        ({"run/.containerenv": ""}, "none"),
        ({"run/systemd/container": "lxc"}, "none"),
        ({"proc/1/environ": "A=b\0container=lxc\0"}, "none"),
        ({"proc/1/cgroup": "0::/init.scope\n"}, "machine"),
        ({"proc/1/cgroup": "4:memory:/docker/0123\n"}, "none"),
        ({"proc/1/cgroup": "0::/kubepods/besteffort/pod1\n"}, "none"),
        ({"etc/machine-id": "uninitialized\n"}, "none"),
        ({"etc/machine-id": ""}, "none"),
        ({"etc/machine-id": "0" * 32}, "none"),
    ],
)
def test_a_record_is_bound_to_a_machine_only_where_there_is_one(
    tmp_path: Path, marks: dict[str, str], expected: str
) -> None:
    """A real machine id outside of a container binds; a container's or an empty one does not."""
    give_machine_id(tmp_path)
    for path, text in marks.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert machine.binding(str(tmp_path)) == expected
