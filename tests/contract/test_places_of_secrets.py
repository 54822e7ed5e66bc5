"""Where secrets lie, and that none is lost or forgotten when a login moves one, fails, or finds something it cannot read."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import keyring_session
import pytest
import sandbox

from devicelogin import errors, models, secret_store
from devicelogin.client import signing_out
from devicelogin.secret_store import machine, sealed_file

if TYPE_CHECKING:
    from pathlib import Path

GRACE = "grace@contoso.example"

#: Keeps its items where `Honest` does, takes short ones, and refuses long ones as a keyring that is full does.
FULL = """
import odd_keyrings

class Full(odd_keyrings.Honest):
    priority = 1

    def set_password(self, service, username, password):
        if "access" not in username and (password.startswith('{"version') or len(password) > 1000):
            if "probe" not in username:
                raise OSError("no room")
        super().set_password(service, username, password)
"""


@pytest.fixture
def box(odd_box: sandbox.Box) -> sandbox.Box:
    return odd_box


def record(box: sandbox.Box) -> Path:
    return box.state / "default" / "record"


def damage_trace(box: sandbox.Box, content: str = '{"format_version": 1, "state"') -> None:
    (box.state / "default" / "sign-in").write_text(content)


@pytest.mark.parametrize("bind", ["machine", "none"])
def test_a_login_that_binds_otherwise_keeps_the_new_record(box: sandbox.Box, bind: str) -> None:
    """How a file is sealed is not where it lies: the record just saved is not taken for the old one and deleted."""
    if bind == "machine" and machine.machine_id() is None:
        pytest.skip("this machine has no id to bind to")
    box.login()
    with (box.config / "default.toml").open("a") as profile:
        profile.write(f'bind = "{bind}"\n')
    box.login()
    assert (box.trace().location.bind, box.trace().previous) == (bind, None)
    box.check_works()


@pytest.mark.parametrize("changed", [{"bind": "somewhere"}, {"key": "elsewhere"}], ids=str)
def test_a_login_whose_trace_says_another_key_or_binding_keeps_the_new_record(
    box: sandbox.Box, changed: dict[str, str]
) -> None:
    """The same for whatever an older trace says of how the file was sealed."""
    box.sign_in()
    old = box.trace()
    secret_store.write_sign_in(
        box.workplace().paths, dataclasses.replace(old, location=dataclasses.replace(old.location, **changed))
    )
    box.sign_in()
    assert box.trace() == old
    box.check_works()


class FileThatFillsUp:
    """The real sealed file, bound otherwise, on a disk that is full when the record is to be saved."""

    def __init__(self, box: sandbox.Box, bind: str) -> None:
        self.location = models.StoreLocation(kind="file", key="file", bind=bind)
        self._real = sealed_file.SealedFile(self.location, box.workplace().paths)
        self.protection = self._real.protection

    def probe(self) -> None:
        """Say yes, as there is room yet."""

    def load(self) -> models.SecretRecord | None:
        return self._real.load()

    def save(self, record: models.SecretRecord) -> None:
        raise errors.StoreUnusableError("the disk is full")

    def delete(self) -> None:
        self._real.delete()


def test_a_save_that_fails_keeps_the_old_record_of_another_binding(box: sandbox.Box) -> None:
    """What is taken back after a failed save is not the record of before, which lies in the same file."""
    box.sign_in()
    old, before = box.trace(), record(box).read_bytes()
    bind = "none" if old.location.bind == "machine" else "machine"
    with pytest.raises(errors.StoreUnusableError, match="full"):
        box.sign_in(given=FileThatFillsUp(box, bind))
    assert record(box).read_bytes() == before
    assert box.trace() == old
    box.check_works()


def test_two_names_of_one_keyring_lose_no_record(box: sandbox.Box) -> None:
    """Nobody can tell beforehand that two classes keep their items in one place; so what was saved is looked at again."""
    box.sign_in(store=sandbox.HONEST)
    box.sign_in(store=sandbox.NOSY)
    assert box.trace().location.kind == sandbox.NOSY
    assert box.odd_items()
    box.check_works()
    signing_out.logout(box.workplace())
    assert not box.odd_items()


def test_a_save_that_fails_keeps_the_record_under_another_name_of_the_keyring(
    box: sandbox.Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where the new name takes the probe and then not the record: the old sign-in is as it was."""
    (tmp_path / "full_keyring.py").write_text(FULL)
    monkeypatch.syspath_prepend(str(tmp_path))
    box.sign_in(store=sandbox.HONEST)
    old = box.trace()
    with pytest.raises(errors.StoreUnusableError):
        box.sign_in(store="keyring:full_keyring.Full")
    assert box.trace() == old
    assert box.odd_items()
    box.check_works()


