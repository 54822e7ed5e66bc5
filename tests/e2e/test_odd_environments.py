"""Jobs in environments that nobody chose: a variable missing, streams closed, no working directory, limits that are too low."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import conftest
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "devicelogin"]
REFRESH = [*COMMAND, "token", "--force-refresh"]


@pytest.fixture(scope="module")
def signed_in() -> Iterator[sandbox.Box]:
    """One sign-in for all; nothing here may change it for the worse."""
    with sandbox.opened() as opened:
        opened.sign_in()
        yield opened


@pytest.fixture
def box(signed_in: sandbox.Box) -> Iterator[sandbox.Box]:
    yield signed_in
    assert signed_in.token("--force-refresh")


def run(box: sandbox.Box, command: list[str], shell: str = 'exec "$@"', **variables: str | None) -> sandbox.Result:
    """Run `command` from a line of shell with the environment of a job, which `variables` change."""
    job = {"LOGNAME": "ada", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "LANG": None}
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", *command],
        env=box.environment({**job, **variables}),
        cwd=box.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=sandbox.PATIENCE,
    )
    result = sandbox.Result(done.returncode, done.stdout, done.stderr, 0)
    box.check(result)
    return result


def is_token(text: str) -> bool:
    return text.startswith("eyJ") and text.count("\n") == 1


@pytest.mark.parametrize("missing", ["PATH", "LOGNAME", "SHELL"])
def test_a_variable_that_is_not_there_is_not_missed(box: sandbox.Box, missing: str) -> None:
    """Of the four that cron sets, only HOME is needed."""
    result = run(box, REFRESH, **{missing: None})
    assert (result.status, is_token(result.out), result.err) == (0, True, "")


@pytest.mark.parametrize(
    ("home", "words"),
    [
        (None, "HOME is not set"),
        ("", "HOME is not set"),
        ("ada", "HOME is 'ada', which is not an absolute path"),
        ("/nonexistent", "HOME is '/nonexistent': No such file or directory"),
        ("/dev/null", "HOME, '/dev/null', is not a directory"),
    ],
)
def test_a_home_that_is_none_is_78_and_says_what_to_set(box: sandbox.Box, home: str | None, words: str) -> None:
    """Services have such ones. What is offered for pasting does no harm."""
    result = run(box, REFRESH, HOME=home, DEVICELOGIN_HOME=None)
    assert (result.status, result.out) == (78, "")
    [error], [hint] = result.lines("error"), result.lines("hint")
    assert words in error
    assert hint == "export DEVICELOGIN_HOME=/path/of/a/private/directory"


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(box: sandbox.Box, closed: str) -> None:
    """A token for stdout needs one (74); one for a file needs none. No file of ours gets a stream's number."""
    result = run(box, REFRESH, f'exec "$@" {closed}')
    assert result.status == (74 if ">&-" in closed.replace("2>&-", "") else 0)
    assert result.status != 0 or is_token(result.out)
    file = box.home / "token"
    result = run(box, [*REFRESH, "--output-file", str(file)], f'exec "$@" {closed}')
    assert (result.status, result.out, result.err) == (0, "", "")
    assert is_token(file.read_text())


@pytest.mark.parametrize("mask", ["000", "077", "777"])
def test_no_umask_opens_or_closes_what_is_written(box: sandbox.Box, mask: str) -> None:
    """0600 each, whatever the job inherits."""
    file = box.home / f"token-{mask}"
    assert run(box, [*REFRESH, "--output-file", str(file)], f'umask {mask}; exec "$@"').status == 0
    written = [file, *(path for path in (box.home / "all").rglob("*") if path.is_file())]
    assert {path.stat().st_mode & 0o7777 for path in written} == {0o600}


def test_a_working_directory_that_is_gone_is_not_missed(box: sandbox.Box) -> None:
    """But for a file named relative to it: 74."""
    gone = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    assert run(box, REFRESH, gone).status == 0
    result = run(box, [*REFRESH, "--output-file", "token"], gone)
    assert result.status == 74
    assert "the working directory is gone" in result.lines("error")[0]


