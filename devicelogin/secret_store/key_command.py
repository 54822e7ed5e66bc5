"""The key source `command`: what a command of the profile prints. The header only says so; the command stays in the profile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from devicelogin import child_process, errors, redaction, user_session
from devicelogin.secret_store import key_sources, stretching
from devicelogin.settings import profile, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devicelogin.settings import paths as settings_paths

#: How long may the command take (seconds)? All that a store does has to end within 8.
LIMIT_SECONDS = 6.0
#: And where a person is there, who may have to unlock something first?
PATIENT_SECONDS = 60.0

#: What does the command see of our environment? About as much at a terminal as under cron, so that it works in both.
_KEPT = frozenset(
    {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TZ", "TMPDIR", "CREDENTIALS_DIRECTORY"}
    | {"DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "GNUPGHOME", "SSH_AUTH_SOCK"}
)
_KEPT_PREFIXES = ("LC_", "XDG_", "PASSWORD_STORE_")

#: The commands that did not end in time in this process; they are not waited for again.
_hung: set[tuple[str, ...]] = set()


class KeyCommand(key_sources.Outside):
    """What the command prints, without the newline at its end. It runs once for each store that is opened.

    What it prints is stretched unless it is a key: it may be a password that somebody chose.
    """

    name = "command"
    is_typed = False
    protection = (
        "encrypted with a key that the command in the profile prints: as good as where that has it from; "
        "does not protect against root or code running as you that can run it"
    )

    def __init__(self, paths: settings_paths.ProfilePaths, supply: key_sources.KeySupply) -> None:
        self._paths = paths
        super().__init__(supply)
        self._material: bytes | None = None

    def new_parameters(self) -> key_sources.Parameters | None:
        """Return what a guess costs, and a salt; None where the command prints a key. Raises as `read` does."""
        return None if stretching.is_key(self._printed()) else stretching.parameters_for(self._supply)

    def read(self, parameters: key_sources.Parameters | None) -> bytes:
        """Return what the command printed, stretched where `parameters` say so.

        Raises StoreUnusableError where the command failed, printed nothing or took too long.
        """
        material = self._printed()
        return material if parameters is None else stretching.stretched(material, parameters, self._supply)

    def _printed(self) -> bytes:
        if self._material is None:
            self._material = self._run(self._command())
        return self._material

    def make(self) -> None:
        """Do nothing: the command belongs to the profile's owner."""

    def _command(self) -> tuple[str, ...]:
        written = profile.read_profile(self._paths)
        given = written.values.get("key")
        if given is None or isinstance(given, str):
            raise errors.StoreUnusableError(
                "the key of the sealed file is what a command prints, and the profile no longer names one",
                hint=f'write it back into {written.path}: key = ["program", "argument"]; '
                'if it is lost, write key = "file" there and sign in again: devicelogin login',
                code="key_missing",
            )
        try:
            program, *others = shapes.command(given, empty=False)
        except shapes.BadValueError as bad:
            raise errors.ConfigError(
                f"cannot use the key of profile {written.path}: {bad.why}", hint=bad.hint
            ) from None
        program = user_session.program(program, self._supply.environ)
        if "/" in program:
            # Cron starts us elsewhere than a person does, so a relative path begins beside the profile.
            program = os.path.join(self._paths.places.config, program)
        return (program, *others)

    def _run(self, command: tuple[str, ...]) -> bytes:
        # SECURITY: of the command only its program is shown; its arguments, what it says and why may hold the key.
        shown = redaction.redacted(redaction.printable(command[0]))
        limit = LIMIT_SECONDS if self._supply.ask is None else PATIENT_SECONDS
        if command in _hung:
            raise self._failed(f"{shown} did not end within {limit:.0f} seconds")
        environment = _environment(self._supply.environ)
        try:
            outcome = _outcome(command, environment, limit)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no argument can hold that"
            raise self._failed(f"{shown} cannot be started: {reason}") from None
        if outcome.timed_out:
            _hung.add(command)
            raise self._failed(f"{shown} did not end within {limit:.0f} seconds")
        if outcome.status:
            way = f"exit status {outcome.status}" if outcome.status > 0 else f"signal {-outcome.status}"
            raise self._failed(f"{shown} failed with {way}")
        return key_sources.check_length(outcome.output.removesuffix(b"\n"), f"the key that {shown} printed")

    def _failed(self, what: str) -> errors.StoreUnusableError:
        return errors.StoreUnusableError(
            f"cannot get the encryption key: {what}",
            hint=f"run the command yourself that stands as key in {self._paths.profile_file}",
            code="key_command",
        )


def _outcome(command: Sequence[str], environment: Mapping[str, str], limit: float) -> child_process.Outcome:
    return child_process.run(command, deadline_seconds=limit, environment=environment)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    bus = user_session.bus_address(environ)
    if bus is not None:
        kept["DBUS_SESSION_BUS_ADDRESS"] = bus
    return kept
