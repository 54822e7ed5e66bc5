"""Whether a saved sign-in that works now still works when nobody is signed in, and after a boot.

Answered from what can be looked up: file systems, lingering, who started the keyring. Where that does not decide it,
the answer is None, "not known", with the reason.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin import hints, mounts, redaction, user_session
from devicelogin.doctor import keyring_service
from devicelogin.secret_store import machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicelogin import models
    from devicelogin.settings import paths as settings_paths

LINGER = "loginctl enable-linger"

#: What is to be done where the files of a sign-in do not stay?
_MOVE = "keep it on a disk: export DEVICELOGIN_HOME=/a/directory/on/a/disk, then devicelogin login"

_SECRET_SERVICE = ("keyring.backends.SecretService.", "keyring.backends.libsecret.")
_KWALLET = "keyring.backends.kwallet."


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether it will work (None: not known), why, and one command that mends it."""

    works: bool | None
    reason: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Outlooks:
    """The two moments that a job has to outlive."""

    after_logout: Outlook
    after_reboot: Outlook


def of_sign_in(
    sign_in: models.SignIn,
    paths: settings_paths.ProfilePaths,
    environ: Mapping[str, str],
    *,
    ca_file: str | None = None,
) -> Outlooks:
    """Return the outlooks of a sign-in whose secret can be read now, by a job with the variables `environ`.

    `ca_file` holds the certificates that the job trusts, where they are not the system's.
    """
    found = [_of_directory(directory, environ) for directory in _directories(sign_in, paths)]
    if ca_file is not None:
        copy = redaction.printable(f"copy {ca_file} to a disk, and write its new place into {paths.profile_file}")
        found.append(_of_directory(os.path.dirname(ca_file), environ, move=copy))
    if sign_in.location.kind == "file":
        found.append(_of_key(sign_in.location))
        found.append(_of_binding(sign_in.location, paths))
    else:
        found.append(_of_keyring(sign_in.location, paths.profile, environ))
    return Outlooks(
        _worst([outlooks.after_logout for outlooks in found]), _worst([outlooks.after_reboot for outlooks in found])
    )


def first_end(outlooks: Outlooks) -> str | None:
    """Return in words until when a job can use the sign-in, None where a logout and a boot change nothing."""
    if outlooks.after_logout.works is False:
        return "until you log out; why"
    if outlooks.after_reboot.works is False:
        return "until the next boot; why"
    return None if outlooks.after_logout.works and outlooks.after_reboot.works else "now; how long"


def is_open(location: models.StoreLocation) -> bool:
    """Tell whether the keyring at `location` has an empty password, so that its secrets lie on the disk as they are."""
    is_secret_service = (location.backend or "").startswith(_SECRET_SERVICE)
    return is_secret_service and keyring_service.opens_without_password(user_session.home_of_user() or "") is not None


def keyring_after_logout(environ: Mapping[str, str], profile: str) -> Outlook | None:
    """Return whether the OS keyring of this session is there for cron once nobody is signed in; None without one."""
    address = user_session.bus_address(environ)
    service = None if address is None else keyring_service.find(address)
    if address is None or service is None:
        return None
    return _after_logout(address, service, profile)


def _directories(sign_in: models.SignIn, paths: settings_paths.ProfilePaths) -> list[str]:
    places = [os.path.dirname(paths.profile_file), paths.state]
    return [os.path.dirname(paths.key_file), *places] if sign_in.location.key == "file" else places


def _of_directory(directory: str, environ: Mapping[str, str], *, move: str = _MOVE) -> Outlooks:
    mount, shown = mounts.mount_of(directory), redaction.printable(directory)
    kind = "" if mount is None else mount.kind
    stays = Outlook(True, "its files stay where they are")
    if kind in mounts.UNTIL_LOGOUT or _is_homed(directory, environ):
        closed = f"{shown} is encrypted and open only while you are signed in"
        return Outlooks(Outlook(False, closed, move), Outlook(False, closed, move))
    if mounts.is_encrypted_folder(directory):
        return Outlooks(
            Outlook(None, f"{shown} is encrypted, and PAM may close it when you log out", move),
            Outlook(False, f"{shown} is encrypted and stays closed until you sign in", move),
        )
    if kind in mounts.MEMORY:
        gone = Outlook(False, f"{shown} lies in memory ({kind})", move)
        is_runtime = os.path.realpath(directory).startswith(f"{user_session.runtime_directory()}/")
        return Outlooks(gone if is_runtime and not user_session.lingers() else stays, gone)
    if kind == "overlay" and not machine.is_container():
        return Outlooks(stays, Outlook(None, f"{shown} lies on an overlay, whose upper layer may be in memory", move))
    if kind == "overlay":
        return Outlooks(stays, Outlook(True, f"{shown} stays as long as this container is not made anew"))
    return Outlooks(stays, stays)


