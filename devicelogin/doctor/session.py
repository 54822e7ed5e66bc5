"""The login session: the bus that leads to the OS keyring, lingering, the directory in memory."""

from __future__ import annotations

import os
import shlex
import socket
import stat
from typing import TYPE_CHECKING
from urllib.parse import unquote

from devicelogin import redaction, user_session
from devicelogin.doctor import scheduler, subject
from devicelogin.secret_store import machine
from devicelogin.tokens import cache_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devicelogin import models
    from devicelogin.settings import Places

#: How long may a bus take to accept a connection (seconds)? It is on this machine.
_BUS_SECONDS = 2.0


def look(environ: Mapping[str, str], places: Places | None, *, in_keyring: bool) -> Iterator[models.Finding]:
    """Yield what is found; `in_keyring`: a saved sign-in is in the OS keyring, so that it matters."""
    about = subject.Subject(subject.MACHINE)
    yield about.tried("session bus", lambda: _bus(about, environ, in_keyring=in_keyring))
    yield about.tried("lingering", lambda: _lingering(about, in_keyring=in_keyring))
    yield about.tried("jobs", lambda: _jobs(about))
    yield about.tried("machine id", lambda: _machine_id(about))
    if places is not None:
        runtime = places.runtime
        given = "" if places.home is not None else environ.get("XDG_RUNTIME_DIR", "")
        yield about.tried("memory", lambda: _memory(about, runtime, given))


def _bus(about: subject.Subject, environ: Mapping[str, str], *, in_keyring: bool) -> models.Finding:
    address = user_session.bus_address(environ)
    say = about.yellow if in_keyring else about.green
    if address is None:
        return say("session bus", "none here, as in cron jobs and containers; only the OS keyring would need one")
    origin = (
        "DBUS_SESSION_BUS_ADDRESS"
        if environ.get("DBUS_SESSION_BUS_ADDRESS")
        else "your own, found without DBUS_SESSION_BUS_ADDRESS"
    )
    path = _socket_of(address)
    if path is None:
        return about.green("session bus", f"named by {origin}; not tried, as it is not a local socket")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_BUS_SECONDS)
            connection.connect(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no such socket"
        return about.yellow(
            "session bus",
            f"{address} does not answer: {why}",
            hint="the session it belonged to is over: sign out and in, or unset DBUS_SESSION_BUS_ADDRESS",
        )
    return about.green("session bus", f"answers ({origin})")


def _socket_of(address: str) -> str | None:
    """Return the local socket of a D-Bus address, None where it names something else (D-Bus specification)."""
    transport, _, rest = address.partition(";")[0].partition(":")
    keys = dict(pair.partition("=")[::2] for pair in rest.split(","))
    if transport != "unix":
        return None
    if "path" in keys:
        return unquote(keys["path"])
    return "\0" + unquote(keys["abstract"]) if "abstract" in keys else None


def _lingering(about: subject.Subject, *, in_keyring: bool) -> models.Finding:
    if not user_session.has_systemd():
        return about.skipped("lingering", "systemd does not run this machine")
    if user_session.lingers():
        return about.green("lingering", "on: your bus and services go on when you are not signed in")
    if not in_keyring:
        return about.green("lingering", "off; only a sign-in in the OS keyring would need it")
    return about.yellow(
        "lingering",
        "off: when you sign out, the session bus ends, and with it the way to the OS keyring",
        hint="loginctl enable-linger",
    )


def _jobs(about: subject.Subject) -> models.Finding:
    found = scheduler.find()
    if found.remark is not None:
        return about.yellow("jobs", found.remark, hint=found.hint)
    return about.green("jobs", "cron starts them" if found.name == "cron" else "there is no cron; systemd has timers")


def _machine_id(about: subject.Subject) -> models.Finding:
    if machine.is_container():
        return about.green(
            "machine id", "a container's, which may change: a sign-in is not bound to it unless asked for"
        )
    why = machine.why_not_lasting()
    if why is None:
        return about.green("machine id", "it stays, so a sealed file is bound to it")
    return about.yellow("machine id", f"{why}: a sealed file is bound to none")


def _memory(about: subject.Subject, runtime: str | None, given: str) -> models.Finding:
    """Return where access tokens are cached; `given` is what XDG_RUNTIME_DIR says."""
    is_used = runtime is not None and os.path.dirname(runtime) == given
    instead = "in the secret store" if runtime is None or is_used else f"in {runtime}"
    for directory in (given, runtime):
        wrong = None if not directory else _wrong_with(directory, is_ours=directory == runtime)
        if wrong is not None:
            words = f"{wrong[0]}, so nothing is cached there; access tokens are cached {instead}"
            return about.yellow("memory", words, hint=wrong[1])
    if runtime is None:
        return about.green("memory", "no runtime directory here: access tokens are cached in the secret store")
    if cache_directory.is_memory(runtime):
        return about.green("memory", f"access tokens are cached in {runtime}, which is gone at boot")
    return about.green("memory", f"{runtime} is on a disk: access tokens are cached in the secret store")


def _wrong_with(directory: str, *, is_ours: bool) -> tuple[str, str] | None:
    """Return in words why nothing is cached in `directory`, and what to do; None where nothing speaks against it.

    What is in the way of a cache stops no command, so it is told here and nowhere else. `is_ours`: we would make it.
    """
    shown, usual = redaction.printable(directory), f"export XDG_RUNTIME_DIR={user_session.runtime_directory()}"
    if not os.path.isabs(directory):
        return f"XDG_RUNTIME_DIR, {shown}, is not an absolute path", usual
    try:
        facts = os.lstat(directory) if is_ours else os.stat(directory)
    except FileNotFoundError:
        return None if is_ours else (f"XDG_RUNTIME_DIR, {shown}, is not there", usual)
    except OSError as error:
        return f"{shown} cannot be looked at ({error.strerror})", f"look at it: ls -ld {shlex.quote(shown)}"
    return _wrong_by(facts, directory, usual)


def _wrong_by(facts: os.stat_result, directory: str, usual: str) -> tuple[str, str] | None:
    """Return the same by the owner and the mode of a directory that is there."""
    shown = redaction.printable(directory)
    if not stat.S_ISDIR(facts.st_mode):
        return f"{shown} is not a directory", f"look at it: ls -ld {shlex.quote(shown)}"
    if facts.st_uid != user_session.user_id():
        return f"{shown} belongs to user id {facts.st_uid}, not to you", usual
    if facts.st_mode & 0o022:
        return f"others may write into {shown}", f"chmod 700 {shlex.quote(shown)}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"{shown} cannot be written", f"chmod 700 {shlex.quote(shown)}"
    return None
