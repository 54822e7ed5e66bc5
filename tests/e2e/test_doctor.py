"""`devicelogin doctor`: each check green and red for a real reason, the exit code, and nothing changed by looking."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

import conftest
import fake_time
import hook_notes
import keyring_session
import namespace
import pytest
import sandbox
from doctor_report import PASSWORD, examined

from devicelogin.emulator import MISSING, Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKS = {
    *("versions", "home", "clock", "terminal", "session bus", "lingering", "jobs", "machine id", "memory"),
    *("proxy", "certificates", "name", "connection", "TLS", "authority"),
    *("settings", "permissions", "disk", "store", "sign-in"),
}


@pytest.fixture
def signed_in(box: sandbox.Box) -> sandbox.Box:
    box.sign_in()
    return box


def content(box: sandbox.Box) -> dict[str, str]:
    """Return what lies in the sandbox; a lock says who has it, which may change."""
    return {
        str(path): f"{path.stat().st_mode:o} " + ("" if path.name == "lock" else hashlib.sha256(path.read_bytes()).hexdigest())
        for path in box.home.rglob("*")
        if path.is_file()
    }  # fmt: skip


def test_a_signed_in_machine_is_well_and_stays_as_it_was(signed_in: sandbox.Box) -> None:
    """Exit 0, every check made; no file differs, and the provider was asked for its discovery document alone."""
    before, requests = content(signed_in), len(signed_in.emulator.requests)
    found = examined(signed_in)
    assert found.result.status == 0
    assert {check["name"] for check in found.checks} == CHECKS
    assert not found.red
    assert content(signed_in) == before
    assert [request.endpoint for request in signed_in.emulator.requests[requests:]] == ["discovery"]
    assert "ada@contoso.example; lasts until 20" in found["sign-in"]["message"]
    assert "in the sealed file, read and tried" in found["store"]["message"]
    assert 'vouched for by "devicelogin emulator CA"' in found["TLS"]["message"]
    assert "named by the settings" in found["certificates"]["message"]


def test_before_the_first_sign_in_nothing_is_made(box: sandbox.Box) -> None:
    """What login would do is said; no directory, no key and no lock comes into being."""
    found = examined(box, before=namespace.without_network(), DEVICELOGIN_STORE="file")
    assert content(box) == {}
    assert not (box.home / "all").exists()
    assert found.level("sign-in") == "yellow"
    assert found["sign-in"]["hint"] == "devicelogin login"
    assert found["store"]["message"] == "login would keep the sign-in in a sealed file"


def _html(box: sandbox.Box) -> None:
    box.emulator.script("discovery", [Fault.html()])


def _busy(box: sandbox.Box) -> None:
    box.emulator.script("discovery", [Fault.status(503)])


def _reset(box: sandbox.Box) -> None:
    box.emulator.script("discovery", [Fault.reset()])


def _no_device_flow(box: sandbox.Box) -> None:
    box.emulator.script("discovery", [Fault.patch({"device_authorization_endpoint": MISSING})])


def _foreign(box: sandbox.Box) -> None:
    box.emulator.script("discovery", [Fault.patch({"token_endpoint": "https://evil.example/token"})])


def _broken_profile(box: sandbox.Box) -> None:
    (box.config / "default.toml").write_text("tenent = 'x'\n")


def _open_profile(box: sandbox.Box) -> None:
    (box.config / "default.toml").chmod(0o666)


def _other_app(box: sandbox.Box) -> None:
    profile = box.config / "default.toml"
    profile.write_text(profile.read_text().replace(box.emulator.client_id, "00000000-1111-2222-3333-444444444444"))


def _open_key(box: sandbox.Box) -> None:
    (box.config / "keys" / "default.key").chmod(0o644)


def _no_key(box: sandbox.Box) -> None:
    (box.config / "keys" / "default.key").unlink()


def _open_directory(box: sandbox.Box) -> None:
    (box.state / "default").chmod(0o777)


def _linked(box: sandbox.Box) -> None:
    (box.state / "default").rename(box.home / "elsewhere")
    (box.state / "default").symlink_to(box.home / "elsewhere")


def _damaged_record(box: sandbox.Box) -> None:
    record = box.state / "default" / "record"
    record.write_bytes(record.read_bytes()[:-1])


def _no_record(box: sandbox.Box) -> None:
    (box.state / "default" / "record").unlink()


def _damaged_trace(box: sandbox.Box) -> None:
    (box.state / "default" / "sign-in").write_text("{")


def _revoked(box: sandbox.Box) -> None:
    box.emulator.revoke()
    assert box.run("token", "--force-refresh").status == 4


@pytest.mark.parametrize(
    ("fault", "check", "exit_code", "words"),
    [
        (_html, "authority", 76, "a captive portal or a proxy?"),
        (_busy, "authority", 75, "has trouble of its own"),
        (_reset, "authority", 75, "the connection was cut"),
        (_no_device_flow, "authority", 76, "does not offer the device flow"),
        (_foreign, "authority", 78, "on another host, evil.example"),
        (_broken_profile, "settings", 78, "unknown key 'tenent'"),
        (_open_profile, "settings", 78, "others may write to"),
        (_other_app, "settings", 78, "client id"),
        (_open_key, "permissions", 78, "others may read the key file"),
        (_open_directory, "permissions", 78, "others may write into"),
        (_linked, "permissions", 78, "is a link"),
        (_no_key, "store", 73, "is missing"),
        (_damaged_record, "store", 65, "is damaged"),
        (_no_record, "store", 4, "is not in the sealed file any more"),
        (_damaged_trace, "sign-in", 65, "is damaged"),
        (_revoked, "sign-in", 4, "ada@contoso.example must sign in again: "),
    ],
)
def test_a_fault_is_the_first_red_line_and_the_exit_code(
    signed_in: sandbox.Box, fault: Callable[[sandbox.Box], None], check: str, exit_code: int, words: str
) -> None:
    """Whatever is broken, its own line is the first red one, in words, with a hint, and the exit code is its own."""
    fault(signed_in)
    found = examined(signed_in)
    assert found.red[0]["name"] == check, found.red
    assert words in found.red[0]["message"]
    assert found.result.status == exit_code


def test_of_two_faults_the_first_line_gives_the_exit_code(signed_in: sandbox.Box) -> None:
    """What is to be mended first: the network before the store; the second line is there all the same."""
    _html(signed_in)
    _no_key(signed_in)
    found = examined(signed_in)
    assert [(each["name"], each["exit"]) for each in found.red] == [("authority", 76), ("store", 73)]
    assert found.result.status == 76


def test_what_cannot_be_looked_at_is_skipped_and_not_red(signed_in: sandbox.Box) -> None:
    """Behind the first step that fails nothing is blamed; without a network the files are looked at all the same."""
    found = examined(signed_in, before=namespace.without_network())
    assert [each["name"] for each in found.red] == ["connection"]
    assert found.result.status == 75
    assert {name: found.level(name) for name in ("TLS", "authority", "clock")} == dict.fromkeys(
        ("TLS", "authority", "clock"), "skipped"
    )
    assert "nobody could be asked" in found["clock"]["message"]
    assert found.level("store") == found.level("sign-in") == "green"


def test_a_provider_that_moved_is_told_before_a_job_fails(box: sandbox.Box) -> None:
    """78: the hosts that were named at login are those a refresh token goes to, and a new one is not among them."""
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer)
    assert examined(box).result.status == 0
    box.emulator.script("discovery", [Fault.patch({"token_endpoint": "https://evil.example/token"})])
    found = examined(box)
    assert [(each["name"], each["exit"]) for each in found.red] == [("authority", 78)]
    assert "now sends us to evil.example" in found["authority"]["message"]


def test_a_name_that_does_not_exist_is_the_fault_of_the_name(box: sandbox.Box) -> None:
    """75 at the line for the name, none of the steps behind it."""
    settings = {"DEVICELOGIN_AUTHORITY": "https://nowhere.invalid/common", "DEVICELOGIN_STORE": "file"}
    found = examined(box, **settings, **sandbox.QUICK_RESOLVER)
    assert [(each["name"], each["exit"]) for each in found.red] == [("name", 75)]


def test_an_interceptor_is_named(signed_in: sandbox.Box) -> None:
    """Who vouches for the certificate that this machine does not trust, and how to trust it; the way to it was right."""
    with Emulator() as other:
        found = examined(signed_in, DEVICELOGIN_CA_FILE=other.ca_file)
    assert [(each["name"], each["exit"]) for each in found.red] == [("TLS", 76)]
    assert 'issuer "devicelogin emulator CA"' in found["TLS"]["message"]
    assert "--ca-file" in found["TLS"]["hint"]
    assert found.level("connection") == "green"


def test_certificates_that_cannot_be_read_are_named(box: sandbox.Box) -> None:
    """78 with the variable; no request is made."""
    found = examined(box, SSL_CERT_FILE="/etc/passwd", DEVICELOGIN_STORE="file")
    assert [(each["name"], each["exit"]) for each in found.red] == [("certificates", 78)]
    assert "SSL_CERT_FILE" in found["certificates"]["message"]


def test_the_proxy_is_shown_without_its_password(signed_in: sandbox.Box, refused_port: int) -> None:
    """Set and used, set and not used, none, unusable, and one that refuses: each is said, and the password never."""
    assert examined(signed_in)["proxy"]["message"] == "none"
    url = f"http://ada:{PASSWORD}@127.0.0.1:9"
    assert examined(signed_in, HTTPS_PROXY=url)["proxy"]["message"] == "HTTPS_PROXY is set, but not used for this host"
    assert "https_proxy" in examined(signed_in, https_proxy="socks5://127.0.0.1:9", HTTPS_PROXY=url)["proxy"]["message"]
    elsewhere = {"DEVICELOGIN_AUTHORITY": "https://login.example.org/common", "DEVICELOGIN_STORE": "file"}
    shutil.rmtree(signed_in.home / "all")
    found = examined(signed_in, HTTPS_PROXY=f"http://ada:{PASSWORD}@127.0.0.1:{refused_port}", **elsewhere)
    assert found["proxy"]["message"] == f"127.0.0.1:{refused_port}, from HTTPS_PROXY"
    assert [(each["name"], each["exit"]) for each in found.red] == [("connection", 75)]
    assert f"through the proxy 127.0.0.1:{refused_port}: connection refused" in found["connection"]["message"]
    found = examined(signed_in, ALL_PROXY="socks5://127.0.0.1:9", **elsewhere)
    assert [(each["name"], each["exit"]) for each in found.red] == [("proxy", 78)]


@pytest.mark.faketime
@pytest.mark.parametrize(
    ("moment", "level", "exit_code", "words"),
    [
        ("1970-01-02 00:00:00", "red", 75, "never set since this machine started"),
        ("2200-01-01 00:00:00", "red", 75, "2200-01-01"),
        ("+2d", "red", 75, "2 days ahead of 127.0.0.1"),
        ("-2d", "red", 75, "2 days behind 127.0.0.1"),
        ("+10m", "yellow", 0, "10 minutes ahead of 127.0.0.1"),
        ("-2m", "green", 0, "right to 1"),
    ],
)
def test_the_clock_is_held_against_the_authority(
    signed_in: sandbox.Box, moment: str, level: str, exit_code: int, words: str
) -> None:
    """Boot in 1970, a refused certificate, days and minutes off; a certificate is never blamed for the clock."""
    found = examined(signed_in, **fake_time.variables(FAKETIME=moment), TZ="UTC")
    assert (found.level("clock"), found.result.status) == (level, exit_code), found["clock"]
    assert words in found["clock"]["message"]
    assert "TLS" not in {each["name"] for each in found.red}


@pytest.mark.keyring
def test_every_state_of_a_keyring_is_told(box: sandbox.Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Green only where a round trip worked; 73 in every other state, within the time of one store."""
    with keyring_session.started("unlocked") as session:
        keyring_session.make_current(session, monkeypatch)
        box.variables.update(session.variables)
        box.sign_in(store="keyring")
        items = session.items()
        found = examined(box)
        assert found.result.status == 0
        assert "in the OS keyring, read and tried" in found["store"]["message"]
        assert session.items() == items, "something of the probe is left"
        for change, bus, words in (
            (session.lock, "green", "the OS keyring is locked"),
            (session.kill_service, "green", "no OS keyring runs in this session"),
            (session.start_hung_service, "green", "did not answer within 5 seconds"),
            (session.end, "yellow", "no OS keyring can be reached"),
        ):
            change()
            found = examined(box)
            assert words in found["store"]["message"], change
            assert found["store"]["hint"].endswith("where it opens: devicelogin store move --to file"), change
            assert [(each["name"], each["exit"]) for each in found.red] == [("store", 73)]
            assert found.level("session bus") == bus


