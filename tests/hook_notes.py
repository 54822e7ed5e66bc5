"""A real command for `on_code` and `on_login_needed` that notes what it was told, and the means to read that.

notes = hook_notes.Notes(box.home)
command = notes.command("an argument")
[run] = notes.wait_for(1)
run.variables["DEVICELOGIN_EVENT"]
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import TYPE_CHECKING

import sandbox

if TYPE_CHECKING:
    from pathlib import Path

#: How long may it take until a command has been run (seconds)? It is started by a process that has to start first.
PATIENCE = sandbox.SOON

# Whole files only: a name that ends in `.env` is there when the file is.
PROGRAM = """#!/bin/sh
notes=$1; shift
: >"$notes/$$.arguments"
for argument; do printf '%s\\0' "$argument" >>"$notes/$$.arguments"; done
if [ -n "$DEVICELOGIN_QR_FILE" ]; then
    stat -c '%a %u' "$DEVICELOGIN_QR_FILE" "${DEVICELOGIN_QR_FILE%/*}" >"$notes/$$.modes"
    cp "$DEVICELOGIN_QR_FILE" "$notes/$$.png"
fi
env -0 >"$notes/$$.new"
mv "$notes/$$.new" "$notes/$$.env"
echo "said on stdout"; echo "said on stderr" >&2
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run of the command."""

    pid: int
    arguments: list[str]
    variables: dict[str, str]
    picture: Path
    modes: list[str]


class Notes:
    """What the runs of one command have noted; `more` are lines of shell that follow the noting."""

    def __init__(self, home: Path, more: str = "", name: str = "hook") -> None:
        self._directory = home / f"{name} notes"
        self._directory.mkdir()
        self.program = home / f"{name} program"
        self.program.write_text(PROGRAM + more)
        self.program.chmod(0o700)

    def command(self, *arguments: str) -> list[str]:
        """Return the command as an argument list."""
        return [str(self.program), str(self._directory), *arguments]

    def runs(self) -> list[Run]:
        """Return what is noted so far."""
        return [_read(file) for file in sorted(self._directory.glob("*.env"))]

    def wait_for(self, count: int) -> list[Run]:
        """Wait until `count` runs are noted, and return them all."""
        end = time.monotonic() + PATIENCE
        while len(found := self.runs()) < count:
            assert time.monotonic() < end, f"{len(found)} runs of the command instead of {count}"
            time.sleep(0.02)
        return found


def login_until(box: sandbox.Box, words: str, *arguments: str) -> sandbox.Result:
    """Run a command that signs in and is approved once it has written `words`, however long they take to come."""
    out, err = box.home / "stdout", box.home / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        running = box.start(*arguments, stdout=stdout, stderr=stderr)
    try:
        code = box.emulator.wait_for_code()
        sandbox.wait_for(lambda: words in out.read_text() + err.read_text(), repr(words))
    except BaseException:
        running.process.kill()
        running.process.wait()
        raise
    box.emulator.approve(code)
    result = dataclasses.replace(running.finish(), out=out.read_text(), err=err.read_text())
    box.check(result)
    assert result.status == 0, result
    return result


def _read(file: Path) -> Run:
    arguments = file.with_suffix(".arguments").read_bytes().split(b"\0")[:-1]
    pairs = (entry.partition(b"=") for entry in file.read_bytes().split(b"\0") if entry)
    modes = file.with_suffix(".modes")
    return Run(
        int(file.stem),
        [argument.decode() for argument in arguments],
        {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs},
        file.with_suffix(".png"),
        modes.read_text().splitlines() if modes.exists() else [],
    )


def add_to_profile(config: Path, **keys: object) -> None:
    """Write `keys` into the profile `default`: its owner's hand."""
    config.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = config / "default.toml"
    before = file.read_text() if file.exists() else ""
    # What JSON makes of texts, lists of texts and yes or no is TOML as well.
    file.write_text(before + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
    file.chmod(0o600)


def is_alive(pid: int) -> bool:
    """Tell whether the process runs."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    """Wait until the process has ended."""
    end = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < end, f"process {pid} does not end"
        time.sleep(0.02)
