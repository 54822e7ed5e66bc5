"""The two-slot layout: every point at which a writer can be stopped, every damage, every character."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicelogin import errors
from devicelogin.secret_store import slots

PREFIX = "default/record/"


class StoppedError(BaseException):
    """The writer was killed here."""


class Items:
    """Items in memory, whose writer is stopped after so many calls, and may fail at one of them."""

    def __init__(self, kept: dict[str, str] | None = None, *, stop_after: int | None = None) -> None:
        self.kept = {} if kept is None else kept
        self.left = stop_after
        self.fails_on: str | None = None
        self.fails_on_reading: str | None = None

    def _count(self) -> None:
        if self.left is not None:
            if self.left == 0:
                raise StoppedError
            self.left -= 1

    def get(self, name: str) -> str | None:
        self._count()
        if name == self.fails_on_reading:
            raise OSError("gone")
        return self.kept.get(name)

    def set(self, name: str, value: str) -> None:
        self._count()
        assert value.isascii()
        assert len(value) <= slots.PART_LENGTH
        if name == self.fails_on:
            raise OSError("full")
        self.kept[name] = value

    def delete(self, name: str) -> None:
        self._count()
        self.kept.pop(name, None)


def record(generation: int, length: int = 3000) -> slots.Record:
    """Return a record whose text belongs to its generation."""
    return slots.Record(generation, (f"{generation} " * length)[:length])


def slot_is_whole(kept: dict[str, str]) -> bool:
    """Tell whether one slot lies there and nothing else."""
    names = sorted(kept)
    return names == [names[0], *(f"{names[0]}{number}" for number in range(1, len(names)))]


@pytest.mark.parametrize("lengths", [(3000, 3000), (3000, 10), (10, 9000), (9000, 1201)])
@pytest.mark.parametrize("stray", [False, True])
def test_a_save_stopped_at_any_call_leaves_old_or_new(lengths: tuple[int, int], stray: bool) -> None:
    """Whatever call a writer dies at, load finds the old record or the new; the next save leaves one whole slot."""
    seen = set()
    for stop in range(200):
        start: dict[str, str] = {}
        if stray:  # an earlier writer had died in the middle of a longer record
            slots.save(Items(start), PREFIX, record(0))
            other = "B" if PREFIX + "A" in start else "A"
            start.update({f"{PREFIX}{other}{number}": "stray" for number in range(1, 9)})
        slots.save(Items(start), PREFIX, record(1, lengths[0]))
        kept = dict(start)
        try:
            slots.save(_stopping(kept, stop), PREFIX, record(2, lengths[1]))
        except StoppedError:
            found = slots.load(Items(kept), PREFIX)
            assert found in (record(1, lengths[0]), record(2, lengths[1]))
            seen.add(found.generation if found else None)
            slots.save(Items(kept), PREFIX, record(3, 2000))
            assert slots.load(Items(kept), PREFIX) == record(3, 2000)
            assert slot_is_whole(kept)
        else:
            assert slots.load(Items(kept), PREFIX) == record(2, lengths[1])
            assert slot_is_whole(kept)
            break
    else:
        pytest.fail("the save never came to its end")
    assert seen == {1, 2}


def test_a_first_save_stopped_at_any_call_leaves_none_or_the_record() -> None:
    """Where nothing was saved before, a dead writer leaves nothing or all, and never what counts as damage."""
    for stop in range(200):
        kept: dict[str, str] = {}
        try:
            slots.save(_stopping(kept, stop), PREFIX, record(1))
        except StoppedError:
            assert slots.load(Items(kept), PREFIX) in (None, record(1))
        else:
            assert slots.load(Items(kept), PREFIX) == record(1)
            return
    pytest.fail("the save never came to its end")


def test_a_save_that_cannot_be_read_back_is_undone() -> None:
    """Where reading back fails, what was written is taken away again: the old record holds."""
    items = Items()
    slots.save(items, PREFIX, record(1))
    items.fails_on_reading = PREFIX + "B2"
    with pytest.raises(OSError, match="gone"):
        slots.save(items, PREFIX, record(2))
    items.fails_on_reading = None
    assert slots.load(items, PREFIX) == record(1)


class _Dead(Items):
    """Items whose writer, once stopped, can do nothing more: no clean-up runs after a kill."""

    def _count(self) -> None:
        if self.left == 0:
            raise StoppedError
        assert self.left is not None
        self.left -= 1


def _stopping(kept: dict[str, str], after: int) -> Items:
    return _Dead(kept, stop_after=after)


def test_a_delete_stopped_at_any_call_leaves_the_record_or_none() -> None:
    """Logout killed at any moment leaves the last record or nothing, never an older one; once more and all is gone."""
    start: dict[str, str] = {}
    slots.save(Items(start), PREFIX, record(1))
    older = dict(start)
    slots.save(Items(start), PREFIX, record(2))
    both = {**older, **start}
    for stop in range(200):
        kept = dict(both)
        try:
            slots.delete(_stopping(kept, stop), PREFIX)
        except StoppedError:
            assert slots.load(Items(kept), PREFIX) in (record(2), None)
            slots.delete(Items(kept), PREFIX)
            assert kept == {}
        else:
            assert kept == {}
            return
    pytest.fail("the deletion never came to its end")


def test_a_save_that_fails_at_any_item_leaves_the_old_record_and_no_header() -> None:
    """An item that cannot be written (a full disk) ends the save; the old record holds."""
    for failing in ("B", "B1", "B2", "B3"):
        items = Items()
        slots.save(items, PREFIX, record(1))
        items.fails_on = PREFIX + failing
        with pytest.raises(OSError, match="full"):
            slots.save(items, PREFIX, record(2))
        assert slots.load(items, PREFIX) == record(1)
        assert PREFIX + "B" not in items.kept


def test_the_newer_slot_wins_though_its_generation_is_lower() -> None:
    """A new sign-in begins again with generation 1; killed before the old slot was deleted, the new one holds."""
    items = Items()
    slots.save(items, PREFIX, record(57))
    old = dict(items.kept)
    slots.save(items, PREFIX, record(1))
    items.kept.update(old)
    assert slots.load(items, PREFIX) == record(1)
    slots.save(items, PREFIX, record(2))
    assert slots.load(items, PREFIX) == record(2)
    assert slot_is_whole(items.kept)


@pytest.mark.parametrize(
    "damage",
    [
        {"A": None},
        {"A": ""},
        {"A": "[]"},
        {"A": "{}"},
        {"A": "[" * 1100},
        {"A1": None},
        {"A2": "x"},
        {"A1": "é"},
        {"A": json.dumps({"version": 1, "sequence": 1, "count": 9, "generation": 1, "digest": ""})},
        {"A": json.dumps({"version": 1, "sequence": "1", "count": 1, "generation": 1, "digest": ""})},
        {"A": json.dumps({"version": 1, "sequence": 1, "count": 3, "generation": 1, "digest": None})},
    ],
)
def test_a_damaged_record_is_65_and_kept_until_a_new_one_is_saved(damage: dict[str, str | None]) -> None:
    """A missing or changed part or header is 65 (no header at all: nothing saved); a save replaces it."""
    items = Items()
    slots.save(items, PREFIX, record(1))
    for name, value in damage.items():
        if value is None:
            del items.kept[PREFIX + name]
        else:
            items.kept[PREFIX + name] = value
    before = dict(items.kept)
    if "A" in damage and damage["A"] is None:
        assert slots.load(items, PREFIX) is None
    else:
        with pytest.raises(errors.DataBadError) as caught:
            slots.load(items, PREFIX)
        assert caught.value.code == "damaged"
    assert items.kept == before
    slots.save(items, PREFIX, record(2))
    assert slots.load(items, PREFIX) == record(2)
    assert slot_is_whole(items.kept)


def test_a_generation_cannot_be_changed_in_the_header() -> None:
    """The digest covers the generation as well."""
    items = Items()
    slots.save(items, PREFIX, record(1))
    items.kept[PREFIX + "A"] = items.kept[PREFIX + "A"].replace('"generation": 1', '"generation": 2')
    with pytest.raises(errors.DataBadError):
        slots.load(items, PREFIX)


def test_a_record_of_a_newer_version_is_65_and_says_so() -> None:
    """A header of version 2 is not guessed at."""
    items = Items({PREFIX + "A": json.dumps({"version": 2, "anything": "else"})})
    with pytest.raises(errors.DataBadError, match="newer version"):
        slots.load(items, PREFIX)


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(codec=None), max_size=40))
def test_any_text_becomes_ascii_and_comes_back(text: str) -> None:
    """Every character, lone surrogates included, survives; what is stored has no line break."""
    stored = slots.to_ascii(text)
    assert stored.isascii()
    assert "\n" not in stored
    assert slots.from_ascii(stored) == text


def test_a_keyring_that_answers_with_what_it_held_before_is_found_out() -> None:
    """A whole record of an earlier save, read back in the place of the one just saved, is not that one; the last one stays."""

    class Lagging(Items):
        """Takes what it is given, and reads one slot as it was."""

        def get(self, name: str) -> str | None:
            return seen.get(name) if name.startswith(slot) else super().get(name)

    kept: dict[str, str] = {}
    slots.save(Items(kept), PREFIX, record(1))
    slots.save(Items(kept), PREFIX, record(2))
    seen, slot = dict(kept), next(iter(kept)).rstrip("0123456789")
    slots.save(Items(kept), PREFIX, record(3))
    with pytest.raises(errors.StoreUnusableError, match="gave something else"):
        slots.save(Lagging(kept), PREFIX, record(4))
    assert slots.load(Items(kept), PREFIX) == record(3)
