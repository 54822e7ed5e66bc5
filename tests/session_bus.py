"""A session bus of a test's own, and the programs that are started on it: what machines and keyring sessions are made of."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import secretstorage
from jeepney.io import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: With what is the keyring of a test opened?
PASSWORD = b"correct horse"

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen>{services}
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""


def command(config: Path, socket: Path, *, starts_services: bool) -> list[str]:
    """Write `config` and return the command that runs a bus with it, which may start services by itself as desktops do."""
    services = "<standard_session_servicedirs/>" if starts_services else ""
    config.write_text(_CONFIG.format(socket=socket, services=services))
    return ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile"]


def start(words: Sequence[str], environment: Mapping[str, str], stdin: bytes = b"") -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, silent, with `stdin` and no more of it."""
    process = subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.close()
    return process


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Kill programs, the last one that was started first, and forget them."""
    while processes:
        process = processes.pop()
        process.kill()
        process.wait()


@contextlib.contextmanager
def connection(address: str) -> Iterator[blocking.DBusConnection]:
    """Connect to the bus, ready for questions to its secret service. Raises OSError where there is none."""
    with contextlib.closing(blocking.open_dbus_connection(bus=address)) as opened:
        secretstorage.add_match_rules(opened)
        yield opened


def answers(address: str) -> bool:
    """Tell whether a bus can be connected to."""
    try:
        with connection(address):
            return True
    except OSError:
        return False
