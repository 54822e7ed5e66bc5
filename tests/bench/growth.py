"""Many profiles: what a warm token, `status` and a refresh cost when there are 1, 10, 100 and 1,000, with ten scope sets each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from typing import TYPE_CHECKING

import machine
import timing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import environments
    import provider


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured with `profiles`; milliseconds, and `ratio` to one profile. `touched` names foreign files."""

    profiles: int
    cpu: float
    ratio: float
    status_cpu: float
    status_wall: float
    touched: int


def measure(
    installed: environments.Environment, running: provider.Provider, sizes: Sequence[int], rounds: int
) -> list[Row]:
    """Measure machines of all `sizes` side by side."""
    with contextlib.ExitStack() as until_end:
        boxes = {size: until_end.enter_context(machine.made(installed, running)) for size in sizes}
        for size, box in boxes.items():
            box.sign_in()
            for scope in machine.SCOPES[1:]:
                box.token("--scope", scope)
            for number in range(1, size):
                _copy(box, f"profile-{number:04}")
        warm = [box.command(f"warm {size}", ["token"]) for size, box in boxes.items()]
        others = [box.command(f"status {size}", ["status"]) for size, box in boxes.items()]
        _check_copies(running, boxes)
        samples = {**timing.rounds(warm, rounds), **timing.rounds(others, max(3, rounds // 3))}
        return [
            Row(
                size,
                timing.median(samples, f"warm {size}"),
                timing.ratio(samples, f"warm {size}", f"warm {sizes[0]}"),
                timing.median(samples, f"status {size}"),
                timing.median(samples, f"status {size}", "wall"),
                _touched(box),
            )
            for size, box in boxes.items()
        ]


def _check_copies(running: provider.Provider, boxes: dict[int, machine.Machine]) -> None:
    """A copied profile must be one like any other: its tokens come from the cache."""
    before = sum(running.requests().values())
    for size, box in boxes.items():
        if size > 1:
            for arguments in ([], ["--scope", machine.SCOPES[-1]]):
                box.token("--profile", f"profile-{size - 1:04}", *arguments)
    if sum(running.requests().values()) != before:
        raise timing.BenchmarkError("a copied profile went to the network")


def _copy(box: machine.Machine, name: str) -> None:
    """Make a profile like `default`: its cached tokens name the files that they belong to (`access_cache`)."""
    config = box.home / ".config" / "devicelogin"
    state = box.home / ".local" / "state" / "devicelogin"
    shutil.copy(config / "default.toml", config / f"{name}.toml")
    shutil.copytree(state / "default", state / name)
    shutil.copy(config / "keys" / "default.key", config / "keys" / f"{name}.key")
    sign_in = state / name / "sign-in"
    box.cached(name).mkdir(mode=0o700)
    for entry in box.cached().iterdir():
        lines = entry.read_text().split("\n")
        lines[1] = f"profile {_stats(config / f'{name}.toml')}"
        lines[2] = f"sign-in {_stats(sign_in)}"
        copy = box.cached(name) / entry.name
        copy.touch(mode=0o600)
        copy.write_text("\n".join(lines))


def _stats(file: Path) -> str:
    facts = file.stat()
    return f"{facts.st_dev} {facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def _touched(box: machine.Machine) -> int:
    """Return how many files of other profiles a refresh has written, made or removed."""
    before = _others(box)
    box.token("--force-refresh")
    return len(before ^ _others(box))


def _others(box: machine.Machine) -> set[tuple[str, int, int]]:
    found = set()
    for directory, _, names in os.walk(box.home):
        for name in names:
            path = os.path.join(directory, name)
            if "profile-" in path:
                facts = os.stat(path)
                found.add((path, facts.st_ino, facts.st_mtime_ns))
    return found
