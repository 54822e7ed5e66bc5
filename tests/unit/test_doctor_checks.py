"""Single checks of `doctor` where a real machine has only one of the answers: file systems, versions, sizes, buses."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import namespace
import pytest
import sandbox
import terminal_fixtures

from devicelogin import client, errors, models, mounts, settings
from devicelogin.doctor import display, examination, files, session, subject, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# proc(5): what a machine with network disks has; a space in a name is \040.
MOUNTS = r"""21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /home rw,nosuid shared:1 - nfs4 server:/home rw
23 21 8:2 / /home/ada/local\040disk rw - ext4 /dev/sdb1 rw
24 21 8:3 / /boot rw - ext4 /dev/sdc1 rw
25 24 8:4 / /boot rw - vfat /dev/sdc2 rw
26 21 0:9 / /homework rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/ada", "nfs4"),
        ("/home", "nfs4"),
        ("/home/ada/local disk/state", "ext4"),
        ("/boot/x", "vfat"),
        ("/homework/x", "tmpfs"),
        ("/homes", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str, tmp_path: Path) -> None:
    """The longest place that holds the path, the last one of two; no name that only begins alike."""
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    mount = mounts.mount_of(path, str(table))
    assert mount is not None
    assert mount.kind == kind


def test_a_real_mount_is_recognised(tmp_path: Path) -> None:
    """What the kernel says of a mount is what is told, also of a directory that is yet to be made."""
    program = "import sys; from devicelogin import mounts; print(mounts.mount_of(sys.argv[1]).kind)"
    before = namespace.mounting('mount -t ramfs none "$0" && exec "$@"', tmp_path)
    ran = subprocess.run(
        [*before, sys.executable, "-c", program, str(tmp_path / "not" / "there")],
        capture_output=True, text=True, check=True, timeout=sandbox.PATIENCE,
    )  # fmt: skip
    assert ran.stdout == "ramfs\n"


@pytest.mark.parametrize(
    ("kinds", "word"),
    [
        (("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"), "other machines"),
        (("vfat", "exfat", "ntfs3", "fuseblk"), "no owners"),
        (("tmpfs", "ramfs"), "next boot"),
        (("overlay",), "container"),
    ],
)
def test_a_file_system_that_does_not_fit_is_told_with_what_to_do(kinds: tuple[str, ...], word: str) -> None:
    """Network, no owners, memory, a container's own layer; ordinary disks are none of these."""
    for kind in kinds:
        told = files.worry_about(kind)
        assert told is not None
        assert word in told[0]
        assert "DEVICELOGIN_HOME" in told[1]
    assert not any(files.worry_about(kind) for kind in ("ext4", "btrfs", "xfs", "zfs", "f2fs", "fuse.mergerfs"))


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("1.39.0", ">=1.32,<2", True),
        ("1.32", ">=1.32,<2", True),
        ("1.31.9", ">=1.32,<2", False),
        ("2.0.0", ">=1.32,<2", False),
        ("2", "<2.0", False),
        ("1.9", ">=1.10", False),
        ("42.0.1rc1", ">=42", True),
        (None, ">=1", False),
        ("1", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str | None, bounds: str, fits: bool) -> None:
    """1.9 is older than 1.10, 2 is 2.0, and a package that is missing fits nothing."""
    assert versions.fits(version, bounds) is fits


def test_what_is_installed_here_fits() -> None:
    """The virtual environment of the tests has what setup.cfg asks for, and the line names each that matters."""
    found = versions.look()
    assert found.level == "green", found
    for name in ("devicelogin", "Python", "msal", "keyring", "cryptography", "requests", "OpenSSL"):
        assert f"{name} " in found.message


