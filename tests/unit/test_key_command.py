"""The key source `command`: how it is found and run, what it sees, and what is said where it gives no key."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import sandbox
from sealing import KEY, RECORD, prepared, profile_paths, sealed, write_command

from devicelogin import errors, secret_store
from devicelogin.secret_store import key_command, key_sources


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["false"], "false failed with exit status 1"),
        (["sh", "-c", "exit 7 # canary"], "sh failed with exit status 7"),
        (["sh", "-c", "kill -9 $$"], "sh failed with signal 9"),
        (["/nowhere/canary-program"], "cannot be started: No such file"),
        (["true", "canary"], "the key that true printed is empty"),
        (["printf", "short"], "the key that printf printed has less than 16 bytes"),
        (["sh", "-c", "head -c 70000 /dev/zero"], "has more than 65536 bytes"),
    ],
)
def test_a_command_that_gives_no_key_is_73_and_names_its_program_only(
    tmp_path: Path, command: list[str], words: str
) -> None:
    """What went wrong is said of the program; its arguments and what it printed are not shown."""
    write_command(tmp_path, *command)
    with pytest.raises(errors.StoreUnusableError, match=words) as caught:
        secret_store.choose_store("file", profile_paths(tmp_path), key="command")
    shown = f"{caught.value.message} {caught.value.hint} {caught.value.detail}"
    assert ("canary" not in shown) == (command[0] != "/nowhere/canary-program")
    assert "short" not in shown


def test_a_command_that_does_not_end_is_killed_in_time_and_not_waited_for_again(tmp_path: Path) -> None:
    """A program that waits for a password which nobody types costs one deadline, under the 8 s that a store may take."""
    write_command(tmp_path, "sh", "-c", f"echo >>{tmp_path}/started; sleep 600")
    begun = time.monotonic()
    with pytest.raises(errors.StoreUnusableError, match="sh did not end within 6 seconds"):
        sealed(tmp_path, "command").load() or sealed(tmp_path, "command").probe()
    assert key_command.LIMIT_SECONDS <= time.monotonic() - begun < sandbox.SOON
    with pytest.raises(errors.StoreUnusableError, match="did not end"):
        sealed(tmp_path, "command").probe()
    assert (tmp_path / "started").read_text() == "\n"


def test_a_command_that_leaves_an_agent_running_gives_its_key(tmp_path: Path) -> None:
    """The agent may hold stdout and stderr for as long as it lives, as gpg's does; it is not killed."""
    noted = tmp_path / "pid"
    write_command(tmp_path, "sh", "-c", f"sleep 500 & echo $! >>{noted}; printf %s {KEY.decode()}")
    supply = key_sources.KeySupply({"PATH": os.environ["PATH"]})
    try:
        sealed(tmp_path, "command", supply).save(RECORD)
        assert sealed(tmp_path, "command", supply).load() == RECORD
    finally:
        for pid in noted.read_text().split():
            os.kill(int(pid), signal.SIGKILL)  # raises where it is gone


def test_a_command_sees_as_much_as_cron_would_give_it(tmp_path: Path) -> None:
    """HOME, PATH and the bus, and nothing of ours or of a login shell's own; stdin is empty."""
    seen = tmp_path / "seen"
    write_command(tmp_path, "sh", "-c", f"env >{seen}; cat >>{seen}; printf {KEY.decode()}")
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": "/nowhere",
        "PASSWORD_STORE_DIR": "/p", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/b",
        "DEVICELOGIN_HOME": "/x", "LD_PRELOAD": "", "PYTHONPATH": "/x", "AWS_SECRET": "canary", "MY_SHELL_ONLY": "1",
    }  # fmt: skip
    sealed(tmp_path, "command", key_sources.KeySupply(environ)).probe()
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()} - {"PWD", "SHLVL", "_", "OLDPWD"}
    assert names == {
        "PATH", "HOME", "LC_ALL", "XDG_RUNTIME_DIR", "PASSWORD_STORE_DIR", "DBUS_SESSION_BUS_ADDRESS",
    }  # fmt: skip


def test_a_program_is_found_beside_the_profile_and_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`./give-key` lies beside the profile wherever cron starts us, `~/give-key` in HOME."""
    ours = profile_paths(tmp_path)
    os.makedirs(ours.places.config, mode=0o700)
    for place in (Path(ours.places.config), tmp_path):
        script = place / "give-key"
        script.write_text(f"#!/bin/sh\necho {KEY.decode()}\n")
        script.chmod(0o700)
    monkeypatch.chdir("/")
    supply = key_sources.KeySupply({"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    for program in ("./give-key", "~/give-key", str(tmp_path / "give-key")):
        write_command(tmp_path, program)
        assert sealed(tmp_path, "command", supply)._source.read(None) == KEY, (
            "one newline at the end is no part of the key"
        )


def test_a_command_that_left_the_profile_is_73_and_another_ones_key_is_65(tmp_path: Path) -> None:
    """Where the profile no longer names it, the error says where to write it; a command that prints another key is told."""
    sealed(tmp_path, "command", prepared(tmp_path, "command")).save(RECORD)
    profile = Path(profile_paths(tmp_path).profile_file)
    for text in ("", 'key = "file"\n'):
        profile.write_text(text)
        with pytest.raises(errors.StoreUnusableError, match="the profile no longer names one") as caught:
            sealed(tmp_path, "command").load()
        assert str(profile) in (caught.value.hint or "")
    write_command(tmp_path, "printf", "another key of some length")
    with pytest.raises(errors.DataBadError, match="sealed with another key"):
        sealed(tmp_path, "command").load()
