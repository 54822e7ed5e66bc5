"""One record in many small items: the two-slot layout of a keyring (design decision D3).

Windows takes 1280 characters an item and an Entra refresh token has about 1500, so a record is cut into parts of at most
1200 ASCII characters, at most 8. There are two slots, A and B. A save writes the parts into the slot that does not hold
the current record, then that slot's header, reads all of it back, and then deletes the other slot. Whoever is killed in
between leaves the old record or the new one. The names of the items are fixed, because a keyring cannot list them:

    USER/NAME/A     header of slot A: version, sequence, count of parts, generation, digest
    USER/NAME/A1    its first part, up to USER/NAME/A8; the same for B

A header decides by its `sequence` which slot is newer: a new sign-in may begin again with generation 1.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from typing import NamedTuple, Protocol

from devicelogin import errors

#: How many ASCII characters does the smallest known keyring take (Windows: 1280)?
PART_LENGTH = 1200
#: How many parts has a record at most? Deleting tries them all, so this is also what a deletion costs.
MOST_PARTS = 8
FORMAT_VERSION = 1

_SLOTS = ("A", "B")
_DELETE_ROUNDS = 3


class Items(Protocol):
    """A store of short texts by name. Any exception may come out of it; `delete` of a missing item is no error."""

    def get(self, name: str) -> str | None:
        """Return the text saved as `name`, None where there is none."""

    def set(self, name: str, value: str) -> None:
        """Save `value` (ASCII) as `name`."""

    def delete(self, name: str) -> None:
        """Delete `name`."""


class Record(NamedTuple):
    """What is kept: `Record` without its module, which is a tenth of what a process for one call needs."""

    generation: int
    text: str

    def __repr__(self) -> str:
        """Tell no secret."""
        return f"Record(generation={self.generation})"


class _Header(NamedTuple):
    sequence: int
    parts: int
    generation: int
    digest: str

    def as_text(self) -> str:
        return json.dumps(
            {
                "version": FORMAT_VERSION,
                "sequence": self.sequence,
                "count": self.parts,
                "generation": self.generation,
                "digest": self.digest,
            }
        )


class _Slot(NamedTuple):
    """What was found in one slot. `raw` is the header's text; `header` is None where that is missing or unreadable."""

    name: str
    raw: str | None
    header: _Header | None
    is_newer_version: bool = False


def to_ascii(text: str) -> str:
    """Return `text`, which may hold any character, lone surrogates too, as ASCII without line breaks."""
    return text.encode("unicode_escape").decode("ascii")


def from_ascii(text: str) -> str:
    """Return what `to_ascii` was given. Raises ValueError where it was not its result."""
    return text.encode("ascii").decode("unicode_escape")


def load(items: Items, prefix: str) -> Record | None:
    """Return the newest complete record under `prefix`, None where there is none.

    Raises DataBadError where there is something, but nothing complete, or something of a newer version.
    """
    found = [_read_slot(items, prefix + slot) for slot in _SLOTS]
    if any(slot.is_newer_version for slot in found):
        raise errors.DataBadError(
            "the saved sign-in in the keyring was written by a newer version of devicelogin",
            hint="use that version, or sign in again with this one: devicelogin login",
            code="newer_version",
        )
    for slot in _newest_first(found):
        record = _read_record(items, slot)
        if record is not None:
            return record
    if all(slot.raw is None for slot in found):
        return None
    raise errors.DataBadError(
        "the saved sign-in in the keyring is damaged", hint="sign in again: devicelogin login", code="damaged"
    )