def test_a_package_that_is_too_old_or_missing_is_named(tmp_path: Path) -> None:
    """Yellow, with the one command that mends it; a real installation database in which msal is old and keyring missing."""
    for name, lines in (
        (
            "devicelogin-0.1.0",
            "Requires-Dist: msal<2,>=1.32\nRequires-Dist: keyring>=25\nRequires-Dist: pytest; extra == 'test'",
        ),
        ("msal-1.20.0", ""),
    ):
        directory = tmp_path / f"{name}.dist-info"
        directory.mkdir()
        package, _, version = name.partition("-")
        (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{lines}\n")
    program = (
        "import sys, sysconfig, devicelogin\n"
        "from devicelogin.doctor import versions\n"
        "library = [path for path in sys.path if path.startswith(sysconfig.get_path('stdlib'))]\n"
        "sys.path[:] = [sys.argv[1], *(path for path in library if not path.endswith('-packages'))]\n"
        "found = versions.look(); print(found.level, found.message, found.hint, sep='|')"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    level, message, hint = ran.stdout.strip().split("|")
    assert level == "yellow"
    assert message.startswith("not what devicelogin was made for: msal, keyring; ")
    assert "msal 1.20.0, keyring missing" in message
    assert hint == f"{sys.executable} -m pip install 'msal<2,>=1.32' 'keyring>=25'"


@pytest.mark.parametrize(
    ("columns", "rows", "environ", "level", "words"),
    [
        (80, 24, {}, "green", "80x24, UTF-8, with colours; the QR code fits"),
        (80, 24, {"NO_COLOR": "1"}, "green", "without colours"),
        (40, 12, {}, "yellow", "too small for the QR code"),
        (80, 24, {"LANG": "C"}, "yellow", "ASCII only"),
        (200, 60, {"LANG": "C"}, "green", "ASCII only"),
        (80, 24, {"TERM": "dumb"}, "yellow", "TERM says"),
    ],
)
def test_the_terminal_is_judged_by_what_a_sign_in_would_show(
    columns: int, rows: int, environ: dict[str, str], level: str, words: str
) -> None:
    """Size, characters, colours, and whether the QR code fits; a terminal is never red."""
    out, _ = terminal_fixtures.terminal(columns, rows, **environ)
    found = display.look(out)
    assert (found.level, words in found.message) == (level, True), found
    assert found.hint is not None or level == "green"
    assert display.look(None).level == "skipped"


def _buses(environ: dict[str, str], *, in_keyring: bool = True) -> dict[str, models.Finding]:
    return {found.name: found for found in session.look(environ, None, in_keyring=in_keyring)}


def test_a_bus_that_is_gone_is_told_from_one_that_answers(tmp_path: Path) -> None:
    """A socket that takes connections is green, a dead one and none at all yellow where the keyring needs it."""
    path = tmp_path / "a bus"
    address = f"unix:path={tmp_path}/a%20bus,guid=0123"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert _buses({"DBUS_SESSION_BUS_ADDRESS": address})["session bus"].level == "green"
    dead = _buses({"DBUS_SESSION_BUS_ADDRESS": address})["session bus"]
    assert (dead.level, "Connection refused" in dead.message) == ("yellow", True)
    assert dead.hint is not None
    assert _buses({})["session bus"].level == "yellow"
    assert _buses({}, in_keyring=False)["session bus"].level == "green"
    for odd in ("tcp:host=127.0.0.1,port=1", "nonsense", "unix:", "unix:path=" + "x" * 300):
        assert _buses({"DBUS_SESSION_BUS_ADDRESS": odd})["session bus"].level in {"green", "yellow"}


def test_a_check_that_does_not_end_is_left_behind() -> None:
    """What was found until then counts, and a red line says that something was still missing."""
    about, found_one, forever = subject.Subject("profile x"), threading.Event(), threading.Event()

    def look() -> Iterator[models.Finding]:
        yield about.green("settings", "well")
        found_one.set()
        forever.wait(sandbox.LATER)

    began = time.monotonic()
    group = examination._Group("profiles", look, 0.2)
    assert found_one.wait(sandbox.SOON)
    found = group.findings()
    forever.set()
    assert time.monotonic() - began < sandbox.SOON
    assert [(each.about, each.name, each.exit_code) for each in found] == [
        ("profile x", "settings", 0),
        ("profile x", "time", 75),
    ]


def test_an_unknown_error_is_a_red_line_that_quotes_nothing() -> None:
    """A bug in one check is 70 there, and its text, which may be secret, is not shown; the others go on."""

    def fail() -> models.Finding:
        raise LookupError("hunter2-canary")

    found = subject.Subject("this machine").tried("clock", fail)
    assert (found.level, found.exit_code) == ("red", 70)
    assert "LookupError in the check 'clock'" in found.message
    assert "canary" not in str(found)


def test_a_name_that_cannot_be_a_profiles_is_refused() -> None:
    """A wrong argument ends the command before anything is looked at."""
    with pytest.raises(errors.UsageError):
        examination.examine({}, profile="../x", terminal=None, forecast=lambda _: models.Forecast(level="ok"))


def test_the_lock_is_tried_and_given_back(tmp_path: Path) -> None:
    """One that somebody holds is no fault; a free one is free afterwards."""
    from devicelogin import secret_store

    work = client.Workplace("default", flags={}, environ={"DEVICELOGIN_HOME": str(tmp_path / "home")})
    lock = secret_store.ProfileLock(work.paths)
    with lock:
        found = {each.name: each for each in files.look(work, is_saved=True)}
        assert "can be written and locked" in found["disk"].message
    assert lock.try_acquire()
    lock.release()


@pytest.mark.parametrize(
    ("spoil", "words", "hint"),
    [
        (lambda path: path.chmod(0o777), "others may write into {}", "chmod 700 {}"),
        (lambda path: path.rmdir(), "XDG_RUNTIME_DIR, {}, is not there", "export XDG_RUNTIME_DIR=/run/user/"),
        (
            lambda path: (path / "devicelogin").write_text(""),
            "{}/devicelogin is not a directory",
            "ls -ld {}/devicelogin",
        ),
        (lambda path: (path / "devicelogin").symlink_to("/etc"), "{}/devicelogin is not a directory", "ls -ld"),
        (lambda path: path.rename(path.parent / "away") and path.write_text(""), "{} is not a directory", "ls -ld {}"),
    ],
    ids=["open to others", "missing", "a file in its place", "a link", "no directory"],
)
def test_a_runtime_directory_that_is_not_used_is_named_with_the_reason(
    tmp_path: Path, spoil: Callable[[Path], object], words: str, hint: str
) -> None:
    """Nothing stops for it, so nobody would learn elsewhere why tokens are not cached in memory."""
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    spoil(runtime)
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}
    found = {each.name: each for each in session.look(environ, settings.locate(environ), in_keyring=False)}["memory"]
    assert found.level == "yellow"
    assert words.format(runtime) in found.message
    assert found.hint is not None
    assert hint.format(runtime) in found.hint
