"""`doctor --as-cron`: each of its three answers is compared with what then really happens."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import other_machine
import pytest


@dataclasses.dataclass(frozen=True)
class Case:
    """How a person signed in, and what is to come of it: now, after logout, after a reboot."""

    store: str
    keyring: str
    lingers: bool
    works: tuple[bool, bool, bool]
    command: str | None = None


CASES = {
    "the sealed file": Case("file", "none", False, (True, True, True)),
    "a keyring without lingering": Case(
        "keyring", "gnome-keyring", False, (True, False, False), "loginctl enable-linger"
    ),
    "a keyring that lingers": Case(
        "keyring", "gnome-keyring", True, (True, True, False), "devicelogin store move --to file"
    ),
    "a keyring started by PAM": Case("keyring", "pam", True, (True, False, False), "devicelogin store move --to file"),
    "a bus of this session alone": Case(
        "keyring", "private bus", False, (False, False, False), "devicelogin store move --to file"
    ),
    "a keyring without a password": Case("keyring", "no password", True, (True, True, True)),
}


def lived_through(machine: other_machine.Machine, *forgotten: Path) -> list[bool]:
    """Return whether a job gets a token now, after a logout and after a boot, which `forgotten` does not outlive."""
    done = [machine.gives_token()]
    machine.log_out()
    done.append(machine.gives_token())
    machine.reboot(*forgotten)
    return [*done, machine.gives_token()]


def rehearse(machine: other_machine.Machine, *arguments: str) -> tuple[list[bool | None], list[str], int]:
    """Run the rehearsal in the session; return the three answers, their commands, and the exit code."""
    result = machine.run("doctor", "--as-cron", "--json", *arguments)
    assert result.out, result
    said = json.loads(result.out)
    answers = [said[moment] for moment in ("now", "after_logout", "after_reboot")]
    commands = [answer["command"] for answer in answers if answer["command"] is not None]
    first_no = next((answer["exit"] for answer in answers if answer["works"] is False), 0)
    assert result.status == first_no, result
    return [answer["works"] for answer in answers], commands, result.status


@pytest.mark.parametrize("name", CASES)
def test_each_answer_is_what_then_happens(name: str) -> None:
    """What the rehearsal says of now, of after logout and of after a reboot is what a job of cron then meets."""
    case = CASES[name]
    with other_machine.started(lingers=case.lingers) as machine:
        machine.sign_in(case.keyring)
        machine.login(case.store)
        said, commands, status = rehearse(machine, "--force-refresh")
        done = lived_through(machine)
    assert said == done
    assert tuple(done) == case.works
    assert status == (0 if all(case.works) else 73)
    assert commands[:1] == ([] if case.command is None else [case.command])


def test_what_lies_in_memory_is_gone_after_a_reboot() -> None:
    """State on a tmpfs works until the machine is booted anew, and that is said beforehand."""
    with other_machine.started() as machine:
        state = machine.mount_memory(machine.box.home / ".local")
        machine.sign_in("none")
        machine.login("file")
        said, commands, status = rehearse(machine)
        done = lived_through(machine, state)
    assert said == done == [True, True, False]
    assert "DEVICELOGIN_HOME" in commands[0]
    assert status == 73


def test_certificates_in_memory_are_gone_after_a_reboot() -> None:
    """The sign-in would still be there, but no job could verify the provider any more."""
    with other_machine.started() as machine:
        memory = machine.mount_memory(machine.box.home / "run")
        machine.sign_in("none")
        machine.login("file")
        profile = machine.box.home / ".config" / "devicelogin" / "default.toml"
        trusted = machine.box.emulator.ca_file
        (memory / "ca.pem").write_bytes(Path(trusted).read_bytes())
        profile.write_text(profile.read_text().replace(trusted, f"{machine.box.home}/run/ca.pem"))
        said, commands, status = rehearse(machine)
        done = lived_through(machine, memory)
    assert said == done == [True, True, False]
    assert commands == [f"copy {machine.box.home}/run/ca.pem to a disk, and write its new place into {profile}"]
    assert status == 73


@pytest.mark.parametrize("mended", [False, True])
def test_a_record_bound_to_a_machine_id_that_each_boot_makes_anew_is_lost(*, mended: bool) -> None:
    """A system that became read-only has its machine id in memory; the command that is named mends it."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        profile = machine.box.home / ".config" / "devicelogin" / "default.toml"
        profile.parent.mkdir(mode=0o700, parents=True)
        profile.write_text('bind = "machine"\n')
        (machine.box.home / "machine-id").write_text("a" * 32 + "\n")
        machine.do("mount", "--bind", str(machine.box.home / "machine-id"), "/etc/machine-id")
        machine.login("file")
        memory = machine.mount_memory(machine.box.home / "run")
        (memory / "machine-id").write_text("a" * 32 + "\n")
        machine.do("mount", "--bind", str(machine.box.home / "run" / "machine-id"), "/etc/machine-id")
        said, commands, status = rehearse(machine)
        assert (said, status) == ([True, True, False], 73)
        if mended:
            assert commands == ["devicelogin store move --to file"]
            assert machine.run(*commands[0].split()[1:]).status == 0
            assert rehearse(machine)[0] == [True, True, True]
        machine.reboot()
        (memory / "machine-id").write_text("b" * 32 + "\n")
        assert machine.cron("token", "--force-refresh").status == (0 if mended else 65)
        assert machine.cron("status", "--check").status == (0 if mended else 4)
        assert machine.cron("keepalive").status == (0 if mended else 65)


