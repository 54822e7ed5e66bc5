"""Records are what a frozen dataclass is, made in half the time."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from devicelogin import models

PLACE = models.StoreLocation(kind="file", key="file")


def test_a_record_does_not_change() -> None:
    """No field is set twice, none deleted, none added."""
    for change in (lambda: setattr(PLACE, "kind", "keyring"), lambda: delattr(PLACE, "kind")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    with pytest.raises(AttributeError):
        PLACE.other = 1  # type: ignore[attr-defined]
    assert PLACE.kind == "file"


def test_equal_records_are_one_member_of_a_set() -> None:
    """They compare and hash by what they hold."""
    assert len({PLACE, models.StoreLocation(kind="file", key="file"), models.StoreLocation(kind="keyring")}) == 2
    assert models.StoreLocation(kind="file", key="file") == PLACE


def test_records_are_copied_and_changed_as_dataclasses_are() -> None:
    """`replace`, `asdict`, `copy` and `pickle` work; positions do not."""
    assert dataclasses.replace(PLACE, key="command").key == "command"
    assert dataclasses.asdict(PLACE)["kind"] == "file"
    assert copy.deepcopy(PLACE) == PLACE == pickle.loads(pickle.dumps(PLACE))
    with pytest.raises(TypeError):
        models.StoreLocation("file")  # type: ignore[call-arg,misc]


def test_no_secret_is_in_the_repr() -> None:
    """Fields that hold a secret are left out of it."""
    record = models.SecretRecord(generation=1, text="canary")
    assert "canary" not in repr(record)
    assert "generation=1" in repr(record)


@pytest.mark.parametrize(
    ("username", "wanted"),
    [
        ("\N{LATIN SMALL LETTER LONG S}\N{LATIN SMALL LETTER LONG S}", "ss"),
        ("\N{KELVIN SIGN}", "k"),
        ("\N{LATIN SMALL LIGATURE FI}", "fi"),
    ],
)
def test_folding_makes_nobody_somebody_else(username: str, wanted: str) -> None:
    """SECURITY: what is ASCII is never the same user name as what is not, whatever Unicode folds it to."""
    account = models.Account(username=username, name=wanted, issuer="https://keys.example", subject="1")
    assert account.is_named(username)
    assert not account.is_named(wanted)
