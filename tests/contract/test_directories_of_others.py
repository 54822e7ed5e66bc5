"""The directories on the way to our files: whoever may write into one of them chooses what we read."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import namespace
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLACES = ["", "config", "config/keys", "state", "state/default", "runtime", "runtime/default"]


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened() as opened:
        opened.sign_in()
        assert opened.token()
        yield opened


def is_refused(box: sandbox.Box, place: Path, *words: str) -> None:
    """Whatever needs the secret ends with 78 and sends nothing; status shows why; login is refused before it asks."""
    sent = len(box.emulator.requests)
    for command in (["token", "--force-refresh"], ["logout"], ["login", *box.app()]):
        result = box.run(*command)
        assert result.status == 78, result
        assert str(place) in result.lines("error")[0], result
        assert all(word in result.err for word in words), result
    assert len(box.emulator.requests) == sent
    status = box.run("status")
    assert f"cannot be read: {place}" in status.out or f"may write into {place}" in status.out, status


@pytest.mark.parametrize("place", PLACES)
def test_a_directory_that_others_may_write_into_is_refused(box: sandbox.Box, place: str) -> None:
    """At every level, with the command that mends it; and then all is as before."""
    path = box.home / "all" / place
    path.chmod(0o777)
    is_refused(box, path, f"chmod go-w {path}")
    path.chmod(0o700)
    assert box.token("--force-refresh")


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_link_in_the_place_of_a_directory_of_ours_is_refused(box: sandbox.Box, place: str) -> None:
    """Even one to a directory that is ours: who put it there can put another."""
    path = box.home / "all" / place
    path.rename(box.home / "elsewhere")
    path.symlink_to(box.home / "elsewhere")
    is_refused(box, path, "is a link")


@pytest.mark.parametrize("place", PLACES)
def test_a_directory_of_somebody_else_is_refused(box: sandbox.Box, place: str) -> None:
    """At every level."""
    conftest.need_root("give a directory away")
    path = box.home / "all" / place
    os.chown(path, 12345, 12345)
    is_refused(box, path, "12345")


def _apart(home: Path) -> dict[str, str | None]:
    return {"DEVICELOGIN_HOME": None, "XDG_CONFIG_HOME": f"{home}/c", "XDG_STATE_HOME": f"{home}/s"}


def _together(home: Path) -> dict[str, str | None]:
    return {"DEVICELOGIN_HOME": f"{home}/linked"}


@pytest.mark.parametrize("variables", [_apart, _together])
def test_the_outermost_directory_may_be_a_link(variables: Callable[[Path], dict[str, str | None]]) -> None:
    """systemd makes one of a StateDirectory, and people keep their settings elsewhere; what lies around is not ours."""
    with sandbox.opened() as box:
        for name in ("real-c", "real-s", "real", "c", "s"):
            (box.home / name).mkdir(mode=0o755)
        for name in ("c", "s"):
            (box.home / name / "devicelogin").symlink_to(box.home / f"real-{name}")
            # Many systems give each user a group; that of `nobody` is shared.
            is_shared = [account.pw_gid for account in pwd.getpwall()].count(os.getgid()) > 1
            (box.home / name).chmod(0o755 if is_shared else 0o775)
        (box.home / "linked").symlink_to(box.home / "real")
        box.emulator.approve_next()
        result = box.run("login", *box.app(), **variables(box.home))
        assert result.status == 0, result
        assert box.run("token", "--force-refresh", **variables(box.home)).status == 0


@pytest.mark.parametrize("is_mounted", [True, False])
def test_a_volume_of_root_that_is_open_to_all_may_be_the_home(is_mounted: bool) -> None:
    """Kubernetes mounts an emptyDir 0777 and root's; a plain directory like that is anybody's, and refused."""
    conftest.need_root("become another user")
    conftest.need("setpriv")
    volume = Path(tempfile.mkdtemp(prefix="devicelogin-volume-"))
    try:
        volume.chmod(0o777)
        program = "from devicelogin import private_files; import sys; private_files.check_outermost(sys.argv[1])"
        command = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all,+dac_read_search"]
        command += ["--ambient-caps=-all,+dac_read_search", sys.executable, "-c", program, str(volume)]
        if is_mounted:
            command[:0] = namespace.mounting('mount -t tmpfs -o mode=777 tmpfs "$0" && exec "$@"', volume)
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        if is_mounted:
            assert done.returncode == 0, done.stderr
        else:
            assert f"others may write into {volume}" in done.stderr
    finally:
        shutil.rmtree(volume)
