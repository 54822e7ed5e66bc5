"""The daily job where it is installed: real crontabs, real units, and the machines on which neither can be."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import conftest
import cron_machine
import pseudo_terminal
import pytest

from devicelogin import secret_store
from devicelogin.unattended import crontab, job, timer

if TYPE_CHECKING:
    from pathlib import Path

    import sandbox

pytestmark = conftest.only_root("use crontab in a namespace: it is set-group-id, and those of users have one group")

OTHERS = b"""# mine
MAILTO="ops@contoso.example"
SHELL=/bin/sh
\t0 5 * * 1  /usr/bin/tar -czf /tmp/a%b.tgz /home  # with spaces\x20\x20

@reboot echo caf\xe9 # not UTF-8
*/5 * * * * echo '# devicelogin keepalive begin'
"""


def own_lines(content: bytes | None) -> list[str]:
    """Return the lines between the markers."""
    assert content is not None
    return content.decode("latin-1").split(f"{crontab.BEGIN}\n")[-1].split(f"{crontab.END}\n")[0].splitlines()


def test_installing_and_removing_leaves_other_lines_as_they_were(box: sandbox.Box) -> None:
    """Byte for byte, with odd line ends, spaces, bytes and a line that quotes our marker; twice changes nothing."""
    machine = cron_machine.CronMachine(box)
    machine.write_crontab(OTHERS)
    first = machine.run("keepalive", "install")
    assert (first.status, first.out) == (0, ""), first
    assert "is installed" in first.err
    installed = machine.crontab
    assert installed is not None
    assert installed.startswith(OTHERS)
    [line] = own_lines(installed)
    assert re.match(r"\d+ (9|1[0-6]) \* \* \* /usr/bin/env DEVICELOGIN_HOME=\S+ /\S+ ", line)
    facts = next(machine.spool.iterdir()).stat()
    second = machine.run("keepalive", "install")
    assert "already installed; nothing was changed" in second.err
    after = next(machine.spool.iterdir()).stat()
    assert (facts.st_ino, facts.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert machine.run("keepalive", "remove").status == 0
    assert machine.crontab == OTHERS
    again = machine.run("keepalive", "remove")
    assert (again.status, "not installed" in again.err) == (0, True)
    assert machine.crontab == OTHERS


def test_control_characters_survive(box: sandbox.Box) -> None:
    """`crontab -l` spells a DOS line end as backslash and r; what a command of somebody's is stays what it is."""
    machine = cron_machine.CronMachine(box)
    odd = b'0 5 * * 1 grep "\\bx" /etc/hosts\r\n# bell\x07 back\x08 literally \\r\n'
    machine.write_crontab(odd)
    [file] = machine.spool.iterdir()
    assert file.read_bytes().endswith(odd)
    assert machine.run("keepalive", "install").status == 0
    assert odd + crontab.BEGIN.encode() in file.read_bytes()
    assert "nothing was changed" in machine.run("keepalive", "install").err
    assert machine.run("keepalive", "remove").status == 0
    assert file.read_bytes().endswith(odd)
    machine.write_crontab(odd + crontab.BEGIN.encode() + b"\r\n1 1 * * * true\r\n" + crontab.END.encode() + b"\r\n")
    assert "are no pair" in machine.run("keepalive", "install").err


def test_lines_that_come_after_ours_stay_too(box: sandbox.Box) -> None:
    """A changed environment rewrites our line where it stands, and keeps the time of day that its owner may have chosen."""
    machine = cron_machine.CronMachine(box)
    assert machine.run("keepalive", "install").status == 0
    [line] = own_lines(machine.crontab)
    edited = "7 13" + line[line.index(" * * *") :]
    block = f"{crontab.BEGIN}\n{edited}\n{crontab.END}\n".encode()
    machine.write_crontab(OTHERS + block + OTHERS)
    assert "nothing was changed" in machine.run("keepalive", "install").err
    result = machine.run("keepalive", "install", HTTPS_PROXY="http://proxy.example:3128")
    assert "is installed" in result.err
    content = machine.crontab
    assert content is not None
    assert content.startswith(OTHERS + crontab.BEGIN.encode())
    assert content.endswith(crontab.END.encode() + b"\n" + OTHERS)
    assert b"\n7 13 * * * /usr/bin/env " in content
    assert b"HTTPS_PROXY=http://proxy.example:3128" in content
    assert machine.run("keepalive", "remove").status == 0
    assert machine.crontab == OTHERS + OTHERS


