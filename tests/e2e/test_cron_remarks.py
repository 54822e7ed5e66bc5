"""What `login` says about cron beforehand: over SSH with a keyring that ends, and where cron looks elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import other_machine
import pseudo_terminal
import pytest

if TYPE_CHECKING:
    import sandbox

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}
QUESTION = "Keep the sign-in in a sealed file instead?"


def log_in(machine: other_machine.Machine, *arguments: str, **variables: str | None) -> sandbox.Result:
    """Sign in without a terminal, with the store left to devicelogin."""
    machine.box.emulator.approve_next()
    result = machine.run("login", *machine.box.app(store=None), *arguments, **variables)
    assert result.status == 0, result
    return result


def store_of(machine: other_machine.Machine) -> str:
    """Return the kind of store that the saved sign-in is in."""
    kind = json.loads(machine.run("status", "--json").out)["profiles"][0]["store"]
    assert isinstance(kind, str)
    return kind


def log_in_at_terminal(machine: other_machine.Machine, answer: str) -> str:
    """Sign in at a terminal over SSH, give `answer` to the question, and return what stood on the terminal."""
    machine.box.emulator.approve_next()
    with pseudo_terminal.opened() as terminal:
        running = machine.box.start(
            "login", *machine.box.app(store=None), before=machine.inside, variables={**SSH, "TERM": "xterm"},
            stdin=terminal.slave, stderr=terminal.slave,
        )  # fmt: skip
        terminal.wait_for(QUESTION)
        terminal.type(answer)
        assert running.finish().status == 0, terminal.text
    return terminal.text


def test_over_ssh_a_keyring_that_ends_is_warned_of_with_the_command_that_helps() -> None:
    """Without a terminal one warning, as a line or as an event; nobody is warned who is not over SSH."""
    with other_machine.started() as machine:
        machine.sign_in("gnome-keyring")
        assert log_in(machine).lines("warning") == []
        warned = log_in(machine, **SSH)
        (warning,) = warned.lines("warning")
        assert "lingering is off" in warning
        assert warning.endswith(": devicelogin login --store file")
        events = [json.loads(line) for line in log_in(machine, "--json", **SSH).out.splitlines()]
        assert [event["event"] for event in events[:2]] == ["note", "code"]
        assert events[0]["message"] == warning
        assert store_of(machine) == "keyring"
        # Once it is in the file, it stays there, and there is nothing to warn of.
        assert log_in(machine, "--store", "file", **SSH).lines("warning") == []
        assert log_in(machine, **SSH).lines("warning") == []
        assert store_of(machine) == "file"


def test_over_ssh_a_keyring_that_lingers_is_not_warned_of() -> None:
    """It is there when the person has gone."""
    with other_machine.started(lingers=True) as machine:
        machine.sign_in("gnome-keyring")
        assert log_in(machine, **SSH).lines("warning") == []
        assert store_of(machine) == "keyring"


@pytest.mark.parametrize(("answer", "store"), [("\n", "file"), ("n\n", "keyring")])
def test_at_a_terminal_the_sealed_file_is_offered_once(answer: str, store: str) -> None:
    """Before the code is shown; whoever presses Enter takes it."""
    with other_machine.started(lingers=True) as machine:
        machine.sign_in("pam")
        text = log_in_at_terminal(machine, answer)
        assert text.count(QUESTION) == 1
        assert "PAM started the keyring" in " ".join(text.split())
        assert text.index(QUESTION) < text.index("Signed in")
        assert store_of(machine) == store


def test_directories_that_cron_does_not_know_are_warned_of_until_the_crontab_names_them() -> None:
    """The line to put into the crontab, for DEVICELOGIN_HOME and for XDG directories that lead elsewhere."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        home = str(machine.box.home / "elsewhere")
        (warning,) = log_in(machine, "--store", "file", DEVICELOGIN_HOME=home, **SSH).lines("warning")
        assert warning.endswith(f"(crontab -e): DEVICELOGIN_HOME={home}")
        rehearsed = machine.run("doctor", "--as-cron", DEVICELOGIN_HOME=home)
        assert rehearsed.status == 4, rehearsed
        assert "works from cron now:  no: cron does not have this session's DEVICELOGIN_HOME" in rehearsed.out
        assert rehearsed.out.count(f"DEVICELOGIN_HOME={home}") == 1
        assert not machine.gives_token()
        install = f"printf 'DEVICELOGIN_HOME=\"{home}\"\\n17 * * * * true\\n' | crontab -"
        machine.do("sh", "-c", install)
        assert log_in(machine, "--store", "file", DEVICELOGIN_HOME=home, **SSH).lines("warning") == []
        rehearsed = machine.run("doctor", "--as-cron", "--force-refresh", DEVICELOGIN_HOME=home)
        assert (rehearsed.status, rehearsed.out.count("yes:")) == (0, 3), rehearsed
        assert machine.gives_token(DEVICELOGIN_HOME=home)
        machine.do("crontab", "-r")
        usual, other = str(machine.box.home / ".local/state"), str(machine.box.home / "state")
        assert log_in(machine, "--store", "file", XDG_STATE_HOME=usual, **SSH).lines("warning") == []
        (warning,) = log_in(machine, "--store", "file", XDG_STATE_HOME=other, **SSH).lines("warning")
        assert warning.endswith(f"(crontab -e): XDG_STATE_HOME={other}")


def test_over_ssh_a_move_into_a_keyring_that_ends_is_warned_of_as_a_login_is() -> None:
    """With the command that takes it back; not where the keyring stays, and not on the way into the file."""
    with other_machine.started() as machine:
        machine.sign_in("gnome-keyring")
        assert log_in(machine, "--store", "file").lines("warning") == []
        (warning,) = machine.run("store", "move", "--to", "keyring", **SSH).lines("warning")
        assert "lingering is off" in warning
        assert warning.endswith(": devicelogin store move --to file")
        assert machine.run("store", "move", "--to", "file", **SSH).lines("warning") == []
        assert machine.run("store", "move", "--to", "keyring").lines("warning") == []
