"""What stands on the screen when a sign-in has worked: short enough to read, and true."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import stat

import pytest
import sandbox
from test_sign_in_on_a_pty import COUNTDOWN, Session

from devicelogin import models
from devicelogin.cli import after_sign_in
from devicelogin.terminal import screen

FIRST = "Signed in as "


def outcome(text: str) -> list[str]:
    """Return the lines from the one that says who signed in."""
    lines = text.splitlines()
    return lines[next(number for number, line in enumerate(lines) if line.startswith(FIRST)) :]


def until() -> str:
    """Return the day on which an unused sign-in of today ends."""
    return (dt.datetime.now(dt.UTC) + dt.timedelta(days=90)).date().isoformat()


@pytest.mark.parametrize("profile", ["default", "work"])
def test_six_lines_of_80_columns_say_all_of_it(box: sandbox.Box, profile: str) -> None:
    """Who, with account and tenant; where; how long; cron; two commands. No word is broken at the edge."""
    session = Session(box, "--profile", profile)
    session.wait_for(COUNTDOWN)
    days = {until()}
    box.emulator.approve(box.emulator.wait_for_code())
    status, shown = session.end()
    days.add(until())
    assert status == 0
    lines = outcome("\n".join(shown))
    assert len(lines) <= 6
    assert all(screen.cell_width(line) < 80 for line in lines)
    suffix = "" if profile == "default" else f" --profile {profile}"
    text = " ".join(lines)
    for fact in (
        "Signed in as ada@contoso.example (Ada Lovelace)",
        f"tenant {box.emulator.tenant_id}.",
        "Kept in a file sealed by a key on the same disk (limits: devicelogin status).",
        f"devicelogin doctor{suffix} --as-cron",
        f"Next: devicelogin token{suffix}, or devicelogin graph{suffix} me",
    ):
        assert fact in text
    assert any(f"It lasts until {day} if unused" in text for day in days)


def test_quiet_says_nothing_of_it(box: sandbox.Box) -> None:
    """The code is shown, and that is all."""
    box.emulator.approve_next()
    result = box.run("-q", "login", *box.app())
    assert result.status == 0
    assert FIRST not in result.err
    assert result.err.splitlines()[-1].startswith("Waiting")


def test_cron_can_use_it_where_the_crontab_leads_to_it() -> None:
    """Files on a disk, and a crontab with the line that its jobs need; without that line it is not claimed."""
    with sandbox.opened_on_disk() as box:
        box.variables["DEVICELOGIN_HOME"] = str(box.home / "all")
        program = box.home / "bin" / "crontab"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' 'DEVICELOGIN_HOME={box.home}/all'\n")
        program.chmod(stat.S_IRWXU)
        box.variables["PATH"] = f"{program.parent}:{os.environ['PATH']}"
        assert "\nCron can use it" in box.login().err  # and whether its daemon runs just now
        program.write_text("#!/bin/sh\nexit 0\n")
        assert "Cron looks for it elsewhere: devicelogin doctor --as-cron" in outcome(box.login().err)


def test_a_provider_that_is_not_entra_is_named_by_its_issuer(box: sandbox.Box) -> None:
    """Nobody knows how long its sign-ins last; there is no Graph to call."""
    lines = outcome(box.login(oidc_issuer=box.emulator.oidc_issuer).err)
    assert lines[0] == f"Signed in as ada@contoso.example (Ada Lovelace), at {box.emulator.oidc_issuer}."
    assert lines[2] == "How long it lasts: unknown; the provider does not say how long it lasts unused."
    assert lines[-1].startswith("Next: devicelogin token, or devicelogin ")


@pytest.mark.parametrize(
    ("location", "where", "cron"),
    [
        (models.StoreLocation(kind="keyring"), "the OS keyring, encrypted on the disk", "Whether cron can use it: "),
        (models.StoreLocation(kind="keyring:a.B"), "the keyring backend a.B", "Whether cron can use it: "),
        (models.StoreLocation(kind="file", key="credential"), "a file sealed by a systemd credential", "Whether cron "),
        (models.StoreLocation(kind="file", key="passphrase"), "a file sealed by your passphrase", "Cron cannot use it"),
    ],
)
def test_of_each_store_no_more_is_said_than_is_known(
    box: sandbox.Box, location: models.StoreLocation, where: str, cron: str
) -> None:
    """A keyring may be locked when cron comes, a passphrase is typed by nobody."""
    sign_in = dataclasses.replace(box.sign_in(), location=location)
    lines = after_sign_in.lines(box.workplace(), sign_in, stays=True)
    assert lines[1] == f"Kept in {where} (limits: devicelogin status)."
    assert lines[3].startswith(cron)
    assert len(after_sign_in.lines(box.workplace(), sign_in, stays=False)) == len(lines) - 1


def test_a_hostile_name_stays_within_its_line(box: sandbox.Box) -> None:
    """What the provider calls a person may hold anything."""
    sign_in = box.sign_in()
    account = dataclasses.replace(sign_in.account, name="x\r\x1b[K\nSigned in as root." + "y" * 500)
    lines = after_sign_in.lines(box.workplace(), dataclasses.replace(sign_in, account=account), stays=True)
    assert "\x1b" not in lines[0]
    assert "\n" not in lines[0]
    assert len(lines[0]) < 300