def test_the_last_line_gone_there_is_no_crontab(box: sandbox.Box) -> None:
    """As before the first was written."""
    machine = cron_machine.CronMachine(box)
    assert machine.crontab is None
    assert machine.run("keepalive", "install").status == 0
    assert machine.run("keepalive", "remove").status == 0
    assert machine.crontab is None


def test_markers_that_somebody_edited_stop_every_change(box: sandbox.Box) -> None:
    """What lies between them may not be ours any more."""
    machine = cron_machine.CronMachine(box)
    broken = OTHERS + crontab.BEGIN.encode() + b"\n1 1 * * * true\n"
    machine.write_crontab(broken)
    for command in ("install", "remove"):
        result = machine.run("keepalive", command)
        assert result.status == 78, result
        assert "are no pair" in result.lines("error")[0]
        assert result.lines("hint") == ["delete them and what is ours between them: crontab -e"]
    assert machine.crontab == broken
    shown = machine.run("keepalive", "show")
    assert (shown.status, "are no pair" in shown.out) == (0, True), shown


def start_where(box: sandbox.Box, machine: cron_machine.CronMachine, case: str) -> sandbox.Result:
    """Install the job on a machine that does not let us."""
    if case == "no crontab program":
        empty = box.home / "empty"
        empty.mkdir()
        # The interpreter is named by its path, so nothing but the programs is gone.
        return box.run("keepalive", "install", PATH=str(empty))
    if case == "denied":
        conftest.need("setpriv")
        shutil.copytree("/etc", box.home / "etc", symlinks=True)
        (box.home / "etc" / "cron.deny").write_text("nobody\n")
        box.home.chmod(0o755)
        # Where the checkout is in a directory that only root can search, nobody may read it all the same.
        become = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
        reads = "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search"
        script = f'mount --bind "$0" /etc && exec {become} {reads} "$@"'
        before = [*machine.before, "sh", "-c", script, str(box.home / "etc")]
        return box.start("keepalive", "install", before=before).finish()
    machine.write_crontab(OTHERS)
    if case == "it cannot be read for a moment":
        # The real one, but for the answer of a full process table or a dying disk, which cannot be had here.
        programs = box.home / "bin"
        programs.mkdir()
        (programs / "crontab").write_text(
            '#!/bin/sh\n[ "$1" != -l ] || { echo "crontab: cannot fork" >&2; exit 1; }\nexec /usr/bin/crontab "$@"\n'
        )
        (programs / "crontab").chmod(0o755)
        return machine.run("keepalive", "install", PATH=f"{programs}:{os.environ['PATH']}")
    machine.spool.rename(machine.spool.parent / "hidden")
    machine.spool.write_text("in the way")
    return machine.run("keepalive", "install")


@pytest.mark.parametrize(
    "case", ["no crontab program", "denied", "the spool is broken", "it cannot be read for a moment"]
)
def test_where_there_is_no_way_the_line_is_given(box: sandbox.Box, case: str) -> None:
    """78, with the line to install by hand; a crontab that could not be read is never written."""
    machine = cron_machine.CronMachine(box)
    result = start_where(box, machine, case)
    assert (result.status, result.out) == (78, ""), result
    assert result.lines("error")[0].startswith("the job cannot be installed here: the ")
    assert re.search(r"as a line for a crontab: \d+ \d+ \* \* \* .*keepalive$", result.lines("hint")[0])
    if case == "the spool is broken":
        assert next((machine.spool.parent / "hidden").iterdir()).read_bytes().endswith(OTHERS)
    if case == "it cannot be read for a moment":
        assert machine.crontab == OTHERS