@pytest.mark.parametrize("previous", ["same", "other binding", "other name"])
def test_a_login_that_ends_early_after_a_killed_one_deletes_nothing(box: sandbox.Box, previous: str) -> None:
    """A trace left pending whose older place is the new one's: what is settled first deletes no record."""
    box.sign_in(store=sandbox.HONEST if previous == "other name" else "file")
    old = box.trace()
    places = {
        "same": old.location,
        "other binding": dataclasses.replace(old.location, bind="somewhere"),
        "other name": dataclasses.replace(old.location, kind=sandbox.NOSY, backend="odd_keyrings.Nosy"),
    }
    pending = dataclasses.replace(old, state="pending", previous=places[previous])
    secret_store.write_sign_in(box.workplace().paths, pending)
    box.emulator.approve_next()
    refused = box.run("login", *box.app(client_id=box.emulator.not_public_client_id, store=None))
    assert refused.status == 78
    assert record(box).exists() == (previous != "other name")
    assert bool(box.odd_items()) == (previous == "other name")
    box.check_works()


@pytest.mark.keyring
def test_an_old_secret_in_a_locked_keyring_stays_traced_until_a_logout_deletes_it(
    box: sandbox.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login to the file works while the keyring is locked; the old secret there is not forgotten."""
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        box.sign_in(store="keyring")
        assert session.items("devicelogin")
        session.lock()
        box.sign_in(store="file")
        assert box.trace().location.kind == "file"
        assert box.trace().previous is not None
        box.access_token(force=True)
        with pytest.raises(errors.StoreUnusableError, match="locked"):
            signing_out.logout(box.workplace())
        assert box.trace().previous is not None
        session.kill_service()
        session.start_service()
        assert session.items("devicelogin")
        signing_out.logout(box.workplace())
        assert session.items("devicelogin") == {}
        assert box.status().state == "signed-out"
        assert not record(box).exists()


def test_logout_with_a_damaged_trace_and_no_keyring_to_ask_is_73_and_the_trace_stays(box: sandbox.Box) -> None:
    """It may be in the keyring, which cannot be asked: no success is claimed, and a second run can finish."""
    box.sign_in()
    record(box).unlink()
    damage_trace(box)
    result = box.run("logout")
    assert result.status == 73, result
    assert (box.state / "default" / "sign-in").exists()


def test_logout_with_a_damaged_trace_and_a_sealed_record_deletes_it_and_its_key(box: sandbox.Box) -> None:
    """The record is where it always is, so a keyring that cannot be asked is no reason to stop."""
    box.sign_in()
    damage_trace(box)
    result = box.run("logout")
    assert result.status == 0, result
    assert not record(box).exists()
    assert not (box.config / "keys" / "default.key").exists()
    assert box.run("token").status == 4


def test_logout_with_a_trace_of_a_newer_version_is_65_and_deletes_nothing(box: sandbox.Box) -> None:
    """What a newer version wrote, that version can end."""
    box.sign_in()
    newer = json.dumps({"format_version": 2, "state": "saved"})
    damage_trace(box, newer)
    assert box.run("logout").status == 65
    assert (box.state / "default" / "sign-in").read_text() == newer
    assert record(box).exists()


def test_a_damaged_trace_lets_nobody_else_replace_the_sign_in(box: sandbox.Box) -> None:
    """D14 holds by the record: whose it is still counts where its trace cannot be read."""
    box.sign_in()
    before = record(box).read_bytes()
    damage_trace(box)
    box.emulator.approve_next(user=GRACE)
    result = box.run("login", *box.app())
    assert result.status == 5, result
    assert "ada@contoso.example" in result.lines("error")[0]
    assert record(box).read_bytes() == before
    box.login()
    box.check_works()
    damage_trace(box)
    box.login("--replace", user=GRACE)
    assert box.trace().account.username == GRACE
