"""Every state of the secret store times every command: which exit code, which one line says why, and never more than 8 s."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import keyring_session
import namespace
import pytest
import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


#: The columns. `token` may take a cached one, `refresh` may not; the last one deletes what the others need.
COMMANDS = {
    "token": ["token"],
    "refresh": ["token", "--force-refresh"],
    "status": ["status"],
    "doctor": ["doctor"],
    "login": ["login"],
    "logout": ["logout"],
}

#: A number alone is a command that says nothing in the way of an error. After a login the cached token is there, so `token`
#: works without the store; on the full disk it lies on another one than before, and so it is refreshed.
TABLE = """
    state            token   refresh         status   doctor          login           logout
    unlocked         0       0               0        0               0               0
    locked           0       73 locked       0        73 locked       73 locked       73 locked
    never set up     0       73 collection   0        73 collection   73 collection   73 collection
    no daemon        0       73 daemon       0        73 daemon       73 daemon       73 daemon
    dead bus         0       73 dead         0        73 dead         73 dead         73 dead
    bus is gone      0       73 dead         0        73 dead         73 dead         73 dead
    no bus           0       73 unset        0        73 unset        73 unset        73 unset
    never answers    0       73 silent       0        73 silent       73 silent       73 silent
    file             0       0               0        0               0               0
    key missing      0       73 key          0        73 key          73 key          0
    damaged          0       65 damaged      0        65 damaged      0               0
    read-only home   0       73 read-only    0        73 unwritable   73 read-only    73 read-only
    full disk        0       0               0        73 full         73 full         0
"""

#: What the error line says, in part.
LINES = {
    "locked": "the OS keyring is locked, and nobody is here to unlock it",
    "collection": "the OS keyring has no collection to put a secret in: it was never set up for you",
    "daemon": "no OS keyring runs in this session",
    "dead": "no OS keyring can be reached: nobody answers at DBUS_SESSION_BUS_ADDRESS, whose session may have ended",
    "unset": "no OS keyring can be reached: there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)",
    "silent": "the OS keyring did not answer within 5 seconds; what was saved before is unchanged",
    "key": "keys/default.key of the saved sign-in is missing",
    "damaged": "state/default/record is damaged",
    "unwritable": "cannot write in ",
    "read-only": "lock: Read-only file system; nothing was changed",
    "full": "No space left on device; what was saved before is unchanged",
}

FULL = """
copy=$(mktemp -d) && cp -a "$0/." "$copy" && mount -t tmpfs -o size=256k,mode=0700 tmpfs "$0" && cp -a "$copy/." "$0" &&
rm -r "$copy" && { dd if=/dev/zero of="$0/filler" bs=512 2>/dev/null; exec "$@"; }
"""


def rows() -> dict[str, dict[str, str]]:
    """Return the table: state, command, cell."""
    heading, *lines = TABLE.strip("\n").splitlines()
    starts = [heading.index(name) for name in heading.split()]
    names = heading.split()
    table = {}
    for line in lines:
        cells = [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        table[cells[0]] = dict(zip(names[1:], cells[1:], strict=True))
    return table


ROWS = rows()
IN_FILES = ("file", "key missing", "damaged", "read-only home", "full disk")


@contextlib.contextmanager
def in_keyring(box: sandbox.Box, state: str) -> Iterator[list[str]]:
    """Sign in with an unlocked keyring, and then let the session come into `state`."""
    with keyring_session.started() as session:
        box.variables |= session.variables
        box.login(store="keyring")
        if state in {"never set up", "no daemon", "never answers"}:
            session.kill_service()
        if state == "locked":
            session.lock()
        elif state == "never set up":
            shutil.rmtree(session.data / "keyrings")
            session.start_service(unlock=False)
        elif state in {"dead bus", "bus is gone"}:
            session.end()
            if state == "bus is gone":
                (session.directory / "bus").unlink()
        elif state == "no bus":
            del box.variables["DBUS_SESSION_BUS_ADDRESS"]
        elif state == "never answers":
            session.start_hung_service()
        yield []


@contextlib.contextmanager
def in_file(box: sandbox.Box, state: str) -> Iterator[list[str]]:
    """Sign in with the sealed file, and then let it come into `state`; yield the words before each command."""
    box.login(store="file")
    if state == "key missing":
        (box.config / "keys" / "default.key").unlink()
    elif state == "damaged":
        record = box.state / "default" / "record"
        content = bytearray(record.read_bytes())
        content[-40] ^= 1
        record.write_bytes(content)
    elif state in {"read-only home", "full disk"}:
        place = box.home / "all"
        yield namespace.read_only(place) if state == "read-only home" else namespace.mounting(FULL, place)
        return
    yield []


@pytest.mark.parametrize(
    "state", [pytest.param(state, marks=() if state in IN_FILES else pytest.mark.keyring) for state in ROWS]
)
def test_every_state_of_the_store_gives_every_command_its_exit_code_and_one_line(state: str) -> None:
    """The table; a login that cannot keep what it gets is told so before a person is asked."""
    prepare = in_file if state in IN_FILES else in_keyring
    seen = {}
    with sandbox.opened() as box, prepare(box, state) as before:
        for name, words in COMMANDS.items():
            options = box.app(store=None) if name == "login" else []
            asked = box.emulator.count("devicecode")
            if ROWS[state][name] == "0":
                box.emulator.approve_next()
            result = box.start(*words, *options, before=before).finish()
            is_list = (
                name == "doctor"
            )  # what it finds is its result: one line a check, the first FAIL gives the exit code
            failed = [line for line in result.out.splitlines() if line.startswith("  FAIL ")]
            lines = failed[:1] if is_list else result.lines("error")
            seen[name] = f"{result.status} {_short(lines)}".strip()
            if result.status != 0 and not is_list:
                assert len(lines) == len(result.lines("hint")) == 1, (name, result)
                assert result.out == "", (name, result)
                assert sum(lines[0] in line for line in result.err.splitlines()) == 1, (name, result)
                assert box.emulator.count("devicecode") == asked, (name, result)
    assert seen == ROWS[state]


def _short(lines: list[str]) -> str:
    """Return the table's word for an error line, or the line itself."""
    return next((word for word, part in LINES.items() for line in lines if part in line), " ".join(lines))
