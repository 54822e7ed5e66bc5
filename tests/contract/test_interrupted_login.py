"""A login that was killed in the middle of saving: the next command finds what is there, and no secret loses its trace."""

from __future__ import annotations

import dataclasses

import pytest
import sandbox

from devicelogin import errors, models, secret_store
from devicelogin.client import signing_out

FILE = "file"
GRACE = "grace@contoso.example"


@pytest.fixture
def box(odd_box: sandbox.Box) -> sandbox.Box:
    return odd_box


def killed_before_saving(box: sandbox.Box) -> None:
    """Ada lies in the keyring; Grace was about to be saved in the file."""
    box.sign_in(store=sandbox.HONEST)
    old = box.trace()
    location = models.StoreLocation(kind="file", key="file", bind="none")
    grace = dataclasses.replace(old.account, username=GRACE, object_id="0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a02")
    pending = dataclasses.replace(old, state="pending", account=grace, location=location, previous=old.location)
    secret_store.write_sign_in(box.workplace().paths, pending)


def killed_after_saving(box: sandbox.Box) -> None:
    """Grace lies in the file, and Ada still in the keyring; the trace says pending."""
    box.sign_in(store=sandbox.HONEST)
    old, kept = box.trace(), box.odd_items()
    box.sign_in(store=FILE, user=GRACE, options=sandbox.quick(replace=True))
    assert not box.odd_items()
    for item, content in kept.items():
        (box.home / "items" / item).write_bytes(content)
    pending = dataclasses.replace(box.trace(), state="pending", previous=old.location)
    secret_store.write_sign_in(box.workplace().paths, pending)
    box.forget_cached()


def test_killed_before_saving_the_old_sign_in_gives_tokens(box: sandbox.Box) -> None:
    """The trace follows the record that is there."""
    killed_before_saving(box)
    assert box.access_token(force=True).token
    assert (box.trace().state, box.trace().account.username) == ("saved", "ada@contoso.example")


def test_killed_after_saving_the_new_sign_in_gives_tokens_and_the_old_secret_stays_traced(box: sandbox.Box) -> None:
    """Until a login or a logout deletes it."""
    killed_after_saving(box)
    assert box.access_token(force=True).token
    assert (box.trace().state, box.trace().account.username) == ("saved", GRACE)
    assert (box.trace().previous or box.trace().location).kind == sandbox.HONEST
    signing_out.logout(box.workplace())
    assert not box.odd_items()
    assert not (box.state / "default" / "record").exists()


@pytest.mark.parametrize("killed", [killed_before_saving, killed_after_saving])
@pytest.mark.parametrize("store", [FILE, sandbox.HONEST])
def test_the_next_login_leaves_one_secret_wherever_it_goes(box: sandbox.Box, killed: object, store: str) -> None:
    """No secret is orphaned: after it exactly the chosen store holds one."""
    assert callable(killed)
    killed(box)
    box.sign_in(store=store, options=sandbox.quick(replace=True))
    assert bool(box.odd_items()) == (store == sandbox.HONEST)
    assert (box.state / "default" / "record").exists() == (store == FILE)
    assert (box.trace().state, box.trace().previous) == ("saved", None)
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
    assert not box.odd_items()
    assert not (box.state / "default" / "record").exists()
    assert box.status().state == "signed-out"
