"""What a sign-in leaves on a machine is gone after a logout, wherever its parts lay; and what was signed in goes where it was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import conftest
import hook_notes
import keyring_session
import pytest
import sandbox

from devicelogin import errors
from devicelogin.client import moving, signing_out
from devicelogin.unattended import remote_login

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def disk_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[sandbox.Box]:
    """A machine without memory for access tokens: they are kept beside the refresh token."""
    with sandbox.opened_on_disk() as opened:
        monkeypatch.setenv("ODD_KEYRING_DIRECTORY", str(opened.give_odd_keyrings()))
        yield opened


def kept(box: sandbox.Box) -> set[str]:
    """Return the names of the files and items that hold something sealed or secret."""
    files = {file.name for file in (box.state / "default").iterdir() if file.name.startswith(("record", ".new-"))}
    return files | set(box.odd_items())


@pytest.mark.parametrize("store", ["file", sandbox.HONEST])
def test_a_logout_deletes_the_access_tokens_that_were_kept_for_want_of_memory(
    disk_box: sandbox.Box, store: str
) -> None:
    """They work for an hour after the refresh token is gone."""
    disk_box.sign_in(store=store)
    disk_box.access_token(force=True)
    assert any("access" in name for name in kept(disk_box)), "no access token was kept, so this proves nothing"
    signing_out.logout(disk_box.workplace())
    assert kept(disk_box) == set()


@pytest.mark.parametrize("ways", [("file", sandbox.HONEST), (sandbox.HONEST, "file")], ids=["away", "back"])
def test_a_move_leaves_no_access_token_in_the_old_place(disk_box: sandbox.Box, ways: tuple[str, str]) -> None:
    """Nobody would look for it there again."""
    disk_box.sign_in(store=ways[0])
    disk_box.access_token(force=True)
    moving.move(disk_box.workplace({"store": ways[1]}))
    in_file = {name for name in kept(disk_box) if name.startswith("record")}
    assert in_file == ({"record"} if ways[1] == "file" else set())
    assert bool(disk_box.odd_items()) == (ways[1] == sandbox.HONEST)
    disk_box.access_token(force=True)
    signing_out.logout(disk_box.workplace())
    assert kept(disk_box) == set()


@pytest.mark.keyring
def test_a_logout_deletes_the_access_tokens_of_a_real_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, asked of gnome-keyring itself."""
    conftest.need("gnome-keyring-daemon", "dbus-daemon")
    with keyring_session.started() as session, sandbox.opened_on_disk() as box:
        keyring_session.make_current(session, monkeypatch)
        box.variables.update(session.variables)
        box.sign_in(store="keyring")
        box.access_token(force=True)
        assert any("access" in name for name in session.items("devicelogin"))
        signing_out.logout(box.workplace())
        assert session.items("devicelogin") == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [("client_id", "0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a02"), ("authority", "https://login.example/common")],
)
def test_an_edited_profile_sends_the_refresh_token_nowhere(box: sandbox.Box, key: str, value: str) -> None:
    """It is pinned to the client and the authority that it was made with: 78, the two values, and no request at all."""
    box.sign_in()
    profile = box.config / "default.toml"
    old = next(line for line in profile.read_text().splitlines() if line.startswith(f"{key} ="))
    profile.write_text(profile.read_text().replace(old, f'{key} = "{value}"'))
    begun = len(box.emulator.requests)
    for command in (("token",), ("token", "--force-refresh"), ("graph", "me"), ("keepalive", "--older-than", "0")):
        result = box.run(*command)
        assert (result.status, result.out) == (78, ""), result
        assert value in result.err
    assert len(box.emulator.requests) == begun
    profile.write_text(profile.read_text().replace(f'{key} = "{value}"', old))
    box.check_works()


def test_a_new_sign_in_deletes_the_cached_tokens_of_the_old_one(box: sandbox.Box) -> None:
    """They are never served again, and would still work for an hour for whoever finds them."""
    box.sign_in(scopes=("User.Read", "Mail.Read"))
    old = {box.access_token(force=True).token, box.access_token(scopes=("Mail.Read",), force=True).token}
    box.sign_in(user="grace@contoso.example", options=sandbox.quick(replace=True))
    left = [path.read_text() for path in (box.runtime / "default").iterdir()]
    assert left
    assert not [text for text in left if any(token in text for token in old)]


def test_a_token_file_replaces_a_regular_file_of_ours_and_nothing_else(box: sandbox.Box) -> None:
    """A pipe, a directory, a link and a file of somebody else stay as they are: 74, and nothing is in them or behind them."""
    box.sign_in()
    directory = box.home / "out"
    (directory / "directory").mkdir(parents=True)
    os.mkfifo(directory / "pipe")
    (directory / "target").write_text("precious")
    (directory / "link").symlink_to(directory / "target")
    names = ["directory", "pipe", "link"]
    if os.getuid() == 0:
        (directory / "foreign").write_text("precious")
        os.chown(directory / "foreign", 12345, 12345)
        names.append("foreign")
    before = {path.name: path.lstat() for path in directory.iterdir()}
    for name in names:
        result = box.run("token", "--output-file", str(directory / name))
        assert (result.status, result.out) == (74, ""), result
        assert str(directory / name) in result.err
    assert {path.name: path.lstat()[:4] for path in directory.iterdir()} == {
        name: facts[:4] for name, facts in before.items()
    }
    assert (directory / "target").read_text() == "precious"


def test_nobody_is_sent_from_afar_to_an_address_that_the_provider_is_not_known_for() -> None:
    """On a screen a warning stands beside it; whoever gets a message sees none. Nothing is sent and nothing is noted."""
    with sandbox.opened(verification_uri="https://login.example/device") as box:
        box.sign_in()
        sent = box.home / "sent"
        hook_notes.add_to_profile(box.config, remote_login=True, on_code=["touch", str(sent)])
        box.emulator.revoke()
        assert box.run("token", "--force-refresh").status == 4
        with pytest.raises(errors.BadAnswerError, match=r"login\.example"):
            remote_login.ask(box.workplace(), note=lambda _: None, options=sandbox.quick())
        assert not sent.exists()
        assert not (box.state / "default" / "remote-login").exists()
