"""`store rekey`, ended at any moment: a record that opens, one key in the end, and nothing that the former key opens."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import conftest
import line_program
import move_until_killed
import pytest
import sandbox

from devicelogin.secret_store import sealed_file, sealed_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    # "strict": a refresh token works once. On a disk: access tokens lie sealed beside the record.
    with sandbox.opened_on_disk(mode="strict") as opened:
        opened.sign_in()
        yield opened


def killed_at(program: line_program.LineProgram, step: int) -> tuple[int, int] | None:
    """Run a rekey that is killed before its step `step`, 0 for none; return its exit code and steps, None where it was killed."""
    program.tell(f"{int(signal.SIGKILL)} {step} rekey")
    pid = int(program.line().split()[1])
    with open(f"/proc/{pid}/stat", encoding="ascii") as _:
        pass
    while True:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii"):
                time.sleep(0.002)
        except (FileNotFoundError, ProcessLookupError):
            break
    for line in program.lines_so_far():
        _, code, steps = line.split()
        return int(code), int(steps)
    return None


def keys(box: sandbox.Box) -> list[str]:
    return sorted(file.name for file in (box.config / "keys").iterdir())


def marks_of_keys(box: sandbox.Box) -> set[str]:
    """Return the marks that the key files which are there leave in what they seal."""
    return {sealed_file._mark(bytes.fromhex(file.read_text())) for file in (box.config / "keys").glob("default.key*")}


def mark_of(record: Path) -> str | None:
    """Return the mark of the key that a record is sealed with, None where there is no such record."""
    return str(sealed_header.read_fields(str(record))["key_mark"]) if record.exists() else None


def test_a_rekey_that_is_killed_before_any_of_its_steps_leaves_a_record_that_opens(box: sandbox.Box) -> None:
    """After each kill a refresh works, with the former key or the new one, and leaves one key and no half-written file.

    No access token lies there sealed with a key that is gone.
    """
    tokens = box.state / "default" / "record-access"
    program = line_program.LineProgram([sys.executable, move_until_killed.__file__], box.environment())
    try:
        outcome = killed_at(program, 0)
        assert outcome is not None
        assert outcome[0] == 0
        steps = outcome[1]
        assert steps > 8, "most of the steps were not seen"
        met = 0
        for step in range(1, steps + 1) if conftest.SOAK else range(1, steps + 1, 2):
            assert mark_of(tokens) in marks_of_keys(box), "no access token lies on the disk, so its key proves nothing"
            outcome = killed_at(program, step)
            met += outcome is None
            assert outcome is None or outcome[0] == 0, step
            assert mark_of(tokens) in {None, *marks_of_keys(box)}, step
            assert box.access_token(force=True).token, step
            assert keys(box) == ["default.key"], step
            state = sorted(file.name for file in (box.state / "default").iterdir())
            assert not [name for name in state if name.startswith(".new-")], step
            assert box.access_token().token, step
        assert met, "every kill came too late, so this proved nothing"
        killed_at(program, steps // 2)
        assert box.run("logout").status == 0
        assert keys(box) == []
    finally:
        program.end()