def save(items: Items, prefix: str, record: Record) -> None:
    """Replace the record under `prefix`, read it back and sweep whatever a killed writer left.

    Raises StoreUnusableError where the record is too long (nothing was touched then) or is not there when it is read
    back; whatever `items` raises passes through. In all these cases the record saved before is intact.
    """
    text = to_ascii(record.text)
    parts = [text[start : start + PART_LENGTH] for start in range(0, len(text), PART_LENGTH)] or [""]
    if len(parts) > MOST_PARTS:
        raise errors.StoreUnusableError(
            f"the sign-in has {len(text)} characters and a keyring takes {PART_LENGTH * MOST_PARTS} of us; "
            "what was saved before is unchanged",
            hint="keep it in a sealed file: devicelogin login --store file",
            code="too_long",
        )
    found = {slot: _read_slot(items, prefix + slot) for slot in _SLOTS}
    target = prefix + _slot_to_write(items, found)
    other = prefix + next(slot for slot in _SLOTS if prefix + slot != target)
    sequence = 1 + max((slot.header.sequence for slot in found.values() if slot.header), default=0)
    header = _Header(sequence, len(parts), record.generation, _digest(sequence, record.generation, text))
    # A header over parts that are being replaced must not stand for one moment.
    items.delete(target)
    try:
        for number, part in enumerate(parts, 1):
            items.set(f"{target}{number}", part)
        items.set(target, header.as_text())
        written = _read_record(items, _read_slot(items, target))
    except BaseException:
        _try_to_delete(items, target)
        raise
    if written != record:
        _try_to_delete(items, target)
        raise errors.StoreUnusableError(
            "the keyring lost what it was given: reading it back gave something else; what was saved before is unchanged",
            hint="keep the sign-in in a sealed file: devicelogin login --store file",
            code="lost",
        )
    # From here the new record holds. What cannot be deleted now, the next save or logout deletes.
    _try_to_delete(items, other)
    for number in range(len(parts) + 1, MOST_PARTS + 1):
        with contextlib.suppress(Exception):
            items.delete(f"{target}{number}")


def delete(items: Items, prefix: str) -> None:
    """Delete every item under `prefix` and verify that they are gone. Raises StoreUnusableError where they are not."""
    found = _newest_first([_read_slot(items, prefix + slot) for slot in _SLOTS])
    # The older header goes first: killed in between, nobody finds an older record than the last one.
    headers = [slot.name for slot in reversed(found)] + [prefix + slot for slot in _SLOTS]
    names = list(dict.fromkeys(headers)) + [
        f"{prefix}{slot}{number}" for slot in _SLOTS for number in range(1, MOST_PARTS + 1)
    ]
    left = names
    for _ in range(_DELETE_ROUNDS):
        for name in left:
            items.delete(name)
        left = [name for name in left if items.get(name) is not None]
        if not left:
            return
    raise errors.StoreUnusableError(
        "the keyring did not delete the saved sign-in",
        hint="delete the items of the service devicelogin yourself, in your keyring's own program",
        code="not_deleted",
    )


def _read_slot(items: Items, name: str) -> _Slot:
    raw = items.get(name)
    if raw is None:
        return _Slot(name, None, None)
    try:
        data = json.loads(raw)
        if data["version"] > FORMAT_VERSION:
            return _Slot(name, raw, None, is_newer_version=True)
        header = _Header(data["sequence"], data["count"], data["generation"], data["digest"])
        numbers = (header.sequence, header.parts, header.generation)
        if not all(type(number) is int for number in numbers) or not 1 <= header.parts <= MOST_PARTS:
            return _Slot(name, raw, None)
    except (ValueError, TypeError, KeyError, RecursionError):
        return _Slot(name, raw, None)
    return _Slot(name, raw, header)


def _read_record(items: Items, slot: _Slot) -> Record | None:
    """Return the record of `slot`, None where it is not whole."""
    header = slot.header
    if header is None:
        return None
    parts = [items.get(f"{slot.name}{number}") for number in range(1, header.parts + 1)]
    text = "".join(part for part in parts if part is not None)
    if None in parts or not text.isascii():
        return None
    if not hmac.compare_digest(_digest(header.sequence, header.generation, text), str(header.digest)):
        return None
    return Record(header.generation, from_ascii(text))


def _newest_first(found: list[_Slot]) -> list[_Slot]:
    return sorted(
        (slot for slot in found if slot.header is not None),
        key=lambda slot: slot.header.sequence if slot.header else 0,
        reverse=True,
    )


def _slot_to_write(items: Items, found: dict[str, _Slot]) -> str:
    """Return the slot that does not hold the current record: an empty one, else the one that is not the newest whole."""
    empty = [name for name in _SLOTS if found[name].raw is None]
    if empty:
        return empty[0]
    for slot in _newest_first(list(found.values())):
        if _read_record(items, slot) is not None:
            return next(name for name in _SLOTS if found[name] is not slot)
    return _SLOTS[0]


def _try_to_delete(items: Items, slot_name: str) -> None:
    for name in (slot_name, *(f"{slot_name}{number}" for number in range(1, MOST_PARTS + 1))):
        with contextlib.suppress(Exception):
            items.delete(name)


def _digest(sequence: int, generation: int, text: str) -> str:
    return hashlib.sha256(f"{sequence} {generation} {text}".encode("ascii")).hexdigest()