def test_without_a_home_the_machine_is_looked_at_all_the_same(box: sandbox.Box) -> None:
    """78 at the line for the home; the rest of the machine and the network have their lines."""
    found = examined(box, before=namespace.without_network(), HOME=None, DEVICELOGIN_HOME=None)
    assert found.red[0]["name"] == "home"
    assert found.result.status == 78
    assert found.level("versions") == "green"
    assert found["name"]["about"] == "login.microsoftonline.com"


def test_a_read_only_home_is_the_fault_of_the_disk(signed_in: sandbox.Box) -> None:
    """73, before and after a sign-in; nothing needs to be written to find that out."""
    before = namespace.read_only(signed_in.home)
    assert [(each["name"], each["exit"]) for each in examined(signed_in, before=before).red][:1] == [("disk", 73)]
    shutil.rmtree(signed_in.home / "all")
    found = examined(signed_in, before=before, DEVICELOGIN_STORE="file", DEVICELOGIN_AUTHORITY=signed_in.emulator.authority,
                     DEVICELOGIN_CA_FILE=signed_in.emulator.ca_file)  # fmt: skip
    assert [(each["name"], each["exit"]) for each in found.red] == [("disk", 73)]


def test_a_full_disk_is_found_by_the_round_trip(signed_in: sandbox.Box) -> None:
    """73 at the store: what is saved can be read, but nothing new could be."""
    script = (
        'cp -a "$0" "$0.kept" && mount -t tmpfs -o size=96k,mode=700 none "$0" && cp -a "$0.kept/." "$0" || exit 99; '
        'dd if=/dev/zero of="$0/filler" bs=1k 2>/dev/null; exec "$@"'
    )
    found = examined(signed_in, before=namespace.mounting(script, signed_in.state))
    assert [(each["name"], each["exit"]) for each in found.red] == [("store", 73)]
    assert "No space left on device" in found["store"]["message"]