def test_a_cached_token_alone_proves_nothing() -> None:
    """Without --force-refresh no request is made, but the saved sign-in is read as well; with it a real refresh is made."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        machine.login("file")
        result = machine.run("doctor", "--as-cron")
        assert result.status == 0, result
        assert result.out.splitlines()[0] == (
            "works from cron now:  yes: a token came out of the cache, and the saved sign-in can be read"
        )
        assert [line.split(":")[0] for line in result.out.splitlines()] == [
            "works from cron now",
            "after you log out",
            "after a reboot",
        ]
        assert machine.box.emulator.count("refresh") == 0
        result = machine.run("doctor", "--as-cron", "--force-refresh")
        assert "yes: a token came out of a refresh made just now" in result.out
        assert machine.box.emulator.count("refresh") == 1
        (machine.box.home / ".config/devicelogin/keys/default.key").unlink()
        assert machine.cron("token").status == 0
        result = machine.run("doctor", "--as-cron")
        assert result.status == 73, result
        assert "no: a token came out of the cache, but when that one ends: the key file" in result.out
        assert machine.cron("token", "--force-refresh").status == 73


def test_a_network_that_is_down_today_says_nothing_about_tomorrow() -> None:
    """No, try later; but after logout and a reboot the sealed file is there. A revoked sign-in is a no for good."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        machine.login("file")
        machine.box.emulator.break_for(3600)
        said, _, status = rehearse(machine, "--force-refresh")
        assert said == [False, True, True]
        assert status == 75
        machine.box.emulator.break_for(0)
        machine.box.emulator.revoke()
        said, commands, status = rehearse(machine, "--force-refresh")
        assert said == [False, False, False]
        assert status == machine.cron("token", "--force-refresh").status == 4
        assert "devicelogin login" in commands[0]


def test_the_job_has_nothing_of_the_session() -> None:
    """Four variables, a session of its own, no terminal, stdin at its end, umask 077, HOME as its directory; no token shown."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        # The command that gives a key is run by the job, and sees what the job is.
        seen, script = machine.box.home / "seen", machine.box.home / "key.sh"
        script.write_text(
            f"#!/bin/sh\n{{ env; umask; pwd; cut -d' ' -f7 /proc/$$/stat; }} >{seen}\n"
            "printf 0123456789abcdef0123456789abcdef\n"
        )
        script.chmod(0o700)
        profile = machine.box.home / ".config/devicelogin/default.toml"
        profile.parent.mkdir(mode=0o700, parents=True)
        profile.write_text(f'key = ["{script}"]\n')
        machine.login("file")
        seen.unlink()
        result = machine.run("doctor", "--as-cron", "--force-refresh", SECRET_OF_SESSION="x", HTTPS_PROXY="", LANG="C")
        assert result.status == 0, result
        *variables, umask, directory, terminal = seen.read_text().splitlines()
        names = {line.partition("=")[0] for line in variables}
        # The last ones come from Python and the shell, and from what every command of the owner is given.
        assert names == {"HOME", "LOGNAME", "SHELL", "PATH"} | (names & {"PWD", "LC_CTYPE", "DBUS_SESSION_BUS_ADDRESS"})
        # proc(5): a process without a controlling terminal has number 0 there.
        assert (umask, directory, terminal) == ("0077", str(machine.box.home), "0")
        assert "not known: the key comes from a source of its own (command)" in result.out
        assert not any(secret in result.out + result.err for secret in machine.box.secrets())


def test_another_sign_in_where_cron_looks_is_no_yes() -> None:
    """A token that belongs to somebody else is a no, named with the line that the crontab lacks."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        machine.login("file")
        home = str(machine.box.home / "elsewhere")
        machine.box.emulator.approve_next(user="grace@contoso.example")
        machine.run("login", *machine.box.app(), DEVICELOGIN_HOME=home)
        result = machine.run("doctor", "--as-cron", DEVICELOGIN_HOME=home)
        assert result.status == 78, result
        assert sum(line.partition(":")[2].lstrip().startswith("no: ") for line in result.out.splitlines()) == 3
        assert "looks elsewhere, where another sign-in is saved, that of ada@contoso.example" in result.out
        assert f"(crontab -e): DEVICELOGIN_HOME={home}" in result.out
        assert machine.run("doctor", "--as-cron").status == 0


def test_a_crontab_that_nothing_can_be_found_with_is_told_from_the_session() -> None:
    """What is wrong is the crontab, and the hint is how to mend that."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        machine.login("file")
        machine.do("sh", "-c", "echo DEVICELOGIN_HOME=relative | crontab -")
        result = machine.run("doctor", "--as-cron")
        assert result.status == 78, result
        assert result.lines("error") == ["in your crontab, DEVICELOGIN_HOME is not an absolute path"]
        assert result.lines("hint") == ["correct it there: crontab -e"]


def test_where_there_is_no_crontab_nobody_is_sent_to_one() -> None:
    """A container, a NAS, a machine with timers alone: whatever starts the job has to give it the variable."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        machine.login("file")
        machine.do("mount", "--bind", "/dev/null", shutil.which("crontab") or "/usr/bin/crontab")
        home = str(machine.box.home / "elsewhere")
        result = machine.run("doctor", "--as-cron", DEVICELOGIN_HOME=home)
        assert f"give the job this variable, whatever starts it: DEVICELOGIN_HOME={home}" in result.err
        assert "crontab -e" not in result.out + result.err
