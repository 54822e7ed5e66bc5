"""How a person, a test, or another process decides about a sign-in at the emulator."""

from __future__ import annotations

import html
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
import sandbox

from devicelogin.emulator import Client as App
from devicelogin.emulator import User

if TYPE_CHECKING:
    from emulator_client import Client


def hidden(page: requests.Response) -> dict[str, str]:
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
    }


def ask(client: Client, user_code: str) -> requests.Response:
    """Open the page, enter the code."""
    where = client.emulator.signin_uri
    form = hidden(client.get(where))
    return client.post(where, data=form | {"code": user_code})


def decide(client: Client, question: requests.Response, decision: str, user: str) -> requests.Response:
    form = hidden(question) | {"decision": decision, "user": user}
    return client.post(client.emulator.signin_uri + "/answer", data=form)


@pytest.mark.parametrize("written", [lambda code: code, lambda code: f" {code[:4].lower()}-{code[4:]} "])
def test_a_person_accepts_on_the_page(client: Client, written: object) -> None:
    """The page shows app, address, scopes; the chosen person is who signs in; the code may be typed in any way."""
    flow = client.start()
    question = ask(client, written(flow["user_code"]))
    for shown in ("Weather board", "127.0.0.1 (python-requests", "User.Read", flow["user_code"], "Grace Hopper"):
        assert shown in question.text
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_pending"
    done = decide(client, question, "accept", client.emulator.users[1].object_id)
    assert "You have signed in to Weather board" in done.text
    token = client.poll(flow["device_code"]).json()["access_token"]
    assert client.graph("/v1.0/me", token).json()["displayName"] == "Grace Hopper"


def test_a_person_declines_on_the_page(client: Client) -> None:
    """Then the poll says so."""
    flow = client.start()
    decide(client, ask(client, flow["user_code"]), "decline", client.emulator.users[0].object_id)
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_declined"


def test_a_wrong_code_is_told_and_harms_nobody(client: Client) -> None:
    """RFC 8628 section 3.3."""
    flow = client.start()
    answer = ask(client, "WRONGCODE")
    assert (answer.status_code, "That code is not known" in answer.text) == (400, True)
    assert client.emulator.pending() == [flow["user_code"]]


def test_an_account_of_elsewhere_is_refused_by_the_page_while_the_poll_waits(client: Client) -> None:
    """As with policy blocks: the person sees it, the program does not."""
    flow = client.start()
    personal = client.emulator.users[2]
    question = ask(client, flow["user_code"])
    assert personal.display_name not in question.text
    assert decide(client, question, "accept", personal.object_id).status_code == 403
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_pending"


def test_another_web_page_cannot_accept_for_the_person(client: Client) -> None:
    """Without the nonce of a page of ours, with a used one, or from a foreign origin: nothing happens."""
    flow = client.start()
    where = client.emulator.signin_uri
    form = {"code": flow["user_code"], "decision": "accept", "user": client.emulator.users[0].object_id}
    assert client.post(where + "/answer", data=form).status_code == 403
    assert client.post(where + "/answer", data=form | {"nonce": "guessed"}).status_code == 403
    nonce = hidden(client.get(where))["nonce"]
    foreign = {"Origin": "https://attacker.example"}
    assert client.post(where + "/answer", data=form | {"nonce": nonce}, headers=foreign).status_code == 403
    question = ask(client, flow["user_code"])
    used = hidden(question)["nonce"]
    assert client.post(where, data={"nonce": used, "code": flow["user_code"]}).status_code == 200
    assert client.post(where + "/answer", data=form | {"nonce": used}).status_code == 403
    assert client.emulator.pending() == [flow["user_code"]]


def test_the_page_shows_hostile_text_as_text(client: Client) -> None:
    """App name, client headers, person and prefilled code are escaped; no script could run anyway."""
    bad = '"><script>alert(1)</script>'
    client.emulator.add_client(App(client_id=client.client_id, name=bad))
    client.emulator.users[0] = User(
        user_principal_name=bad,
        display_name=bad,
        given_name="",
        surname="",
        object_id=client.emulator.users[0].object_id,
    )
    client.headers["x-app-name"] = bad
    question = ask(client, client.start()["user_code"])
    prefilled = client.get(client.emulator.signin_uri, params={"user_code": bad})
    done = decide(client, question, "accept", client.emulator.users[0].object_id)
    for page in (question, prefilled, done):
        assert "&lt;script&gt;" in page.text
        assert "<script" not in page.text
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert page.headers["X-Frame-Options"] == "DENY"


