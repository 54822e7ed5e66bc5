"""The cache entry: its format, and the one rule for when a cached token is good."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import conftest
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicelogin.tokens import access_cache

if TYPE_CHECKING:
    from pathlib import Path


class Files:
    """A profile file, a sign-in file and a cache directory."""

    def __init__(self, directory: Path) -> None:
        self.profile, self.sign_in, self.cache = directory / "default.toml", directory / "sign-in", directory / "cache"
        self.profile.write_text("tenant = 'a'\n")
        self.sign_in.write_text("{}\n")
        self.cache.mkdir(mode=0o700)

    def entry(self, *, lifetime: float = 3600, age: float = 0, **changes: object) -> access_cache.Entry:
        boot, wall = access_cache.boot_seconds() - age, time.time() - age
        entry = access_cache.Entry()
        entry.profile_stat = access_cache.stat_line(str(self.profile))
        entry.sign_in_stat = access_cache.stat_line(str(self.sign_in))
        entry.asked, entry.granted = "", "User.Read openid"
        entry.boot = access_cache.boot_id()
        entry.received_boot, entry.received_wall = boot, wall
        entry.expires_boot = boot + lifetime
        entry.expires_wall = entry.expires_server = wall + lifetime
        entry.early, entry.min_valid, entry.token = boot + lifetime * 0.9, None, "TOKEN"
        for name, value in changes.items():
            assert hasattr(entry, name)
            setattr(entry, name, value)
        return entry

    def write(self, entry: access_cache.Entry) -> Path:
        file = self.cache / access_cache.file_name(entry.asked)
        file.touch(mode=0o600)
        file.write_text(entry.render())
        return file

    def read(self, asked: str = "") -> access_cache.Entry | None:
        return access_cache.read(str(self.cache), asked, str(self.profile), str(self.sign_in))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_what_was_written_is_read(files: Files) -> None:
    """Every field survives; times to the millisecond."""
    written = files.entry(min_valid=120.0)
    files.write(written)
    read = files.read()
    assert read is not None
    for name in access_cache.Entry.__annotations__:
        there, here = getattr(read, name), getattr(written, name)
        assert there == (pytest.approx(here, abs=0.001) if isinstance(here, float) else here)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_file_that_others_may_read_is_refused(files: Files, mode: int) -> None:
    """It may have been written by somebody else, too."""
    files.write(files.entry()).chmod(mode)
    assert files.read() is None


def test_a_link_a_directory_and_a_fifo_are_refused(files: Files) -> None:
    """Only a regular file counts, and nobody waits for the other end of a pipe."""
    file = files.write(files.entry())
    moved = file.rename(files.cache / "elsewhere")
    file.symlink_to(moved)
    assert files.read() is None
    file.unlink()
    file.mkdir(mode=0o700)
    assert files.read() is None
    file.rmdir()
    os.mkfifo(file, 0o600)
    assert files.read() is None


def test_a_file_of_somebody_else_is_refused(files: Files) -> None:
    """A token that another user put there is not ours."""
    conftest.need_root("give a file away")
    os.chown(files.write(files.entry()), 65534, 65534)
    assert files.read() is None


def test_a_file_larger_than_any_token_is_refused(files: Files) -> None:
    """Reading stays bounded."""
    files.write(files.entry(token="x" * 190_000))
    assert files.read() is not None
    files.write(files.entry(token="x" * 200_000))
    assert files.read() is None


def edit_in_place(file: Path) -> None:
    facts = file.stat()
    content = file.read_bytes()
    file.write_bytes(content.swapcase())
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # size and mtime as before; ctime tells


def replace(file: Path) -> None:
    new = file.with_name("new")
    new.write_bytes(file.read_bytes())
    facts = file.stat()
    os.utime(new, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    new.rename(file)


@pytest.mark.parametrize("which", ["profile", "sign_in"])
@pytest.mark.parametrize(
    "change",
    [edit_in_place, replace, lambda file: file.unlink(), os.utime, lambda f: f.chmod(0o600)],
)
def test_any_change_of_profile_or_sign_in_makes_the_token_void(files: Files, which: str, change: object) -> None:
    """D5: an edit, a login, a logout is seen at once, also where size and mtime were put back."""
    assert callable(change)
    files.write(files.entry())
    assert files.read() is not None
    time.sleep(0.02)  # the kernel's clock for files moves in ticks
    change(getattr(files, which))
    assert files.read() is None


def test_a_profile_that_appears_makes_the_token_void(files: Files) -> None:
    """No profile file is a state as well, and one without a sign-in is never good."""
    files.profile.unlink()
    files.write(files.entry())
    assert files.read() is not None
    files.profile.write_text("")
    assert files.read() is None
    files.sign_in.unlink()
    files.write(files.entry())
    assert files.read() is None


def test_a_token_of_other_scopes_under_the_same_name_is_refused(files: Files) -> None:
    """Two scope sets that share a file name only displace each other."""
    file = files.write(files.entry(asked="mail.read"))
    file.rename(files.cache / access_cache.file_name("files.read"))
    assert files.read("files.read") is None


@pytest.mark.parametrize(
    ("lifetime", "left", "asked", "own", "good"),
    [
        (3600, 301, None, None, True),
        (3600, 299, None, None, False),
        (600, 201, None, None, True),
        (600, 199, None, None, False),
        (3600, 61, 60.0, None, True),
        (3600, 59, 60.0, None, False),
        (3600, 1, 0.0, None, True),
        (3600, -1, 0.0, None, False),
        (3600, 100, None, 90.0, True),
        (3600, 100, None, 110.0, False),
        (3600, 100, 90.0, 110.0, True),
    ],
)
def test_how_long_a_token_must_last(
    files: Files, lifetime: float, left: float, asked: float | None, own: float | None, good: bool
) -> None:
    """What the caller asks, else what the profile wants, else the smaller of 300 s and a third of its lifetime."""
    assert files.entry(lifetime=lifetime, age=lifetime - left, min_valid=own).is_good(asked) is good


def test_within_a_boot_the_boot_clock_says_how_long_it_lasts(files: Files) -> None:
    """A wall clock that was set back does not prolong a token; one that says expired is believed."""
    boot, wall = access_cache.boot_seconds(), time.time()
    assert files.entry(expires_boot=boot - 1, expires_wall=wall + 10**6).seconds_left() == 0
    assert files.entry(expires_boot=boot + 500, expires_wall=wall + 10**6).seconds_left() == pytest.approx(500, abs=1)
    assert files.entry(expires_boot=boot + 500, expires_wall=wall - 1).seconds_left() == 0


def test_across_boots_the_wall_clock_says_so(files: Files) -> None:
    """By the server's word and by ours, whichever is earlier; a clock from before the token came says nothing."""
    wall, boot = time.time(), access_cache.boot_seconds()

    def left(**changes: float) -> float:
        return files.entry(boot="another", expires_boot=boot + 10**6, **changes).seconds_left()

    assert left(expires_wall=wall + 500, expires_server=wall + 900) == pytest.approx(500, abs=1)
    assert left(expires_wall=wall + 900, expires_server=wall + 500) == pytest.approx(500, abs=1)
    assert left(expires_wall=wall - 1, expires_server=wall + 500) == 0
    assert left(received_wall=wall + 100, expires_wall=wall + 500, expires_server=wall + 500) == 0


