"""A secret goes to the hosts that were named at the sign-in, and to no other: not at a refresh, a logout or a retry."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

import pytest
import sandbox

from devicelogin import models, secret_store
from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

ELSEWHERE = {"another host": "https://localhost:{port}", "another port": "https://127.0.0.1:{other}"}


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    with sandbox.opened(mode="strict") as opened:
        yield opened


@pytest.fixture
def other() -> Iterator[Emulator]:
    with Emulator(interval=1) as opened:
        yield opened


def moved(box: sandbox.Box, other: Emulator, name: str, path: str, where: str) -> Fault:
    """Return the step by which discovery names the endpoint `name` elsewhere; whoever listens there is `other`."""
    host = ELSEWHERE[where].format(port=box.emulator.port, other=other.port)
    return Fault.patch({name: f"{host}/realms/home/protocol/openid-connect/{path}"})


def forget_provider(box: sandbox.Box, how: str) -> None:
    """Make the kept discovery document one of the day before yesterday, or none."""
    file = box.state / "default" / "provider"
    if how == "missing":
        file.unlink()
        return
    kept = json.loads(file.read_text())
    kept["fetched"] -= 2 * 86_400
    file.write_text(json.dumps(kept))


@pytest.mark.parametrize("age", ["two days", "missing"])
@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_token_endpoint_that_moves_after_the_login_is_78_and_gets_no_refresh_token(
    box: sandbox.Box, other: Emulator, where: str, age: str
) -> None:
    """D8: an issuer may spread over hosts, but over those that the person was shown; a port counts as part of it."""
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    forget_provider(box, age)
    box.emulator.script("discovery", [moved(box, other, "token_endpoint", "token", where)])
    result = box.run("token", "--force-refresh")
    assert result.status == 78, result
    assert "which it did not at login" in result.lines("error")[0]
    assert box.emulator.count("refresh") == 0
    assert not other.requests
    assert not box.status().needs_login
    forget_provider(box, "missing")
    assert box.run("token", "--force-refresh").status == 0


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize(
    ("name", "path"),
    [("jwks_uri", "certs"), ("revocation_endpoint", "revoke"), ("device_authorization_endpoint", "auth/device")],
)
def test_an_endpoint_that_a_refresh_does_not_use_may_move_and_jobs_go_on(
    box: sandbox.Box, other: Emulator, name: str, path: str, where: str
) -> None:
    """A refresh sends its secret to the token endpoint alone; nobody else hears of it, and doctor sees nothing red."""
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    forget_provider(box, "two days")
    box.emulator.script("discovery", [moved(box, other, name, path, where)] * 2)
    assert box.run("token", "--force-refresh").status == 0
    assert json.loads((box.state / "default" / "provider").read_text())["document"][name].endswith(path)
    assert box.run("doctor").status == 0
    assert not other.requests


@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_logout_sends_no_refresh_token_to_where_revocation_has_moved(
    box: sandbox.Box, other: Emulator, where: str
) -> None:
    """What is here is deleted; a stranger does not get it first."""
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    forget_provider(box, "two days")
    box.emulator.script("discovery", [moved(box, other, "revocation_endpoint", "revoke", where)])
    result = box.run("logout")
    assert result.status == 0, result
    assert "could not be revoked" in result.err
    assert box.emulator.count("revoke") == 0
    assert not other.requests
    assert not (box.state / "default" / "record").exists()


@pytest.mark.parametrize("where", ELSEWHERE)
def test_a_logout_revokes_though_the_keys_have_moved(box: sandbox.Box, other: Emulator, where: str) -> None:
    """Only where the secret goes matters."""
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    forget_provider(box, "two days")
    box.emulator.script("discovery", [moved(box, other, "jwks_uri", "certs", where)])
    assert ", and revoked at the provider" in box.run("logout").err
    assert not other.requests


def test_hosts_that_were_named_at_the_login_are_used(box: sandbox.Box) -> None:
    """A provider that was spread over hosts from the beginning works on."""
    elsewhere = f"https://localhost:{box.emulator.port}/realms/home/protocol/openid-connect/revoke"
    spread = Fault.patch({"revocation_endpoint": elsewhere})
    box.emulator.script("discovery", [spread])
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    forget_provider(box, "missing")
    box.emulator.script("discovery", [spread])
    assert box.run("token", "--force-refresh").status == 0
    assert ", and revoked at the provider" in box.run("logout").err


def test_a_retry_sends_no_token_of_a_new_sign_in_to_the_old_graph(box: sandbox.Box, other: Emulator) -> None:
    """`graph me` waits after a 429; a `login --replace` elsewhere meanwhile makes it 78, and Graph gets nothing more."""
    box.sign_in()
    box.emulator.script("me", [Fault.status(429, retry_after="3")])
    calling = box.start("graph", "me")
    deadline = time.monotonic() + sandbox.SOON
    while not box.emulator.count("me"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    sign_in_at(box, other)
    result = calling.finish()
    assert box.emulator.count("me") == 1
    assert result.status == 78, result
    assert "replaced" in result.lines("error")[0]
    assert not other.count("me")
    assert box.run("graph", "me").status == 0
    assert other.count("me") == 1


def sign_in_at(box: sandbox.Box, other: Emulator) -> None:
    """Replace the sign-in by one at `other`, from within this process."""
    elsewhere = sandbox.Box(box.home, other)
    elsewhere.sign_in(options=sandbox.quick(replace=True))


def test_graph_settles_what_a_killed_login_left_before_it_sends_a_token(box: sandbox.Box, other: Emulator) -> None:
    """The pending trace names the other Graph; the record that is there is that of the first one, and so is the call."""
    box.sign_in()
    paths = box.workplace().paths
    saved = secret_store.read_sign_in(paths)
    assert saved is not None
    elsewhere = models.StoreLocation(kind="keyring:odd_keyrings.Honest", service="devicelogin", user="default")
    pending = dataclasses.replace(
        saved,
        state="pending",
        authority=other.authority,
        graph_root=other.graph_root,
        location=elsewhere,
        previous=saved.location,
    )
    secret_store.write_sign_in(paths, pending)
    (box.home / "items").mkdir()
    result = box.run("graph", "me", ODD_KEYRING_DIRECTORY=str(box.home / "items"))
    assert result.status == 0, result
    assert not other.requests
    assert box.emulator.count("me") == 1
    assert secret_store.read_sign_in(paths) == saved
