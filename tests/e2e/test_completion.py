"""Completion in the real shells: what a person types and has completed is what they meant."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sandbox
from conftest import need

CHECKOUT = Path(__file__).resolve().parents[2]

#: What is typed before the tabulator, and what stands there afterwards.
CASES = {
    "devicelogin logo": "devicelogin logout",
    "devicelogin store mo": "devicelogin store move",
    "devicelogin token --outp": "devicelogin token --output-file",
    "devicelogin token -p we": "devicelogin token -p weekend",
    "devicelogin -p wo": "devicelogin -p work",
    "devicelogin status --profile=we": "devicelogin status --profile=weekend",
    "devicelogin login --store k": "devicelogin login --store keyring",
    "devicelogin login --ca-file certs/cor": "devicelogin login --ca-file certs/corporate.pem",
    "devicelogin graph PA": "devicelogin graph PATCH",
}

#: How each shell is started without the settings of anybody, and how it learns to complete.
INTERACTIVE = {
    "bash": (["bash", "--noprofile", "--norc", "-i"], "source <(devicelogin completion bash)"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "bindkey -e; autoload -Uz compinit; compinit -u -D; source <(devicelogin completion zsh)",
    ),
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with `devicelogin` on its PATH, two profiles and a certificate below the working directory."""
    programs, config, certificates = tmp_path / "bin", tmp_path / "home" / "config", tmp_path / "certs"
    for directory in (programs, config, certificates):
        directory.mkdir(parents=True, mode=0o700)
    program = programs / "devicelogin"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m devicelogin "$@"\n')
    program.chmod(0o755)
    (certificates / "corporate.pem").touch()
    for profile in ("work", "weekend"):
        (config / f"{profile}.toml").write_text("")
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DEVICELOGIN_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(CHECKOUT),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


class Shell:
    """An interactive shell on a pseudo-terminal, at which somebody types."""

    def __init__(self, words: list[str], environment: dict[str, str], directory: Path) -> None:
        self.written = b""
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=directory, start_new_session=True
        )
        os.close(slave)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(self.master, 65536):
                self.written += part

    def run(self, keys: str, mark: str) -> str:
        """Type `keys`; return what the shell printed between two times `mark` on one line."""
        begin = len(self.written)
        os.write(self.master, keys.encode())
        end = time.monotonic() + sandbox.SOON
        while not (found := re.search(rf"\n{mark}(.*?){mark}", self.written[begin:].decode(errors="replace"))):
            assert time.monotonic() < end, self.written.decode(errors="replace")
            time.sleep(0.01)
        return found[1]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.parametrize("name", INTERACTIVE)
def test_a_tabulator_completes_what_was_meant(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    """Commands, options, profiles, values and files, typed at bash and at zsh."""
    need("bash")
    need("zsh")
    words, learn = INTERACTIVE[name]
    shell = Shell(words, environment, tmp_path)
    try:
        shell.run(f"{learn}; PS1=; echo '|'ready'|'\n", r"\|")
        # To the start of the line, and what was completed is printed and not run.
        completed = {typed: shell.run(f"{typed}\t'|'\x01echo '|'\n", r"\|").split() for typed in CASES}
    finally:
        shell.close()
    assert completed == {typed: meant.split() for typed, meant in CASES.items()}


def test_fish_is_offered_what_was_meant(environment: dict[str, str], tmp_path: Path) -> None:
    """The same in fish, which says itself what it would complete, each with its whole description."""
    need("fish")
    script = "devicelogin completion fish | source\n" + "".join(
        f"echo '>' {shlex.quote(typed)}\ncomplete -C {shlex.quote(typed)}\n" for typed in CASES
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=sandbox.PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    offered = [part.strip().split("\n") for part in done.stdout.split("> ")[1:]]
    assert {typed: words[0].split("\t")[0] for typed, *words in offered} == {
        typed: meant.split()[-1] for typed, meant in CASES.items()
    }
    assert all(len(lines) == 2 for lines in offered)
    assert "--output-file\tWrite to FILE (0600), not to stdout." in done.stdout


def answer(environment: dict[str, str], typed: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Return what the program answers the script of bash."""
    words = typed.split(" ")
    asked = {
        "_DEVICELOGIN_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return subprocess.run(
        ["devicelogin"],
        env={**environment, **asked, **more},
        capture_output=True,
        text=True,
        timeout=sandbox.PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("typed", "more"),
    [
        ("devicelogin token -p w", {"DEVICELOGIN_HOME": "relative"}),
        ("devicelogin token -p w", {"DEVICELOGIN_HOME": "/proc/1/root/nowhere"}),
        ("devicelogin token 'unfinished", {}),
        ("devicelogin token --wait-for-clock 60 --", {"COMP_CWORD": "many"}),
        ("devicelogin token -p w", {"COMP_WORDS": "devicelogin\ntoken\n\udcff"}),
    ],
)
def test_what_is_wrong_offers_nothing_and_says_nothing(
    environment: dict[str, str], typed: str, more: dict[str, str]
) -> None:
    """A word about it would stand in the middle of what somebody is typing."""
    done = answer(environment, typed, **more)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_a_variable_that_no_script_wrote_is_told(environment: dict[str, str]) -> None:
    """2 and how to be rid of it; and with arguments it means nothing."""
    done = answer(environment, "devicelogin ", _DEVICELOGIN_COMPLETE="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: unset _DEVICELOGIN_COMPLETE" in done.stderr
    version = subprocess.run(
        ["devicelogin", "--version"],
        env={**environment, "_DEVICELOGIN_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("devicelogin ")


def test_what_is_offered_needs_no_network_library(environment: dict[str, str]) -> None:
    """A tabulator is answered at once: nothing of what a sign-in needs is imported for `token` and profiles."""
    done = answer(environment, "devicelogin token -p w", PYTHONPROFILEIMPORTTIME="1")
    assert done.stdout.split() == ["plain,weekend", "plain,work"]
    assert not re.search(r"\| +(msal|requests|keyring|rich|cryptography)\b", done.stderr)