def test_the_home_of_somebody_else_is_78(box: sandbox.Box) -> None:
    """A job that runs as nobody with the HOME of whoever wrote it."""
    conftest.need_root("become somebody else")
    conftest.need("setpriv")
    box.home.chmod(0o755)
    # Root's own Python may not be read by others: only the right to read everything is left.
    before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+dac_read_search"]
    before += ["--ambient-caps=-all,+dac_read_search"]
    result = run(box, [*before, *REFRESH], DEVICELOGIN_HOME=None)
    box.home.chmod(0o700)
    assert (result.status, result.out) == (78, "")
    assert "belongs to user id 0, but this runs as user id 65534" in result.lines("error")[0]


def test_a_rehearsal_names_no_crontab_with_the_home_of_somebody_else(box: sandbox.Box) -> None:
    """What it advised would only be refused: 78 at once, as from every other command."""
    conftest.need_root("give a directory away")
    home = box.home / "ada"
    home.mkdir()
    os.chown(home, 65534, 65534)
    result = box.run("doctor", "--as-cron", HOME=str(home), DEVICELOGIN_HOME=None)
    assert (result.status, result.out) == (78, "")
    assert "belongs to user id 65534, but this runs as user id 0" in result.lines("error")[0]
    assert not list(home.iterdir())


LIMITS = [f"--nofile={files}:{files}" for files in (16, 8, 6, 5)]
LIMITS += [f"--as={mib << 20}:{mib << 20}" for mib in (200, 80, 70, 60, 52, 45, 38)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prlimit")
@pytest.mark.parametrize("limit", LIMITS)
def test_limits_that_are_too_low_are_said_to_be_that(box: sandbox.Box, limit: str) -> None:
    """A12: a token, or 75 with one line; never a traceback, and nothing is lost.

    Where OpenSSL finds no memory it takes certificates for bad ones, and Rust aborts: so nobody comes there.
    """
    conftest.need("prlimit")
    for command in (REFRESH, [*COMMAND, "graph", "me"]):
        result = run(box, ["prlimit", limit, *command])
        assert result.status in {0, 75}, result
        if result.status > 0:
            assert len(result.lines("error")) == 1, result
            assert "bug" not in result.err, result
        if result.status == 75:
            said = result.lines("error")[0]
            assert "has reached a limit of" in said or "for want of memory" in said
    if limit == LIMITS[0]:
        assert is_token(run(box, ["prlimit", limit, *REFRESH]).out), "sixteen files are enough"


def test_a_program_that_cannot_be_loaded_says_so(box: sandbox.Box, tmp_path: Path) -> None:
    """70 and the missing part by its name, without a traceback."""
    (tmp_path / "click.py").write_text('raise ImportError("No module named click", name="click")\n')
    path = os.pathsep.join([str(tmp_path), str(sandbox.ROOT)])
    result = run(box, [*COMMAND, "status"], PYTHONPATH=path)
    assert result.status == 70
    assert result.lines("error") == ["this program could not be loaded: ImportError click"]
    assert len(result.lines("hint")) == 1


NO_MEMORY = """
import sys

class NoMemory:
    def find_spec(name, path=None, target=None):
        if name == "unicodedata":
            raise MemoryError

sys.meta_path.insert(0, NoMemory)
"""


def test_an_error_whose_words_cannot_be_loaded_keeps_its_exit_code(box: sandbox.Box, tmp_path: Path) -> None:
    """One line all the same: the memory that was too little for the command is so for its complaint."""
    # A file of that name would be ignored where the module is built into the interpreter.
    (tmp_path / "sitecustomize.py").write_text(NO_MEMORY)
    path = os.pathsep.join([str(tmp_path), str(sandbox.ROOT)])
    result = run(box, [*COMMAND, "graph", "me"], PYTHONPATH=path)
    assert result.status == 75
    assert result.lines("error") == ["the reason cannot be shown, for want of memory or open files"]
