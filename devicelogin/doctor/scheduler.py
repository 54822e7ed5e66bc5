"""What starts jobs for this user on this machine: cron, systemd's timers, or nothing that could be found."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass

from devicelogin import user_session
from devicelogin.doctor import crontab

#: What are the daemons called that run users' crontabs?
_DAEMONS = frozenset({"cron", "crond", "fcron", "bcron-sched"})

#: What makes timers of crontabs, so that no daemon is needed (systemd-cron)?
_GENERATOR = "systemd-crontab-generator"

_BY_ITSELF = "let whatever starts jobs here run it: devicelogin token"


@dataclass(frozen=True, slots=True)
class Scheduler:
    """`name` is `cron` or `systemd`, None where nothing was found that would start a job of this user's.

    `remark` says why, or what is amiss with the one that there is, and `hint` what to do about it.
    """

    name: str | None
    remark: str | None = None
    hint: str | None = None
    refuses: bool = False


def find() -> Scheduler:
    """Return what starts jobs here; `refuses`: there is one, but it does nothing for this user."""
    if not user_session.has_user_entry():
        return Scheduler(None, no_entry(), _BY_ITSELF, refuses=True)
    refusal = crontab.refusal()
    if crontab.is_installed() and refusal is None:
        missing = _is_daemon_running() is False
        words = ("no cron daemon is running here now", "start it: sudo service cron start") if missing else ()
        return Scheduler("cron", *words)
    return _without_cron(refusal)


def _without_cron(refusal: str | None) -> Scheduler:
    refused = None if refusal is None else f"cron lets this user have no crontab: {refusal}"
    if user_session.has_systemd():
        return Scheduler("systemd", refused)
    if refused is not None:
        return Scheduler(None, refused, "ask whoever runs this machine for a line in cron.allow", refuses=True)
    if shutil.which("systemctl") is not None:
        return Scheduler(None, "no cron was found here, and systemd does not run this machine", _BY_ITSELF)
    return Scheduler(None, "neither cron nor systemd was found here", _BY_ITSELF)


def no_entry() -> str:
    """Return the words for a user for whom nothing can start jobs."""
    return f"user id {user_session.user_id()} is in no user database here, and cron starts no jobs for such a user"


def _is_daemon_running() -> bool | None:
    """Tell whether a cron daemon runs; None where the processes of others are hidden, or where timers do its work."""
    if not os.path.exists("/proc/1/comm"):
        return None
    generators = ("/usr/lib/systemd/system-generators", "/lib/systemd/system-generators")
    if user_session.has_systemd() and any(os.path.exists(os.path.join(place, _GENERATOR)) for place in generators):
        return None
    return any(_name_of(number) in _DAEMONS for number in os.listdir("/proc") if number.isdecimal())


def _name_of(process: str) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{process}/cmdline", "rb") as file:
        program, _, rest = file.read(4096).partition(b"\0")
        name = os.path.basename(program)
        return os.fsdecode(rest.partition(b"\0")[0] if name == b"busybox" else name)
    return ""
