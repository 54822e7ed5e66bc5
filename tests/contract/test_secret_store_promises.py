"""The promises of every secret store, in one class that each store inherits: the model is keyring's own backend suite."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import keyring_session
import pytest
import sealing

from devicelogin import errors, models, secret_store
from devicelogin.secret_store import sealed_file, slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Every kind of character that some store may stumble over, lone surrogates and both quotes among them.
DIFFICULT = string.whitespace + string.punctuation + "\x00\x7f\x85é߿\u2028זהξεЩ中\U0001f510\ud83d\ude00\udcff"


def record(text: str, generation: int = 1) -> models.SecretRecord:
    """Return a record."""
    return models.SecretRecord(generation=generation, text=text)


class SecretStorePromises:
    """What every store promises. A subclass provides the fixture `store_of`."""

    #: A text of so many characters is refused.
    too_long: int
    store_of: Callable[..., secret_store.SecretStore]

    @pytest.fixture
    def store(self, store_of: Callable[..., secret_store.SecretStore]) -> secret_store.SecretStore:
        """The store of the default profile's sign-in."""
        return store_of()

    def test_nothing_saved_is_none_and_can_be_deleted_twice(self, store: secret_store.SecretStore) -> None:
        """Where nothing was saved, load returns None and delete is content."""
        assert store.load() is None
        store.delete()
        store.delete()
        assert store.load() is None

    @pytest.mark.parametrize(
        "text",
        ["x", "", DIFFICULT, "a" * 1200, "b" * 1201, "".join(chr(48 + i % 75) for i in range(9000))],
        ids=["one character", "empty", "difficult", "1200", "1201", "9000"],
    )
    def test_what_was_saved_is_loaded_and_what_was_deleted_is_gone(
        self, store: secret_store.SecretStore, text: str
    ) -> None:
        """A text comes back as it was, whatever its characters and its length; after delete there is none."""
        store.save(record(text, generation=41))
        assert store.load() == record(text, generation=41)
        store.delete()
        assert store.load() is None

    def test_a_save_replaces_whatever_the_lengths_and_generations(self, store: secret_store.SecretStore) -> None:
        """The last save holds, shorter or longer, and of a lower generation too: a new sign-in may begin again."""
        for number, length in ((5, 10), (6, 5000), (7, 3), (1, 2400), (2, 2401)):
            store.save(record("y" * length, number))
            assert store.load() == record("y" * length, number)

    def test_another_process_would_load_the_same(
        self, store_of: Callable[..., secret_store.SecretStore], store: secret_store.SecretStore
    ) -> None:
        """A store opened anew, as another process does, finds what was saved."""
        store.save(record("kept", 3))
        assert store_of().load() == record("kept", 3)

    def test_profiles_and_names_are_independent(self, store_of: Callable[..., secret_store.SecretStore]) -> None:
        """Neither another profile nor another name in one profile is read, replaced or deleted."""
        stores = [
            store_of(),
            store_of(name="access"),
            store_of(profile="work"),
            store_of(profile="work", name="access"),
        ]
        for number, store in enumerate(stores):
            store.save(record(f"text {number}" * 300, number))
        assert [store.load() for store in stores] == [record(f"text {n}" * 300, n) for n in range(4)]
        stores[0].delete()
        assert [store.load() is None for store in stores] == [True, False, False, False]

    def test_too_long_is_refused_and_the_old_one_is_intact(self, store: secret_store.SecretStore) -> None:
        """A record that does not fit is 73 and changes nothing."""
        store.save(record("old", 1))
        with pytest.raises(errors.StoreUnusableError) as caught:
            store.save(record("n" * self.too_long, 2))
        assert "what was saved before is unchanged" in caught.value.message
        assert store.load() == record("old", 1)

    def test_a_probe_passes_and_touches_nothing(self, store: secret_store.SecretStore) -> None:
        """A probe leaves the saved record as it is, and nothing of its own."""
        store.probe()
        assert store.load() is None
        store.save(record("kept" * 400, 1))
        store.probe()
        assert store.load() == record("kept" * 400, 1)

    def test_it_says_where_and_how_it_protects_without_the_secret(self, store: secret_store.SecretStore) -> None:
        """`location` and `protection` are for writing down and for people; no secret is in them or in a repr."""
        store.save(record("canary-secret"))
        loaded = store.load()
        assert store.location.kind
        assert len(store.protection.split()) > 3
        for shown in (store.location, store.protection, store, loaded):
            assert "canary-secret" not in repr(shown)


