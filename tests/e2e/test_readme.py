"""The README says what the program does: its help, its tables and its examples, each run as it is written there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import documentation
import pytest
import sandbox
from documentation import for_emulator

from devicelogin import errors
from devicelogin.cli import registration
from devicelogin.emulator import Emulator
from devicelogin.settings import profile, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHECKOUT = documentation.CHECKOUT
PAGE = documentation.page("README.md")

#: What the machine needs to reach its package index; the tests themselves do not see it.
MACHINE = dict(os.environ)

#: What pip says of an index that cannot be reached, or not in time.
UNREACHABLE = re.compile(
    r"Failed to establish a new connection|Temporary failure in name resolution|[Tt]imed out|ReadTimeout"
)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An identity provider and a Graph."""
    with Emulator(interval=1) as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with `devicelogin` on its PATH, on which nobody is signed in."""
    programs = documentation.install(tmp_path / "bin").parent
    # As wide as the terminal of whoever runs the tests may be, the help is that of an ordinary one.
    ours = {"DEVICELOGIN_HOME": str(tmp_path / "home"), "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "80"}
    return {**os.environ, **ours, "PYTHONPATH": str(CHECKOUT)}


def run_shell(text: str, environment: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a block of the README as a shell does that stops at the first failure."""
    return subprocess.run(
        ["bash", "-eu"],
        input=text,
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=sandbox.PATIENCE,
        check=False,
    )


def sign_in(emulator: Emulator, environment: Mapping[str, str], directory: Path) -> None:
    """Sign Ada in with the README's own command, to the emulator instead of a tenant."""
    emulator.approve_next()
    [command] = [line for line in PAGE.block("run: story").splitlines() if documentation.PLACEHOLDERS in line]
    done = run_shell(for_emulator(command, emulator), environment, directory)
    assert done.returncode == 0, done.stderr


def test_the_help_text_in_the_readme_is_that_of_the_program(environment: dict[str, str], tmp_path: Path) -> None:
    """Who reads the README reads `devicelogin --help`."""
    assert run_shell("devicelogin --help", environment, tmp_path).stdout == PAGE.block("help")


def test_the_exit_codes_in_the_readme_are_those_of_the_errors() -> None:
    """Every error has a row with its number and its code, and no row names another."""
    family = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    raised = {(str(error.exit_code), f"`{error.code}`") for error in family}
    written = {(number, code) for number, code, _ in PAGE.rows("Exit codes") if code}
    assert written == raised
    assert [number for number, code, _ in PAGE.rows("Exit codes") if not code] == ["0", "129, 130, 141, 143"]


def test_every_setting_stands_in_the_readme_with_its_option_and_variable() -> None:
    """Options, variables and profile keys that belong together stand in one row, and none is missing."""
    table = PAGE.rows("Settings")
    named = {
        key: (re.findall(r"--[\w-]+", option), variable.strip("`"))
        for option, variable, keys, _ in table
        for key in re.findall(r"`(\w+)`", keys)
    }
    assert set(named) == set(profile.KEYS)
    for key, variable in resolve.VARIABLES.items():
        assert any(resolve.FLAGS[key] in row[0] and variable in row[1] for row in table), key
        assert key not in named or named[key] == ([resolve.FLAGS[key]], variable)
    variables = {row[1].strip("`") for row in table if row[1]}
    assert variables == {*resolve.VARIABLES.values(), "DEVICELOGIN_PROFILE", "DEVICELOGIN_HOME"}


def test_the_readme_tells_the_same_app_registration_as_login() -> None:
    """The portal steps and the `az` line are those that `login` shows."""
    steps = re.findall(r"^ *(\d\. .*)$", registration.STEPS, re.MULTILINE)
    assert len(steps) == 4
    assert [step for step in steps if step not in PAGE.text] == []
    command = " ".join(registration.STEPS[registration.STEPS.index("az ad app create") :].split())
    assert command in " ".join(PAGE.text.split())


