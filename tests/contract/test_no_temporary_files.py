"""A read-only system without a directory for temporary files, as hardened containers and boards have it."""

from __future__ import annotations

import namespace
import pytest
import sandbox

#: Makes each directory of temporary files read-only, also for root, and the working directory one of them.
_READ_ONLY = """
for place in /tmp /var/tmp; do
    mount --bind "$place" "$place" || exit 99
    mount -o remount,bind,ro "$place" || mount -o remount,bind,ro,nosuid,nodev,noexec "$place" || exit 99
done
cd /var/tmp && exec "$@"
"""


@pytest.fixture
def before() -> list[str]:
    return namespace.mounting(_READ_ONLY, "sh")


def test_a_sign_in_needs_no_directory_for_temporary_files(box: sandbox.Box, before: list[str]) -> None:
    """Nothing is drawn into a file, so none is made: the person who has the code in hand is signed in."""
    box.emulator.approve_next()
    assert box.start("login", *box.app(), before=before).finish().status == 0
    assert box.start("token", "--force-refresh", before=before).finish().status == 0
    assert box.start("logout", before=before).finish().status == 0


def test_a_command_that_tells_a_person_needs_none_either(box: sandbox.Box, before: list[str]) -> None:
    """`on_login_needed` is started, and hears of what it is for."""
    box.sign_in()
    told = box.home / "told"
    profile = box.config / "default.toml"
    profile.write_text(profile.read_text() + f'on_login_needed = ["touch", "{told}"]\n')
    assert box.run("logout").status == 0
    assert box.start("token", before=before).finish().status == 4
    sandbox.wait_for(told.exists, "the command")


def test_the_demo_names_the_variable(box: sandbox.Box, before: list[str]) -> None:
    """It makes a whole identity provider, with certificates in files: 78 at once, nothing is shown in vain."""
    result = box.start("demo", "--yes", before=before).finish()
    assert result.status == 78, result
    assert "TMPDIR" in result.err
    working = box.home / "temporary"
    working.mkdir(mode=0o700)
    result = box.start("demo", "--yes", before=before, variables={"TMPDIR": str(working)}).finish()
    assert result.status == 0, result