def test_every_profile_has_its_lines_and_a_crowd_is_cut_short(signed_in: sandbox.Box) -> None:
    """Each profile, one visit for all that share an authority, `--profile` names one, and twelve are enough."""
    mine = (signed_in.config / "default.toml").read_text()
    for number in range(13):
        path = signed_in.config / f"more{number:02}.toml"
        path.write_text(mine)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    found = examined(signed_in)
    abouts = [check["about"] for check in found.checks if check["name"] == "settings"]
    assert abouts == ["profile default", *(f"profile more{number:02}" for number in range(11))]
    assert sum(1 for check in found.checks if check["name"] == "authority") == 1
    assert found.checks[-1]["message"] == "2 more were not looked at; name one with --profile"
    named = examined(signed_in, "--profile", "more12")
    assert named["settings"]["about"] == "profile more12"
    assert named["sign-in"]["hint"] == "devicelogin login --profile more12"


def test_settings_have_their_sources_under_verbose_and_no_arguments_of_commands(signed_in: sandbox.Box) -> None:
    """Where every value comes from; an owner's command is named, what it is called with is not."""
    with (signed_in.config / "default.toml").open("a") as profile:
        profile.write(f'on_login_needed = ["/usr/bin/curl", "-u", "ada:{PASSWORD}", "https://ntfy.example"]\n')
    result = signed_in.run("-v", "doctor", DEVICELOGIN_MIN_VALID="600")
    assert result.status == 0
    assert "min_valid = 600 (environment variable DEVICELOGIN_MIN_VALID)" in result.out
    assert f"client_id = {signed_in.emulator.client_id} (profile {signed_in.config}/default.toml)" in result.out
    assert "on_login_needed = /usr/bin/curl and 3 arguments" in result.out
    assert PASSWORD not in result.out + result.err
    assert "min_valid" not in signed_in.run("doctor").out


