"""docs/emulator.md says what the emulator is: its example runs, and nothing public is left out or made up."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devicelogin import emulator
from devicelogin.emulator import messages

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    """The script and its tests, copied from the page, pass."""
    (tmp_path / "report.sh").write_text(block("sh"))
    (tmp_path / "test_report.py").write_text(block("python"))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_report.py"]
    done = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(emulator.Emulator)])
def test_every_knob_is_on_the_page(name: str) -> None:
    """A knob nobody reads of does not exist."""
    assert re.search(rf"`(?:Emulator\()?{name}\b", PAGE)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in inspect.getmembers(emulator.Emulator)
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
        and name not in {"close", "origin"}
    ],
)
def test_every_public_method_is_on_the_page(name: str) -> None:
    """All that a test would call."""
    assert re.search(rf"`(?:emulator\.)?{name}\b", PAGE)


@pytest.mark.parametrize("name", [name for name, _ in inspect.getmembers(emulator.Fault, inspect.ismethod)])
def test_every_fault_is_on_the_page(name: str) -> None:
    """And what the page calls a fault is one."""
    assert name.startswith("_") or f"`Fault.{name}(" in PAGE


def test_the_page_names_no_fault_or_endpoint_that_does_not_exist() -> None:
    """The other direction."""
    for name in re.findall(r"Fault\.(\w+)\(", PAGE):
        assert callable(getattr(emulator.Fault, name))
    listed = re.search(r"Endpoints: (.*?)\.\n", PAGE, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", listed)) == messages.ENDPOINTS
    faults = re.search(r"`id_token_fault` \| `None` \| (.*?) \|\n", PAGE)[1]
    assert set(re.findall(r"`(\w+)`", faults)) == set(emulator.IdTokenFault.__args__)
