"""A cached token costs no more than it must: which modules are imported and which files opened, without any timing.

The benchmark (`tests/bench/run`) measures; this holds what it measures in place, so that a stray import turns red at once.
"""

from __future__ import annotations

import collections
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import conftest
import namespace
import pytest
import sandbox

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: All of ours that a cached token may import.
WARM = {
    "devicelogin",
    "devicelogin.__main__",
    "devicelogin.settings",
    "devicelogin.settings.paths",
    "devicelogin.tokens",
    "devicelogin.tokens.access_cache",
    "devicelogin.tokens.turn",
}

#: What somebody who waits for a refresh may import besides.
WAITER = {
    "devicelogin.clock",
    "devicelogin.errors",
    "devicelogin.private_files",
    "devicelogin.secret_store",
    "devicelogin.secret_store.lock",
    "devicelogin.tokens.single_flight",
}
#: And of the standard library besides: the union over the Pythons that we support.
WAITER_STANDARD = {
    "__future__",
    "_collections",
    "_functools",
    "_operator",
    "_py_warnings",
    "_thread",
    "_types",
    "_weakrefset",
    "collections",
    "collections.abc",
    "contextlib",
    "errno",
    "fcntl",
    "functools",
    "itertools",
    "keyword",
    "operator",
    "reprlib",
    "threading",
    "types",
    "warnings",
}

#: How many more files does a cached token open than a program that does nothing? Each module of ours, each of their
#: directories, the token and the name of this boot.
MOST_OPENED = 15

#: Runs the entry point and then writes the names of all modules to the file that the first argument names.
TELLING = """
import os, sys
report = sys.argv.pop(1)
os._exit = sys.exit  # so that there is an end at which to tell
from devicelogin import __main__
try:
    __main__.main()
finally:
    modules = sorted(sys.modules)
    with open(report, "w") as file:
        file.write("\\n".join(modules))
"""

#: Imports `os`, which a cached token needs and every interpreter has by itself, and then writes the same.
SILENT = """
import os, sys
modules = sorted(sys.modules)
with open(sys.argv[1], "w") as file:
    file.write("\\n".join(modules))
"""


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine on which somebody is signed in, with a cached token for the profile's scopes."""
    with sandbox.opened() as opened:
        opened.sign_in(scopes=("User.Read", "Mail.Read"))
        opened.access_token()
        yield opened


