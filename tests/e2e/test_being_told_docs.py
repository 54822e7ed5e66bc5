"""docs/unattended.md is true about what comes after the sign-in: alarms, the daily job, messages, signing in from afar."""

from __future__ import annotations

import itertools
import re
import threading
import tomllib
from typing import TYPE_CHECKING

import cron_machine
import documentation
import hook_notes
import pytest
import sandbox
from documentation import shell
from test_hook_recipes import Http, Server

from devicelogin.unattended import hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = documentation.page("docs/unattended.md")


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine with `devicelogin` on its PATH."""
    with documentation.opened_box() as opened:
        yield opened


def test_doctor_is_an_alarm(box: sandbox.Box) -> None:
    """The line is silent where all is well, and says something where the store cannot be used."""
    box.login()
    well = shell(box, PAGE.block("run: doctor alarm"))
    assert (well.status, well.out) == (0, ""), well
    next((box.config / "keys").glob("*.key")).unlink()
    assert "something is wrong on" in shell(box, PAGE.block("run: doctor alarm")).out


def test_the_daily_job_is_installed_shown_and_removed(box: sandbox.Box) -> None:
    """The three lines, on a machine with crontabs; afterwards none is left."""
    box.login()
    machine = cron_machine.CronMachine(box)
    done = machine.shell(f"set -e\n{PAGE.block('run: keepalive')}")
    assert done.returncode == 0, done
    assert b"installed  as a crontab line" in done.stdout
    assert machine.crontab is None


def test_the_check_asks_for_a_person_where_one_is_needed(box: sandbox.Box) -> None:
    """Silent with a sign-in; without one it says what to run."""
    assert shell(box, PAGE.block("run: check")).out == "a person must run: devicelogin login\n"
    box.login()
    assert shell(box, PAGE.block("run: check")).out == ""


@pytest.fixture
def topic() -> Iterator[Server]:
    """A server that takes messages as ntfy does."""
    with Server(Http) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def own_topic(mark: str, topic: Server) -> str:
    """Return a block with the recipe of this checkout and the address of `topic` in it."""
    text = PAGE.block(mark).replace("/usr/local/bin", str(sandbox.ROOT / "docs" / "hooks"))
    return text.replace("https://ntfy.sh", f"http://{topic.address}")


def test_who_is_told_gets_a_message_and_can_try_it_before(box: sandbox.Box, topic: Server) -> None:
    """The trial by hand and the profile of the page: one message each, with the machine and what to do."""
    result = shell(box, own_topic("run: try the hook", topic))
    assert (result.status, result.out, result.err) == (0, "", ""), result
    assert topic.seen.get(timeout=sandbox.SOON)[3] == b"a trial"
    box.login()
    hook_notes.add_to_profile(box.config, **tomllib.loads(own_topic("run: on_login_needed", topic)))
    box.emulator.revoke()
    for _ in range(2):
        assert box.run("token", "--force-refresh").status == 4
    method, path, _, body = topic.seen.get(timeout=sandbox.SOON)
    assert (method, path) == ("PUT", "/YOUR-SECRET-TOPIC")
    assert b"a person must sign in on " in body
    assert b"devicelogin login" in body
    assert topic.seen.empty()


def test_a_person_far_away_signs_in_again(box: sandbox.Box, topic: Server) -> None:
    """The profile of the page, all day long: keepalive sends a code, the person enters it, and jobs work again."""
    box.login()
    wish = tomllib.loads(own_topic("run: remote login", topic))
    assert re.fullmatch(r"\d\d:\d\d-\d\d:\d\d", wish["remote_login_hours"])
    hook_notes.add_to_profile(box.config, **{**wish, "remote_login_hours": "00:00-00:00"})
    box.emulator.revoke()
    assert box.run("token", "--force-refresh").status == 4
    running = box.start("keepalive")
    headers = topic.seen.get(timeout=sandbox.SOON)[2]
    assert "ada@contoso.example is asked to sign in again" in headers["Message"]
    found = re.search(r"Code ([A-Z0-9]+) at ", headers["Message"])
    assert found is not None, headers
    box.emulator.approve(found[1])
    result = running.finish()
    assert result.status == 0, result
    assert box.token("--force-refresh")


def test_a_display_is_given_the_code(box: sandbox.Box) -> None:
    """The words of --on-code reach the program, and the picture is there while it runs."""
    box.login()
    notes = hook_notes.Notes(box.home, name="show")
    program = box.home / "show-code"
    program.symlink_to(notes.program)
    text = PAGE.block("run: on-code").replace("/usr/local/bin/show-code", f"{program} '{notes.command()[1]}'")
    text = text.replace(f"'{program} '", f"'{program} \"").replace("' --rotate", '" --rotate')
    box.emulator.approve_next(after=2)
    result = shell(box, text)
    assert result.status == 0, (result, text)
    [run] = notes.wait_for(1)
    assert run.arguments == ["--rotate", "90"]
    assert run.variables["DEVICELOGIN_EVENT"] == "code"
    assert run.picture.exists()


def test_the_page_names_every_variable_of_a_hook() -> None:
    """No fact is missing from the table, and none is made up."""
    table = [re.findall(r"`(DEVICELOGIN_\w+)`", cells[0]) for cells in PAGE.rows("Being told")]
    assert sorted(itertools.chain(*table)) == sorted(hooks._VARIABLES)
