"""The session that this process runs in, and what is left of it for a job that starts when nobody is signed in.

Reads files and variables only; asks no service.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where does systemd-logind note whose services go on without a session (one empty file a user)?
LINGER_DIRECTORY = "/var/lib/systemd/linger"

#: What does cron have as PATH (crontab(5) of Debian; others have no more)?
CRON_PATH = "/usr/bin:/bin"


def user_id() -> int | None:
    """Return the number of the user whose rights this process has, None where users have none (Windows)."""
    return os.getuid() if hasattr(os, "getuid") else None


def user_name() -> str:
    """Return the name of the user whose rights this process has; the number where there is none (containers)."""
    entry = _entry()
    if entry is not None:
        return entry[0]
    return os.environ.get("USERNAME", "unknown") if user_id() is None else str(user_id())


def has_user_entry() -> bool:
    """Tell whether the user database knows this user; cron and systemd start jobs for no other."""
    return _entry() is not None


def runtime_directory() -> str:
    """Return where systemd keeps what lives as long as the user's sessions; it need not be there."""
    return f"/run/user/{user_id()}"


def home_of_user() -> str | None:
    """Return the home directory that the user database names, which is what cron sets HOME to."""
    entry = _entry()
    return None if entry is None else entry[1]


def bus_address(environ: Mapping[str, str]) -> str | None:
    """Return the address of the session bus: what the environment says, else the user's own bus where systemd keeps one."""
    given = environ.get("DBUS_SESSION_BUS_ADDRESS")
    if given or sys.platform != "linux":
        return given or None
    socket = own_bus(environ)
    return None if socket is None else f"unix:path={socket}"


def own_bus(environ: Mapping[str, str]) -> str | None:
    """Return the socket of this user's bus where systemd keeps one: cron jobs have no variable that names it.

    Its usual place is looked at only with the user's own HOME: who has another one (a service, `sudo -E`, a test) is not
    in that person's session.
    """
    directories = [environ.get("XDG_RUNTIME_DIR", "")]
    if environ.get("HOME") == home_of_user():
        directories.append(runtime_directory())
    for directory in directories:
        socket = os.path.join(directory, "bus")
        try:
            facts = os.stat(socket)
        except OSError:
            continue
        if os.path.isabs(socket) and stat.S_ISSOCK(facts.st_mode) and facts.st_uid == user_id():
            return socket
    return None


def has_systemd() -> bool:
    """Tell whether systemd runs this machine (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def lingers() -> bool:
    """Tell whether the user's services and bus go on when nobody is signed in (`loginctl enable-linger`)."""
    return os.path.exists(os.path.join(LINGER_DIRECTORY, user_name()))


def has_lasting_timers() -> bool:
    """Tell whether a timer of this user's runs when nobody is signed in.

    That lingering is on says nothing where systemd does not run: in a container, or on a machine that something else booted.
    """
    return has_systemd() and lingers()


def is_over_ssh(environ: Mapping[str, str]) -> bool:
    """Tell whether this session came over SSH."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))


def program(name: str, environ: Mapping[str, str]) -> str:
    """Return the program of an owner's command: `~/` is the home directory, as in the shell that such a command never meets."""
    return os.path.join(environ.get("HOME", ""), name[2:]) if name.startswith("~/") else name


def cron_environment() -> dict[str, str]:
    """Return the whole environment that a job of this user's crontab has: HOME, LOGNAME, SHELL and PATH."""
    home = home_of_user() or os.path.expanduser("~")
    return {"HOME": home, "LOGNAME": user_name(), "SHELL": "/bin/sh", "PATH": CRON_PATH}


def _entry() -> tuple[str, str] | None:
    with contextlib.suppress(ImportError, KeyError):
        import pwd

        found = pwd.getpwuid(os.getuid())  # Windows has no pwd
        return found.pw_name, found.pw_dir
    return None
