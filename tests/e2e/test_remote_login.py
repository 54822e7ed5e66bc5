"""Being asked from afar to sign in again (D12): by a real message over HTTP, for one account, and not too often."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import hook_notes
import inbox as inboxes
import pytest
import sandbox
from conftest import need

from devicelogin import errors
from devicelogin.client import signing_out
from devicelogin.unattended import login_needed, remote_login

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRACE = "grace@contoso.example"
WEBHOOK = sandbox.ROOT / "docs" / "hooks" / "webhook.py"

#: What `keepalive` does with one profile that needs a person, in a process of its own.
PROGRAM = """
import os, sys
from devicelogin import client, errors
from devicelogin.unattended import remote_login
try:
    done = remote_login.ask(client.Workplace("default", flags={}, environ=os.environ), note=lambda m: print("note:", m))
except errors.DeviceLoginError as error:
    print(error.message)
    sys.exit(error.exit_code)
print("nobody" if done is None else done.account.username)
"""


@pytest.fixture(name="inbox")
def open_inbox() -> Iterator[inboxes.Inbox]:
    with inboxes.opened() as elsewhere:
        yield elsewhere


def wants(box: sandbox.Box, inbox: inboxes.Inbox, **keys: object) -> None:
    """Let the owner opt in, with the recipe of the documentation."""
    wish = {"remote_login": True, "on_code": [sys.executable, str(WEBHOOK), inbox.url], **keys}
    hook_notes.add_to_profile(box.config, **{key: value for key, value in wish.items() if value is not None})


def end_the_sign_in(box: sandbox.Box) -> None:
    """Revoke it, and let a job find that out."""
    box.emulator.revoke()
    with contextlib.suppress(errors.LoginRequiredError):
        box.access_token(force=True)
    assert login_needed.is_needed(box.workplace().paths)


def start(box: sandbox.Box) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=box.environment(), cwd=box.home, stdout=subprocess.PIPE, text=True
    )


def saved(box: sandbox.Box) -> dict[str, bytes]:
    """Return the files that a sign-in consists of."""
    files = [box.state / "default" / name for name in ("sign-in", "record", "times")]
    return {file.name: file.read_bytes() for file in (*files, box.config / "default.toml")}


def asked(box: sandbox.Box) -> list[str]:
    """Ask in this process, expecting that nobody is; return the remarks."""
    notes: list[str] = []
    before = box.emulator.count("devicecode")
    assert remote_login.ask(box.workplace(), note=notes.append, options=sandbox.quick()) is None
    assert box.emulator.count("devicecode") == before
    return notes


def test_a_person_elsewhere_signs_the_box_in_again(box: sandbox.Box, inbox: inboxes.Inbox, tmp_path: Path) -> None:
    """Acceptance: the message comes with code, picture and reason; approved on the page, the next job gets its token."""
    need("zbarimg")
    box.sign_in()
    wants(box, inbox)
    end_the_sign_in(box)
    asking = start(box)
    message = inbox.messages.get(timeout=hook_notes.PATIENCE)
    picture = tmp_path / "qr.png"
    picture.write_bytes(base64.b64decode(message.pop("qr_png")))
    read = subprocess.run(["zbarimg", "--raw", "-q", "--nodbus", picture], capture_output=True, text=True, check=True)
    assert read.stdout.strip() == message["uri"] == box.emulator.signin_uri
    assert (message["event"], message["profile"]) == ("code", "default")
    for fact in (
        os.uname().nodename,
        "ada@contoso.example",
        box.emulator.client_id,
        "only enter this code if you expect",
    ):
        assert fact in message["reason"]
    assert not any(secret in json.dumps(message) for secret in box.secrets())
    inboxes.approve_on_the_page(box, message, "ada@contoso.example")
    out, _ = asking.communicate(timeout=sandbox.PATIENCE)
    assert (asking.returncode, out) == (0, "ada@contoso.example\n")
    assert box.token("--force-refresh")
    assert login_needed.told(box.workplace().paths) is None


def test_another_account_replaces_nothing(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Acceptance: 5, whoever got hold of the code."""
    box.sign_in()
    wants(box, inbox)
    end_the_sign_in(box)
    before = saved(box)
    asking = start(box)
    inboxes.approve_on_the_page(box, inbox.messages.get(timeout=hook_notes.PATIENCE), GRACE)
    out, _ = asking.communicate(timeout=sandbox.PATIENCE)
    assert asking.returncode == 5
    assert out == f"{GRACE} signed in, but ada@contoso.example was asked to; nothing was changed\n"
    assert saved(box) == before
    assert box.run("token").status == 4


