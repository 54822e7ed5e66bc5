"""The status of one profile and of several, on a terminal, in a pipe and in ASCII."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys

import pytest
from terminal_fixtures import CLIENT_ID, pipe, terminal

from devicelogin import models
from devicelogin.terminal import screen as screen_module
from devicelogin.terminal import tables
from devicelogin.unattended import forecast

NOW = 1_800_000_000
DAY = 86_400


def status(profile: str, *, name: str = "Ada Lovelace", username: str = "ada@contoso.com", **changed):
    account = models.Account(
        username=username,
        name=name,
        issuer="https://login.microsoftonline.com/t/v2.0",
        subject="s",
        home_account_id="o.t",
        tenant_id="11111111-2222-3333-4444-555555555555",
        object_id="o",
    )
    sign_in = models.SignIn(
        state="saved",
        account=account,
        client_id=CLIENT_ID,
        authority="https://login.microsoftonline.com/t",
        is_oidc=False,
        issuer=account.issuer,
        graph_root="https://graph.microsoft.com",
        scopes=("User.Read",),
        granted_scopes=("User.Read",),
        location=changed.pop("location", models.StoreLocation(kind="file", key="file", bind="machine")),
    )
    fields = {
        "profile": profile,
        "state": "saved",
        "sign_in": sign_in,
        "times": models.Times(generation=3, made=NOW - 30 * DAY, last_refreshed=NOW - 3 * DAY),
        "protection": "a key file of this user; not against root",
        "needs_login": False,
        "lasts_until": dt.datetime(2027, 4, 1, tzinfo=dt.UTC),
    }
    return models.SignInStatus(**{**fields, **changed})


NOBODY = models.SignInStatus(profile="empty", state="none", reason="nothing is saved")


def written(where, statuses, forecasts=None) -> str:
    target, stream = where
    moment = dt.datetime.fromtimestamp(NOW, dt.UTC)
    forecasts = forecasts or [forecast.forecast(each, now=moment) for each in statuses]
    tables.status_table(target, statuses, forecasts, now=NOW)
    return stream.text


def test_one_profile_is_a_block_of_facts():
    """Who, what it permits, where the secret is and what protects it, how fresh it is, how long it lasts."""
    text = written(terminal(), [status("default")])
    assert text.splitlines() == [
        "profile    default",
        "who        Ada Lovelace <ada@contoso.com>",
        "state      signed in",
        "tenant     11111111-2222-3333-4444-555555555555",
        f"app        {CLIENT_ID}",
        "permits    User.Read",
        "kept in    sealed file",
        "protected  a key file of this user; not against root",
        "refreshed  3 days ago (2027-01-12)",
        "lasts      until 2027-04-01 if unused, unless revoked or a policy ends it",
    ]


def test_the_scopes_of_other_apis_are_shown_beside_what_the_sign_in_permits():
    """A profile of several APIs is shown whole, as one and in a table."""
    send = "https://outlook.office.com/SMTP.Send"
    one, other = status("default", also=(send,)), status("work")
    assert f"also for   {send}" in written(terminal(), [one]).splitlines()
    assert f"permits User.Read; also for {send}" in " ".join(written(terminal(), [one, other]).split())


def test_a_profile_without_a_sign_in_says_so():
    """Only what is known is shown."""
    assert written(pipe(), [NOBODY]).splitlines() == [
        "profile  empty",
        "who      nobody",
        "state    sign-in needed: nothing is saved",
    ]
    assert written(pipe(), []) == "no saved sign-in\n"


def test_several_profiles_are_a_table_that_fits_80_columns():
    """Long values are folded, never cut."""
    long = status(
        "work",
        username="a.very.long.user.name@a-subsidiary.of.contoso.example.com",
        needs_login=True,
        reason="it has expired",
    )
    text = written(terminal(80, 24, NO_COLOR="1"), [status("default"), long, NOBODY])
    assert max(map(screen_module.cell_width, text.splitlines())) <= 80
    assert "a.very.long.user.name@a-subsidiary.of.contoso.example.com" in joined(text, "WHO")
    assert text.splitlines()[0].split() == ["PROFILE", "WHO", "KEPT", "IN", "REFRESHED", "LASTS", "UNTIL"]
    assert "3 days ago" in text
    assert "2027-04-01" in text


PROTECTION = "encrypted with a key file on the same disk: does not protect against root, or theft of the whole disk"


@pytest.mark.parametrize("columns", [40, 59, 60, 80, 132])
def test_nothing_is_wider_than_the_window_and_nothing_is_left_out(columns):
    """Many profiles, long names, wide characters; what protects them is said once and not in a column of its own."""
    wide = status("東京", name="渡辺 太郎", username="taro.watanabe@subsidiary.of.contoso.example.com")
    others = [status(f"profile-{number}", protection=PROTECTION) for number in range(30)]
    text = written(terminal(columns, 24, NO_COLOR="1"), [wide, *others, NOBODY])
    lines = text.splitlines()
    assert max(map(screen_module.cell_width, lines)) <= columns
    whole = " ".join(text.split())
    assert all(f"profile-{number} " in whole for number in range(30))
    if columns < 60:
        assert whole.count("sealed file") == 31
        assert lines.count("") == 31
    else:
        assert whole.count("theft of the whole disk") == 1
        assert "profile-0, profile-1, profile-2 and 27 more: encrypted with a key file" in whole


def test_a_terminal_that_is_read_aloud_gets_sentences_and_no_columns():
    """TERM=dumb: each line is understood by itself."""
    text = written(
        terminal(120, 24, TERM="dumb"), [status("a"), status("b", needs_login=True, reason="it was revoked")]
    )
    assert (
        "profile    b\nwho        Ada Lovelace <ada@contoso.com>\nstate      sign-in needed: it was revoked\n" in text
    )
    assert "\x1b" not in text


def test_a_script_does_not_pay_for_what_folds_tables(tmp_path):
    """`status` in a pipe imports no rich; that was half of its time."""
    config = tmp_path / "config"
    config.mkdir(mode=0o700)
    for profile in ("work", "home"):
        (config / f"{profile}.toml").write_text("")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "devicelogin", "status"],
        env={**os.environ, "DEVICELOGIN_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["PROFILE", "home", "work"]
    assert "devicelogin.terminal.tables" in done.stderr
    assert "rich" not in done.stderr


def joined(text: str, heading: str) -> str:
    """Return what stands in one column, its folds undone."""
    lines = text.splitlines()
    start = lines[0].index(heading)
    end = lines[0].index("KEPT IN")
    return "".join(line[start:end].strip() for line in lines[1:])


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_pipe_gets_a_line_a_profile_aligned_and_uncut(encoding):
    """So that grep and awk find what they look for: no colours, no boxes, no folding."""
    long = status("work", username="a.very.long.user.name@a-subsidiary.of.contoso.example.com", needs_login=True)
    lines = written(pipe(encoding=encoding), [status("default"), long, NOBODY]).splitlines()
    assert len(lines) == 4
    assert all(line.isascii() and line == line.rstrip() for line in lines)
    assert lines[0].index("KEPT IN") == lines[1].index("sealed file") == lines[2].index("sealed file")
    assert "a.very.long.user.name@a-subsidiary.of.contoso.example.com> (sign-in needed)" in lines[2]


def test_colours_only_in_the_heading_and_only_where_wanted():
    """NO_COLOR and pipes are asked by the screen."""
    both = [status("a"), status("b")]
    assert "\x1b[1m" in written(terminal(), both)
    assert "\x1b" not in written(terminal(NO_COLOR="1"), both)
    assert "\x1b" not in written(terminal(TERM="dumb"), both)
    assert "\x1b[1m" in written(pipe(FORCE_COLOR="1"), both)


def test_names_from_the_server_are_text_not_markup():
    """Neither escape sequences nor rich's own markup have an effect."""
    hostile = "\x1b]0;t\x07[bold red]Zoë[/] :smile: \u202e"
    for statuses in ([status("p", name=hostile)], [status("p", name=hostile), status("q")]):
        text = written(pipe(), statuses)
        assert "[bold red]Zoë[/] :smile:" in text
        assert all(character.isprintable() or character == "\n" for character in text)
    assert "[bold red]Zo?[/]" in written(pipe(encoding="ascii"), [status("p", name=hostile)])


