"""A store named `keyring:module.Class`, proven with a real one: keyring-pass over `pass` and gpg, which have no session bus."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

STORE = "keyring:keyring_pass.PasswordStoreBackend"

#: How often may a command be run until `pass` is in time? One save starts dozens of processes, and other tests run as well.
TRIES = 4

#: How long may a command take that waits for nobody (seconds)?
LIMIT = 20


class PatientBox(sandbox.Box):
    """A box whose commands run once more where `pass` was too slow, which they say."""

    def run(
        self, *arguments: str, timeout: float = sandbox.PATIENCE, stdin: str | None = None, **variables: str | None
    ) -> sandbox.Result:
        """Run the command; what a login that failed has used up of approvals is given again."""
        for _ in range(TRIES):
            shown = self.emulator.count("devicecode")
            result = super().run(*arguments, timeout=timeout, stdin=stdin, **variables)
            if "did not answer within 7 seconds" not in result.err:
                break
            if self.emulator.count("devicecode") > shown:
                self.emulator.approve_next()
        return result


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine with pass and gpg, neither of them set up."""
    conftest.need("pass", "gpg", "gpgconf")
    # gpg-agent's sockets lie in it, and the path of a socket has 107 characters at most.
    keys = Path(tempfile.mkdtemp(prefix="gpg-"))
    # What gpg takes for a tenth of a second can be a whole one on a machine that is busy with other tests.
    (keys / "gpg-agent.conf").write_text("s2k-count 65536\n")
    # Nobody else uses these keys: no file is locked, and no trust is computed, for each of the dozens of processes.
    (keys / "gpg.conf").write_text("trust-model always\nno-auto-check-trustdb\nlock-never\n")
    with sandbox.opened(interval=0) as opened:
        patient = PatientBox(opened.home, opened.emulator)
        patient.variables |= {"GNUPGHOME": str(keys), "PASSWORD_STORE_DIR": str(opened.home / "pass")}
        try:
            yield patient
        finally:
            call(patient, "gpgconf", "--kill", "all")
            shutil.rmtree(keys, ignore_errors=True)


def call(box: sandbox.Box, *command: str) -> str:
    """Run a program in the box's environment and return what it printed."""
    return subprocess.run(command, env=box.environment(), check=True, capture_output=True, text=True).stdout


def set_up(box: sandbox.Box, passphrase: str = "") -> None:
    """Make a gpg key and a password store for it."""
    make = ["--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-gen-key", "box@contoso.example"]
    call(box, "gpg", "--batch", "--quiet", *make, "future-default", "default", "never")
    call(box, "pass", "init", "box@contoso.example")


def unlock(box: sandbox.Box, passphrase: str) -> None:
    """Use the key once, as somebody at a terminal does; the agent then remembers its passphrase."""
    plain, sealed = box.home / "plain", box.home / "sealed"
    plain.touch()
    call(box, "gpg", "--batch", "--yes", "-r", "box@contoso.example", "-o", str(sealed), "-e", str(plain))
    words = ["--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", passphrase, "-o", str(plain)]
    call(box, "gpg", *words, "-d", str(sealed))


def items(box: sandbox.Box) -> list[str]:
    """Return what lies in the password store."""
    return sorted(path.stem for path in (box.home / "pass").rglob("*.gpg"))


def test_a_sign_in_lives_in_pass_from_login_to_logout(box: sandbox.Box) -> None:
    """Login, a cached token, refreshes, another login and logout, all through gpg; at the end nothing is left in it."""
    set_up(box)
    box.login(store=STORE)
    assert "as good as that one is" in box.run("status").out
    assert len(items(box)) > 2
    token = box.token()
    assert box.token("--force-refresh") != token
    assert box.token("--force-refresh")
    box.login(store=None)
    assert STORE in box.run("status").out, "without a wish a new sign-in goes where the old one is"
    assert box.token("--force-refresh")
    for file in (box.home / "pass").rglob("*.gpg"):
        assert b"refresh" not in file.read_bytes()
    result = box.run("logout")
    assert result.status == 0, result
    assert items(box) == []


def test_pass_that_is_not_set_up_is_73_in_time_before_anybody_is_asked(box: sandbox.Box) -> None:
    """No store, and no key: the program that failed is named, with what to do, and one command for another store."""
    result = box.run("login", *box.app(store=STORE))
    assert (result.status, box.emulator.count("devicecode")) == (73, 0)
    assert result.seconds < sandbox.SOON
    assert "the program behind this keyring backend failed" in result.lines("error")[0]
    assert result.lines("detail") == ["pass ended with exit status 1"]
    hint = result.lines("hint")[0]
    assert "use it by hand in this very session" in hint
    assert (hint.count("--store"), hint.endswith(" --store file")) == (1, True)


@pytest.mark.parametrize("trouble", ["locked", "missing"])
def test_a_gpg_key_that_is_locked_or_gone_is_73_in_time_and_loses_nothing(box: sandbox.Box, trouble: str) -> None:
    """Nobody is there to type the key's passphrase, or the key is gone: no wait, no loss, and back when the key is."""
    set_up(box, "gpg passphrase")
    unlock(box, "gpg passphrase")
    box.login(store=STORE)
    box.token("--force-refresh")
    before = items(box)
    keys = Path(box.variables["GNUPGHOME"])
    if trouble == "missing":
        (keys / "private-keys-v1.d").rename(keys / "away")
    call(box, "gpgconf", "--kill", "gpg-agent")
    for arguments in (("token", "--force-refresh"), ("login", *box.app(store=None))):
        asked = box.emulator.count("devicecode")
        result = box.run(*arguments)
        assert result.status == 73, result
        assert result.seconds < sandbox.SOON
        assert "the program behind this keyring backend failed" in result.lines("error")[0]
        assert result.lines("detail") == ["pass ended with exit status 2"]
        assert box.emulator.count("devicecode") == asked
    assert box.run("status").status == 0
    assert items(box) == before
    if trouble == "missing":
        (keys / "away").rename(keys / "private-keys-v1.d")
    unlock(box, "gpg passphrase")
    box.token("--force-refresh")