def test_another_account_replaces_nothing_either_where_the_caller_would_let_it(
    box: sandbox.Box, inbox: inboxes.Inbox
) -> None:
    """No option of a sign-in widens whom a code from afar is for."""
    box.sign_in()
    wants(box, inbox)
    end_the_sign_in(box)
    before = saved(box)
    box.emulator.approve_next(user=GRACE)
    options = dataclasses.replace(sandbox.quick(replace=True), expect_user=None)
    with pytest.raises(errors.LoginNotCompletedError) as raised:
        remote_login.ask(box.workplace(), note=print, options=options)
    assert raised.value.code == "unexpected_account"
    assert saved(box) == before


def test_nobody_is_asked_twice_within_six_hours(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Also where the first one was approved, and the sign-in ended again."""
    box.sign_in()
    wants(box, inbox)
    end_the_sign_in(box)
    box.emulator.approve_next()
    assert remote_login.ask(box.workplace(), note=print, options=sandbox.quick()) is not None
    end_the_sign_in(box)
    assert "once in 6 hours" in asked(box)[0]
    note = box.state / "default" / "remote-login"
    fields = json.loads(note.read_text())
    note.write_text(json.dumps({**fields, "asked_boot": fields["asked_boot"] - 6 * 3600}))
    box.emulator.approve_next()
    assert remote_login.ask(box.workplace(), note=print, options=sandbox.quick()) is not None


def test_one_asks_at_a_time(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Two runs at once send one message; a login at a terminal is not disturbed either."""
    box.sign_in()
    wants(box, inbox)
    end_the_sign_in(box)
    asking = start(box)
    message = inbox.messages.get(timeout=hook_notes.PATIENCE)
    assert "another process is asking" in asked(box)[0]
    assert box.run("login", *box.app()).status == 75
    inboxes.approve_on_the_page(box, message, "ada@contoso.example")
    assert asking.communicate(timeout=sandbox.PATIENCE)[0] == "ada@contoso.example\n"
    assert inbox.messages.empty()


def test_a_profile_that_never_wished_it_is_left_in_peace(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Off by default, and not worth a remark."""
    box.sign_in()
    wants(box, inbox, remote_login=None)
    end_the_sign_in(box)
    assert asked(box) == []


def test_without_a_command_that_tells_nobody_is_asked(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """A code that nobody sees is of no use."""
    box.sign_in()
    wants(box, inbox, on_code=None)
    end_the_sign_in(box)
    assert "no on_code" in asked(box)[0]


def test_nobody_is_asked_outside_of_the_hours(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Local time, here one that is far from now."""
    box.sign_in()
    hour = (time.localtime().tm_hour + 12) % 24
    wants(box, inbox, remote_login_hours=f"{hour:02}:00-{(hour + 1) % 24:02}:00")
    end_the_sign_in(box)
    assert "it is allowed at" in asked(box)[0]


def test_after_a_logout_nobody_is_asked(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """There is no account left that could be the only one."""
    box.sign_in()
    wants(box, inbox)
    signing_out.logout(box.workplace())
    assert "nobody was signed in before" in asked(box)[0]


def test_while_the_sign_in_works_nobody_is_asked(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Whatever the caller believes."""
    box.sign_in()
    wants(box, inbox)
    assert "has not been refused" in asked(box)[0]


def test_an_unusable_store_is_73_before_anything_is_sent(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """D2: nobody enters a code for a sign-in that could not be kept."""
    items = box.give_odd_keyrings()
    box.login(store=sandbox.HONEST)
    wants(box, inbox)
    box.emulator.revoke()
    assert box.run("token", "--force-refresh").status == 4
    shutil.rmtree(items)
    asking = start(box)
    asking.communicate(timeout=sandbox.PATIENCE)
    assert asking.returncode == 73
    assert box.emulator.count("devicecode") == 1
    assert inbox.messages.empty()


@pytest.mark.parametrize("key", ["client_id", "authority"])
def test_an_edited_profile_asks_nobody_into_another_app_or_authority(
    box: sandbox.Box, inbox: inboxes.Inbox, key: str
) -> None:
    """What a sign-in was made with is what it is renewed with: 78, and nothing is sent."""
    box.sign_in()
    wants(box, inbox)
    end_the_sign_in(box)
    file = box.config / "default.toml"
    other = {"client_id": box.emulator.single_tenant_client_id, "authority": box.emulator.authority_for("common")}[key]
    file.write_text(re.sub(rf'^{key} = ".*"$', f'{key} = "{other}"', file.read_text(), flags=re.MULTILINE))
    with pytest.raises(errors.ConfigError, match="not that of the saved sign-in"):
        remote_login.ask(box.workplace(), note=print, options=sandbox.quick())
    assert box.emulator.count("devicecode") == 1


def test_a_code_that_nobody_enters_ends_with_5_and_is_not_repeated(box: sandbox.Box, inbox: inboxes.Inbox) -> None:
    """Who was asked and did not come is left alone for six hours."""
    box.sign_in()
    wants(box, inbox)
    end_the_sign_in(box)
    with pytest.raises(errors.LoginNotCompletedError):
        remote_login.ask(box.workplace(), note=print, options=sandbox.quick())
    assert "once in 6 hours" in asked(box)[0]
