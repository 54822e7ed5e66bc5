"""The OS keyring as a secret store: our side of the child process that talks to it (design decisions D2 and D3)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from devicelogin import child_process, clock, errors, hints, models, redaction, user_session
from devicelogin.secret_store import lock, slots

if TYPE_CHECKING:
    from devicelogin.settings import paths as settings_paths

#: How long may a whole load, save, delete or probe take (seconds)?
LIMIT_SECONDS = 5.0
#: And one of a backend that somebody named, which may start a program for each item?
NAMED_SECONDS = 7.0
#: And where a person sits at a display and types the keyring's password?
PATIENT_SECONDS = 60.0

SERVICE = "devicelogin"

#: Not with -m: that imports runpy and what it needs, a twentieth of what the child takes.
_CHILD = "from devicelogin.secret_store import keyring_child; keyring_child.run()"
_CLASS_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\Z", re.ASCII)
_ERRORS = {kind.__name__: kind for kind in (errors.StoreUnusableError, errors.DataBadError)}

#: The keyrings that did not answer in this process: (backend, bus). They are not asked again.
_hung: set[tuple[str | None, str | None]] = set()

#: What may be over in a moment: a service that was restarted answers a fresh connection, and gnome-keyring misses its own
#: collection, or finds it locked, while it reads its directory again: once in some thousand calls of a busy machine.
_MAY_PASS = frozenset({"died", "no-collection"})
#: How long is that moment (seconds)?
_PAUSE = 0.2

_REASONS = {
    "locked": (
        "the OS keyring is locked, and nobody is here to unlock it",
        "unlock it (sign in at the desktop, or run seahorse), then try again",
    ),
    "no-collection": (
        "the OS keyring has no collection to put a secret in: it was never set up for you",
        "keep the sign-in in a sealed file: devicelogin login --store file",
    ),
    "no-bus": (
        "no OS keyring can be reached: there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)",
        "in SSH sessions, containers and cron jobs keep it in a sealed file: devicelogin login --store file",
    ),
    "dead-bus": (
        "no OS keyring can be reached: nobody answers at DBUS_SESSION_BUS_ADDRESS, whose session may have ended",
        "keep it where no session is needed, in a sealed file: devicelogin login --store file",
    ),
    "no-backend": (
        "no OS keyring runs in this session",
        "keep the sign-in in a sealed file: devicelogin login --store file",
    ),
    "died": (
        "the OS keyring stopped in the middle of the call, twice; what was saved before is unchanged",
        "start it again (sign out of the desktop and in), then try again",
    ),
    "import": (
        "the Python package keyring, or one it needs, cannot be imported",
        "install it again: python3 -m pip install --force-reinstall keyring",
    ),
    "no-logon-session": (
        "Windows keeps its credentials from sessions over the network",
        "keep the sign-in in a sealed file: devicelogin login --store file",
    ),
    "refused": (
        "this keyring backend is refused, because it loses secrets or leaves them readable",
        "choose the OS keyring or a sealed file: devicelogin login --store file",
    ),
    "no-class": (
        "this keyring backend cannot be found",
        'look at the name after "keyring:": it is module.Class of a package installed beside devicelogin',
    ),
    "not-viable": (
        "this keyring backend says that it cannot work here",
        "look at what its own documentation asks for, or use: devicelogin login --store file",
    ),
    "program": (
        "the program behind this keyring backend failed; what was saved before is unchanged",
        "use it by hand in this very session (it may have no key, or a locked one), or use: devicelogin login --store file",
    ),
    "failed": (
        "the keyring refused the call; what was saved before is unchanged",
        "look at free disk space and at the keyring's own log, or use: devicelogin login --store file",
    ),
}


class KeyringStore:
    """A record in the OS keyring, or in the backend that `location.kind` names as `keyring:module.Class`."""

    def __init__(
        self,
        location: models.StoreLocation,
        paths: settings_paths.ProfilePaths,
        name: str = "record",
        *,
        patient: bool = False,
    ) -> None:
        named = location.kind.removeprefix("keyring:") if location.kind != "keyring" else None
        if named is not None and not _CLASS_NAME.match(named):
            raise errors.ConfigError(
                f"store = {redaction.printable(location.kind)!r} names no keyring class",
                hint='write store = "keyring", "file" or "keyring:module.Class"',
            )
        self._location = location if named is None else dataclasses.replace(location, backend=named)
        self._profile = paths.profile
        self._name = name
        self._limit = PATIENT_SECONDS if patient else LIMIT_SECONDS if named is None else NAMED_SECONDS

    @property
    def location(self) -> models.StoreLocation:
        """Where the record lies. `backend` is known once the store was used."""
        return self._location

    @property
    def protection(self) -> str:
        """What protects the record, for people."""
        if self._location.kind != "keyring":
            return f"in the keyring backend {self._location.kind.removeprefix('keyring:')}: as good as that one is"
        return (
            "encrypted on the disk; while the keyring is unlocked, "
            "any program running as you can read it, and so can root"
        )

    def probe(self) -> None:
        """Try the keyring with a throw-away secret. Raises StoreUnusableError."""
        self._ask("probe")

    def load(self) -> models.SecretRecord | None:
        """Return the saved record or None. Raises StoreUnusableError, DataBadError."""
        found = self._ask("load")["record"]
        if found is None:
            return None
        return models.SecretRecord(generation=found["generation"], text=slots.from_ascii(found["text"]))

    def save(self, record: models.SecretRecord) -> None:
        """Replace the record and read it back. Raises StoreUnusableError; the old record is then intact."""
        self._ask("save", generation=record.generation, text=slots.to_ascii(record.text))

    def delete(self) -> None:
        """Delete the record, verified. Raises StoreUnusableError."""
        self._ask("delete")

    def _ask(self, operation: str, **arguments: object) -> dict[str, Any]:
        environment = _child_environment()
        known_as = (self._location.backend, environment.get("DBUS_SESSION_BUS_ADDRESS"))
        if known_as in _hung:
            raise self._silent()
        request = {
            "operation": operation,
            "parent": os.getpid(),
            "kind": self._location.kind,
            "backend": self._location.backend,
            "service": self._location.service or SERVICE,
            "user": self._location.user,
            "name": self._name,
            **arguments,
        }
        deadline = clock.Deadline(self._limit)
        answer = self._run(request, environment, deadline)
        if _may_pass(answer.get("reason"), environment):
            # Asking twice does no harm: whatever is asked, the second time ends as the first would have.
            time.sleep(_PAUSE)
            answer = self._run(request, environment, deadline)
        if "timed_out" in answer:
            _hung.add(known_as)
            raise self._silent()
        self._raise_what_was_answered(answer)
        if self._location.backend is None:
            self._location = dataclasses.replace(self._location, backend=answer["backend"])
        return answer

    def _run(self, request: dict[str, object], environment: dict[str, str], deadline: clock.Deadline) -> dict[str, Any]:
        try:
            outcome = child_process.run(
                _child_command(),
                deadline_seconds=deadline.remaining(),
                stdin=json.dumps(request).encode("ascii"),
                environment=environment,
                keep_descriptors=lock.held_descriptors(),
                is_leashed=False,  # it asks the kernel to die with us, which costs no process
            )
        except OSError as error:
            raise errors.StoreUnusableError(
                f"cannot start the process that talks to the keyring: {error.strerror}",
                hint="look at the limits of this session: ulimit -a",
            ) from error
        if outcome.timed_out:
            return {"timed_out": True}
        try:
            answer = json.loads(outcome.output)
        except ValueError:
            answer = None
        if outcome.status != 0 or not isinstance(answer, dict):
            return {"reason": "died", "detail": f"exit status {outcome.status}"}
        return answer

    def _raise_what_was_answered(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            raise _ERRORS.get(answer["error"], errors.StoreUnusableError)(
                answer["message"], hint=hints.for_profile(answer["hint"] or "", self._profile), code=answer["code"]
            )
        if "reason" in answer:
            message, hint = _REASONS.get(answer["reason"], _REASONS["failed"])
            detail = redaction.redacted(redaction.printable(answer.get("detail") or ""))
            raise errors.StoreUnusableError(
                message,
                hint=hints.for_profile(hint, self._profile),
                detail=detail or None,
                code="store_" + answer["reason"].replace("-", "_"),
            )

    def _silent(self) -> errors.StoreUnusableError:
        return errors.StoreUnusableError(
            f"the OS keyring did not answer within {self._limit:.0f} seconds; what was saved before is unchanged",
            hint=hints.for_profile(
                "it may wait for its password on another screen; without one use: devicelogin login --store file",
                self._profile,
            ),
            code="store_hung",
        )


def is_of_keyring(error: errors.StoreUnusableError) -> bool:
    """Tell whether it is a keyring that cannot be used, rather than the disk or the key of a sealed file."""
    reasons = {"store_hung", *("store_" + reason.replace("-", "_") for reason in _REASONS)}
    return error.code in {"lost", "too_long", *reasons}


def _may_pass(reason: object, environment: dict[str, str]) -> bool:
    """Tell whether asking again may help. Where there is a display, a person may just have refused to unlock it."""
    has_display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return reason in _MAY_PASS or (reason == "locked" and not has_display)


def new_location(kind: str, paths: settings_paths.ProfilePaths, service: str) -> models.StoreLocation:
    """Return where a new record of this profile would lie in the keyring; the backend is not yet known."""
    return models.StoreLocation(kind=kind, service=service, user=_user_name(paths))


def _user_name(paths: settings_paths.ProfilePaths) -> str:
    """Return the profile's name; with a mark of the state directory where that is not the usual one.

    A keyring belongs to a person, but each DEVICELOGIN_HOME has profiles of its own.
    """
    state = os.path.realpath(paths.places.state)
    if state == os.path.realpath(os.path.expanduser(os.path.join("~", ".local", "state", "devicelogin"))):
        return paths.profile
    return f"{paths.profile}@{hashlib.sha256(os.fsencode(state)).hexdigest()[:8]}"


def _child_command() -> list[str]:
    # -I where we run so; -P in any case: a file named keyring.py in the current directory is not our keyring.
    flags = ["-I"] if sys.flags.isolated else ["-P"]
    return [sys.executable, *flags, "-c", _CHILD]


def _child_environment() -> dict[str, str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHON_KEYRING_BACKEND" and not name.startswith("KEYRING_PROPERTY_")
    }
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    search = [path for path in sys.path if os.path.isabs(path)]
    environment["PYTHONPATH"] = os.pathsep.join(search if ours in search else [*search, ours])
    bus = user_session.bus_address(environment)
    if bus is not None:
        environment["DBUS_SESSION_BUS_ADDRESS"] = bus
    return environment