def test_it_is_readable_in_the_c_locale(box: sandbox.Box) -> None:
    """A path with an umlaut and a terminal of ASCII: no traceback, the same lines, the right exit code."""
    home = box.home / "b\N{LATIN SMALL LETTER O WITH DIAERESIS}x"
    home.mkdir(mode=0o700)
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
    found = box.start(
        "doctor", before=namespace.without_network(), variables={**plain, "DEVICELOGIN_HOME": str(home)}
    ).finish()
    assert found.status == 75
    assert "home" in found.out
    assert found.out.isascii()


def test_force_refresh_belongs_to_the_rehearsal(box: sandbox.Box) -> None:
    """Alone it is a wrong argument: a doctor that only looks never refreshes."""
    result = box.run("doctor", "--force-refresh")
    assert (result.status, result.out) == (2, "")
    assert result.lines("hint") == ["devicelogin doctor --as-cron --force-refresh"]


def test_quiet_says_what_is_red_and_nothing_else(signed_in: sandbox.Box) -> None:
    """Nothing where all is well."""
    assert signed_in.run("-q", "doctor").out == ""
    _no_key(signed_in)
    lines = signed_in.run("-q", "doctor").out.splitlines()
    assert [line.split()[0] for line in lines] == ["profile", "FAIL", "hint:", "1"]


