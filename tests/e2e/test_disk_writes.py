"""What jobs leave on the disk: nothing where a token is cached, no stray file after a month of refreshes (E17)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import pytest
import sandbox

from devicelogin.tokens import cache_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

#: System calls that change a file or a directory, whichever way they name it.
CHANGING = re.split(
    r"\s+",
    "rename renameat renameat2 unlink unlinkat rmdir mkdir mkdirat link linkat symlink symlinkat mknod mknodat creat "
    "truncate ftruncate fallocate chmod fchmod fchmodat chown fchown lchown fchownat utime utimes utimensat futimesat "
    "setxattr fsetxattr removexattr fsync fdatasync copy_file_range sendfile",
)
WRITING = ["write", "pwrite64", "writev", "pwritev", "pwritev2"]

#: What a process may write to: the streams that it was given, in these tests a pipe and /dev/null, and what it makes itself.
# Standard output and standard error are pipes as well, of which strace cannot tell so to an ordinary user.
HARMLESS = re.compile(r"^[a-z0-9]+\((?:[12],|\d+<(pipe:\[\d+\]|/dev/null[^>]*|socket:\[[^>]*|anon_inode:[^>]*)>)")

LOOP = 'i=0; while [ "$i" -lt "$0" ]; do "$@" || exit; i=$((i + 1)); done'


@pytest.fixture(params=["memory", "disk"])
def box(request: pytest.FixtureRequest) -> Iterator[sandbox.Box]:
    """A sandbox with a runtime directory in memory, or all on a disk, where cached tokens lie sealed in the store."""
    opened = {"memory": sandbox.opened, "disk": sandbox.opened_on_disk}[request.param]
    with opened(mode="strict") as box:
        yield box


def changes(trace: str) -> list[str]:
    """Return the lines of strace that change something which outlives the process."""
    found = []
    for line in trace.splitlines():
        call = re.sub(r"^\d+ +", "", line)
        name = call.partition("(")[0]
        if name in CHANGING or (name in WRITING and not HARMLESS.match(call)):
            found.append(call)
        elif name in {"open", "openat", "openat2"} and re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)", call):
            found.extend([] if '"/dev/null"' in call else [call])
    return found


def test_cached_tokens_write_nothing(box: sandbox.Box) -> None:
    """Every minute for a year on an SD card: whatever is written wears it out."""
    conftest.need("strace")
    runs = conftest.repetitions(1000) if cache_directory.is_memory(str(box.home)) else conftest.repetitions(100)
    box.sign_in()
    token = box.token()
    requests = len(box.emulator.requests)
    trace = Path(box.home) / "trace"
    traced = ["strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "0", "-e", "signal=none", "-o", str(trace)]
    calls = ["-e", f"trace={','.join(f'?{name}' for name in ['open', 'openat', 'openat2', *WRITING, *CHANGING])}"]
    command = [sys.executable, "-m", "devicelogin", "token"]
    done = subprocess.run(
        [*traced, *calls, "sh", "-c", LOOP, str(runs), *command],
        env=box.environment(),
        cwd=box.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{token}\n" * runs
    assert len(box.emulator.requests) == requests
    text = trace.read_text()
    assert text.count("access_cache") >= runs, "the programs were not traced"
    assert changes(text) == []


def files(box: sandbox.Box) -> dict[str, int]:
    return {str(file.relative_to(box.home)): file.stat().st_size for file in box.home.rglob("*") if file.is_file()}


def test_a_month_of_hourly_refreshes_leaves_no_stray_files(box: sandbox.Box) -> None:
    """The same files as after the first refresh, none larger by more than a number that has grown."""
    box.sign_in()
    box.access_token(force=True)
    first = files(box)
    for _ in range(conftest.repetitions(720)):
        box.emulator.clock.advance(3600)
        assert not box.access_token(force=True).warnings
    last = files(box)
    assert last.keys() == first.keys()
    assert sum(last.values()) <= sum(first.values()) + 64
    assert box.token("--force-refresh")
    assert files(box).keys() == first.keys()
