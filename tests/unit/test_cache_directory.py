"""Where cached access tokens go: into memory, else into the secret store, never in the clear onto a disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import sandbox

from devicelogin.tokens import access_cache, cache_directory

MEMORY = Path("/dev/shm")


@pytest.mark.skipif(not sandbox.has_memory(), reason="no memory at /dev/shm")
def test_a_tmpfs_is_known_also_below_directories_yet_to_be_made() -> None:
    """The directory need not exist: where it would be made decides."""
    assert cache_directory.is_memory(str(MEMORY))
    assert cache_directory.is_memory(str(MEMORY / "not" / "there" / "yet"))


def test_other_file_systems_are_no_memory() -> None:
    """proc and sys are in memory and still not for us; a disk is a disk."""
    assert not cache_directory.is_memory("/proc")
    assert not cache_directory.is_memory("/sys")


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    """A link on a disk to a tmpfs is memory, one from a tmpfs to a disk is not."""
    disk = Path(tempfile.mkdtemp(dir=sandbox.disk()))
    try:
        inside = Path(tempfile.mkdtemp(dir=MEMORY))
        (inside / "away").symlink_to(disk)
        assert not cache_directory.is_memory(str(inside / "away"))
        (disk / "home").symlink_to(inside)
        assert cache_directory.is_memory(str(disk / "home"))
        (disk / "home").unlink()
        (inside / "away").unlink()
        inside.rmdir()
    finally:
        disk.rmdir()


def test_without_memory_access_tokens_go_into_the_secret_store() -> None:
    """D5: they are found again there, and a byte search finds them nowhere."""
    with sandbox.opened_on_disk() as box:
        box.sign_in()
        first = box.access_token()
        assert box.access_token().token == first.token
        assert box.emulator.count("refresh") == 0
        second = box.access_token(force=True)
        assert box.access_token().token == second.token
        for place in box.home.rglob("*"):
            assert not place.is_file() or second.token.encode() not in place.read_bytes()
        assert not list(box.runtime.rglob("*"))


def test_with_the_cache_off_nothing_is_written(box: sandbox.Box) -> None:
    """cache = "off" keeps access tokens nowhere; each call refreshes."""
    box.sign_in()
    profile = box.config / "default.toml"
    profile.write_text(profile.read_text() + 'cache = "off"\n')
    for file in (box.runtime / "default").iterdir():
        file.unlink()
    first, second = box.access_token(), box.access_token()
    assert first.token != second.token
    assert not list((box.runtime / "default").iterdir())


def test_a_token_is_cached_for_its_own_scopes_only(box: sandbox.Box) -> None:
    """One file per scope set; asking in another order or case finds the same one."""
    box.sign_in(scopes=["User.Read", "Mail.Read"])
    mail = box.access_token(scopes=("Mail.Read",))
    assert box.access_token().token != mail.token
    assert box.access_token(scopes=("mail.read",)).token == mail.token
    both = box.access_token(scopes=("User.Read", "Mail.Read"))
    assert box.access_token(scopes=("MAIL.READ", "user.read")).token == both.token
    assert box.emulator.count("refresh") == 2
    assert access_cache.file_name(access_cache.scope_line(("Mail.Read",))) in os.listdir(box.runtime / "default")
