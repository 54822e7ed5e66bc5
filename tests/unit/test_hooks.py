"""The contract of every hook: an argument list, facts in variables, a deadline, an ending in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import hook_notes
import pytest
import sandbox

from devicelogin.unattended import hooks

if TYPE_CHECKING:
    from pathlib import Path

FACTS = hooks.Facts(event="code", profile="work", reason="because", code="ABCD", uri="https://x.example/")


def test_the_facts_stand_in_variables_and_a_missing_one_in_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a hook around us are not passed on; everything else of our environment is."""
    notes = hook_notes.Notes(tmp_path)
    monkeypatch.setenv("DEVICELOGIN_QR_FILE", "/of/another")
    monkeypatch.setenv("DEVICELOGIN_REASON", "another")
    monkeypatch.setenv("DEVICELOGIN_HOME", "/kept")
    monkeypatch.delenv("DEVICELOGIN_SOAK", raising=False)
    assert hooks.run(notes.command(), FACTS.variables()).problem is None
    [run] = notes.runs()
    assert {name: value for name, value in run.variables.items() if name.startswith("DEVICELOGIN_")} == {
        "DEVICELOGIN_EVENT": "code",
        "DEVICELOGIN_PROFILE": "work",
        "DEVICELOGIN_REASON": "because",
        "DEVICELOGIN_CODE": "ABCD",
        "DEVICELOGIN_URI": "https://x.example/",
        "DEVICELOGIN_HOME": "/kept",
    }


def test_what_a_server_says_steers_no_terminal_of_whoever_prints_a_fact() -> None:
    """Control and bidi characters lose their effect, and a line stays one."""
    facts = hooks.Facts(event="code", profile="p", reason="a\x1b[31m\nb\u202ec\0")
    assert facts.variables()["DEVICELOGIN_REASON"] == "a\ufffd[31m b\ufffdc\ufffd"


def test_a_command_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    """At the deadline; the words say so."""
    notes = hook_notes.Notes(tmp_path, more='sleep 600 & echo $! >"$notes/sleeper"; wait\n')
    began = time.monotonic()
    ending = hooks.run(notes.command(), FACTS.variables(), seconds=3)
    assert time.monotonic() - began < sandbox.SOON
    assert ending.problem == f"{notes.program} did not end within 3 s and was stopped"
    hook_notes.wait_for_end(notes.runs()[0].pid)
    hook_notes.wait_for_end(int((tmp_path / "hook notes" / "sleeper").read_text()))


@pytest.mark.parametrize(
    ("script", "problem"),
    [("exit 0", None), ("exit 7", "/bin/sh ended with 7"), ("kill -15 $$", "/bin/sh was ended by signal 15")],
)
def test_the_ending_is_told_in_words(script: str, problem: str | None) -> None:
    """None where all is well."""
    assert hooks.run(["/bin/sh", "-c", script], {}).problem == problem


@pytest.mark.parametrize("program", ["/nowhere", "/etc/passwd", "a\0b"])
def test_what_cannot_be_started_is_no_exception(program: str) -> None:
    """Missing, not executable, no name at all."""
    problem = hooks.run([program], {}).problem or ""
    assert "could not be started: " in problem
    assert problem.isprintable()


def test_it_has_an_input_that_is_empty_and_its_output_is_made_printable() -> None:
    """A command that asks gets no answer; one that writes escape sequences writes none."""
    ending = hooks.run(["/bin/sh", "-c", "cat; printf 'a\\033[31mb\\n'; echo c >&2"], {})
    assert (ending.problem, ending.said) == (None, "a\ufffd[31mb c")
