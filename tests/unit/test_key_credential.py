"""The key source `credential`: what systemd gives to a unit is taken, what is none of it is refused, and where it is missing
that is said.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from sealing import KEY, RECORD, give_credential, profile_paths, sealed

from devicelogin import errors, secret_store
from devicelogin.secret_store import key_credential, key_sources

if TYPE_CHECKING:
    from pathlib import Path


def test_the_credential_is_taken_as_systemd_makes_it(tmp_path: Path) -> None:
    """0400, 0440 by an access list, any bytes of a reasonable length; in a directory that is closed even 0444."""
    for content in (KEY[:16], os.urandom(32), b"\0" * 32, b"x" * 65536):
        supply = key_sources.KeySupply(give_credential(tmp_path, content))
        file = tmp_path / "credentials" / key_credential.ID
        for mode in (0o400, 0o440, 0o444):
            file.chmod(mode)
            assert sealed(tmp_path, "credential", supply)._source.read(None) == content


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"x" * 15, "less than 16"), (b"x" * 65537, "more than 65536")]
)
def test_a_credential_that_is_no_key_is_73(tmp_path: Path, content: bytes, words: str) -> None:
    """Empty, guessable or no key at all: named, with the command that makes one; nothing is written."""
    supply = key_sources.KeySupply(give_credential(tmp_path, content))
    with pytest.raises(errors.StoreUnusableError, match=words) as caught:
        secret_store.choose_store("file", profile_paths(tmp_path), supply=supply)
    assert key_credential.ID in caught.value.message
    assert "openssl rand -hex 32" in (caught.value.hint or "")
    assert not os.path.exists(profile_paths(tmp_path).key_file)


@pytest.mark.parametrize(("kind", "family"), [("link", 73), ("directory", 78), ("pipe", 78), ("everybody", 78)])
def test_a_credential_that_is_not_systemds_is_refused(tmp_path: Path, kind: str, family: int) -> None:
    """A link is not followed, a pipe not waited for, and what everybody can reach is no key."""
    supply = key_sources.KeySupply(give_credential(tmp_path))
    directory = tmp_path / "credentials"
    file = directory / key_credential.ID
    directory.chmod(0o700)
    file.rename(directory / "other")
    if kind == "link":
        file.symlink_to(directory / "other")
    elif kind == "directory":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        (directory / "other").rename(file)
        file.chmod(0o644)
        directory.chmod(0o755)
    with pytest.raises(errors.DeviceLoginError) as caught:
        secret_store.choose_store("file", profile_paths(tmp_path), supply=supply)
    assert caught.value.exit_code == family
    assert str(file) in caught.value.message


def test_a_record_of_a_unit_is_73_outside_of_it_and_says_how_to_run_it(tmp_path: Path) -> None:
    """Without the credential, and in a unit that has only another one, it is named with the way to get it; nothing is made."""
    sealed(tmp_path, "credential", key_sources.KeySupply(give_credential(tmp_path))).save(RECORD)
    other = give_credential(tmp_path, name="database.password")
    for environ in ({}, {"CREDENTIALS_DIRECTORY": ""}, {"CREDENTIALS_DIRECTORY": "relative"}, other):
        with pytest.raises(errors.StoreUnusableError, match=r"the systemd credential devicelogin\.key") as caught:
            sealed(tmp_path, "credential", key_sources.KeySupply(environ)).load()
        assert caught.value.code == "key_missing"
        assert "systemd-run --pty -p LoadCredentialEncrypted=devicelogin.key:" in (caught.value.hint or "")
        assert "DEVICELOGIN_HOME" not in (caught.value.hint or "")
    there = key_sources.KeySupply({"DEVICELOGIN_HOME": "/var/lib/device login", "XDG_STATE_HOME": "/unused"})
    with pytest.raises(errors.StoreUnusableError) as caught:
        sealed(tmp_path, "credential", there).load()
    hint = caught.value.hint or ""
    assert " -E 'DEVICELOGIN_HOME=/var/lib/device login' " in hint, "in the unit's environment it would be missing"
    words = shlex.split(hint.partition("by hand: ")[2])
    program = words[words.index("User=$USER") + 1 :]
    assert os.path.isabs(program[0]), "systemd-run looks in no PATH of a person's"
    assert subprocess.run([*program[:-1], "--version"], check=True, capture_output=True).stdout
    assert not os.path.exists(profile_paths(tmp_path).key_file)
    changed = key_sources.KeySupply(give_credential(tmp_path, b"f" * 32))
    with pytest.raises(errors.DataBadError, match="sealed with another key"):
        sealed(tmp_path, "credential", changed).load()


def test_without_a_wish_the_credential_is_the_key_and_else_the_key_file(tmp_path: Path) -> None:
    """A unit that has some other credential, or none, has its key file."""
    ours = profile_paths(tmp_path)
    for name, expected in ((key_credential.ID, "credential"), ("database.password", "file"), (None, "file")):
        environ = give_credential(tmp_path, name=name) if name else {}
        store = secret_store.choose_store("file", ours, supply=key_sources.KeySupply(environ))
        assert store.location.key == expected
    with_credential = key_sources.KeySupply(give_credential(tmp_path))
    assert secret_store.choose_store("file", ours, key="file", supply=with_credential).location.key == "file"
