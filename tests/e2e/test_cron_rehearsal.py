"""`doctor --as-cron`: each of its three answers is compared with what then really happens."""

from __future__ import annotations

import dataclasses
import json

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
        done = [machine.gives_token()]
        machine.log_out()
        done.append(machine.gives_token())
        machine.reboot()
        done.append(machine.gives_token())
    assert said == done
    assert tuple(done) == case.works
    assert status == (0 if all(case.works) else 73)
    assert commands[:1] == ([] if case.command is None else [case.command])