class SealedFilePromises(SecretStorePromises):
    """What every sealed file promises. A subclass names its key source."""

    too_long = sealed_file.LONGEST + 1
    key: str

    @pytest.fixture
    def store_of(self, tmp_path: Path) -> Callable[..., secret_store.SecretStore]:
        """Open the store of a profile, for which the key is there."""
        supply = sealing.prepared(tmp_path, self.key)
        location = models.StoreLocation(kind="file", key=self.key, bind="none")
        return lambda profile="default", name="record": secret_store.open_store(
            location, sealing.profile_paths(tmp_path, profile), name=name, supply=supply
        )


class TestSealedFile(SealedFilePromises):
    """The sealed file with a key file, bound to nothing."""

    key = "file"


class TestSealedFileWithCredential(SealedFilePromises):
    """The sealed file in a unit of systemd that has the credential."""

    key = "credential"


class TestSealedFileWithCommand(SealedFilePromises):
    """The sealed file with the key that a command prints."""

    key = "command"


class TestSealedFileWithPassphrase(SealedFilePromises):
    """The sealed file with a passphrase that was typed."""

    key = "passphrase"


class TestSealedFileOfOneMachine(SecretStorePromises):
    """The sealed file, bound to a machine id."""

    too_long = sealed_file.LONGEST + 1

    @pytest.fixture
    def store_of(self, tmp_path: Path) -> Callable[..., secret_store.SecretStore]:
        """Open the store of a profile on a machine whose id we know."""
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "machine-id").write_text("0123456789abcdef" * 2 + "\n")
        location = models.StoreLocation(kind="file", key="file", bind="machine")
        return lambda profile="default", name="record": sealed_file.SealedFile(
            location, sealing.profile_paths(tmp_path, profile), name, machine_root=str(tmp_path)
        )


class _SmallItems(dict[str, str]):
    """Items by name as Windows keeps them: 1280 characters at most. `Items` by the methods it has."""

    def set(self, name: str, value: str) -> None:
        if len(value) > 1280 or not value.isascii():
            raise OSError(1783, "CredWrite", "The stub received bad data.")
        self[name] = value

    def delete(self, name: str) -> None:
        self.pop(name, None)


class _SlotsStore:
    """The two-slot layout over any items, as a store."""

    location = models.StoreLocation(kind="keyring")
    protection = "kept in this process only, for tests"

    def __init__(self, items: slots.Items, prefix: str) -> None:
        self._items = items
        self._prefix = prefix

    def probe(self) -> None:
        """Nothing to try."""

    def load(self) -> models.SecretRecord | None:
        """Load."""
        found = slots.load(self._items, self._prefix)
        return models.SecretRecord(generation=found.generation, text=found.text) if found is not None else None

    def save(self, wanted: models.SecretRecord) -> None:
        """Save."""
        slots.save(self._items, self._prefix, slots.Record(wanted.generation, wanted.text))

    def delete(self) -> None:
        """Delete."""
        slots.delete(self._items, self._prefix)


class TestTwoSlots(SecretStorePromises):
    """The two-slot layout over items as small as Windows has them."""

    too_long = slots.PART_LENGTH * slots.MOST_PARTS + 1

    @pytest.fixture
    def store_of(self) -> Iterator[Callable[..., secret_store.SecretStore]]:
        """Open the store of a profile; at the end at most whole slots lie there."""
        items = _SmallItems()
        yield lambda profile="default", name="record": _SlotsStore(items, f"{profile}/{name}/")
        for name in items:
            assert name.startswith(("default/", "work/"))


@pytest.fixture(scope="module")
def session() -> Iterator[keyring_session.KeyringSession]:
    """One unlocked keyring for all of this file."""
    with keyring_session.started() as running:
        yield running


@pytest.mark.keyring
class TestGnomeKeyring(SecretStorePromises):
    """The real gnome-keyring, through the child process."""

    too_long = slots.PART_LENGTH * slots.MOST_PARTS + 1

    @pytest.fixture
    def store_of(
        self, session: keyring_session.KeyringSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Callable[..., secret_store.SecretStore]]:
        """Open the store of a profile under a service name of this test's own; nothing but whole slots is left."""
        keyring_session.make_current(session, monkeypatch)

        def store_of(profile: str = "default", name: str = "record") -> secret_store.SecretStore:
            location = models.StoreLocation(kind="keyring", service=str(tmp_path), user=profile)
            return secret_store.open_store(location, sealing.profile_paths(tmp_path, profile), name=name)

        yield store_of
        left = session.items(str(tmp_path))
        for prefix in {name.rstrip(string.digits)[:-1] for name in left}:
            slot = [name for name in left if name.startswith(prefix)]
            assert sorted(slot) == sorted(
                [slot[0].rstrip(string.digits) + (str(n) if n else "") for n in range(len(slot))]
            )
            assert not prefix.endswith("/probe/")
