"""What monitoring asks: the forecast over the months of a sign-in, and the two scripts of the documentation, run as they are."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import fake_time
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

MONITORING = sandbox.ROOT / "docs" / "monitoring"
CHECK = MONITORING / "check_devicelogin.sh"
TEXTFILE = MONITORING / "devicelogin-textfile.sh"

#: The exposition format of Prometheus, as far as a gauge needs it.
METRIC = re.compile(r'[a-z_]+(\{[a-z_]+="[A-Za-z0-9._-]+"\})? -?[0-9]+')


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine with `devicelogin` on its PATH."""
    with sandbox.opened() as opened:
        programs = opened.home / "bin"
        programs.mkdir()
        program = programs / "devicelogin"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m devicelogin "$@"\n')
        program.chmod(0o755)
        opened.variables["PATH"] = f"{programs}:{os.environ['PATH']}"
        yield opened


def after(days: float | None) -> dict[str, str]:
    """Return the variables that let a command run so many days from now; None: on 1 January 1970."""
    return fake_time.variables(FAKETIME="@1970-01-01 00:00:00" if days is None else f"{days:+.3f}d")


def run(box: sandbox.Box, script: os.PathLike[str], *arguments: str, days: float | None = 0) -> tuple[int, str]:
    """Run a script; return its exit status and its output, in which nobody may be surprised by anything on stderr."""
    done = subprocess.run(
        [script, *arguments],
        env=box.environment(after(days)),
        cwd=box.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "", done
    return done.returncode, done.stdout


def facts_of(box: sandbox.Box, days: float | None) -> dict[str, object]:
    """Return what `status --json` says after so many days."""
    result = box.start("status", "--json", variables=after(days)).finish()
    answer = json.loads(result.out)
    assert (result.status, answer["format_version"]) == (0, 1)
    return answer["profiles"][0]


def text_of(box: sandbox.Box, days: float | None) -> str:
    """Return what `status` says after so many days, on one line."""
    return " ".join(box.start("status", variables=after(days)).finish().out.split())


def check_of(box: sandbox.Box, days: float | None) -> int:
    """Return how `status --check` ends after so many days."""
    return box.start("status", "--check", variables=after(days)).finish().status


@pytest.mark.faketime
def test_the_forecast_over_the_months_of_a_box_that_is_off(box: sandbox.Box) -> None:
    """G09: well, a warning from day 60, a person needed after day 90; nothing is asked over the network."""
    box.sign_in()
    requests = len(box.emulator.requests)
    status = box.status()
    assert status.lasts_until is not None
    until = status.lasts_until.date().isoformat()
    facts = facts_of(box, 3.01)
    assert (facts["level"], facts["days_left"]) == ("ok", 86)
    text = text_of(box, 3.01)
    assert "refreshed 3 days ago (20" in text
    assert text.endswith(f"lasts until {until} if unused, unless revoked or a policy ends it")
    text = text_of(box, 60.01)
    assert "refreshed 60 days ago" in text
    assert f"lasts warning: until {until}" in text
    assert check_of(box, 89) == 0
    facts = facts_of(box, 90.01)
    assert (facts["level"], facts["days_left"], facts["needs_login"]) == ("critical", None, True)
    assert facts["reason"] == "it was not used for 90 days, by this machine's clock"
    assert check_of(box, 90.01) == 4
    assert len(box.emulator.requests) == requests


def test_a_sign_in_that_needs_a_person_has_a_state_of_its_own(box: sandbox.Box) -> None:
    """A program that looks at `state` alone learns that somebody must sign in again, and that the new sign-in is well."""
    box.sign_in()
    assert json.loads(box.run("status", "--json").out)["profiles"][0]["state"] == "signed-in"
    box.emulator.revoke()
    assert box.run("token", "--force-refresh").status == 4
    facts = json.loads(box.run("status", "--json").out)["profiles"][0]
    assert (facts["state"], facts["needs_login"]) == (box.status().state, True) == ("login-required", True)
    box.login()
    assert box.status().state == "signed-in"


@pytest.mark.faketime
def test_a_board_at_1970_says_that_its_clock_is_wrong(box: sandbox.Box) -> None:
    """No alarm, no 20,000 days, no traceback."""
    box.sign_in()
    facts = facts_of(box, None)
    assert (facts["level"], facts["days_left"], facts["needs_login"]) == ("unknown", None, False)
    text = text_of(box, None)
    assert "refreshed in the future (20" in text
    assert "lasts unknown; this machine's clock says 1970-01-01, which is before the last refresh" in text


@pytest.mark.faketime
def test_the_nagios_check_of_the_documentation(box: sandbox.Box) -> None:
    """Its four exit codes, each for what it stands for; one line each."""
    assert run(box, CHECK) == (2, "DEVICELOGIN CRITICAL - a person must run: devicelogin login\n")
    box.sign_in()
    assert run(box, CHECK) == (0, "DEVICELOGIN OK - nobody is needed\n")
    assert run(box, CHECK, days=61) == (1, "DEVICELOGIN WARNING - a sign-in ends within 30 days\n")
    assert run(box, CHECK, days=84) == (2, "DEVICELOGIN CRITICAL - a sign-in ends within 7 days\n")
    assert run(box, CHECK, days=91) == (2, "DEVICELOGIN CRITICAL - a person must run: devicelogin login\n")
    assert run(box, CHECK, "--profile", "work")[0] == 2
    box.variables["DEVICELOGIN_HOME"] = "relative"
    done = subprocess.run([CHECK], env=box.environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "DEVICELOGIN UNKNOWN - devicelogin status failed\n")


@pytest.mark.faketime
def test_the_prometheus_textfile_of_the_documentation(box: sandbox.Box) -> None:
    """Gauges that node_exporter can read, replaced at once, nothing left beside them."""
    target = box.home / "metrics" / "devicelogin.prom"
    target.parent.mkdir()
    assert run(box, TEXTFILE, str(target)) == (0, "")
    assert target.read_text() == "devicelogin_person_needed 1\n"
    box.sign_in()
    assert run(box, TEXTFILE, str(target), days=60.5) == (0, "")
    lines = target.read_text().splitlines()
    assert lines == ["devicelogin_person_needed 0", 'devicelogin_days_left{profile="default"} 29']
    assert all(METRIC.fullmatch(line) for line in lines)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("script", [CHECK, TEXTFILE])
def test_the_scripts_are_five_lines_that_can_be_run(script: os.PathLike[str]) -> None:
    """As promised: what is no comment is short enough to be read before it is trusted."""
    lines = Path(script).read_text().splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 5
    assert os.access(script, os.X_OK)
