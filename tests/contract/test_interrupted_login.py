"""A login that was killed in the middle of saving: the next command finds what is there, and no secret loses its trace."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin import errors, models, secret_store
from devicelogin.client import signing_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "file"
KEYRING = "keyring:odd_keyrings.Honest"
GRACE = "grace@contoso.example"


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[sandbox.Box]:
    with sandbox.opened(mode="strict") as opened:
        (opened.home / "items").mkdir()
        monkeypatch.setenv("ODD_KEYRING_DIRECTORY", str(opened.home / "items"))
        yield opened


def items(box: sandbox.Box) -> list[Path]:
    return list((box.home / "items").iterdir())


def trace(box: sandbox.Box) -> models.SignIn:
    found = secret_store.read_sign_in(box.workplace().paths)
    assert found is not None
    return found


def forget_cached(box: sandbox.Box) -> None:
    for file in (box.runtime / "default").iterdir():
        file.unlink()


def killed_before_saving(box: sandbox.Box) -> None:
    """Ada lies in the keyring; Grace was about to be saved in the file."""
    box.sign_in(store=KEYRING)
    old = trace(box)
    location = models.StoreLocation(kind="file", key="file", bind="none")
    grace = dataclasses.replace(old.account, username=GRACE, object_id="0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a02")
    pending = dataclasses.replace(old, state="pending", account=grace, location=location, previous=old.location)
    secret_store.write_sign_in(box.workplace().paths, pending)


def killed_after_saving(box: sandbox.Box) -> None:
    """Grace lies in the file, and Ada still in the keyring; the trace says pending."""
    box.sign_in(store=KEYRING)
    old, kept = trace(box), {item: item.read_bytes() for item in items(box)}
    box.sign_in(store=FILE, user=GRACE, options=sandbox.quick(replace=True))
    assert not items(box)
    for item, content in kept.items():
        item.write_bytes(content)
    pending = dataclasses.replace(trace(box), state="pending", previous=old.location)
    secret_store.write_sign_in(box.workplace().paths, pending)
    forget_cached(box)


def test_killed_before_saving_the_old_sign_in_gives_tokens(box: sandbox.Box) -> None:
    """The trace follows the record that is there."""
    killed_before_saving(box)
    assert box.access_token(force=True).token
    assert (trace(box).state, trace(box).account.username) == ("saved", "ada@contoso.example")


def test_killed_after_saving_the_new_sign_in_gives_tokens_and_the_old_secret_stays_traced(box: sandbox.Box) -> None:
    """Until a login or a logout deletes it."""
    killed_after_saving(box)
    assert box.access_token(force=True).token
    assert (trace(box).state, trace(box).account.username) == ("saved", GRACE)
    assert (trace(box).previous or trace(box).location).kind == KEYRING
    signing_out.logout(box.workplace())
    assert not items(box)
    assert not (box.state / "default" / "record").exists()


@pytest.mark.parametrize("killed", [killed_before_saving, killed_after_saving])
@pytest.mark.parametrize("store", [FILE, KEYRING])
def test_the_next_login_leaves_one_secret_wherever_it_goes(box: sandbox.Box, killed: object, store: str) -> None:
    """No secret is orphaned: after it exactly the chosen store holds one."""
    assert callable(killed)
    killed(box)
    box.sign_in(store=store, options=sandbox.quick(replace=True))
    assert bool(items(box)) == (store == KEYRING)
    assert (box.state / "default" / "record").exists() == (store == FILE)
    assert (trace(box).state, trace(box).previous) == ("saved", None)
    assert box.access_token(force=True).token


def test_the_account_that_counts_is_the_one_really_saved(box: sandbox.Box) -> None:
    """D14 after a kill: Ada is saved, whatever the pending trace says, so Ada may sign in and Grace may not."""
    killed_before_saving(box)
    with pytest.raises(errors.LoginNotCompletedError, match=r"ada@contoso\.example"):
        box.sign_in(store=FILE, user=GRACE)
    killed_before_saving(box)
    assert box.sign_in(store=FILE).account.username == "ada@contoso.example"


@pytest.mark.parametrize("killed", [killed_before_saving, killed_after_saving])
def test_a_logout_deletes_both(box: sandbox.Box, killed: object) -> None:
    """L04: all parts are gone."""
    assert callable(killed)
    killed(box)
    signing_out.logout(box.workplace())
    assert not items(box)
    assert not (box.state / "default" / "record").exists()
    assert box.status().state == "signed-out"
