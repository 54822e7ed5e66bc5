"""What a job of the user's crontab has and what it lacks: its variables, and the way to our command."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

from devicelogin import child_process, errors, redaction, settings, user_session
from devicelogin.http_session import proxies

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Which variables lead to other files? The first two win over those behind them.
_PLACES = ("DEVICELOGIN_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME")

#: Which others change what a silent command does?
_OTHERS = (
    *("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
    *("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
    *("DEVICELOGIN_CLIENT_ID", "DEVICELOGIN_TENANT", "DEVICELOGIN_AUTHORITY", "DEVICELOGIN_OIDC_ISSUER"),
    *("DEVICELOGIN_SCOPE", "DEVICELOGIN_GRAPH_ROOT", "DEVICELOGIN_CA_FILE", "DEVICELOGIN_MIN_VALID"),
)

#: How long may `crontab -l` take (seconds)?
_PATIENCE = 5.0

#: What does `redaction` leave of a password?
_BLANK = "[redacted]"

#: What do the crontab programs say where there is none yet (Debian's, cronie's, busybox's)?
_NONE_YET = re.compile(rb"no crontab for|No such file or directory")

_ASSIGNMENT = re.compile(r"""\s*(?P<q>["']?)(?P<name>[A-Za-z_]\w*)(?P=q)\s*=\s*(?P<value>.*?)\s*\Z""", re.ASCII)


def environment() -> dict[str, str]:
    """Return the whole environment of a job: what cron sets, and what the user's own crontab says on top of it."""
    given = user_session.cron_environment()
    own = {name: value for name, value in _assignments().items() if name not in {"LOGNAME", "USER"}}
    return {**given, **own}


def is_installed() -> bool:
    """Tell whether users of this machine have crontabs at all."""
    return _program() is not None


def missing_places(environ: Mapping[str, str], job: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines for a crontab without which a job with `job` (default: cron's) looks for our files elsewhere."""
    job = environment() if job is None else job
    try:
        here = settings.locate(environ)
        there = settings.locate(job)
    except errors.DeviceLoginError:
        return []
    lines = []
    for name in _PLACES:
        if (here.config, here.state) == (there.config, there.state):
            break
        if environ.get(name) and environ[name] != job.get(name):
            lines.append(_line(name, environ[name]))
            job = {**job, name: environ[name]}
            there = settings.locate(job)
    return lines


def missing_others(environ: Mapping[str, str], job: Mapping[str, str], *, ca_file: str | None) -> list[str]:
    """Return the lines for a crontab without which a job goes another way to the network, or has other settings.

    `ca_file` is the job's setting, before which no other variable that names certificates counts.
    """
    idle = set() if ca_file is None else {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}
    if proxies.variable(environ) is None:
        idle |= {"no_proxy", "NO_PROXY"}
    return [
        _line(name, environ[name])
        for name in _OTHERS
        if environ.get(name) and environ[name] != job.get(name) and name not in idle
    ]


def command(job: Mapping[str, str]) -> str | None:
    """Return how a crontab has to write our command where the bare name would not be found, else None."""
    path = job.get("PATH") or user_session.CRON_PATH
    if shutil.which("devicelogin", path=path) is not None:
        return None
    for candidate in (sys.argv[0], os.path.join(os.path.dirname(sys.executable), "devicelogin")):
        if os.path.basename(candidate) == "devicelogin" and shutil.which(os.path.abspath(candidate)):
            return os.path.abspath(candidate)
    return f"{sys.executable} -m devicelogin"


def note(line: str) -> str:
    """Return the remark about a `line` that the crontab should have. SECURITY: a proxy's password is left out."""
    name = line.partition("=")[0]
    return f"cron does not have this session's {name}; {advice(line)}"


def advice(line: str) -> str:
    """Return what to do with a `line` that the crontab should have, or whatever else starts jobs here."""
    where = "put this line at the top of your crontab (crontab -e)"
    if not is_installed():
        where = "give the job this variable, whatever starts it"
    blank = f", with your own words for {_BLANK}" if _BLANK in line else ""
    return f"{where}: {line}{blank}"


def _line(name: str, value: str) -> str:
    return redaction.redacted(redaction.printable(f"{name}={value}", limit=4096))


def refusal() -> str | None:
    """Return in the words of `crontab` why this user may have no crontab (cron.allow, cron.deny); None where that is allowed."""
    outcome = _listed()
    if outcome is None or outcome.status in (0, None) or _NONE_YET.search(outcome.diagnostics):
        return None
    said = outcome.diagnostics.decode("utf-8", "replace").strip().splitlines()
    return redaction.printable(said[0], limit=200) if said else "no reason given"


def _listed() -> child_process.Outcome | None:
    """Return what `crontab -l` says, None where there is no such program or it cannot be started."""
    program = _program()
    if program is None:
        return None
    try:
        return child_process.run([program, "-l"], deadline_seconds=_PATIENCE, environment={**os.environ, "LC_ALL": "C"})
    except OSError:
        return None


def _assignments() -> dict[str, str]:
    """Return the variables that the user's crontab sets; none where there is no crontab."""
    outcome = _listed()
    found = {}
    lines = (
        outcome.output.decode("utf-8", "replace").splitlines() if outcome is not None and outcome.status == 0 else []
    )
    for line in lines:
        match = _ASSIGNMENT.match(line)
        if match:
            value = match["value"]
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[match["name"]] = value[1:-1] if is_quoted else value
    return found


def _program() -> str | None:
    return shutil.which("crontab", path=f"{os.environ.get('PATH', '')}:{user_session.CRON_PATH}")
