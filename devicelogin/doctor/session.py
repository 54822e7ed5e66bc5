"""The login session: the bus that leads to the OS keyring, lingering, the directory in memory."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import unquote

from devicelogin import user_session
from devicelogin.doctor import subject
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
    if places is not None:
        runtime = places.runtime
        yield about.tried("memory", lambda: _memory(about, runtime))


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
        return about.green("session bus", f"named by {origin}; not tried, as it is no local socket")
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


def _memory(about: subject.Subject, runtime: str | None) -> models.Finding:
    if runtime is None:
        return about.green("memory", "no runtime directory here: access tokens are cached in the secret store")
    if cache_directory.is_memory(runtime):
        return about.green("memory", f"access tokens are cached in {runtime}, which is gone at boot")
    return about.green("memory", f"{runtime} is on a disk: access tokens are cached in the secret store")