def test_a_daily_line_runs_what_it_says(box: sandbox.Box) -> None:
    """The line that was installed, given to sh as cron would give it, keeps the sign-in of these files fresh."""
    home = box.home / "it's 100% $HOME `odd`"
    home.mkdir(mode=0o700)
    box.variables["DEVICELOGIN_HOME"] = str(home)
    box.login()
    machine = cron_machine.CronMachine(box)
    assert machine.run("keepalive", "install").status == 0
    [line] = own_lines(machine.crontab)
    command = line.split(" ", 5)[5].replace("\\%", "%")
    assert "%" not in line.replace("\\%", "")
    environment = {"HOME": "/", "LOGNAME": "root", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} --older-than 0"], env=environment, cwd="/", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert box.emulator.count("refresh") == 1


def verify(directory: Path) -> str:
    """Return what systemd finds wrong with the units there."""
    conftest.need("systemd-analyze")
    files = [str(directory / f"{timer.NAME}.{kind}") for kind in ("timer", "service")]
    with tempfile.TemporaryDirectory() as runtime:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", "--man=no", *files],
            env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": runtime, "HOME": runtime},
            capture_output=True,
            text=True,
            check=False,
        )
    said = [line for line in done.stderr.splitlines() if timer.NAME in line or done.returncode]
    return "\n".join(said)


@pytest.mark.parametrize("name", ["plain", 'it\'s 100%h $HOME "odd" back\\slash; end', "\u00e4\u4e16"])
def test_units_are_what_systemd_wants(tmp_path: Path, name: str) -> None:
    """`systemd-analyze verify --user` finds nothing, whatever stands in the paths."""
    directory = tmp_path / name
    directory.mkdir()
    program = directory / "devicelogin"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    work = job.Job(command=(str(program), "keepalive"), environment={"DEVICELOGIN_HOME": str(directory)})
    units = timer.units(work, job.TimeOfDay(9, 5))
    for file, text in units.items():
        (tmp_path / file).write_text(text)
    assert verify(tmp_path) == ""
    assert timer.time_of_day(units) == job.TimeOfDay(9, 5)


def test_the_check_of_units_can_fail(tmp_path: Path) -> None:
    """A directive that is none, and a program that is not there, are found."""
    work = job.Job(command=("/nonexistent/devicelogin", "keepalive"))
    for file, text in timer.units(work, job.TimeOfDay(9, 5)).items():
        (tmp_path / file).write_text(text.replace("Persistent=", "Persistant="))
    said = verify(tmp_path)
    assert "Persistant" in said
    assert "/nonexistent/devicelogin" in said


def test_where_lingering_is_on_but_no_manager_answers_the_command_is_given(box: sandbox.Box) -> None:
    """The real systemctl without a user manager: the units are there and right, and what is left to do is named."""
    conftest.need("systemctl")
    machine = cron_machine.CronMachine(box, lingers=True)
    result = machine.run("keepalive", "install")
    assert (result.status, result.out) == (78, ""), result
    assert "the timer is written but could not be started" in result.lines("error")[0]
    assert result.lines("hint") == [
        "systemctl --user daemon-reload && systemctl --user enable --now devicelogin-keepalive.timer"
    ]
    assert verify(machine.units) == ""
    assert machine.crontab is None
    shown = json.loads(machine.run("keepalive", "show", "--json").out)
    [installed] = shown["jobs"]
    assert (installed["kind"], installed["next_run"], installed["enabled"]) == ("timer", None, False)
    assert "not enabled" in installed["remark"]
    assert "next       never" in machine.run("keepalive", "show").out
    removed = machine.run("keepalive", "remove")
    assert (removed.status, list(machine.units.iterdir())) == (0, []), removed
    assert "systemd could not be told" in removed.err
    assert "is not installed" in machine.run("keepalive", "remove").err


def timers(machine: cron_machine.CronMachine, **variables: str) -> bytes:
    """Return what the user's service manager says of its timers."""
    return machine.shell("systemctl --user list-timers --all --no-legend", **variables).stdout


