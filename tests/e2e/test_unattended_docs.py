"""docs/unattended.md is true: its commands, crontabs, units, scripts and profiles are run as they are written there.

Only paths that this machine need not have are others here: /home/ada, /opt, /volume1 and the like lie in a sandbox.
What cannot be had on every machine is left out: container engines, `systemd-run`, a TPM, a NAS.
"""

from __future__ import annotations

import configparser
import itertools
import os
import re
import shlex
import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import cron_machine
import documentation
import hook_notes
import namespace
import other_machine
import pytest
import sandbox
import test_cron
from documentation import for_emulator, shell

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = documentation.page("docs/unattended.md")

#: What a machine's own service manager gives to a service without a shell.
SERVICE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine with `devicelogin` on its PATH."""
    with documentation.opened_box() as opened:
        yield opened


def unit(text: str) -> configparser.ConfigParser:
    """Read a unit file, as far as those of this page go."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def verify(directory: Path, *words: str, home: Path | None = None) -> str:
    """Return what systemd finds wrong with the units in `directory`."""
    conftest.need("systemd-analyze")
    files = sorted(str(path) for path in directory.iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *words, *files],
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(directory), "HOME": str(home or directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    names = [os.path.basename(file) for file in files]
    return "\n".join(line for line in done.stderr.splitlines() if done.returncode or any(n in line for n in names))


def test_no_block_that_is_marked_is_left_out() -> None:
    """Whoever marks a block as run has to see that it is."""
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*_docs.py"))
    assert [mark for mark in PAGE.marks() if not re.search(rf"""["']{mark}["']""", here)] == []


def test_the_short_way_signs_in_rehearses_and_installs_the_daily_job() -> None:
    """The three lines on a machine with cron: a token comes now, after logout and after a reboot, and the job is there."""
    with other_machine.started() as machine:
        box = machine.box
        documentation.install(box.home / "bin")
        environment = {**box.environment(), "PATH": f"{box.home / 'bin'}:{os.environ['PATH']}"}
        box.emulator.approve_next()
        script = for_emulator(PAGE.block("run: short way"), box.emulator)
        result = shell(box, script, environment, machine.inside)
        assert result.status == 0, result
        assert result.out.count("yes: ") == 3
        assert "(crontab) is installed" in result.err
        assert machine.cron("keepalive", "--older-than", "0").status == 0


def test_the_rehearsal_says_what_the_page_says() -> None:
    """Both outputs are those of a real session with a real keyring, word for word; in between the sign-in is moved."""
    with other_machine.started() as machine:
        machine.sign_in("gnome-keyring")
        machine.login("keyring")
        assert machine.run("doctor", "--as-cron").out == PAGE.block("says: rehearsal of a keyring")
        assert machine.run("store", "move", "--to", "file").status == 0
        assert machine.run("doctor", "--as-cron").out == PAGE.block("says: rehearsal of a file")


@pytest.mark.parametrize("key", ['["cat", "the-key"]', '["env", "NAME=the-key", "sh", "-c", "cat $NAME"]'])
def test_another_key_seals_the_sign_in_anew_and_nobody_signs_in_again(box: sandbox.Box, key: str) -> None:
    """With a command in the profile the one line takes the key file's place, also for a job of cron."""
    box.login()
    (box.home / "the-key").write_text("0123456789abcdef" * 4)
    profile = box.config / "default.toml"
    profile.write_text(f"{profile.read_text()}key = {key}\n".replace("the-key", str(box.home / "the-key")))
    result = shell(box, PAGE.block("run: other key"))
    assert result.status == 0, result
    assert not list((box.config / "keys").glob("*.key"))
    assert box.token("--force-refresh")
    (box.home / "the-key").unlink()
    assert box.run("token", "--force-refresh").status == 73


def test_the_crontab_is_one_that_cron_takes_and_each_of_its_jobs_works() -> None:
    """The real `crontab` takes it, the real daemon runs its @reboot line at once, and the others run as cron runs them."""
    conftest.need_root("start cron's daemon")
    with sandbox.opened() as box:
        board = test_cron.Board(box)
        board.login()
        home = str(box.home)
        documentation.install(box.home / ".local" / "bin")
        text = PAGE.block("run: crontab").replace("/home/ada", home)
        cron_machine.CronMachine(box).write_crontab(text.encode())
        (box.home / "crontab").write_text(text.replace("MAILTO=ada@example.org", 'MAILTO=""'))
        (box.home / "passwd").write_text(f"root:x:0:0:root:/root:/bin/sh\nboard:x:0:0::{home}:/bin/sh\n")
        token = box.home / "graph-token"
        daemon = subprocess.Popen(
            [*namespace.mounting(test_cron.MACHINE, home), shutil.which("cron") or "/usr/sbin/cron", "-f"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            end = time.monotonic() + sandbox.SOON
            while not token.exists():
                assert time.monotonic() < end, "@reboot gave no token"
                assert daemon.poll() is None, "the daemon ended"
                time.sleep(0.05)
        finally:
            daemon.terminate()
            daemon.wait()
        assert test_cron.is_accepted(box, token.read_text().strip())
        settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        jobs = re.findall(r"^(?:@\w+|(?:\S+ ){5}) *(\S.*)$", text.replace("\t", " "), re.MULTILINE)
        assert len(jobs) == 3
        environment = {"HOME": home, "LOGNAME": "board", "SHELL": "/bin/sh", **settings}
        for job in jobs:
            token.unlink(missing_ok=True)
            result = shell(box, job, environment, tuple(test_cron.own_run()))
            assert (result.status, result.out, result.err) == (0, "", ""), job
            assert token.exists() or "graph me" in job
        assert "Ada Lovelace" in (box.home / "me.json").read_text()


def test_the_units_of_a_user_are_right_and_their_service_manager_runs_them(box: sandbox.Box) -> None:
    """`systemd-analyze verify --user` finds nothing; a real `systemd --user` starts the service by the timer of the page."""
    machine = cron_machine.CronMachine(box, lingers=True)
    documentation.install(box.home / ".local" / "bin")
    machine.units.mkdir(parents=True)
    for kind, mark in (("service", "run: user service"), ("timer", "run: user timer")):
        (machine.units / f"me.{kind}").write_text(PAGE.block(mark))
    assert verify(machine.units, "--user", home=box.home) == ""
    box.variables = {}
    box.login()
    with cron_machine.service_manager(box, machine) as manager:
        done = machine.shell(PAGE.block("run: user start"), **manager)
        assert done.returncode == 0, done
        assert b"me.timer" in machine.shell("systemctl --user list-timers --all --no-legend", **manager).stdout
        done = machine.shell("systemctl --user start me.service", **manager)
        assert done.returncode == 0, (done, (box.home / "manager.log").read_text())
    assert test_cron.is_accepted(box, (box.home / "graph-token").read_text().strip())


def test_the_command_that_tells_outlives_the_units_of_the_page(box: sandbox.Box) -> None:
    """G10: without KillMode=process a real service manager stops it; with the line it has run. The installed timer has it too."""
    machine = cron_machine.CronMachine(box, lingers=True)
    documentation.install(box.home / ".local" / "bin")
    notes = hook_notes.Notes(box.home)
    box.variables = {}
    box.login()
    config = box.home / ".config" / "devicelogin"
    # Slow enough to be met by systemd, which is in no hurry.
    hook_notes.add_to_profile(config, on_login_needed=["sh", "-c", 'sleep 1; exec "$@"', "sh", *notes.command()])
    machine.units.mkdir(parents=True)
    service = PAGE.block("run: user service")
    (machine.units / "me.service").write_text(service.replace("--output-file", "--force-refresh --output-file"))
    box.emulator.revoke()
    with cron_machine.service_manager(box, machine) as manager:
        assert machine.run("keepalive", "install", **manager).status == 0
        shown = machine.shell("systemctl --user show -p KillMode devicelogin-keepalive.service", **manager)
        assert shown.stdout == b"KillMode=process\n"
        assert machine.shell("systemctl --user daemon-reload; systemctl --user start me.service", **manager).returncode
        assert [run.variables["DEVICELOGIN_EVENT"] for run in notes.wait_for(1)] == ["login_needed"]


@pytest.fixture
def disk() -> Iterator[sandbox.Box]:
    """A sandbox on a disk: systemd makes no host key in memory."""
    with sandbox.opened_on_disk() as opened:
        yield opened


def credential_machine(box: sandbox.Box) -> tuple[cron_machine.CronMachine, dict[str, str]]:
    """Return a machine with its own host key, and what the paths of the page are on it."""
    conftest.need("systemd-creds", "openssl", "systemd-analyze")
    conftest.need_root("make credentials")
    places = {
        "/opt/devicelogin/bin": box.home / "opt",
        "/etc/credstore.encrypted": box.home / "credstore",
        "/var/lib/devicelogin": box.home / "state",
    }
    documentation.install(places["/opt/devicelogin/bin"])
    places["/var/lib/devicelogin"].mkdir(mode=0o700)
    return cron_machine.CronMachine(box), {page: str(here) for page, here in places.items()}


def moved(text: str, places: dict[str, str]) -> str:
    """Return the text with this machine's paths in it."""
    for page, here in places.items():
        text = text.replace(page, here)
    return text


def test_the_service_with_a_credential_signs_in_and_gets_its_token(disk: sandbox.Box) -> None:
    """The credential is made and opened by the real systemd-creds, the units are right, and what they start works.

    What systemd does itself is done here by hand: it decrypts the credential, names its directory and starts the program.
    """
    box = disk
    machine, places = credential_machine(box)
    made = machine.shell(f"set -e\n{moved(PAGE.block('run: credential'), places)}")
    assert made.returncode == 0, made
    stored = box.home / "credstore"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o700
    units = box.home / "units"
    units.mkdir()
    (units / "report.service").write_text(moved(PAGE.block("run: service"), places))
    (units / "report.timer").write_text(moved(PAGE.block("run: service timer"), places))
    assert verify(units) == ""
    service = unit((units / "report.service").read_text())["Service"]
    name, path = service["LoadCredentialEncrypted"].split(":")
    given = box.home / "given"
    given.mkdir(mode=0o700)
    opened = machine.shell(f"systemd-creds decrypt --name={name} {path} {given}/{name}")
    assert opened.returncode == 0, opened
    assert machine.shell(f"systemd-creds decrypt --name=another {path} -").returncode != 0
    environment = {"PATH": SERVICE_PATH, "CREDENTIALS_DIRECTORY": str(given)}
    login, options, variables = sign_in_of_service(moved(PAGE.block("run: service login"), places))
    assert options["LoadCredentialEncrypted"] == service["LoadCredentialEncrypted"]
    assert {name: options[name] for name in ("User", "StateDirectory", "StateDirectoryMode")} == {
        name: service[name] for name in ("User", "StateDirectory", "StateDirectoryMode")
    }
    assert variables == [service["Environment"]]
    environment |= dict(variable.split("=", 1) for variable in variables)
    box.emulator.approve_next()
    result = shell(box, for_emulator(login, box.emulator), environment)
    assert result.status == 0, result
    assert "systemd credential" in result.err
    assert not (box.home / "state" / "config" / "keys").exists()
    result = shell(box, service["ExecStart"], environment)
    assert (result.status, result.out, result.err) == (0, "", ""), result
    assert test_cron.is_accepted(box, (box.home / "state" / "token").read_text().strip())
    outside = {name: value for name, value in environment.items() if name != "CREDENTIALS_DIRECTORY"}
    result = shell(box, f"{service['ExecStart']} --force-refresh", outside)
    assert (result.status, "devicelogin.key" in result.lines("error")[0]) == (73, True), result


def sign_in_of_service(block: str) -> tuple[str, dict[str, str], list[str]]:
    """Return what `systemd-run` starts in a block, the properties of the unit and its variables."""
    [line] = [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("systemd-run ")]
    words = shlex.split(line)[1:]
    properties, variables = {}, []
    while words[0].startswith("-"):
        option = words.pop(0)
        if option == "-p":
            name, value = words.pop(0).split("=", 1)
            properties[name] = value
        elif option == "-E":
            variables.append(words.pop(0))
        else:
            assert option == "--pty"
    return shlex.join(words), properties, variables


def test_a_container_that_is_made_anew_finds_its_sign_in_on_the_volume(box: sandbox.Box) -> None:
    """Every line runs in another container, with another machine id; only the volume is the same."""
    file = PAGE.block("run: containerfile")
    [home] = re.findall(r"^ENV DEVICELOGIN_HOME=(\S+)$", file, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["devicelogin"\]$', file, re.MULTILINE)
    assert f"VOLUME {home}\n" in file
    assert f"install -d -m 700 -o box {home}" in file
    volume = box.home / "volume"
    volume.mkdir(mode=0o700)
    containers = itertools.count(1)
    for line in for_emulator(PAGE.block("run: container"), box.emulator).splitlines():
        words = shlex.split(line)
        at = words.index("devicelogin")
        assert {*words[:at]} == {"docker", "run", "--rm", "-v", f"sign-in:{home}"} | (
            {"-it"} if "-it" in words else set()
        )
        if "-it" in words:
            box.emulator.approve_next()
        result = in_container(box, next(containers), volume, words[at + 1 :])
        assert result.status == 0, result
    assert {"config", "state"} <= {path.name for path in volume.iterdir()}
    assert in_container(box, 9, volume, ["token", "--force-refresh"]).status == 0
    assert 'bind = "machine"' not in (volume / "config" / "default.toml").read_text()


def in_container(box: sandbox.Box, number: int, volume: Path, arguments: list[str]) -> sandbox.Result:
    """Run the entry point as an engine does, as far as it matters here: its mark, a machine id of its own, the volume."""
    (box.home / "machine-id").write_text(f"{number:032x}\n")
    script = 'mount -t tmpfs tmpfs /run && touch /run/.containerenv && mount --bind "$0" /etc/machine-id && exec "$@"'
    before = namespace.mounting(script, box.home / "machine-id")
    variables = {"HOME": "/", "DEVICELOGIN_HOME": str(volume), "LANG": None}
    return box.start(*arguments, before=before, variables=variables).finish()


def test_a_nas_without_systemd_and_crontab_gets_its_token(box: sandbox.Box) -> None:
    """The script and the lines, in an empty environment: the sign-in and the token lie on the volume."""
    place = box.home / "volume1"
    documentation.install(place / "devicelogin" / "venv" / "bin")
    script = place / "devicelogin" / "run"
    script.write_text(PAGE.block("run: nas script").replace("/volume1", str(place)))
    lines = for_emulator(PAGE.block("run: nas"), box.emulator).replace("/volume1", str(place))
    box.emulator.approve_next()
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    result = shell(box, lines, environment)
    assert result.status == 0, result
    token = place / "devicelogin" / "home" / "token"
    assert test_cron.is_accepted(box, token.read_text().strip())
    for arguments in ("token --force-refresh", "keepalive --older-than 0", "status --check"):
        assert shell(box, f"{shlex.quote(str(script))} {arguments}", environment).status == 0
    (place / "devicelogin" / "home").chmod(0o777)
    assert shell(box, f"{shlex.quote(str(script))} token --force-refresh", environment).status == 78