def test_a_real_sign_in_goes_as_the_readme_tells(
    emulator: Emulator, environment: dict[str, str], tmp_path: Path
) -> None:
    """The five lines run one after the other: the first with a person, the others without."""
    emulator.approve_next()
    done = run_shell(for_emulator(PAGE.block("run: story"), emulator), environment, tmp_path)
    assert done.returncode == 0, done.stderr
    token, answer, *_ = done.stdout.splitlines()
    assert token.count(".") == 2
    assert '"displayName": "Ada Lovelace"' in answer
    assert "Ada Lovelace <ada@contoso.example>" in done.stdout
    assert "is deleted from this machine" in done.stderr
    assert run_shell("devicelogin token", environment, tmp_path).returncode == 4


def test_the_other_examples_run_once_somebody_is_signed_in(
    emulator: Emulator, environment: dict[str, str], tmp_path: Path
) -> None:
    """Each line of the block ends with 0."""
    sign_in(emulator, environment, tmp_path)
    done = run_shell(PAGE.block("run: signed in"), environment, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Authorization: Bearer ")
    assert '"displayName": "Ada Lovelace"' in done.stdout


@pytest.mark.parametrize("case", ["signed in", "signed out", "no network"])
def test_the_script_for_cron_tells_the_exit_codes_apart(
    emulator: Emulator, environment: dict[str, str], tmp_path: Path, case: str
) -> None:
    """The token is in the file and nothing is said, or 4 asks for a person, or 75 says that it will be tried again."""
    if case != "signed out":
        sign_in(emulator, environment, tmp_path)
    if case == "no network":
        environment["DEVICELOGIN_SCOPE"] = "Mail.Read"  # not cached, so it has to be asked for
        emulator.break_for(600)
    done = run_shell(PAGE.block("run: cron"), environment, tmp_path)
    assert done.returncode == 0, done.stderr
    said = {"signed in": "", "signed out": "please run: devicelogin login\n"}.get(case, "the next run will try again\n")
    assert done.stdout == said
    if case == "signed in":
        assert done.stderr == ""
        assert (tmp_path / "token.txt").stat().st_mode & 0o777 == 0o600
    else:
        assert not (tmp_path / "token.txt").exists()


def test_the_python_example_prints_who_signed_in(
    emulator: Emulator, environment: dict[str, str], tmp_path: Path
) -> None:
    """It runs as it is written; signed out it ends with the hint."""
    program = [sys.executable, "-P", "-W", "error", "-c", PAGE.block("run: python")]
    environment["SSL_CERT_FILE"] = emulator.ca_file
    nobody = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert nobody.stderr == (
        "nobody is signed in to the profile default; sign in once at a terminal: devicelogin login\n"
    )
    sign_in(emulator, environment, tmp_path)
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("good until 20")
    assert "Ada Lovelace" in done.stdout


def test_the_first_command_installs_and_runs_the_demo(tmp_path: Path) -> None:
    """In a fresh copy, with nothing but Python: it ends with 0 and the commands for a real sign-in."""
    checkout = tmp_path / "devicelogin"
    shutil.copytree(
        CHECKOUT, checkout, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    )
    settings = Path(MACHINE.get("HOME", "/"), ".config", "pip", "pip.conf")
    kept = {name: value for name, value in MACHINE.items() if name != "HOME" and not name.startswith("DEVICELOGIN_")}
    environment = {**kept, "HOME": str(tmp_path)}
    if settings.exists():
        environment.setdefault("PIP_CONFIG_FILE", str(settings))
    # The interpreter under test makes the environment.
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    command = PAGE.block("run: install")
    assert len(command.splitlines()) == 1
    for _ in range(3):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode == 0 or not UNREACHABLE.search(done.stderr):
            break
    else:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    assert "devicelogin login --client-id ID --tenant TENANT" in done.stderr