def test_where_lingering_is_on_a_timer_takes_the_place_of_the_crontab(box: sandbox.Box) -> None:
    """With a real service manager: it waits for its time, once; the line is gone; without lingering it is the other way."""
    machine = cron_machine.CronMachine(box, has_systemd=True)
    machine.write_crontab(OTHERS)
    with cron_machine.service_manager(box, machine) as manager:
        assert machine.run("keepalive", "install", **manager).status == 0
        assert timers(machine, **manager) == b""
        machine.linger.touch()
        result = machine.run("keepalive", "install", **manager)
        assert (result.status, "(timer) is installed" in result.err) == (0, True), result
        assert machine.crontab == OTHERS
        assert b"devicelogin-keepalive.timer" in timers(machine, **manager)
        assert "nothing was changed" in machine.run("keepalive", "install", **manager).err
        [installed] = json.loads(machine.run("keepalive", "show", "--json", **manager).out)["jobs"]
        assert (installed["kind"], installed["remark"]) == ("timer", None)
        assert installed["next_run"] is not None
        machine.linger.unlink()
        assert "only while you are signed in" in machine.run("keepalive", "show", **manager).out
        result = machine.run("keepalive", "install", **manager)
        assert (result.status, "(crontab) is installed" in result.err) == (0, True), result
        assert timers(machine, **manager) == b""
    assert [path for path in machine.units.rglob("*") if not path.is_dir()] == []
    assert len(own_lines(machine.crontab)) == 1


def test_the_service_runs_what_it_says(box: sandbox.Box) -> None:
    """A real service manager starts it, with the odd paths of its environment, and the sign-in is fresh again."""
    home = box.home / 'it\'s 100%h $HOME "odd" back\\slash; end'
    home.mkdir(mode=0o700)
    box.variables["DEVICELOGIN_HOME"] = str(home)
    box.sign_in()
    paths = box.workplace().paths
    times = secret_store.read_times(paths)
    assert times is not None
    secret_store.write_times(paths, dataclasses.replace(times, last_refreshed=times.last_refreshed - 8 * 86_400))
    machine = cron_machine.CronMachine(box, lingers=True)
    with cron_machine.service_manager(box, machine) as manager:
        installed = machine.run("keepalive", "install", **manager)
        assert (installed.status, "(timer) is installed" in installed.err) == (0, True), installed
        done = machine.shell(f"systemctl --user start {timer.NAME}.service", **manager)
        assert done.returncode == 0, (done, (box.home / "manager.log").read_text())
        assert box.emulator.count("refresh") == 1
        shown = machine.run("keepalive", "show", **manager).out
        assert re.search(r"^last run   .*: 1 refreshed$", shown, re.MULTILINE), shown
        assert machine.run("keepalive", "remove", **manager).err.splitlines() == [
            "devicelogin: the daily keepalive (timer) is removed"
        ]
        assert timers(machine, **manager) == b""
        # The program may lie at such a place as well.
        program = home / "${HOME} %n" / "devicelogin"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\nprintf "%s " "$0" "$@" "$ODD" >"$HOME/ran"\n')
        program.chmod(0o755)
        odd = "${HOME} $PATH 50%h \\n 'x' \"y\" #;"
        work = job.Job(command=(str(program), "keepalive"), environment={"ODD": odd})
        timer.write(box.environment(), timer.units(work, job.TimeOfDay(9, 5)))
        done = machine.shell(f"systemctl --user daemon-reload; systemctl --user start {timer.NAME}.service", **manager)
        assert done.returncode == 0, (done, (box.home / "manager.log").read_text())
        assert (box.home / "ran").read_text() == f"{program} keepalive {odd} "


def test_without_lingering_the_way_to_a_timer_is_named(box: sandbox.Box) -> None:
    """Nobody is at a terminal, so it is said and cron is used."""
    machine = cron_machine.CronMachine(box, has_systemd=True)
    result = machine.run("keepalive", "install")
    assert "loginctl enable-linger" in result.err
    assert "(crontab) is installed" in result.err


