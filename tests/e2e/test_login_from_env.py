"""`login --from-env FILE` takes over the `.env` file of a script, but for its secret."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import sandbox

SECRET = "q8Q~Not.A.Real.Secret-1234567890abcdef"


def login(box: sandbox.Box, file: Path, *more: str) -> sandbox.Result:
    """Run `login --from-env` against the emulator, whose person approves."""
    box.emulator.approve_next()
    emulator = box.emulator
    plain = ["--ca-file", str(emulator.ca_file), "--graph-root", emulator.graph_root, "--store", "file"]
    return box.run("login", "--from-env", str(file), *plain, *more)


@pytest.mark.parametrize(
    "form",
    [
        'CLIENT_ID={id}\nAUTHORITY={authority}\nSCOPE=["User.Read", "Mail.Read"]\n',
        "export CLIENT_ID='{id}'   # the app\r\nexport AUTHORITY=\"{authority}\"\r\nSCOPE = ['User.Read','Mail.Read']\r\n",
        "\ufeff# settings\n\nAZURE_CLIENT_ID={id}\nMSAL_AUTHORITY={authority} # ours\nSCOPES=User.Read Mail.Read\n",
        'Client_Id = {id}\nauthority = {authority}\nscope = "User.Read,Mail.Read"',
        'HOST={host}\nCLIENT_ID={id}\nAUTHORITY=${{HOST}}/{tenant}\nSCOPE=[\n  "User.Read",\n  "Mail.Read",\n]\n',
        "CLIENT_ID=old\nCLIENT_ID={id}\nTENANT_ID=contoso.com\nAUTHORITY={authority}\nSCOPE=(User.Read Mail.Read)\n",
    ],
    ids=["plain", "quoted, CRLF", "BOM, prefixes", "small letters", "lists over lines", "the last one counts"],
)
def test_the_env_file_of_a_script_is_all_that_a_login_needs(box: sandbox.Box, tmp_path: Path, form: str) -> None:
    """However it is written; what was taken is said with its name and line, and later commands need no file."""
    host, _, tenant = box.emulator.authority.rpartition("/")
    file = tmp_path / ".env"
    names = {"id": box.emulator.client_id, "authority": box.emulator.authority, "host": host, "tenant": tenant}
    file.write_bytes(form.format(**names).encode())
    result = login(box, file)
    assert result.status == 0, result
    note = result.lines("note")[0]
    assert note.startswith(f"taken from {file}: ")
    assert box.emulator.client_id in note
    assert "User.Read, Mail.Read" in note
    assert "line " in note
    file.unlink()
    assert box.token("--force-refresh")
    assert set(box.trace().scopes) == {"User.Read", "Mail.Read"}


def test_a_secret_in_the_env_file_is_refused_by_name_and_kept_nowhere(box: sandbox.Box, tmp_path: Path) -> None:
    """A public client needs none: it is not read, not shown, not stored; the sign-in goes on without it."""
    file = tmp_path / ".env"
    file.write_text(
        f"CLIENT_ID={box.emulator.client_id}\nAUTHORITY={box.emulator.authority}\nCLIENT_SECRET={SECRET}\n"
        f"AZURE_CLIENT_CERTIFICATE_PASSWORD='{SECRET}'\nFLASK_APP=app.py\nTOKEN_CACHE_FILE=/tmp/cache\n"
    )
    result = login(box, file, "--scope", "User.Read")
    assert result.status == 0, result
    notes = " ".join(result.lines("note"))
    assert "CLIENT_SECRET (line 3) is refused" in notes
    assert "public clients" in notes
    assert "AZURE_CLIENT_CERTIFICATE_PASSWORD (line 4) is refused" in notes
    assert "left out: FLASK_APP (line 5), TOKEN_CACHE_FILE (line 6)" in notes
    assert SECRET not in result.err + result.out
    verbose = box.run("-v", "login", "--from-env", str(file), "--if-needed")
    assert SECRET not in verbose.err + verbose.out
    for path in box.home.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_options_win_over_the_env_file(box: sandbox.Box, tmp_path: Path) -> None:
    """Each by itself; a tenant that is given also stands for the authority of the file."""
    file = tmp_path / ".env"
    file.write_text("CLIENT_ID=not-one\nTENANT_ID=nobody.example\nSCOPE=Calendars.Read\n")
    result = login(
        box, file, "--client-id", box.emulator.client_id, "--authority", box.emulator.authority, "--scope", "Mail.Read"
    )
    assert result.status == 0, result
    assert result.lines("note")[0] == f"taken from {file}: nothing"
    assert "Calendars.Read" not in box.trace().scopes


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"CLIENT_ID=<your client id>\n", 78, ":1: cannot use CLIENT_ID"),
        (b"\nTENANT_ID=https://x/y\n", 78, ":2: cannot use TENANT_ID"),
        (b"AUTHORITY=https://x/${TENANT_ID}\n", 78, "AUTHORITY: it refers to another variable"),
        (b"CLIENT_ID=11111111-2222-3333-4444-555555555555\nAPP_ID=2\n", 78, "CLIENT_ID (line 1) and APP_ID (line 2) differ"),
        ("CLIENT_ID=x".encode("utf-16"), 2, "UTF-16"),
        (codecs.BOM_UTF16_BE + "CLIENT_ID=x".encode("utf-16-be"), 2, "UTF-16"),
        (b"CLIENT_ID=\xff\n", 2, "not UTF-8"),
        (None, 2, "No such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_env_file_is_named_with_its_line(
    box: sandbox.Box, tmp_path: Path, content: bytes | None, status: int, words: str
) -> None:
    """Before anything is sent or made; a value that may be a secret is not shown."""
    file = tmp_path / ".env"
    if content is not None:
        file.write_bytes(content)
    for more in ([], ["--json"]):
        result = box.run("login", "--from-env", str(file), *more)
        assert result.status == status, result
        said = json.loads(result.err.splitlines()[-1])["message"] if more else result.lines("error")[0]
        assert words in said
        assert str(file) in said
        assert "your client" not in result.err
    assert box.emulator.requests == []
    assert not box.state.exists()
