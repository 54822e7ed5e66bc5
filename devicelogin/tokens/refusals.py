"""What the identity provider refused lately: remembered for a minute, so that a thousand callers make one request (D17).

One file per profile, where the access tokens lie in memory, else beside `times`. It holds what is needed to raise the very
same error again and no secret. It is written by whoever holds the profile's lock. An entry is void once another sign-in has
come or the profile was edited, as a cached token is. Who waits for the lock looks here first, so this module imports
nothing heavy before there is something to read.
"""

import os
import time

from devicelogin.tokens import access_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from devicelogin import errors
    from devicelogin.settings.paths import ProfilePaths

#: How long is a refusal remembered (seconds)? And how long where somebody wants the provider to be asked again?
SECONDS = 60.0
FORCED_SECONDS = 5.0

#: The longest wish of a server to be left alone that is told (seconds), as in `retry`, which is not imported here.
LONGEST_SECONDS = 3600.0

#: How many refusals of one profile are remembered?
_MOST = 32

#: For what is the end of the sign-in itself remembered? For all scopes.
_ALL = "*"

_FORMAT_VERSION = 1


class Refusals:
    """The remembered refusals of one profile; `directory` is where the file lies."""

    def __init__(self, paths: "ProfilePaths", directory: str) -> None:
        self._paths = paths
        self._file = os.path.join(directory, access_cache.REFUSED)

    def recall(self, asked: str, *, claims: str | None = None, force: bool = False) -> "errors.DeviceLoginError | None":
        """Return the refusal of the scope line `asked` that still counts, None where the provider is to be asked.

        `claims` are those of a challenge, and count as part of what was asked for. With `force` a refusal counts for some
        seconds only, and a wish to be left alone not at all: somebody says that it is worth a try.
        """
        limit = FORCED_SECONDS if force and claims is None else SECONDS
        names = {_name(asked, claims), _ALL}
        for entry in self._entries():
            is_wish = entry.get("seconds") is not None
            if entry.get("asked") in names and self._is_of_now(entry, limit) and not (is_wish and force):
                return _error(entry)
        return None

    def put_off(self, asked: str, error: "errors.TryLaterError", *, claims: str | None = None) -> None:
        """Remember that the provider asked to be left alone when it answered with `error`, whatever is asked then (D21).

        For a minute at most, however long that is: it may be well again before, and one request a minute is no burden.

        Other failures of the moment are not remembered, for a server that is down has refused nothing; but what Entra calls
        a loop is, which each further request would only prolong.
        """
        from devicelogin import explain

        if error.code == explain.REQUEST_LOOP:
            self.remember(asked, error, claims=claims)
            return
        if error.retry_after is None and error.code != "throttled":
            return
        seconds = min(max(error.retry_after or 0.0, FORCED_SECONDS), LONGEST_SECONDS)
        error.retry_after, error.hint = seconds, _later(seconds)
        self.remember(asked, error, for_all=True, seconds=seconds)

    def remember(
        self,
        asked: str,
        error: "errors.DeviceLoginError",
        *,
        claims: str | None = None,
        for_all: bool = False,
        seconds: float | None = None,
    ) -> None:
        """Remember that `asked` was refused with `error`; `for_all`: and so would be whatever else is asked.

        It counts for a minute, or for the `seconds` for which the provider asked to be left alone, where these are fewer.

        Failure is silent: then the provider is asked once more. The caller holds the profile's lock.
        """
        import json

        from devicelogin import errors, private_files

        name = _ALL if for_all else _name(asked, claims)
        kept = [entry for entry in self._entries() if entry.get("asked") != name and self._is_of_now(entry)]
        entry = {
            "asked": name,
            "profile": access_cache.stat_line(self._paths.profile_file),
            "sign_in": access_cache.stat_line(self._paths.sign_in),
            "boot": access_cache.boot_id(),
            "boot_seconds": access_cache.boot_seconds(),
            "wall_seconds": time.time(),
            "error": error.as_json(),
            "seconds": seconds,
        }
        content = {"format_version": _FORMAT_VERSION, "refusals": [entry, *kept][:_MOST]}
        try:
            private_files.make_directory(os.path.dirname(self._file))
            private_files.replace(self._file, json.dumps(content).encode())
        except errors.DeviceLoginError:
            pass

    def _entries(self) -> "list[dict[str, Any]]":
        """Return the entries, also void ones; none where there is no file of ours, or a damaged one."""
        text = access_cache.read_private(self._file)
        if text is None:
            return []
        import json

        try:
            content = json.loads(text)
            entries = content["refusals"] if content["format_version"] == _FORMAT_VERSION else []
            return [entry for entry in entries if isinstance(entry, dict)]
        except (ValueError, TypeError, KeyError, RecursionError):
            return []

    def _is_of_now(self, entry: "dict[str, Any]", limit: float = SECONDS) -> bool:
        """Tell whether `entry` is of this sign-in and this profile, still counts, and is not older than `limit` (seconds).

        Within a boot its clock tells the age; a moment that is still to come is none. Where the system does not tell one
        boot from another, the wall clock has to agree.
        """
        if entry.get("sign_in") != access_cache.stat_line(self._paths.sign_in):
            return False
        if entry.get("profile") != access_cache.stat_line(self._paths.profile_file):
            return False
        boot = access_cache.boot_id()
        if entry.get("boot") != boot:
            return False
        ages = [(access_cache.boot_seconds(), entry.get("boot_seconds"))]
        if not boot:
            ages.append((time.time(), entry.get("wall_seconds")))
        seconds = min(_seconds(entry), limit)
        return all(isinstance(then, float) and 0 <= now - then < seconds for now, then in ages)


def _seconds(entry: "dict[str, Any]") -> float:
    """Return how long the provider asked to be left alone, a minute where it did not."""
    named = entry.get("seconds")
    return named if isinstance(named, float) else SECONDS


def _later(seconds: float) -> str:
    return f"try again in {max(1, round(seconds))} s"


def _name(asked: str, claims: str | None) -> str:
    return asked if claims is None else f"{asked} claims {claims}"


def _error(entry: "dict[str, Any]") -> "errors.DeviceLoginError | None":
    """Return the error that `entry` describes, None where it does not describe one of those that are remembered."""
    from devicelogin import errors

    families = {
        family.exit_code: family
        for family in (errors.LoginRequiredError, errors.DeniedByPolicyError, errors.ConfigError, errors.TryLaterError)
    }
    told = entry.get("error")
    if not isinstance(told, dict) or told.get("exit") not in families or not isinstance(told.get("message"), str):
        return None
    texts = {
        name: told[name] for name in ("hint", "detail", "correlation_id", "code") if isinstance(told.get(name), str)
    }
    error = families[told["exit"]](told["message"], **texts)
    if isinstance(error, errors.TryLaterError) and entry.get("seconds") is not None:
        error.retry_after = max(0.0, _seconds(entry) - (access_cache.boot_seconds() - entry["boot_seconds"]))
        error.hint = _later(error.retry_after)  # what was left of it then is not what is left now
    return error
