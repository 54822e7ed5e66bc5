"""What a crontab says and lacks, and what can be told of a keyring's service, in the cases that a test machine cannot be in."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin.doctor import crontab, durability, keyring_service

if TYPE_CHECKING:
    from pathlib import Path

USER_UNIT = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/dbus.service\n"
SESSION = "0::/user.slice/user-1000.slice/session-7.scope\n"


@pytest.mark.parametrize(
    ("arguments", "groups", "by_pam", "session"),
    [
        (("--daemonize", "--login"), SESSION, True, "session-7.scope"),
        (("-d", "-l"), SESSION, True, "session-7.scope"),
        (("--start", "--foreground", "--components=secrets"), USER_UNIT, False, None),
        (("--unlock",), SESSION, False, "session-7.scope"),
        ((), "1:name=systemd:/\n0::/\n", False, None),
    ],
)
def test_who_started_a_keyring_is_read_from_its_process(
    arguments: tuple[str, ...], groups: str, by_pam: bool, session: str | None
) -> None:
    """PAM's has --login; what belongs to a session stands in that one's scope."""
    service = keyring_service.Service(1, "gnome-keyring-daemon", arguments, groups)
    assert (service.is_started_by_pam, service.session) == (by_pam, session)
    assert not keyring_service.Service(1, "keepassxc", arguments, groups).is_started_by_pam


def test_a_bus_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """Whoever asks waits a few seconds at most, and for one that is not there not at all."""
    path = str(tmp_path / "bus")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        began = time.monotonic()
        assert keyring_service.find(f"unix:path={path}") is None
        assert time.monotonic() - began < sandbox.SOON
    assert keyring_service.find("unix:path=/nonexistent/bus") is None
    assert keyring_service.find("rubbish") is None


def test_a_crontab_lacks_what_leads_to_other_files_and_no_more(tmp_path: Path) -> None:
    """The first variable that mends it; one that names the usual place is not missed."""
    job = {"HOME": str(tmp_path), "LOGNAME": "ada", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}

    def lacks(**session: str) -> list[str]:
        return crontab.missing_places({**job, **session}, job)

    assert lacks() == []
    assert lacks(XDG_CONFIG_HOME=f"{tmp_path}/.config", XDG_RUNTIME_DIR="/run/user/1000") == []
    assert lacks(DEVICELOGIN_HOME="/srv/box", XDG_CONFIG_HOME="/srv/config") == ["DEVICELOGIN_HOME=/srv/box"]
    assert lacks(XDG_CONFIG_HOME="/srv/config", XDG_STATE_HOME="/srv/state") == [
        "XDG_CONFIG_HOME=/srv/config",
        "XDG_STATE_HOME=/srv/state",
    ]
    assert lacks(HOME="/home/caller") == ["HOME=/home/caller"]
    assert crontab.missing_places({**job, "DEVICELOGIN_HOME": "relative"}, job) == []


def test_the_password_of_a_proxy_is_not_shown() -> None:
    """SECURITY: the line for the crontab names the proxy and leaves its password out."""
    (line,) = crontab.missing_others({"HTTPS_PROXY": "http://ada:a-secret-word@proxy.example:3128"}, {}, ca_file=None)
    assert line.startswith("HTTPS_PROXY=http://")
    assert "proxy.example:3128" in line
    assert "a-secret-word" not in crontab.note(line)


def test_a_mark_in_the_place_of_a_password_is_not_to_be_pasted() -> None:
    """Whoever follows the advice has to write the password."""
    (line,) = crontab.missing_others({"HTTPS_PROXY": "http://ada:secret@proxy:8080"}, {}, ca_file=None)
    assert "secret" not in crontab.advice(line)
    assert crontab.advice(line).endswith(f"{line}, with your own words for [redacted]")
    assert not crontab.advice("DEVICELOGIN_HOME=/data").endswith("[redacted]")


def test_a_command_that_cron_finds_by_name_needs_no_path(tmp_path: Path) -> None:
    """The whole path is named only where cron's PATH does not lead to it."""
    program = tmp_path / "devicelogin"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert crontab.command({"PATH": str(tmp_path)}) is None
    found = crontab.command({"PATH": "/nonexistent"})
    assert found is not None
    assert os.path.isabs(found)


def test_a_keyring_with_a_password_is_not_taken_for_one_without(tmp_path: Path) -> None:
    """gnome-keyring encrypts a keyring that has a password; the file `default` names which one counts."""
    directory = tmp_path / ".local/share/keyrings"
    directory.mkdir(parents=True)
    assert keyring_service.opens_without_password(str(tmp_path)) is None
    (directory / "login.keyring").write_bytes(b"GnomeKeyring\n\r\0\n")
    (directory / "open.keyring").write_bytes(b"[keyring]\ndisplay-name=open\n")
    assert keyring_service.opens_without_password(str(tmp_path)) is None
    (directory / "default").write_text("open")
    if os.path.exists("/usr/share/dbus-1/services/org.freedesktop.secrets.service"):
        assert keyring_service.opens_without_password(str(tmp_path)) == str(directory / "open.keyring")


def test_without_a_bus_there_is_no_keyring_to_warn_of(tmp_path: Path) -> None:
    """Whoever has no session bus is told so by the sign-in itself."""
    assert durability.keyring_after_logout({"HOME": str(tmp_path)}, "default") is None
