"""The trace of a saved sign-in: the files `sign-in` and `times`. They hold no secret.

`sign-in` is written "pending" before the secret is saved and "saved" after it was read back, so that no saved secret is
ever without a trace; `times` is informational, and a damaged one counts as none.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from devicelogin import errors, hints, models, private_files

if TYPE_CHECKING:
    from devicelogin.settings import paths as settings_paths

#: Which version of these files do we write, and up to which do we read?
FORMAT_VERSION = 1

#: Which moment is too late to be one (seconds since 1970; the year 3000)? Calendars end soon after.
_TOO_LATE = 32_503_680_000

#: What is said of a record that `is_older_copy` knows?
OLDER_COPY = "the saved record is older than the last one that was saved here: it may have been restored from a backup"

_STATES = frozenset({"pending", "saved"})


def read_sign_in(paths: settings_paths.ProfilePaths) -> models.SignIn | None:
    """Return the trace of the sign-in of this profile, None where there is none.

    Fields that this version does not know are ignored. Raises DataBadError where the file is damaged or of a newer
    format version, and as `private_files.read` does.
    """
    content = private_files.read(paths.sign_in)
    if content is None:
        return None
    try:
        data = _parse(content)
        return sign_in_from(data)
    except _NewerError:
        raise errors.DataBadError(
            f"{paths.sign_in} was written by a newer version of devicelogin",
            hint="use that version, or sign in again with this one: " + hints.login(paths.profile),
            code="newer_version",
        ) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise errors.DataBadError(
            f"{paths.sign_in} is damaged", hint="sign in again: " + hints.login(paths.profile), code="damaged"
        ) from None


def write_sign_in(paths: settings_paths.ProfilePaths, sign_in: models.SignIn) -> None:
    """Replace the trace of the sign-in. Raises StoreUnusableError where it cannot be written."""
    private_files.replace(paths.sign_in, _encode(dataclasses.asdict(sign_in)))


def remove_sign_in(paths: settings_paths.ProfilePaths) -> None:
    """Delete the trace and what belongs to it; no error if there is none. Raises StoreUnusableError where it cannot be."""
    private_files.remove(paths.refused)
    private_files.remove(paths.times)
    private_files.remove(paths.sign_in)


def read_times(paths: settings_paths.ProfilePaths) -> models.Times | None:
    """Return how old the saved sign-in is, None where nobody knows (no file, a damaged one, one of a newer version)."""
    try:
        content = private_files.read(paths.times)
        if content is None:
            return None
        data = _parse(content)
        refused = data.get("refused")
        return models.Times(
            generation=_whole_number(data["generation"]),
            made=_moment(data["made"]),
            last_refreshed=_moment(data["last_refreshed"]),
            refused=None if refused is None else _text(refused),
        )
    except (errors.DeviceLoginError, ValueError, TypeError, KeyError, RecursionError):
        return None


def write_times(paths: settings_paths.ProfilePaths, times: models.Times) -> None:
    """Replace the file `times`. Raises StoreUnusableError where it cannot be written."""
    private_files.replace(paths.times, _encode(dataclasses.asdict(times)))


def is_older_copy(record: models.SecretRecord, times: models.Times | None) -> bool:
    """Tell whether `record` is of an earlier generation than the one that `times` knew, so that its token may be spent.

    Without the profile's lock, `times` is to be read before the record: whoever saves writes them after it.
    """
    return times is not None and record.generation < times.generation


class _NewerError(ValueError):
    pass


def _encode(fields: dict[str, Any]) -> bytes:
    return (json.dumps({"format_version": FORMAT_VERSION, **fields}, indent=1) + "\n").encode("ascii")


def _parse(content: bytes) -> dict[str, Any]:
    data = json.loads(content.decode("utf-8"))
    if not isinstance(data, dict):
        raise TypeError
    if _whole_number(data["format_version"]) > FORMAT_VERSION:
        raise _NewerError
    return data


def sign_in_from(data: dict[str, Any]) -> models.SignIn:
    """Return the sign-in that the fields `data` describe. Raises ValueError, TypeError or KeyError where they do not."""
    previous = data.get("previous")
    if data["state"] not in _STATES or not isinstance(data["is_oidc"], bool):
        raise ValueError
    return models.SignIn(
        state=data["state"],
        account=models.Account(**_texts(data["account"], models.Account)),
        client_id=_text(data["client_id"]),
        authority=_text(data["authority"]),
        is_oidc=data["is_oidc"],
        issuer=_text(data["issuer"]),
        graph_root=_text(data["graph_root"]),
        scopes=_text_list(data["scopes"]),
        granted_scopes=_text_list(data["granted_scopes"]),
        location=models.StoreLocation(**_texts(data["location"], models.StoreLocation)),
        previous=None if previous is None else models.StoreLocation(**_texts(previous, models.StoreLocation)),
        hosts=_text_list(data.get("hosts", [])),
    )


def _texts(data: dict[str, Any], kind: type[models.Account | models.StoreLocation]) -> dict[str, Any]:
    """Return the fields of `kind`, all of them texts; one with a default may be missing or null."""
    texts: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING or data.get(field.name) is not None:
            texts[field.name] = _text(data[field.name])
    return texts


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _text_list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_text(item) for item in value)


def _whole_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _moment(value: object) -> int:
    seconds = _whole_number(value)
    if not 0 <= seconds < _TOO_LATE:
        raise ValueError
    return seconds
