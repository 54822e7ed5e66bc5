"""What is promised of jobs where cron is not installed, not running, not allowed, or knows no such user."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import conftest
import cron_machine
import namespace
import other_machine
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Takes cron's programs and a running systemd away.
_NEITHER = """
for program in crontab cron crond systemctl; do
    path=$(PATH=$PATH:/usr/sbin:/sbin command -v $program) && { mount --bind /dev/null "$(readlink -f "$path")" || exit 99; }
done
[ ! -d /run/systemd/system ] || mount -t tmpfs tmpfs /run/systemd || exit 99
exec "$@"
"""

#: A user database without anybody, as a container has that is run with a number of its own.
_NOBODY = """
printf 'passwd: files\\n' >"$0/nsswitch.conf"; : >"$0/passwd"
for file in passwd nsswitch.conf; do [ ! -e /etc/$file ] || mount --bind "$0/$file" "/etc/$file" || exit 99; done
exec "$@"
"""

#: A cron daemon of this namespace's own, without the jobs of the machine that runs the tests.
_WITH_DAEMON = """
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /etc/cron.d && mount --bind /dev/null /etc/crontab || exit 99
cron && exec "$@"
"""


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened_on_disk() as opened:
        yield opened


def _login(box: sandbox.Box, before: list[str]) -> str:
    box.emulator.approve_next()
    result = box.start("login", *box.app(), before=before).finish()
    assert result.status == 0, result
    return result.err


def test_where_nothing_starts_jobs_nothing_is_said_of_cron(box: sandbox.Box) -> None:
    """No "Cron can use it": neither cron nor systemd was found, and the command itself needs nobody."""
    neither = namespace.mounting(_NEITHER, box.home)
    said = _login(box, neither)
    assert "Neither cron nor systemd was found here; devicelogin token works without a person." in said
    assert "Cron" not in said.split("Signed in as ")[1]
    assert box.start("token", "--force-refresh", before=neither).finish().status == 0
    result = box.start("doctor", "--json", before=neither).finish()
    [jobs] = [check for check in json.loads(result.out)["checks"] if check["name"] == "jobs"]
    assert (jobs["level"], jobs["message"]) == ("yellow", "neither cron nor systemd was found here")
    result = box.start("keepalive", "install", before=neither).finish()
    assert result.status == 78, result
    assert "the job cannot be installed here" in result.lines("error")[0]


def test_a_rehearsal_without_cron_does_not_speak_of_it() -> None:
    """Its first answer is about a job without a person; that nothing starts one is said beside it."""
    with other_machine.started() as machine:
        machine.sign_in("none")
        machine.login("file")
        machine.do("mount", "--bind", "/dev/null", shutil.which("crontab") or "/usr/bin/crontab")
        if os.path.isdir("/run/systemd/system"):
            pytest.skip("systemd runs this machine, whose timers start jobs")
        result = machine.run("doctor", "--as-cron")
        assert result.status == 0, result
        assert result.out.startswith("works without a person now:  yes: ")
        assert "was found here" in result.err or "does not run this machine" in result.err
        assert json.loads(machine.run("doctor", "--as-cron", "--json").out)["scheduler"] is None
        assert machine.gives_token()


def test_a_user_without_an_entry_is_told_that_cron_starts_nothing_for_them(box: sandbox.Box) -> None:
    """78 and the reason; not a word of a crontab or of a HOME that is '~'."""
    nobody = namespace.mounting(_NOBODY, box.home)
    said = _login(box, nobody)
    assert "is in no user database here, and cron starts no jobs for such a user; devicelogin token works" in said
    result = box.start("doctor", "--as-cron", before=nobody, variables={"HOME": None}).finish()
    assert result.status == 78, result
    assert result.lines("error") == ["user id 0 is in no user database here, and cron starts no jobs for such a user"]
    assert "~" not in result.err


def test_a_user_whom_cron_refuses_is_told_so(box: sandbox.Box) -> None:
    """By cron.deny: `doctor` warns, and the rehearsal says no for all three moments, with 78 and cron's own words."""
    conftest.need_root("become somebody else")
    conftest.need("setpriv", "crontab")
    shutil.copytree("/etc", box.home / "etc", symlinks=True)
    (box.home / "etc" / "cron.deny").write_text("nobody\n")
    box.home.chmod(0o755)
    # Root's own Python may not be read by others: only the right to read everything is left.
    become = "setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all,+dac_read_search"
    script = f'mount --bind "$0" /etc && exec {become} --ambient-caps=-all,+dac_read_search "$@"'
    denied = namespace.mounting(script, box.home / "etc")
    result = box.start("doctor", "--as-cron", before=denied).finish()
    assert result.status == 78, result
    assert "no: cron lets this user have no crontab: " in result.out
    assert "not allowed" in result.out
    assert result.out.count("no: ") == 3
    result = box.start("doctor", "--json", before=denied).finish()
    [jobs] = [check for check in json.loads(result.out)["checks"] if check["name"] == "jobs"]
    assert (jobs["level"], "not allowed" in jobs["message"]) == ("yellow", True)


@pytest.mark.parametrize("runs", [False, True])
def test_a_job_that_no_daemon_starts_is_not_called_well(box: sandbox.Box, *, runs: bool) -> None:
    """A crontab alone runs nothing: `keepalive install` and `show` and the end of `login` say so, where no daemon runs."""
    conftest.need_root("have a crontab")
    conftest.need("crontab")
    if runs and shutil.which("cron") is None:
        pytest.skip("the daemon of this crontab is not called cron")
    machine = cron_machine.CronMachine(box)
    apart = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    before = [*machine.before, *apart, _WITH_DAEMON if runs else 'exec "$@"', "sh"]
    missing = "no cron daemon is running here now"
    for command in ("install", "show"):
        result = box.start("keepalive", command, before=before).finish()
        assert result.status == 0, result
        assert (missing in result.out + result.err) is not runs, result
    result = box.start("doctor", "--json", before=before).finish()
    [jobs] = [check for check in json.loads(result.out)["checks"] if check["name"] == "jobs"]
    assert jobs["message"] == ("cron starts them" if runs else missing)


def test_a_way_out_that_cron_lacks_is_told_at_the_end_of_a_sign_in(box: sandbox.Box) -> None:
    """A job without this session's proxy would fail, so "Cron can use it" is not said; what is not used is not missed."""
    program = box.home / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' 'DEVICELOGIN_HOME={box.home}/all'\n")
    program.chmod(0o700)
    box.variables["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    assert "Cron can use it" in box.login().err
    box.variables |= {"REQUESTS_CA_BUNDLE": box.emulator.ca_file, "no_proxy": "127.0.0.1"}
    assert "Cron can use it" in box.login().err
    assert "REQUESTS_CA_BUNDLE" not in box.run("doctor", "--as-cron").err
    box.variables |= {"https_proxy": "http://127.0.0.1:9"}
    said = box.login().err
    assert "Cron lacks this session's https_proxy: devicelogin doctor --as-cron" in said
    assert "Cron can use it" not in said
