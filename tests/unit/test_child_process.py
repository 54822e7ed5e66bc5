"""A command as a list, with a deadline that holds for all that it started."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sandbox

from devicelogin import child_process

PYTHON = [sys.executable, "-I", "-c"]


def alive(pid: int) -> bool:
    """Tell whether process `pid` runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_command_gets_its_input_and_returns_its_output_and_status() -> None:
    """stdin in, stdout, stderr and exit status out."""
    script = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('said'); sys.exit(3)"
    outcome = child_process.run([*PYTHON, script], deadline_seconds=20, stdin=b"abc")
    assert (outcome.status, outcome.output, outcome.diagnostics, outcome.timed_out) == (3, b"ABC", b"said", False)


@pytest.mark.parametrize("argument", ["$(touch made)", "; touch made", "`touch made`", "a\nb", "*", '"', "ä€"])
def test_no_shell_reads_an_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
    """An argument arrives as it is, and nothing in it is run (D13)."""
    monkeypatch.chdir(tmp_path)
    outcome = child_process.run(["printf", "%s", argument], deadline_seconds=20)
    assert outcome.output == argument.encode()
    assert list(tmp_path.iterdir()) == []


def test_a_line_with_spaces_is_no_command() -> None:
    """A command that cannot be started is an OSError, not a shell's guess."""
    with pytest.raises(OSError, match="No such file"):
        child_process.run(["true && true"], deadline_seconds=20)


def test_the_deadline_kills_the_whole_tree(tmp_path: Path) -> None:
    """A child that ignores SIGTERM and its own child are both gone, within the deadline."""
    noted = tmp_path / "pids"
    # A shell: a busy machine may need longer than the deadline to start a Python.
    script = 'trap "" TERM HUP; sleep 600 & echo $$ $! >"$0"; echo before; wait'
    started = time.monotonic()
    outcome = child_process.run(["sh", "-c", script, str(noted)], deadline_seconds=4)
    assert time.monotonic() - started < sandbox.SOON
    assert (outcome.status, outcome.timed_out, outcome.output) == (None, True, b"before\n")
    pids = [int(word) for word in noted.read_text().split()]
    assert len(pids) == 2
    sandbox.wait_for(lambda: not any(alive(pid) for pid in pids), "the end of both")


@pytest.mark.parametrize("way", ["in its session", "in one of its own"])
def test_what_a_command_leaves_running_is_not_waited_for_and_lives_on(tmp_path: Path, way: str) -> None:
    """An agent that keeps stdout and stderr open: the command is over when it has ended, and all that it wrote is here."""
    noted = tmp_path / "pid"
    leave = "os.setsid()" if way == "in one of its own" else "pass"
    script = (
        f"import os, time\nif os.fork() == 0:\n {leave}; "
        f"open({str(noted)!r}, 'w').write(str(os.getpid())); time.sleep(600)\n"
        f"while not (os.path.exists({str(noted)!r}) and os.path.getsize({str(noted)!r})): time.sleep(0.01)\n"
        "os.write(1, b'x' * 60000); os.write(2, b'said'); os._exit(3)"
    )
    outcome = child_process.run([*PYTHON, script], deadline_seconds=500)
    agent = int(noted.read_text())
    try:
        assert (outcome.status, len(outcome.output), outcome.diagnostics) == (3, 60000, b"said")
        assert alive(agent)
    finally:
        os.kill(agent, signal.SIGKILL)


def test_a_command_and_all_that_it_started_dies_with_a_killed_caller(tmp_path: Path) -> None:
    """`kill -9` of ours leaves nothing that goes on with a secret."""
    noted = tmp_path / "pids"
    script = f"import os, time\nos.fork(); open({str(noted)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"
    caller_script = (
        "import sys; from devicelogin import child_process; child_process.run(sys.argv[1:], deadline_seconds=500)"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", caller_script, *PYTHON, script],
        env={**os.environ, "PYTHONPATH": str(sandbox.ROOT)},
    )  # fmt: skip
    sandbox.wait_for(lambda: noted.exists() and len(noted.read_text().split()) == 2, "both")
    pids = [int(word) for word in noted.read_text().split()]
    assert all(alive(pid) for pid in pids)
    caller.kill()
    caller.wait()
    sandbox.wait_for(lambda: not any(alive(pid) for pid in pids), "the end of both")


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit(2) is of Linux")
def test_a_command_writes_no_core_whatever_limit_the_shell_has_set() -> None:
    """What a key command prints is a key."""
    script = "while ! grep -q 'core file size *0 *0 ' /proc/self/limits; do sleep 0.01; done; echo none"
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        assert child_process.run(["sh", "-c", script], deadline_seconds=60).output == b"none\n"
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_a_child_that_never_reads_its_input_is_no_trouble() -> None:
    """A closed stdin neither hangs nor raises; a large one is not waited for after the child has ended."""
    assert child_process.run(["true"], deadline_seconds=20, stdin=b"x" * (1 << 22)).status == 0
    assert child_process.run(["sleep", "600"], deadline_seconds=0.3, stdin=b"x" * (1 << 22)).timed_out


def test_endless_output_does_not_fill_the_memory() -> None:
    """What comes after the limit is forgotten, while it comes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = child_process.run(["yes"], deadline_seconds=2)
    assert outcome.timed_out
    assert len(outcome.output) == child_process.OUTPUT_LIMIT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
    large = child_process.run([*PYTHON, f"print('x' * {5 << 20})"], deadline_seconds=20)
    assert (large.status, len(large.output)) == (0, child_process.OUTPUT_LIMIT)


def test_the_environment_is_replaced_where_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child sees exactly what it is handed."""
    monkeypatch.setenv("CANARY", "ours")
    given = child_process.run(["/usr/bin/env"], deadline_seconds=20, environment={"ONLY": "this"})
    assert given.output == b"ONLY=this\n"
    assert b"CANARY=ours\n" in child_process.run(["/usr/bin/env"], deadline_seconds=20).output


def test_only_named_descriptors_are_inherited(tmp_path: Path) -> None:
    """A lock or a key of ours does not leak into a hook."""
    with (tmp_path / "kept").open("w") as kept, (tmp_path / "other").open("w") as other:
        os.set_inheritable(other.fileno(), True)
        script = (
            "import os, sys\nfor number in map(int, sys.argv[1:]):\n"
            " try: os.fstat(number); print('open')\n except OSError: print('shut')"
        )
        command = [*PYTHON, script, str(kept.fileno()), str(other.fileno())]
        outcome = child_process.run(command, deadline_seconds=20, keep_descriptors=[kept.fileno()])
    assert outcome.output.split() == [b"open", b"shut"]


def test_an_interrupt_takes_the_child_along(tmp_path: Path) -> None:
    """Ctrl-C while we wait leaves no child behind."""
    noted = tmp_path / "pid"
    script = f"import os, time; open({str(noted)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    def interrupt() -> None:
        while not (noted.exists() and noted.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        child_process.run([*PYTHON, script], deadline_seconds=20)
    thread.join()
    sandbox.wait_for(lambda: not alive(int(noted.read_text())), "its end")


def test_no_descriptor_is_left_open() -> None:
    """A hundred children cost no descriptor."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        child_process.run(["true"], deadline_seconds=20, stdin=b"x")
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_what_a_child_said_is_not_in_the_repr() -> None:
    """A key command prints a secret."""
    assert "geheim" not in repr(child_process.run(["echo", "geheim"], deadline_seconds=20))
