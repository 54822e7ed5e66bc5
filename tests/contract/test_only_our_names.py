"""What is deleted, and below which directories anything is made: only our own names, and nowhere that somebody else can change."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import conftest
import namespace
import pytest
import sandbox

from devicelogin import errors, settings
from devicelogin.tokens import access_cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no memory for cached tokens here")

#: What others may keep where our cache lies; the last ones look like ours and are not.
FOREIGN = ("grub", "scopes-zz", "scopes-0123456789abcdef0", "own.bak", ".new-grub-0123456789ab", ".new-own-1", "record")


@pytest.fixture
def apart() -> Iterator[sandbox.Box]:
    """A machine whose directories lie where they lie for people: below HOME, and in a runtime directory."""
    with sandbox.opened() as box:
        (box.home / "run").mkdir(mode=0o700)
        box.variables = {"XDG_RUNTIME_DIR": str(box.home / "run")}
        yield box


def cache_of(box: sandbox.Box) -> Path:
    return box.home / "run" / "devicelogin" / "default"


def is_kept(directory: Path) -> bool:
    return all((directory / name).read_text() == "precious" for name in FOREIGN)


@pytest.mark.parametrize("command", ["login", "logout", "move"])
def test_what_is_not_ours_in_the_cache_directory_stays(apart: sandbox.Box, command: str) -> None:
    """Whoever put it there: nothing fails for it, and our tokens go all the same."""
    apart.login()
    assert apart.token()
    for name in FOREIGN:
        (cache_of(apart) / name).write_text("precious")
    (cache_of(apart) / "directory").mkdir(mode=0o000)
    left = cache_of(apart) / ".new-own-0123456789ab"
    left.write_text("a token, left by a kill")
    before = apart.token()
    if command == "login":
        apart.login()
    else:
        apart.give_odd_keyrings()
        words = ("logout",) if command == "logout" else ("store", "move", "--to", sandbox.HONEST)
        result = apart.run(*words)
        assert result.status == 0, result
    assert is_kept(cache_of(apart))
    assert not left.exists()
    tokens = [path.read_text() for path in cache_of(apart).iterdir() if path.is_file()]
    assert not any(before in text for text in tokens)


@pytest.mark.parametrize("bits", [0o1777, 0o777, 0o770, 0o720])
def test_a_runtime_directory_that_others_may_write_into_is_not_used(apart: sandbox.Box, bits: int) -> None:
    """A link in it may be anybody's: what it leads to is neither read, written nor deleted, in the whole life of a sign-in."""
    victim = apart.home / "etc"
    (victim / "default").mkdir(parents=True)
    for name in (*FOREIGN, "own"):
        (victim / "default" / name).write_text("precious")
    (apart.home / "run").chmod(bits)
    (apart.home / "run" / "devicelogin").symlink_to(victim)
    apart.login()
    assert apart.token("--force-refresh")
    assert apart.run("logout").status == 0
    assert is_kept(victim / "default")
    assert (victim / "default" / "own").read_text() == "precious"
    assert len(list((victim / "default").iterdir())) == len(FOREIGN) + 1


@conftest.only_root("give a link away")
def test_a_link_of_somebody_else_in_the_runtime_directory_is_not_followed(apart: sandbox.Box) -> None:
    """Also in one that is private by now: it may not always have been."""
    victim = apart.home / "etc"
    (victim / "default").mkdir(parents=True)
    (victim / "default" / "own").write_text("precious")
    link = apart.home / "run" / "devicelogin"
    link.symlink_to(victim)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    apart.login()
    assert apart.token("--force-refresh")
    assert apart.run("logout").status == 0
    assert [path.read_text() for path in (victim / "default").iterdir()] == ["precious"]


#: Every command that reads or makes something of ours.
COMMANDS = (
    ("login", "--client-id", "5d2e8f60-4c1b-4a97-b3d8-7e9f0a1c2b3d", "--tenant", "contoso.com"),
    ("token",),
    ("graph", "me"),
    ("status",),
    ("status", "--json"),
    ("keepalive",),
    ("keepalive", "show"),
    ("keepalive", "install"),
    ("store", "move", "--to", "file"),
    ("logout",),
    ("logout", "--all"),
    ("doctor",),
)


def is_refused_everywhere(box: sandbox.Box, place: Path, **variables: str | None) -> None:
    """Every command ends with 78 and names `place`; none makes anything; and what prints a text prints it."""
    before = sorted(box.home.rglob("*"))
    for command in COMMANDS:
        result = box.run(*command, **variables)
        assert result.status == 78, (command, result)
        assert str(place) in result.err + result.out, (command, result)
        assert sorted(box.home.rglob("*")) == before, command
    for command in (("completion", "bash"), ("--help",), ("token", "--help"), ("--version",)):
        assert box.run(*command, **variables).status == 0, command


