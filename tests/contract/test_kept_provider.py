"""The discovery document that is kept beside a sign-in, when it is old and the provider does not answer."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin import authority, errors, http_session, private_files
from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from pathlib import Path

TWO_DAYS = 2 * 86_400


def keep(tmp_path: Path, url: str, *, endpoints: str) -> str:
    """Keep the document of the OpenID provider `url`, fetched two days ago; return where it lies."""
    document = {"issuer": url, "token_endpoint": f"{endpoints}/token", "jwks_uri": f"{endpoints}/jwks"}
    fields = {"format_version": 1, "url": url, "fetched": int(time.time()) - TWO_DAYS, "document": document}
    path = f"{tmp_path}/provider"
    tmp_path.chmod(0o700)
    private_files.replace(path, json.dumps(fields).encode())
    return path


@pytest.fixture
def nobody() -> str:
    """An origin at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    return f"https://127.0.0.1:{port}"


def test_where_nothing_can_be_sent_the_refresh_is_not_tried_as_well(tmp_path: Path, nobody: str) -> None:
    """It would go to the same host, and wait as long once more before it says the same."""
    path = keep(tmp_path, f"{nobody}/realms/home", endpoints=nobody)
    with http_session.HttpSession(environ={}) as http, pytest.raises(http_session.NoAnswerError) as caught:
        authority.known_provider(http, path, f"{nobody}/realms/home", is_oidc=True)
    assert not caught.value.request_may_have_arrived


def test_a_token_endpoint_on_another_host_is_tried(tmp_path: Path, nobody: str) -> None:
    """That one may answer: an outage of the document's host alone stops no refresh."""
    path = keep(tmp_path, f"{nobody}/realms/home", endpoints="https://id.example")
    with http_session.HttpSession(environ={}) as http:
        found = authority.known_provider(http, path, f"{nobody}/realms/home", is_oidc=True)
    assert found.token_endpoint == "https://id.example/token"


WRONG_ANSWERS = {
    "503": Fault.status(503),
    "404 of a web server": Fault.html(404),
    "404 of a gateway": Fault.json({"error": "Not Found"}, status=404),
    "403 of a gateway": Fault.json({"message": "Forbidden"}, status=403),
    "maintenance": Fault.json({"status": "maintenance"}),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_a_host_that_answers_wrongly_is_tried(tmp_path: Path, name: str) -> None:
    """It is there: its trouble may be with the document alone. Who wants the document anew does not get the old one."""
    with Emulator() as emulator, http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as http:
        url = emulator.oidc_issuer
        path = keep(tmp_path, url, endpoints=url)
        emulator.script("discovery", [WRONG_ANSWERS[name]] * 5)
        assert authority.known_provider(http, path, url, is_oidc=True).token_endpoint == f"{url}/token"
        assert emulator.count("discovery") > 0
        with pytest.raises(errors.DeviceLoginError):
            authority.known_provider(http, path, url, is_oidc=True, anew=True)


def test_a_document_of_another_issuer_is_not_passed_over(tmp_path: Path) -> None:
    """Somebody answers there who is not the one that was signed in to."""
    with Emulator() as emulator, http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as http:
        url = emulator.oidc_issuer
        path = keep(tmp_path, url, endpoints=url)
        emulator.script("discovery", [Fault.patch({"issuer": "https://evil.example/realms/home"})])
        with pytest.raises(errors.ConfigError, match="calls itself"):
            authority.known_provider(http, path, url, is_oidc=True)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 410])
def test_a_token_endpoint_that_moved_is_looked_for_anew(status: int) -> None:
    """Once: the redirect itself is not followed with a secret, and a document of this morning may be out of date."""
    with sandbox.opened(mode="strict") as box:
        box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
        gone = Fault.redirect("https://evil.example/", status=status) if status < 400 else Fault.html(status)
        box.emulator.script("refresh", [gone])
        asked = box.emulator.count("discovery")
        assert box.access_token(force=True).token
        assert box.emulator.count("discovery") == asked + 1
        box.emulator.script("refresh", [gone] * 5)
        before = box.emulator.count("refresh")
        with pytest.raises(errors.DeviceLoginError):
            box.access_token(force=True)
        assert box.emulator.count("refresh") == before + 2
