"""Many processes at once whose token has expired: how many refresh, how many fail, how long the slowest takes."""

from __future__ import annotations

import dataclasses
import os
import select
import subprocess
import time
from typing import TYPE_CHECKING

import timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import machine

#: How long does the token endpoint take (seconds)? Round trips are what makes processes meet.
DELAY = 0.1

#: Waits until the writing end of the pipe is closed, then becomes the command.
_HELD = 'read -r _; exec "$@" </dev/null'


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial; `slowest` is in seconds, from the release or from its own start to its end."""

    size: int
    mode: str
    start: str
    refreshes: int
    failures: int
    slowest: float
    is_signed_in: bool


def measure(box: machine.Machine, sizes: Sequence[int]) -> list[Trial]:
    """Try every size, both kinds of refresh tokens, both ways of starting."""
    found = []
    for size in sizes:
        for mode in ("entra", "strict"):
            for start in ("barrier", "natural"):
                found.append(_trial(box, size, mode, start))
    return found


def _trial(box: machine.Machine, size: int, mode: str, start: str) -> Trial:
    # A profile of its own: a sign-in that one trial loses must not fail the next one.
    profile = f"{mode}-{start}-{size}"
    box.sign_in(profile=profile)
    box.forget_tokens(profile)
    box.provider.behave(mode=mode, delay=DELAY)
    before = box.provider.requests().get("refresh", 0)
    command = box.command("devicelogin", ["token", "--profile", profile])
    failures, slowest = _run(command, size, is_held=start == "barrier")
    refreshes = box.provider.requests().get("refresh", 0) - before
    try:
        box.token("--profile", profile, "--force-refresh")
        is_signed_in = True
    except timing.BenchmarkError:
        is_signed_in = False
    box.provider.behave()
    return Trial(size, mode, start, refreshes, failures, slowest, is_signed_in)


def _run(command: timing.Command, size: int, *, is_held: bool) -> tuple[int, float]:
    """Run `size` of them and return the number of failures and how long the slowest took."""
    held, release = os.pipe()
    processes = []
    arguments = ["/bin/sh", "-c", _HELD, "held", *command.arguments] if is_held else list(command.arguments)
    for _ in range(size):
        began = time.monotonic()
        process = subprocess.Popen(
            arguments,
            env=dict(command.environment),
            cwd=command.directory,
            stdin=held if is_held else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        processes.append((process, began))
    if is_held:
        time.sleep(1 + size / 200)  # until every shell has come to its read
    released = time.monotonic()
    os.close(held)
    os.close(release)
    begins = {process.pid: released if is_held else began for process, began in processes}
    return _wait([process for process, _ in processes], begins)


def _wait(processes: list[subprocess.Popen[bytes]], begins: dict[int, float]) -> tuple[int, float]:
    waiting = {}
    poll = select.poll()
    for process in processes:
        assert process.stdout is not None
        waiting[process.stdout.fileno()] = process
        poll.register(process.stdout, select.POLLIN | select.POLLHUP)
    failures, slowest = 0, 0.0
    said = dict.fromkeys(waiting, b"")
    while waiting:
        for descriptor, _ in poll.poll():
            part = os.read(descriptor, 65536)
            said[descriptor] += part
            if part:
                continue
            poll.unregister(descriptor)
            process = waiting.pop(descriptor)
            status = process.wait()
            slowest = max(slowest, time.monotonic() - begins[process.pid])
            failures += status != 0 or not said[descriptor].strip()
            assert process.stdout is not None
            process.stdout.close()
    return failures, slowest