def test_somebody_elses_files_are_refused(signed_in: sandbox.Box) -> None:
    """78: a sign-in that root left behind, as `sudo` does."""
    conftest.need_root("give files away")
    os.chown(signed_in.state / "default", 12345, 12345)
    found = examined(signed_in)
    assert (found.red[0]["name"], found.result.status) == ("permissions", 78)
    assert "belongs to user id 12345" in found.red[0]["message"]


@pytest.mark.parametrize(
    ("command", "level", "words"),
    [
        (["true", "hunter2-canary"], "green", "true can be started"),
        (["~/there"], "green", "there can be started"),
        (["/nowhere/tell"], "yellow", "there is no /nowhere/tell, so nobody would be told"),
        (["~/silent"], "yellow", "silent may not be run"),
        (["tools/tell"], "yellow", "depends on the directory that a job starts in"),
        (["there"], "yellow", "cron does not find there by its name"),
        (["no-such-program"], "yellow", "there is no program no-such-program"),
    ],
)
def test_a_command_that_would_tell_nobody_is_known_beforehand(
    signed_in: sandbox.Box, command: list[str], level: str, words: str
) -> None:
    """It is looked for as a job of cron would; its arguments are not shown, and it is not run."""
    for name, mode in (("there", 0o700), ("silent", 0o600)):
        (signed_in.home / name).write_text(f"#!/bin/sh\ntouch {signed_in.home}/was-run\n")
        (signed_in.home / name).chmod(mode)
    for name in ("on_login_needed", "on_code"):
        hook_notes.add_to_profile(signed_in.config, **{name: command})
    found = examined(signed_in, PATH=f"{os.environ['PATH']}:{signed_in.home}")
    for name in ("on_login_needed", "on_code"):
        assert (found.level(name), words in found[name]["message"]) == (level, True), found[name]
        assert bool(found[name]["hint"]) is (level == "yellow")
    assert found.result.status == 0
    assert not (signed_in.home / "was-run").exists()
