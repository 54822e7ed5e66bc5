"""Machine ids that do not last: nothing is bound to them, and what was bound to another one is not called well."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import conftest
import namespace
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

# What systemd does where it cannot write /etc/machine-id: the id of this boot lies in memory, mounted over it.
_IN_MEMORY = """
mount -t tmpfs none /media && cp -a /etc/. /media 2>/dev/null; printf %s "$0" >/media/machine-id
[ -e /etc/machine-id ] && mount --bind /media/machine-id /etc/machine-id || mount --bind /media /etc || exit 99
exec "$@"
"""
_NONE = 'mount --bind "$0" /etc && exec "$@"'

_ID = "a" * 32
_OTHER_ID = "b" * 32


@pytest.fixture
def bound_box() -> Iterator[sandbox.Box]:
    """A machine with a disk whose owner wants sign-ins to be bound to it, as those outside of containers are."""
    with sandbox.opened_on_disk() as box:
        box.config.mkdir(mode=0o700, parents=True)
        (box.config / "default.toml").write_text('bind = "machine"\n')
        yield box


def _with_id(box: sandbox.Box, kind: str, text: str) -> list[str]:
    """Return the words before a command that is to meet the machine id `text`, in memory, on a disk, or none."""
    if kind == "memory":
        return namespace.mounting(_IN_MEMORY, text)
    if kind == "missing":
        etc = box.home / "etc"
        if not etc.exists():
            etc.mkdir()
            for name in ("passwd", "group", "hosts", "nsswitch.conf", "ld.so.cache"):
                if os.path.exists(f"/etc/{name}"):
                    shutil.copy(f"/etc/{name}", etc / name)
        return namespace.mounting(_NONE, etc)
    file = box.home / f"id-{text[:1] or 'empty'}"
    file.write_text(text)
    return namespace.with_machine_id(file)


def _login(box: sandbox.Box, before: list[str]) -> sandbox.Result:
    box.emulator.approve_next()
    return box.start("login", *box.app(), before=before).finish()


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("memory", _ID, "this machine makes a new one at each boot"),
        ("disk", "", "this machine has no machine id"),
        ("disk", "uninitialized\n", "this machine has no machine id"),
        ("disk", "0" * 32, "this machine has no machine id"),
        ("missing", "", "this machine has no machine id"),
    ],
)
def test_no_sign_in_is_bound_to_a_machine_id_that_ends_with_this_boot(
    bound_box: sandbox.Box, kind: str, text: str, why: str
) -> None:
    """`login` says that it binds to none, and why; the next boot, with another id, finds a sign-in that works."""
    result = _login(bound_box, _with_id(bound_box, kind, text))
    assert result.status == 0, result
    assert f'the sealed file is not bound to a machine id, although bind = "machine" is set: {why}' in result.err
    assert json.loads(bound_box.run("status", "--json").out)["profiles"][0]["bind"] == "none"
    next_boot = _with_id(bound_box, "memory", _OTHER_ID)
    for command in (["token", "--force-refresh"], ["status", "--check"], ["keepalive"]):
        done = bound_box.start(*command, before=next_boot).finish()
        assert done.status == 0, done


def test_what_was_bound_to_another_machine_id_is_not_called_well(bound_box: sandbox.Box) -> None:
    """The refusal names the cause; `status`, its JSON, `keepalive` and `doctor` do not say that all is well."""
    first, next_boot = (_with_id(bound_box, "disk", _ID), _with_id(bound_box, "memory", _OTHER_ID))
    assert _login(bound_box, first).status == 0
    assert bound_box.start("status", "--check", before=first).finish().status == 0
    result = bound_box.start("token", "--force-refresh", before=next_boot).finish()
    assert result.status == 65
    cause = "was sealed on another machine, this machine makes a new one at each boot"
    assert cause in result.err
    assert bound_box.start("status", "--check", before=next_boot).finish().status == 4
    assert "sign-in needed: " in bound_box.start("status", before=next_boot).finish().out
    told = json.loads(bound_box.start("status", "--json", before=next_boot).finish().out)["profiles"][0]
    assert (told["state"], told["needs_login"], told["level"]) == ("damaged", True, "critical")
    assert cause in told["reason"]
    assert bound_box.start("keepalive", before=next_boot).finish().status == 65
    assert bound_box.start("doctor", before=next_boot).finish().status == 65
    assert bound_box.start("keepalive", before=first).finish().status == 0
    assert _login(bound_box, next_boot).status == 0
    assert bound_box.start("token", "--force-refresh", before=next_boot).finish().status == 0


def test_no_secret_is_read_to_find_that_out(bound_box: sandbox.Box) -> None:
    """`status` opens neither the key nor a keyring: the record's header says which machine id it was sealed with."""
    conftest.need("strace")
    assert _login(bound_box, _with_id(bound_box, "disk", _ID)).status == 0
    trace = bound_box.home / "trace"
    before = [*_with_id(bound_box, "memory", _OTHER_ID), "strace", "-f", "-e", "trace=openat,execve", "-o", str(trace)]
    assert bound_box.start("status", "--check", before=before).finish().status == 4
    opened = trace.read_text()
    assert "default/record" in opened
    assert "default.key" not in opened


@pytest.mark.parametrize(("lost", "check", "state"), [("record", 4, "login-required"), ("key", 4, "unreadable")])
def test_a_record_or_key_that_is_gone_is_not_called_signed_in(
    box: sandbox.Box, lost: str, check: int, state: str
) -> None:
    """Files are looked at, so what the next refresh will end with is known beforehand."""
    box.login()
    {"record": box.state / "default" / "record", "key": box.config / "keys" / "default.key"}[lost].unlink()
    assert box.run("status", "--check").status == check
    assert box.status().state == state
    assert box.run("keepalive").status == box.run("token", "--force-refresh").status != 0


def test_login_if_needed_is_not_content_with_the_last_token_of_a_lost_sign_in(box: sandbox.Box) -> None:
    """A cached token is good for an hour; provisioning asks whether the machine is signed in."""
    box.login()
    assert "nothing to do" in box.run("login", "--if-needed", *box.app()).err
    (box.state / "default" / "record").unlink()
    assert box.token()
    box.emulator.approve_next()
    assert "nothing to do" not in box.run("login", "--if-needed", *box.app()).err
    assert box.token("--force-refresh")