def _is_homed(directory: str, environ: Mapping[str, str]) -> bool:
    """Tell whether `directory` lies in a home of systemd-homed, which is closed when its owner logs out."""
    home = environ.get("HOME", "")
    inside = os.path.realpath(directory).startswith(os.path.realpath(home).rstrip("/") + "/")
    return bool(home) and inside and os.path.exists(os.path.join(home, ".identity"))


def _of_key(location: models.StoreLocation) -> Outlooks:
    if location.key == "file":
        found = Outlook(True, "the sealed file and its key file need nobody signed in")
    else:
        found = Outlook(
            None, f"the key comes from a source of its own ({redaction.printable(location.key or 'unknown')})"
        )
    return Outlooks(found, found)


def _of_binding(location: models.StoreLocation, paths: settings_paths.ProfilePaths) -> Outlooks:
    fine = Outlook(True, "the sealed file and its key file need nobody signed in")
    passing = machine.why_not_lasting() if location.bind == "machine" else None
    if passing is None:
        return Outlooks(fine, fine)
    changes = f"the sealed file is bound to the machine id, and {passing}"
    return Outlooks(fine, Outlook(False, changes, to_file(paths.profile)))  # which seals it anew, and unbound


def _of_keyring(location: models.StoreLocation, profile: str, environ: Mapping[str, str]) -> Outlooks:
    backend = location.backend or location.kind.removeprefix("keyring:")
    is_wallet = backend.startswith(_KWALLET)
    if not backend.startswith(_SECRET_SERVICE) and not is_wallet:
        unknown = f"when the keyring backend {redaction.printable(backend)} can be used is not known here"
        found = Outlook(None, unknown, to_file(profile))
        return Outlooks(found, found)
    address = user_session.bus_address(environ)
    service = None if address is None else keyring_service.find(address, is_wallet=is_wallet)
    if address is None or service is None:
        found = Outlook(None, "who serves the keyring cannot be found out", to_file(profile))
        return Outlooks(found, Outlook(False, "a keyring starts locked", to_file(profile)))
    return Outlooks(_after_logout(address, service, profile), _after_reboot(profile))


def _after_logout(address: str, service: keyring_service.Service, profile: str) -> Outlook:
    home = user_session.home_of_user() or ""
    own = user_session.own_bus({"HOME": home})
    if own is None or _socket_of(address) != os.path.realpath(own):
        return Outlook(False, "the keyring is on a bus of this session alone and ends with it", to_file(profile))
    opens_again = keyring_service.opens_without_password(home) is not None
    if service.is_started_by_pam and not opens_again:
        return Outlook(False, "PAM started the keyring for a session and ends it with that one", to_file(profile))
    if not user_session.lingers():
        return Outlook(False, "lingering is off, so the keyring's bus ends with your last session", LINGER)
    if opens_again:
        return Outlook(True, "lingering keeps your bus, and the keyring has an empty password")
    return _with_lingering(service, profile)


def _with_lingering(service: keyring_service.Service, profile: str) -> Outlook:
    if not service.is_gnome_keyring:
        name = redaction.printable(service.program or "an unknown program", limit=40)
        return Outlook(None, f"the keyring is served by {name}, which may end with its session", to_file(profile))
    if service.session is not None:
        scope = redaction.printable(service.session)
        decides = f"the keyring runs in {scope}; KillUserProcesses in logind.conf decides"
        return Outlook(None, decides, to_file(profile))
    return Outlook(True, "lingering keeps your bus and the open keyring on it")


def _after_reboot(profile: str) -> Outlook:
    file = keyring_service.opens_without_password(user_session.home_of_user() or "")
    if file is None:
        return Outlook(False, "a keyring stays locked until somebody types its password", to_file(profile))
    if not user_session.lingers():
        return Outlook(False, "lingering is off, so there is no bus before you sign in", LINGER)
    return Outlook(
        True, f"the keyring has an empty password: whoever can read {redaction.printable(file)} has its secrets"
    )


def to_file(profile: str) -> str:
    """Return the command that moves a saved sign-in into the sealed file, which needs no session."""
    return hints.command("store move --to file", profile)


def _socket_of(address: str) -> str | None:
    """Return the socket that a D-Bus address names, None where it names none in the file system."""
    for part in address.split(";")[0].removeprefix("unix:").split(","):
        if part.startswith("path="):
            return os.path.realpath(part.removeprefix("path="))
    return None


def _worst(found: list[Outlook]) -> Outlook:
    """Return the first that says no, else the first that is not known, else the last, which is the store's own."""
    for wanted in (False, None):
        for outlook in found:
            if outlook.works is wanted:
                return outlook
    return found[-1]