def test_the_page_fits_a_phone_and_loads_nothing(client: Client) -> None:
    """A viewport, and no address in it but its own."""
    page = client.get(client.emulator.signin_uri).text
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in page
    assert not re.findall(r"""(?:src|href|url)\s*[=(]|https?://""", page)


def test_a_test_waits_for_the_code_of_its_client(client: Client) -> None:
    """Each code is handed out once, whether it was there before or comes later."""
    first = client.start()["user_code"]
    assert client.emulator.wait_for_code() == first
    threading.Timer(0.1, client.start).start()
    second = client.emulator.wait_for_code()
    assert client.emulator.pending() == [first, second]
    with pytest.raises(TimeoutError):
        client.emulator.wait_for_code(timeout=0.05)


def test_the_next_code_is_approved_by_itself_and_only_that(client: Client) -> None:
    """After so many seconds of the emulator's clock, as the person that was named."""
    client.emulator.approve_next(after=10, user="grace@contoso.example")
    flow, later = client.start(), client.start()
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_pending"
    client.emulator.clock.advance(11)
    token = client.poll(flow["device_code"]).json()["access_token"]
    assert client.graph("/v1.0/me", token).json()["givenName"] == "Grace"
    assert client.emulator.pending() == [later["user_code"]]


def test_every_code_is_approved_by_itself_if_so_wished(client: Client) -> None:
    """`approve_after`."""
    client.emulator.approve_after = 0
    assert [client.poll(client.start()["device_code"]).status_code for _ in range(3)] == [200] * 3


def test_who_cannot_sign_in_there_is_not_approved_by_itself(client: Client) -> None:
    """The poll goes on waiting, and `approve` says why."""
    client.emulator.approve_next(user="mary@outlook.example")
    flow = client.start()
    assert client.poll(flow["device_code"]).json()["error"] == "authorization_pending"
    client.emulator.disable_user("ada@contoso.example")
    with pytest.raises(PermissionError):
        client.emulator.approve(flow["user_code"], "ada@contoso.example")
    client.emulator.approve(flow["user_code"])
    token = client.poll(flow["device_code"]).json()["access_token"]
    assert client.graph("/v1.0/me", token).json()["givenName"] == "Grace"


def test_deciding_about_a_code_that_is_not_pending_raises(client: Client) -> None:
    """Unknown, decided or expired: a test that approves nothing must not pass."""
    declined, expired = client.start()["user_code"], client.start()["user_code"]
    client.emulator.decline(declined)
    client.emulator.expire(expired)
    for code in ("UNKNOWN99", declined, expired):
        with pytest.raises(LookupError):
            client.emulator.approve(code)
    with pytest.raises(LookupError):
        client.emulator.approve(client.start()["user_code"], "nobody@contoso.example")


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    """It says where it is, serves, and leaves no file behind when it is told to end; stdout stays empty."""
    facts_file = tmp_path / "facts.json"
    command = [sys.executable, "-m", "devicelogin.emulator", "--approve-after", "0", "--facts", str(facts_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + sandbox.SOON
            while not facts_file.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            facts = json.loads(facts_file.read_text())
            with requests.Session() as session:
                session.trust_env = False
                session.verify = facts["ca_file"]
                form = {"client_id": facts["client_id"], "scope": "User.Read"}
                flow = session.post(facts["authority"] + "/oauth2/v2.0/devicecode", data=form).json()
                form = {
                    "client_id": facts["client_id"],
                    "grant_type": "device_code",
                    "device_code": flow["device_code"],
                }
                tokens = session.post(facts["authority"] + "/oauth2/v2.0/token", data=form).json()
            assert tokens["scope"] == "User.Read"
        finally:
            process.send_signal(signal.SIGTERM)
            stdout, stderr = process.communicate(timeout=sandbox.PATIENCE)
    assert (process.returncode, stdout) == (0, "")
    assert json.loads(stderr) == facts
    assert list(tmp_path.iterdir()) == []
    assert not Path(facts["ca_file"]).exists()