class Told:
    """A run of the entry point that tells what it imported. `bare`: without `site`, so without anything installed."""

    def __init__(self, box: sandbox.Box, *arguments: str, bare: bool = True, **variables: str) -> None:
        fresh = len(list(box.home.glob("modules-*")))
        self._report = box.home / f"modules-{fresh}"
        self._report.touch()
        self.process = subprocess.Popen(
            [sys.executable, *(["-S"] if bare else []), "-c", TELLING, str(self._report), *arguments],
            env=box.environment(variables),
            cwd=box.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> str:
        """Wait and return what it printed; it must have succeeded."""
        out, err = self.process.communicate(timeout=sandbox.PATIENCE)
        assert self.process.returncode == 0, err
        assert not err
        return out

    @property
    def modules(self) -> set[str]:
        """The names of the modules that it had imported at its end."""
        return set(self._report.read_text().split())


def own(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "devicelogin"}


def standard(box: sandbox.Box, modules: set[str]) -> set[str]:
    """Return the modules that are neither ours nor there in an interpreter that imports `os` and nothing else."""
    report = box.home / "bare"
    subprocess.run([sys.executable, "-S", "-c", SILENT, report], env=box.environment(), cwd=box.home, check=True)
    return modules - own(modules) - set(report.read_text().split())


def wait_for_refresh(box: sandbox.Box) -> None:
    sandbox.wait_for(lambda: box.emulator.count("refresh"), "a refresh")


PLAIN_FORMS = [
    ["token"],
    ["token", "--profile", "default"],
    ["token", "--profile=default"],
    ["--profile", "default", "token"],
    ["-p", "default", "token"],
    ["token", "--min-valid", "60"],
    ["token", "--format", "raw"],
    ["token", "--format=header"],
    ["token", "--scope", "Mail.Read"],
    ["token", "--scope=mail.read", "--profile", "default"],
]


@pytest.mark.parametrize("arguments", PLAIN_FORMS, ids=" ".join)
def test_a_cached_token_imports_these_modules_and_no_other(box: sandbox.Box, arguments: list[str]) -> None:
    """No json, re, argparse, typing, dataclasses, logging, click or msal: the list is all there is beside `os`."""
    wanted = box.run(*arguments).out
    refreshed = box.emulator.count("refresh")
    told = Told(box, *arguments)
    assert told.finish() == wanted != ""
    assert own(told.modules) == WARM
    assert standard(box, told.modules) == set()
    assert box.emulator.count("refresh") == refreshed


def test_the_profile_of_the_environment_is_answered_from_the_cache_as_well(box: sandbox.Box) -> None:
    """DEVICELOGIN_PROFILE is what scripts use."""
    told = Told(box, "token", DEVICELOGIN_PROFILE="default")
    assert told.finish() == box.token() + "\n"
    assert own(told.modules) == WARM


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["-v", "token"], {}),
        (["-q", "token"], {}),
        (["token", "-pdefault"], {}),
        (["token", "--json"], {}),
        (["token"], {"DEVICELOGIN_MIN_VALID": "60"}),
        (["token"], {"DEVICELOGIN_QR": "off"}),
    ],
    ids=str,
)
def test_an_unusual_form_takes_the_full_way_to_the_same_answer(
    box: sandbox.Box, arguments: list[str], variables: dict[str, str]
) -> None:
    """What the short way does not understand it leaves alone; the token is the cached one all the same."""
    wanted = box.token()
    told = Told(box, *arguments, bare=False, **variables)
    out, _ = told.process.communicate(timeout=sandbox.PATIENCE)
    assert told.process.returncode == 0
    assert (json.loads(out)["access_token"] if "--json" in arguments else out.removesuffix("\n")) == wanted
    assert "devicelogin.tokens.silent" in told.modules
    # Arguments that are read already need no library for that.
    assert ("click" in told.modules) is (not variables)
    assert "msal" not in told.modules
    assert box.emulator.count("refresh") == 0


def loosen(entry: Path) -> None:
    entry.chmod(0o644)


def give_away(entry: Path) -> None:
    conftest.need_root("give a file away")
    os.chown(entry, 12345, 12345)


def put_a_link(entry: Path) -> None:
    entry.rename(entry.with_name("elsewhere"))
    entry.symlink_to("elsewhere")


def truncate(entry: Path) -> None:
    entry.write_text(entry.read_text()[:-100])


@pytest.mark.parametrize("spoil", [loosen, give_away, put_a_link, truncate], ids=lambda spoil: spoil.__name__)
def test_an_entry_that_others_could_have_written_or_read_is_replaced_by_a_fresh_one(box: sandbox.Box, spoil) -> None:
    """It is not printed: the full way refreshes, and leaves a private file of ours for the next call."""
    spoiled = box.token()
    entry = box.runtime / "default" / "own"
    spoil(entry)
    fresh = box.token()
    assert fresh != spoiled
    assert box.emulator.count("refresh") == 1
    facts = entry.lstat()
    assert (facts.st_uid, facts.st_mode) == (os.geteuid(), 0o100600)
    told = Told(box, "token")
    assert told.finish() == fresh + "\n"
    assert own(told.modules) == WARM