def test_a_system_without_a_boot_id_never_takes_two_boots_for_one(files: Files) -> None:
    """An empty id is no boot at all: the wall clock decides."""
    assert files.entry(boot="", expires_boot=0.0).seconds_left() > 0


def test_a_token_of_a_moment_to_come_was_not_received_meanwhile(files: Files) -> None:
    """After a freeze the boot clock of a container may be another one; taken for new, no refresh would ever be forced."""
    began = access_cache.boot_seconds() - 5
    assert files.entry(age=1).was_received_since(began)
    assert not files.entry(age=10).was_received_since(began)
    assert not files.entry(age=-1000).was_received_since(began)


def test_an_early_refresh_can_be_put_off(files: Files) -> None:
    """After a failed one nobody tries for a while, and the entry is this boot's from then on."""
    entry = files.entry(early=0.0, boot="another")
    assert entry.is_early_due()
    entry.postpone_early(60)
    assert not entry.is_early_due()
    assert entry.is_good(300)


def test_scopes_are_named_without_regard_to_order_case_and_repetition() -> None:
    """Whoever asks for the same finds the same file; the empty set is the profile's own."""
    assert access_cache.scope_line(("User.Read", "a.b", "user.read")) == "a.b user.read"
    assert access_cache.file_name("") == "own"
    assert access_cache.file_name("a") != access_cache.file_name("b")


@settings(max_examples=300)
@given(st.text() | st.lists(st.text(max_size=30), max_size=14).map("\n".join))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    """What lies in the directory may be anything."""
    access_cache.parse(text)
    access_cache.parse("devicelogin-access-token 1\n" + text)


@settings(max_examples=500)
@given(st.data())
def test_a_damaged_entry_is_none_or_harmless(data: st.DataObject) -> None:
    """Whatever single line is wrong: no exception, neither on reading nor on asking, and no time without end."""
    good = any_entry().render().split("\n")
    place = data.draw(st.integers(0, len(good) - 1))
    word = data.draw(st.sampled_from(["nan", "inf", "-inf", "1e400", "-1", "1e300", "0x1", "", "1_0", "9" * 30]))
    good[place] = data.draw(
        st.text() | st.just(good[place].partition(" ")[0] + (" " + word) * data.draw(st.integers(1, 3)))
    )
    entry = access_cache.parse("\n".join(good))
    if entry is not None:
        assert entry.seconds_left() < 10**12
        assert entry.is_good(None) in {True, False}
        assert entry.is_early_due() in {True, False}
        time.gmtime(entry.expires_server)


def any_entry() -> access_cache.Entry:
    entry = access_cache.Entry()
    entry.profile_stat, entry.sign_in_stat, entry.asked, entry.granted, entry.boot = "-", "1 2 3 4 5", "", "", "b"
    entry.received_boot = entry.received_wall = 1.0
    entry.expires_boot = entry.expires_wall = entry.expires_server = 2.0
    entry.early, entry.min_valid, entry.token = 1.5, None, "t"
    return entry
