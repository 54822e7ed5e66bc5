"""The note of the last keep-alive run: when it was and what became of each profile. Not secret, and no loss if damaged."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from devicelogin import errors, private_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicelogin.settings import paths as settings_paths

_FORMAT_VERSION = 1

#: Which moment is too late to be one (seconds since 1970; the year 3000)?
_TOO_LATE = 32_503_680_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What became of one profile; `exit_code` 0 and no `message` where nothing failed."""

    outcome: str
    exit_code: int = 0
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """When the last run ended (seconds since 1970), and how for each profile."""

    at: int
    profiles: Mapping[str, Noted]

    @property
    def failed(self) -> tuple[str, ...]:
        """The profiles that failed."""
        return tuple(name for name, noted in self.profiles.items() if noted.exit_code)


def write(places: settings_paths.Places, run: LastRun) -> None:
    """Replace the note. Raises StoreUnusableError where it cannot be written."""
    text = json.dumps({"format_version": _FORMAT_VERSION, **asdict(run)}, indent=1)
    private_files.replace(path(places), (text + "\n").encode("ascii"))


def read(places: settings_paths.Places) -> LastRun | None:
    """Return the note of the last run; None where none ran or nobody can tell."""
    try:
        content = private_files.read(path(places))
        data = json.loads(content or b"{}")
        at = data["at"]
        if data["format_version"] > _FORMAT_VERSION or not isinstance(at, int) or not 0 <= at < _TOO_LATE:
            return None
        return LastRun(at=at, profiles={str(name): _noted(each) for name, each in data["profiles"].items()})
    except (errors.DeviceLoginError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _noted(data: Mapping[str, object]) -> Noted:
    message, exit_code = data["message"], data["exit_code"]
    if not isinstance(exit_code, int) or not isinstance(message, str | None):
        raise TypeError
    return Noted(outcome=str(data["outcome"]), exit_code=exit_code, message=message)


def path(places: settings_paths.Places) -> str:
    """Return the file of the note."""
    # No profile's name begins with a dot, so none is in its way.
    return os.path.join(places.state, ".keepalive")