def test_what_is_installed_is_shown(box: sandbox.Box) -> None:
    """Not installed, installed, with another program than this one; and when it last ran."""
    machine = cron_machine.CronMachine(box)
    nothing = machine.run("keepalive", "show")
    assert (nothing.status, nothing.out.splitlines()) == (
        0,
        ["installed  no; to install it: devicelogin keepalive install", "last run   none is recorded"],
    )
    assert machine.run("keepalive", "install").status == 0
    box.state.mkdir(mode=0o700, parents=True, exist_ok=True)  # a run makes nothing where nothing is, not even a note
    assert machine.run("keepalive").status == 0
    shown = machine.run("keepalive", "show").out
    assert re.search(r"^next       20\d\d-\d\d-\d\d (09|1[0-6]):\d\d ", shown, re.MULTILINE)
    assert re.search(r"^last run   20\d\d-\d\d-\d\d \d\d:\d\d \S+: nobody was signed in$", shown, re.MULTILINE)
    warnings = [line for line in shown.splitlines() if line.startswith("warning")]
    assert all("no cron daemon is running here now" in line for line in warnings)  # as in most containers
    content = machine.crontab
    assert content is not None
    machine.write_crontab(re.sub(rb" \S*/devicelogin keepalive", b" /gone/devicelogin keepalive", content))
    assert "warning    it is another program or another environment" in machine.run("keepalive", "show").out
    machine.write_crontab(re.sub(rb"\n\d+ \d+ \* ", b"\n*/20 1-5 * ", content))
    assert "next       at times that its owner chose" in machine.run("keepalive", "show").out


def test_a_proxy_with_a_password_is_not_written_down(box: sandbox.Box) -> None:
    """A crontab lies in backups; it is said that the job runs without that proxy."""
    machine = cron_machine.CronMachine(box)
    result = machine.run(
        "keepalive", "install", https_proxy="http://ada:Geheim@proxy.example:3128", no_proxy="localhost"
    )
    assert result.status == 0
    assert "https_proxy has a password in it" in result.err
    content = machine.crontab
    assert content is not None
    assert b"Geheim" not in content
    assert b"no_proxy=localhost" in content


def answer_at_a_terminal(box: sandbox.Box, machine: cron_machine.CronMachine, answer: str, **variables: str) -> str:
    """Install at a pseudo-terminal, answer the question, and return what was written there."""
    with pseudo_terminal.opened() as terminal:
        streams = {"stdin": terminal.slave, "stderr": terminal.slave}
        running = box.start("keepalive", "install", before=machine.before, variables=variables, **streams)
        terminal.wait_for("[Y/n]")
        terminal.type(f"{answer}\n")
        assert running.finish().status == 0
    return terminal.text


def test_at_a_terminal_lingering_is_offered(box: sandbox.Box) -> None:
    """No: cron. Yes, but it fails (the real loginctl, without logind): why, and cron. Yes, and it works: a timer."""
    conftest.need("loginctl")
    machine = cron_machine.CronMachine(box, has_systemd=True)
    said = answer_at_a_terminal(box, machine, "n")
    assert "loginctl enable-linger" in said
    assert "(crontab) is installed" in said
    said = answer_at_a_terminal(box, machine, "y")
    assert "lingering could not be turned on (" in said
    assert "(crontab) is already installed; nothing was changed" in " ".join(said.split())
    # Stands in for the loginctl of a machine with logind, which cannot run here: it does with the file what that does.
    programs = box.home / "bin"
    programs.mkdir()
    (programs / "loginctl").write_text(
        f'#!/bin/sh\necho "$*" >"$HOME/asked"; : >/var/lib/systemd/linger/{machine.linger.name}\n'
    )
    (programs / "loginctl").chmod(0o755)
    with cron_machine.service_manager(box, machine) as manager:
        path = f"{programs}:{os.environ['PATH']}"
        said = answer_at_a_terminal(box, machine, "y", PATH=path, **manager)
        assert "(timer) is installed" in said
        assert b"devicelogin-keepalive.timer" in timers(machine, **manager)
    assert machine.crontab is None
    assert (box.home / "asked").read_text() == "--no-ask-password enable-linger\n"
