"""The discovery document that is kept beside a sign-in, when it is old and the provider does not answer."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from devicelogin import authority, http_session, private_files
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


def test_a_host_that_answers_wrongly_is_tried(tmp_path: Path) -> None:
    """It is there: its trouble may be with the document alone."""
    with Emulator() as emulator, http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as http:
        url = emulator.oidc_issuer
        path = keep(tmp_path, url, endpoints=url)
        emulator.script("discovery", [Fault.status(503)] * 5)
        assert authority.known_provider(http, path, url, is_oidc=True).token_endpoint == f"{url}/token"
        assert emulator.count("discovery") > 0