def traced(box: sandbox.Box, calls: str, module: str, *arguments: str, bare: bool = True) -> list[str]:
    """Return the system calls `calls` of `python -m MODULE ARGUMENTS` that succeeded, as strace tells them."""
    conftest.need("strace")
    trace = box.home / "trace"
    command = ["strace", "-f", "-qq", "-o", trace, "-e", f"trace={calls}", "-e", "signal=none"]
    command += [sys.executable, *(["-S"] if bare else []), "-m", module, *arguments]
    for _ in range(2):  # the first one may have to compile
        done = subprocess.run(command, env=box.environment(), cwd=box.home, capture_output=True, check=False)
    if done.returncode != 0 and b"ptrace" in done.stderr.lower():
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    return [
        line
        for line in trace.read_text().splitlines()
        if (" = -1 " not in line or "EINPROGRESS" in line) and "+++" not in line
    ]


def opened_files(box: sandbox.Box, module: str, *arguments: str) -> collections.Counter[str]:
    lines = traced(box, "/^open", module, *arguments)
    return collections.Counter(found[1] for line in lines if (found := re.search(r'"([^"]*)"', line)))


def test_a_cached_token_opens_these_files_and_no_other(box: sandbox.Box) -> None:
    """Two files beside its own modules: the token and the name of this boot; on a slow card each one more costs."""
    empty = box.home / "empty_program"
    empty.mkdir()
    (empty / "__init__.py").touch()
    (empty / "__main__.py").touch()
    extra = opened_files(box, "devicelogin", "token") - opened_files(box, "empty_program")
    package = str(sandbox.ROOT / "devicelogin")
    beside = {name for name in extra if not name.startswith(package) and name != str(sandbox.ROOT)}
    assert beside == {str(box.runtime / "default" / "own"), "/proc/sys/kernel/random/boot_id"}
    assert extra.total() <= MOST_OPENED, sorted(extra.elements())


def test_a_cached_token_makes_no_system_call_of_the_network(box: sandbox.Box) -> None:
    """Not even a socket for the bus of the session."""
    assert traced(box, "%network", "devicelogin", "token") == []
    seen = traced(box, "%network", "devicelogin", "token", "--force-refresh", bare=False)
    assert any("connect(" in line for line in seen)  # it would have been seen


def test_a_cached_token_is_printed_where_there_is_no_network_at_all(box: sandbox.Box) -> None:
    """A network namespace of its own has not even a loopback interface."""
    wanted = box.token()
    cut = namespace.without_network()
    result = box.start("token", before=cut).finish()
    assert (result.status, result.out) == (0, wanted + "\n")
    assert box.start("token", "--force-refresh", before=cut).finish().status == 75


def test_of_processes_that_meet_an_expired_token_only_the_one_that_refreshes_imports_anything_heavy(
    box: sandbox.Box,
) -> None:
    """Who waits touches neither network, keyring nor cryptography, and needs none of it on its disk."""
    (box.runtime / "default" / "own").unlink()
    box.emulator.script("refresh", [Fault.delay(3)])
    leader = Told(box, "token", bare=False)
    wait_for_refresh(box)
    waiters = [Told(box, "token") for _ in range(6)]
    token = leader.finish()
    assert {told.finish() for told in waiters} == {token}
    assert box.emulator.count("refresh") == 1
    assert "msal" in leader.modules
    for told in waiters:
        assert own(told.modules) <= WARM | WAITER
        assert standard(box, told.modules) <= WAITER_STANDARD
    assert any("devicelogin.tokens.single_flight" in told.modules for told in waiters)  # it did wait


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["status"],
        ["status", "--check"],
        ["completion", "bash"],
        ["logout"],
    ],
    ids=" ".join,
)
def test_what_needs_no_network_imports_nothing_that_speaks_to_it(box: sandbox.Box, arguments: list[str]) -> None:
    """Neither msal nor requests, which are most of a start; a logout at Entra revokes nothing and needs neither."""
    told = Told(box, *arguments, bare=False)
    told.process.communicate(timeout=sandbox.PATIENCE)
    assert told.process.returncode == 0
    assert {"msal", "requests", "keyring"} & told.modules == set()
