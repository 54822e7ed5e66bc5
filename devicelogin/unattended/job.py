"""The keep-alive job itself, wherever it is installed: its command, its environment and its time of day."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import errors, settings, user_session
from devicelogin.unattended import remote_login

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devicelogin import client

#: Between which hours of the day is the job started? By day boxes are on, and a person who is asked from afar is awake.
HOURS = (9, 16)

#: How long after its time may a timer start the job (minutes)? Many boxes start theirs at once after a power cut.
LATE_MINUTES = 15

#: What does a request need of the environment to find its way out of here?
_NETWORK = (
    *("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "DEVICELOGIN_CA_FILE"),
)

_PROXIES = ("https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is started: an argument list and the variables that it needs and a job does not have by itself.

    `left_out` names variables that are not written down because they hold a password.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class TimeOfDay:
    """When the job is started, in this machine's time zone."""

    hour: int
    minute: int

    def is_within(self, spans: Sequence[str]) -> bool:
        """Tell whether a job of this time, which may start a quarter of an hour late, starts within all `spans`."""
        minute = self.hour * 60 + self.minute
        return all(
            remote_login.is_within(span, (minute + late) % (24 * 60)) for span in spans for late in (0, LATE_MINUTES)
        )

    def next_after(self, now: float) -> float:
        """Return when that is next (seconds since 1970)."""
        today = time.localtime(now)
        for days in (0, 1):
            wanted = (today.tm_year, today.tm_mon, today.tm_mday + days, self.hour, self.minute, 0, 0, 0, -1)
            moment = time.mktime(wanted)
            if moment > now:
                break
        return moment


def some_time_of_day(spans: Sequence[str] = ()) -> TimeOfDay:
    """Return a time that other boxes most likely do not have, within `spans` (as in "08:00-18:00") if there is one."""
    by_day = [TimeOfDay(hour, minute) for hour in range(HOURS[0], HOURS[1] + 1) for minute in range(60)]
    any_time = [TimeOfDay(hour, minute) for hour in range(24) for minute in range(60)]
    for times in (by_day, any_time):
        good = [time for time in times if time.is_within(spans)]
        if good:
            return random.choice(good)  # noqa: S311 - nothing has to be secret here
    return random.choice(by_day)  # noqa: S311


def job_of_this_program(environ: Mapping[str, str], arguments: Sequence[str] = sys.argv) -> Job:
    """Return the job that runs the devicelogin that runs now, with the files and the network that it has now.

    Raises ConfigError where a path or a value has a line break, which neither a unit nor a crontab can hold.
    """
    here = settings.locate(environ)
    there = settings.locate(user_session.cron_environment())
    needed = {}
    if here.home is not None:
        needed["DEVICELOGIN_HOME"] = here.home
    else:
        pairs = (("XDG_CONFIG_HOME", here.config, there.config), ("XDG_STATE_HOME", here.state, there.state))
        needed |= {name: os.path.dirname(ours) for name, ours, usual in pairs if ours != usual}
    network = {name: environ[name] for name in _NETWORK if environ.get(name)}
    left_out = tuple(name for name, value in network.items() if name.lower() in _PROXIES and _has_password(value))
    needed |= {name: value for name, value in network.items() if name not in left_out}
    job = Job(command=(*_program(arguments), "keepalive"), environment=needed, left_out=left_out)
    for text in (*job.command, *job.environment.values()):
        if not text.isprintable():
            raise errors.ConfigError(
                f"a path or a variable of this job cannot be written down: {text!a}", hint="choose a path without it"
            )
    return job


def spans_of_asking(works: Sequence[client.Workplace]) -> tuple[str, ...]:
    """Return the hours within which somebody may be asked from afar, of each profile that wishes it."""
    spans = []
    for work in works:
        with contextlib.suppress(errors.DeviceLoginError):
            chosen = work.settings()
            if chosen.remote_login.value and chosen.remote_login_hours.value:
                spans.append(chosen.remote_login_hours.value)
    return tuple(spans)


def _program(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return how this program was started, as absolute paths: its console script, else Python with the module's name."""
    started = os.path.abspath(arguments[0]) if arguments and arguments[0] else ""
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "devicelogin")
    for script in (started, beside):
        if os.path.basename(script) == "devicelogin" and os.path.isfile(script) and os.access(script, os.X_OK):
            return (script,)
    # -P: neither a timer nor cron starts it in a directory from which anything should be imported.
    return (os.path.abspath(sys.executable), "-P", "-m", "devicelogin")


def _has_password(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    except ValueError:
        return True
    return parts.password is not None or parts.username is not None