@pytest.mark.parametrize(
    ("days", "colour", "word"), [(31, "", "until"), (30, "33", "warning: "), (7, "31", "critical: ")]
)
def test_a_sign_in_that_ends_soon_is_coloured_and_says_so_in_words(days, colour, word):
    """Yellow from 30 days before, red from 7; whoever sees no colour reads the word."""
    soon = status("p", lasts_until=dt.datetime.fromtimestamp(NOW + days * DAY, dt.UTC))
    for statuses in ([soon], [soon, status("q")]):
        text = written(terminal(200), statuses)
        assert (f"\x1b[{colour}m" in text) is bool(colour)
        assert word.strip() in text or not colour
        assert text.count("\x1b[3") == bool(colour)
        assert "\x1b[3" not in written(terminal(200, NO_COLOR="1"), statuses)
    assert f"lasts      {word}" in written(pipe(), [soon])


def test_a_sign_in_that_is_over_is_red_in_its_state():
    """There is no forecast any more, so the state is what is coloured."""
    over = status("p", needs_login=True, reason="it was revoked")
    for statuses, state in ([over], "sign-in needed: it was revoked"), ([over, status("q")], "sign-in needed"):
        [line] = [line for line in written(terminal(200), statuses).splitlines() if "\x1b[31m" in line]
        assert re.search(rf"\x1b\[31m{state} *\x1b\[0m", line)
    assert "lasts" not in written(pipe(), [over])


