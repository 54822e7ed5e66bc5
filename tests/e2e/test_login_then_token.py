"""The story: sign in once, and later processes have tokens; where the refresh token then is, and where it is not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import conftest
import keyring_session

from devicelogin import client

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest
    import sandbox


def holding(needle: str, places: Sequence[Path]) -> list[Path]:
    """Return the files below `places` in which the bytes of `needle` stand."""
    found = []
    for place in places:
        for file in place.rglob("*"):
            if file.is_file() and not file.is_symlink() and needle.encode() in file.read_bytes():
                found.append(file)
    return found


def me(box: sandbox.Box) -> dict[str, object]:
    result = box.run("graph", "me")
    assert result.status == 0, result
    answer = json.loads(result.out)
    assert isinstance(answer, dict)
    return answer


def test_the_story_with_the_sealed_file(box: sandbox.Box) -> None:
    """login, token, graph, status, logout: each a process of its own, each with what the one before left."""
    result = box.login()
    assert result.out == ""
    assert "ada@contoso.example" in result.err
    cached = box.token()
    assert box.emulator.count("refresh") == 0
    refreshed = box.token("--force-refresh")
    assert refreshed != cached
    assert me(box)["userPrincipalName"] == "ada@contoso.example"
    assert box.run("token", "--format", "header").out == f"Authorization: Bearer {refreshed}\n"
    told = json.loads(box.run("token", "--json").out)
    assert (told["access_token"], told["format_version"]) == (refreshed, 1)
    assert box.run("status", "--check").status == 0
    assert "ada@contoso.example" in box.run("status").out
    for secret in (*box.refresh_tokens(), refreshed):
        # An access token may lie in the runtime directory, which is in memory here; a refresh token nowhere.
        assert {file.parent.parent for file in holding(secret, [box.home])} <= {box.runtime}
    assert not any(holding(secret, [box.home]) for secret in box.refresh_tokens())
    assert box.run("logout").status == 0
    assert not any(holding(secret, [box.home]) for secret in box.secrets())
    assert box.run("token").status == 4
    assert box.run("status", "--check").status == 4
    assert box.run("logout").status == 0


def test_every_file_of_ours_is_private(box: sandbox.Box) -> None:
    """Directories 0700, files 0600, whatever the umask says."""
    box.emulator.approve_next()
    before = ["sh", "-c", 'umask 000; exec "$@"', "sh"]
    assert box.start("login", *box.app(), before=before).finish().status == 0
    for place in (box.home / "all").rglob("*"):
        assert place.stat().st_mode & 0o777 == (0o700 if place.is_dir() else 0o600), place


def test_the_story_with_a_real_keyring(box: sandbox.Box) -> None:
    """Acceptance: the refresh token is found in the keyring and, by a byte search, nowhere under HOME, state or runtime."""
    conftest.need("secret-tool")
    with keyring_session.started("unlocked") as session:
        session_home, runtime = Path(session.variables["HOME"]), Path(session.variables["XDG_RUNTIME_DIR"])
        box.variables = dict(session.variables)
        result = box.login(store=None)
        assert "OS keyring" in result.err
        assert box.emulator.count("refresh") == 0
        assert json.loads(box.run("status", "--json").out)["profiles"][0]["store"] == "keyring"
        assert me(box)["userPrincipalName"] == "ada@contoso.example"
        token = box.token("--force-refresh")
        answer = box.run("graph", "me")
        assert answer.status == 0
        used = [r.headers["authorization"] for r in box.emulator.requests if r.endpoint == "me"]
        assert used[-1] == f"Bearer {token}"
        newest = box.refresh_tokens()[-1]
        assert newest in "".join(value for _, value in sorted(session.items("devicelogin").items()))
        assert newest[:100] in secret_tool(session)
        places = [session_home, runtime, session.data, session.directory]
        assert sum(1 for place in places for _ in place.rglob("*")) > 5
        for secret in box.refresh_tokens():
            # Half of it would be found as well: records are kept in parts.
            assert holding(secret[:64], places) == []
            assert holding(secret[-64:], places) == []
        assert box.run("logout").status == 0
        assert session.items("devicelogin") == {}
        assert box.run("token").status == 4


def secret_tool(session: keyring_session.KeyringSession) -> str:
    found = subprocess.run(
        ["secret-tool", "search", "--all", "service", "devicelogin"],
        env={"PATH": os.environ["PATH"], **session.variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout


def test_the_story_in_python(box: sandbox.Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The public API goes the same way, beside the command line."""
    for name, value in box.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DEVICELOGIN_CA_FILE", box.emulator.ca_file)
    monkeypatch.setenv("DEVICELOGIN_AUTHORITY", box.emulator.authority)
    monkeypatch.setenv("DEVICELOGIN_GRAPH_ROOT", box.emulator.graph_root)
    monkeypatch.setenv("DEVICELOGIN_STORE", "file")
    person = client.DeviceLogin(client_id=box.emulator.client_id)
    shown: list[str] = []
    box.emulator.approve_next()
    account = person.login(lambda authorization: shown.append(authorization.user_code))
    assert (account.username, len(shown)) == ("ada@contoso.example", 1)
    assert person.access_token().token == box.token()
    assert person.status().state == "signed-in"
    assert client.profiles() == ("default",)
    person.logout()
    assert person.status().state == "signed-out"
