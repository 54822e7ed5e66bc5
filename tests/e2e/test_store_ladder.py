"""The sealed file's key from wherever it comes, through the real commands: chosen once, found again, never replaced silently."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import namespace
import pseudo_terminal
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSPHRASE = "correct horse battery"

#: What no command writes, by which the reader of a terminal has come to the end.
END = b"\0"


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine of its own; nobody waits between polls."""
    with sandbox.opened(interval=0) as opened:
        yield opened


class Terminal(pseudo_terminal.PseudoTerminal):
    """A pseudo-terminal for stdin and stderr of commands, at which somebody types `answers`, each when `cues` come."""

    #: How much of what was written has been dealt with (bytes)?
    _read_until = 0

    @property
    def text(self) -> str:
        """What came after the last answer, on one line."""
        return " ".join(self.written[self._read_until :].replace(END, b"").decode(errors="replace").split())

    def answer(self, cue: str, words: str) -> None:
        """Wait for `cue` and type `words`; what was there before does not count for the next cue."""
        self.wait_for(cue)
        self._read_until = len(self.written)
        # Who asks for a secret throws away what was typed before the question.
        time.sleep(0.1)
        self.type(words + "\n")

    def run(self, box: sandbox.Box, *arguments: str, answers: list[tuple[str, str]]) -> tuple[int, str, str]:
        """Run a command at this terminal, answer it, and return its status, its stdout and what it said last."""
        self._read_until = begin = len(self.written)
        running = box.start(*arguments, stdin=self.slave, stderr=self.slave, variables={"TERM": "xterm"})
        for cue, words in answers:
            self.answer(cue, words)
        result = running.finish()
        os.write(self.slave, END)
        sandbox.wait_for(lambda: self.written.endswith(END), "the end of what was written")
        assert PASSPHRASE.encode() not in self.written[begin:], "a passphrase never appears"
        return result.status, result.out, self.text


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal."""
    opened = Terminal()
    yield opened
    opened.close()


def credentials(
    box: sandbox.Box, name: str = "devicelogin.key", content: bytes = b"0123456789abcdef"
) -> dict[str, str]:
    """Return the environment of a unit that has the credential `name`."""
    directory = box.home / f"credentials of {name}"
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / name).unlink(missing_ok=True)
    (directory / name).write_bytes(content)
    (directory / name).chmod(0o400)
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def write_key(box: sandbox.Box, line: str) -> None:
    """Put `line` into the profile in the place of what it says of the key."""
    profile = box.config / "default.toml"
    kept = [old for old in profile.read_text().splitlines() if not old.startswith(("key", "bind"))]
    profile.write_text("\n".join([*kept, line, ""]))


def test_a_service_with_a_credential_signs_in_refreshes_and_signs_out(box: sandbox.Box) -> None:
    """The key is the credential without being told; outside of the unit it is 73 before Microsoft is asked, inside it goes on."""
    unit = credentials(box)
    box.variables |= unit
    box.login()
    assert not (box.config / "keys").exists()
    assert "systemd credential" in box.run("status").out
    assert box.token("--force-refresh") != box.token("--force-refresh")
    for outside in ({"CREDENTIALS_DIRECTORY": None}, credentials(box, "database.password")):
        asked = box.emulator.count("devicecode")
        for arguments in (("token", "--force-refresh"), ("login", *box.app()), ("login", *box.app(store=None))):
            result = box.run(*arguments, **outside)
            assert result.status == 73, result
            assert "the systemd credential devicelogin.key" in result.lines("error")[0]
            assert "systemd-run --pty" in result.lines("hint")[0]
        assert box.emulator.count("devicecode") == asked
        assert box.run("status", **outside).status == 0
    box.token("--force-refresh")
    box.variables |= credentials(box, content=b"another one than before")
    assert box.run("token", "--force-refresh").status == 65
    box.login()
    box.token("--force-refresh")
    assert box.run("logout", CREDENTIALS_DIRECTORY=None).status == 0
    assert not (box.state / "default" / "record").exists()


def test_a_unit_with_some_other_credential_still_finds_its_key_file(box: sandbox.Box) -> None:
    """At login and ever after; and the credential that comes later does not take over what the key file has sealed."""
    box.variables |= credentials(box, "database.password")
    box.login()
    box.token("--force-refresh")
    assert (box.config / "keys" / "default.key").exists()
    box.variables |= credentials(box)
    box.token("--force-refresh")
    box.login()
    assert "key file" in box.run("status").out, "a new sign-in keeps the source of the saved one"
    write_key(box, 'key = "credential"')
    box.token("--force-refresh")
    box.login()
    assert "systemd credential" in box.run("status").out, "unless the profile says otherwise"
    (box.config / "keys" / "default.key").unlink()
    box.token("--force-refresh")


def test_a_command_is_found_again_from_the_profile(box: sandbox.Box) -> None:
    """`token` as cron runs it takes the command from the profile; where it fails the sign-in is untouched; login gets out."""
    box.config.mkdir(mode=0o700, parents=True)
    key = box.home / "key"
    key.write_text("0123456789abcdef\n")
    (box.config / "default.toml").write_text(f'key = ["cat", "{key}"]  # mine\n')
    box.login()
    assert f'key = ["cat", "{key}"]  # mine' in (box.config / "default.toml").read_text()
    box.token("--force-refresh")
    key.rename(box.home / "away")
    result = box.run("token", "--force-refresh")
    assert (result.status, result.lines("error")) == (
        73, ["cannot get the encryption key: cat failed with exit status 1"],
    )  # fmt: skip
    assert str(key) not in result.err, "arguments may be secret"
    (box.home / "away").rename(key)
    box.token("--force-refresh")
    key.unlink()
    write_key(box, 'key = "file"')
    box.login()
    box.token("--force-refresh")


def test_a_passphrase_is_asked_for_at_a_terminal_and_nowhere_else(box: sandbox.Box, terminal: Terminal) -> None:
    """Twice at first, once for each refresh; a job gets 73 and no question; a cached token needs none."""
    box.config.mkdir(mode=0o700, parents=True)
    (box.config / "default.toml").write_text('key = "passphrase"\n')
    asked = box.emulator.count("devicecode")
    result = box.run("login", *box.app())
    assert (result.status, box.emulator.count("devicecode")) == (73, asked), "before anything is sent to Microsoft"
    assert result.lines("error") == ["the key of the sealed file is a passphrase, and nobody is here to type it"]

    box.emulator.approve_next()
    twice = [("Choose a passphrase of 12 characters or more:", PASSPHRASE), ("The same again:", PASSPHRASE)]
    status, _, said = terminal.run(box, "login", *box.app(), answers=twice)
    assert status == 0, said
    assert "Cron cannot use it: the passphrase has to be typed" in said
    assert box.token(), "a cached token needs no passphrase"
    for arguments in (("token", "--force-refresh"), ("graph", "me")):
        if arguments[0] == "graph":
            for file in (box.runtime / "default").iterdir():
                file.unlink()
        assert box.run(*arguments).status == 73
        status, out, said = terminal.run(box, *arguments, answers=[("Passphrase of the saved sign-in", PASSPHRASE)])
        assert status == 0, said
        assert out
    status, out, said = terminal.run(box, "token", answers=[])
    assert (status, "Passphrase" in said) == (0, False), said
    before = (box.state / "default" / "record").read_bytes()
    for arguments in (("token", "--force-refresh"), ("login", *box.app())):
        status, out, said = terminal.run(box, *arguments, answers=[("Passphrase of", "wrong horse battery")])
        assert (status, out) == (65, ""), said
        assert "the passphrase does not open" in said
    assert (box.state / "default" / "record").read_bytes() == before
    assert box.run("logout").status == 0


def test_a_rekey_asks_for_the_former_passphrase_and_twice_for_the_new_one(box: sandbox.Box, terminal: Terminal) -> None:
    """At a terminal; elsewhere it is 73. Whoever mistypes changes nothing; afterwards only the new one opens it."""
    box.config.mkdir(mode=0o700, parents=True)
    (box.config / "default.toml").write_text('key = "passphrase"\n')
    box.emulator.approve_next()
    wish, again, former = (
        "Choose a passphrase of 12 characters or more:",
        "The same again:",
        "Passphrase of the saved sign-in",
    )
    status, _, said = terminal.run(box, "login", *box.app(), answers=[(wish, PASSPHRASE), (again, PASSPHRASE)])
    assert status == 0, said
    before = (box.state / "default" / "record").read_bytes()
    assert box.run("store", "rekey").status == 73
    assert terminal.run(box, "store", "rekey", answers=[(former, "wrong horse battery")])[0] == 65
    short = [(former, PASSPHRASE), (wish, "short"), ("That has 5.", "short"), ("That has 5.", "short")]
    assert terminal.run(box, "store", "rekey", answers=short)[0] == 5
    assert (box.state / "default" / "record").read_bytes() == before
    new = "another staple entirely"
    status, _, said = terminal.run(box, "store", "rekey", answers=[(former, PASSPHRASE), (wish, new), (again, new)])
    assert status == 0, said
    assert "sealed with a new passphrase" in said
    force = ("token", "--force-refresh")
    assert terminal.run(box, *force, answers=[(former, PASSPHRASE)])[0] == 65
    assert terminal.run(box, *force, answers=[(former, new)])[0] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "encrypted with a key that lies in another file of yours"),
        ('key = "credential"', "encrypted with the systemd credential devicelogin.key of this unit"),
        ('key = ["true"]', "encrypted with the key that the command in your profile prints"),
        ('key = "passphrase"', "encrypted with a passphrase that you choose now"),
    ],
)
def test_where_no_keyring_works_the_offer_of_the_file_names_its_key(
    box: sandbox.Box, terminal: Terminal, line: str, words: str
) -> None:
    """Three lines and one question, before anything is sent to Microsoft; a no is 73 with the exact command."""
    box.config.mkdir(mode=0o700, parents=True)
    (box.config / "default.toml").write_text(line + "\n")
    running = box.start("login", *box.app(store=None), stdin=terminal.slave, stderr=terminal.slave)
    terminal.wait_for("file? [Y/n]")
    assert words in terminal.text
    terminal.answer("file? [Y/n]", "n")
    assert (running.finish().status, box.emulator.count("devicecode")) == (73, 0)
    terminal.wait_for("--store file")
    assert terminal.text.endswith("--store file")


def test_no_other_store_is_offered_where_it_was_not_the_keyring_that_failed(
    box: sandbox.Box, terminal: Terminal
) -> None:
    """A key that is missing is not mended by the file it belongs to: the reason, its own hint and no question."""
    box.login()
    (box.config / "keys" / "default.key").unlink()
    profile = box.config / "default.toml"
    profile.write_text(profile.read_text().replace('store = "file"\n', ""))
    status, _, said = terminal.run(box, "login", *box.app(store=None), answers=[])
    assert (status, "[Y/n]" in said) == (73, False), said
    assert "default.key of the saved sign-in is missing" in said


def test_bind_says_whether_a_sign_in_moves_with_its_files() -> None:
    """Bound, another machine id is 65 with the reason and login gets out of it; a recreated container with none keeps it."""
    with sandbox.opened_on_disk() as box:  # an id in memory would bind nothing
        _try_both_bindings(box)


def _try_both_bindings(box: sandbox.Box) -> None:
    other = box.home / "machine-id"
    other.write_text("f" * 32 + "\n")
    elsewhere = {"before": namespace.with_machine_id(other)}
    box.config.mkdir(mode=0o700, parents=True)
    (box.config / "default.toml").write_text('bind = "machine"\n')
    box.login()
    assert "bound to this machine" in box.run("status").out
    box.token("--force-refresh")
    result = box.start("token", "--force-refresh", **elsewhere).finish()
    assert (result.status, "was sealed on another machine" in result.err) == (65, True), result
    box.token("--force-refresh")
    box.emulator.approve_next()
    result = box.start("login", *box.app(), **elsewhere).finish()
    assert result.status == 0, result
    assert box.start("token", "--force-refresh", **elsewhere).finish().status == 0
    assert box.run("token", "--force-refresh").status == 65

    write_key(box, 'bind = "none"')
    box.login()
    assert "bound to this machine" not in box.run("status").out
    for options in ({}, elsewhere):
        assert box.start("token", "--force-refresh", **options).finish().status == 0