@conftest.only_root("give a directory away")
def test_below_a_home_of_somebody_else_no_command_does_anything(box: sandbox.Box) -> None:
    """`sudo -E`, `su` without a dash: the owner would be locked out of what root makes there."""
    home = box.home / "casey"
    home.mkdir(mode=0o755)
    os.chown(home, 12345, 12345)
    is_refused_everywhere(box, home, HOME=str(home), DEVICELOGIN_HOME=None)


@conftest.only_root("give a directory away")
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_below_any_directory_of_somebody_else_no_command_does_anything(box: sandbox.Box, below: str) -> None:
    """Whichever variable leads there, and however far above it is."""
    foreign = box.home / "casey"
    (foreign / below).mkdir(parents=True, mode=0o755)
    os.chown(foreign, 12345, 12345)
    place = str(foreign / below)
    is_refused_everywhere(box, foreign, DEVICELOGIN_HOME=None, XDG_CONFIG_HOME=place, XDG_STATE_HOME=place)
    is_refused_everywhere(box, foreign, DEVICELOGIN_HOME=f"{place}/home")


@pytest.mark.parametrize("bits", [0o777, 0o757])
def test_below_a_directory_that_others_may_write_into_no_command_does_anything(box: sandbox.Box, bits: int) -> None:
    """They could put another directory in the place of ours; where it is sticky they cannot."""
    shared = box.home / "shared"
    (shared / "mine").mkdir(parents=True, mode=0o700)
    shared.chmod(bits)
    is_refused_everywhere(box, shared, DEVICELOGIN_HOME=f"{shared}/mine/home")
    shared.chmod(bits | stat.S_ISVTX)
    assert box.run("status", DEVICELOGIN_HOME=f"{shared}/mine/home").status == 0


def test_a_link_on_the_way_is_looked_through(box: sandbox.Box) -> None:
    """What counts is where it leads: a private directory behind it is fine, a shared one is not."""
    (box.home / "real" / "mine").mkdir(parents=True, mode=0o700)
    (box.home / "link").symlink_to(box.home / "real")
    assert box.run("status", DEVICELOGIN_HOME=f"{box.home}/link/mine").status == 0
    (box.home / "real").chmod(0o777)
    is_refused_everywhere(box, box.home / "real", DEVICELOGIN_HOME=f"{box.home}/link/mine")
    (box.home / "round").symlink_to("round")
    assert box.run("status", DEVICELOGIN_HOME=f"{box.home}/round/mine").status == 78


@conftest.only_root("give a group away")
def test_a_group_counts_as_others_unless_only_we_are_in_it(tmp_path: Path) -> None:
    """Many systems give each user a group of that name, and a umask of 002; what they make is theirs alone."""
    environ = {"DEVICELOGIN_HOME": f"{tmp_path}/shared/home"}
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o775)
    settings.check_home_owner(environ)  # the group of root, in which is nobody else
    of_others = pwd.getpwnam("nobody").pw_gid
    for group in (of_others, 54321):  # and one that nobody knows
        os.chown(tmp_path / "shared", 0, group)
        with pytest.raises(errors.ConfigError, match="others may write into"):
            settings.check_home_owner(environ)


def test_a_group_with_a_member_whom_this_machine_does_not_know_counts_as_others(tmp_path: Path) -> None:
    """A directory service may know the member, and let them sign in here."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o775)
    for line in ("root:x:0:", "root:x:0:root", "root:x:0:root,someone-elsewhere"):
        (tmp_path / "group").write_text(f"{line}\n")
        before = namespace.mounting(
            'chgrp 0 "$1" && mount --bind "$0" /etc/group && shift && exec "$@"',
            tmp_path / "group",
            tmp_path / "shared",
        )
        program = (
            "import sys; from devicelogin import settings; settings.check_home_owner({'DEVICELOGIN_HOME': sys.argv[1]})"
        )
        command = [*before, sys.executable, "-c", program, f"{tmp_path}/shared/home"]
        ended = subprocess.run(command, cwd=sandbox.ROOT, capture_output=True, text=True, check=False)
        assert ("others may write into" in ended.stderr, ended.returncode) == (
            ("elsewhere" in line),
            int("elsewhere" in line),
        ), ended.stderr


def test_a_cached_token_of_the_future_is_not_served(box: sandbox.Box) -> None:
    """A container that was frozen and thawed elsewhere has another boot clock: by it, such a token would never expire."""
    box.sign_in()
    box.access_token()
    work = box.workplace()
    cache = work.token_cache(work.settings())
    entry = cache.read("")
    assert entry is not None
    assert box.token() == entry.token
    ahead = access_cache.boot_seconds() + 86_400
    entry.received_boot, entry.expires_boot, entry.early = ahead, ahead + 3600, ahead + 3000
    cache.write(entry)
    assert not entry.is_good(0)
    sent = box.emulator.count("refresh")
    assert box.token() != entry.token
    assert box.emulator.count("refresh") == sent + 1