def test_why_somebody_has_to_sign_in_stands_below_the_table_with_the_command():
    """In the table it would take ten lines; a pipe has it in the row, where grep finds it."""
    over = status("p", needs_login=True, reason="it was revoked")
    unreadable = models.SignInStatus(profile="r", state="unreadable", reason="others may write to /etc/r")
    lines = written(terminal(80, NO_COLOR="1"), [over, status("q"), unreadable]).splitlines()
    assert lines[1].split() == ["p", "ada@contoso.com", "sealed", "file", "3", "days", "ago", "sign-in", "needed"]
    assert lines[3].split() == ["r", "unknown", "-", "-", "cannot", "be", "read"]
    assert "p: it was revoked; sign in: devicelogin login --profile p" in lines
    assert "r: others may write to /etc/r" in lines
    piped = written(pipe(), [over, unreadable]).splitlines()
    assert "Ada Lovelace <ada@contoso.com> (sign-in needed: it was revoked)" in piped[1]
    assert "unknown (cannot be read: others may write to /etc/r)" in piped[2]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7_199, "1 hour ago"),
        (7_200, "2 hours ago"),
        (2 * DAY - 1, "1 day ago"),
        (90 * DAY, "90 days ago"),
        (-30, "just now"),
        (-3_600, "in the future"),
    ],
)
def test_ages_are_told_in_their_largest_unit(seconds, expected):
    """A clock that was set back is no reason for nonsense."""
    times = models.Times(generation=1, made=0, last_refreshed=NOW - seconds)
    assert f"refreshed  {expected} (" in written(pipe(), [status("p", times=times)])


def test_an_impossible_time_is_no_traceback():
    """The file `times` may hold anything that is a number."""
    times = models.Times(generation=1, made=0, last_refreshed=-(10**18))
    unknown = [models.Forecast(level="unknown")]
    assert "at an impossible time" in written(pipe(), [status("p", times=times)], unknown)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (
            models.StoreLocation(kind="keyring", backend="keyring.backends.SecretService.Keyring"),
            "keyring (SecretService)",
        ),
        (models.StoreLocation(kind="keyring", backend="keyring.backends.kwallet.DBusKeyring"), "keyring (DBusKeyring)"),
        (models.StoreLocation(kind="keyring"), "keyring"),
        (models.StoreLocation(kind="keyring:vault.Store"), "keyring:vault.Store"),
        (models.StoreLocation(kind="file"), "sealed file"),
    ],
)
def test_the_place_of_the_secret_is_named(location, expected):
    """In words a person can look up."""
    line = next(line for line in written(pipe(), [status("p", location=location)]).splitlines() if "kept in" in line)
    assert re.sub(r"^kept in\s+", "", line) == expected
