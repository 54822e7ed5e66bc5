"""`devicelogin store rekey`: a new key, nobody signs in again, and the former key opens nothing any more."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import sandbox

if TYPE_CHECKING:
    from pathlib import Path


def key(box: sandbox.Box) -> Path:
    return box.config / "keys" / "default.key"


def header(box: sandbox.Box, name: str = "record") -> dict[str, Any]:
    return dict(json.loads((box.state / "default" / name).read_bytes().partition(b"\n")[0]))


def test_a_key_file_is_made_anew_and_the_former_one_opens_nothing(box: sandbox.Box) -> None:
    """The record is the same one, of the same generation; a copy of the former key no longer opens it."""
    box.login()
    former, generation = key(box).read_text(), header(box)["generation"]
    result = box.run("store", "rekey")
    assert result.status == 0, result
    assert "sealed with a new key file" in result.err
    assert key(box).read_text() != former
    assert header(box)["generation"] == generation
    assert os.listdir(box.config / "keys") == ["default.key"]
    assert key(box).stat().st_mode & 0o777 == 0o600
    box.check_works()
    key(box).write_text(former)
    assert box.run("token", "--force-refresh").status == 65


def test_the_access_tokens_beside_the_record_are_sealed_with_the_new_key_too() -> None:
    """And still answer, without a request."""
    with sandbox.opened_on_disk() as box:
        box.login()
        token = box.token()
        mark = header(box, "record-access")["key_mark"]
        assert box.run("store", "rekey").status == 0
        assert header(box, "record-access")["key_mark"] == header(box)["key_mark"] != mark
        before = box.emulator.count("refresh")
        assert box.token() == token
        assert box.emulator.count("refresh") == before


def test_a_key_that_a_command_prints_seals_anew_with_another_salt(box: sandbox.Box) -> None:
    """Of the key its owner disposes, which is said; a command that prints another key is 65, and nothing is changed."""
    profile = box.config / "default.toml"
    profile.parent.mkdir(parents=True, mode=0o700)
    profile.write_text('key = ["echo", "a password that somebody chose"]\n')
    box.login()
    salt = header(box)["key_parameters"]["salt"]
    result = box.run("store", "rekey")
    assert result.status == 0, result
    assert "sealed anew; its key is the command's, as before" in result.err
    assert header(box)["key_parameters"]["salt"] != salt
    box.check_works()
    good = profile.read_text()
    profile.write_text(good.replace("somebody chose", "nobody chose"))
    before = (box.state / "default" / "record").read_bytes()
    assert box.run("store", "rekey").status == 65
    assert (box.state / "default" / "record").read_bytes() == before
    profile.write_text(good)
    box.check_works()


def test_wrong_states_are_told(box: sandbox.Box) -> None:
    """Nobody signed in, another store, another key source in the profile: each with what leads out."""
    result = box.run("store", "rekey")
    assert result.status == 4, result
    box.give_odd_keyrings()
    box.login(store=sandbox.HONEST)
    result = box.run("store", "rekey")
    assert (result.status, "which has a key of its own" in result.err) == (78, True), result
    box.login("--replace")
    profile = box.config / "default.toml"
    profile.write_text('key = ["printf", "0123456789abcdef0123456789abcdef"]\n' + profile.read_text())
    result = box.run("store", "rekey")
    assert result.status == 78, result
    assert result.lines("hint") == ["seal it with that: devicelogin store move --to file"]
    assert box.run("store", "move", "--to", "file").status == 0
    box.check_works()


def test_a_key_that_cannot_be_written_leaves_the_record_as_it_was(box: sandbox.Box) -> None:
    """The former key still opens it."""
    box.login()
    (box.config / "keys" / "default.key.next").mkdir()
    (box.config / "keys" / "default.key.next" / "in-the-way").mkdir()
    result = box.run("store", "rekey")
    assert result.status in {73, 78}, result
    shutil.rmtree(box.config / "keys" / "default.key.next")
    box.check_works()
