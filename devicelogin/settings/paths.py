"""Where everything of ours lies; the table stands in the design under "The way of the data".

`DEVICELOGIN_HOME` puts all of it under one directory. The XDG base directories are honoured where they are absolute
(a relative one is ignored, as their specification says).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Places:
    """The three directories, before any profile's name; `runtime` is None where this machine has none for us."""

    config: str
    state: str
    runtime: str | None

    def of(self, profile: str) -> ProfilePaths:
        """Return the paths of `profile`. Raises UsageError where that cannot be a profile's name."""
        return ProfilePaths(check_profile_name(profile), self)

    def profile_names(self) -> tuple[str, ...]:
        """Return the names of all profiles that have a file or a saved sign-in, sorted."""
        names = {name.removesuffix(".toml") for name in _names_in(self.config) if name.endswith(".toml")}
        names |= {name for name in _names_in(self.state) if os.path.exists(os.path.join(self.state, name, "sign-in"))}
        return tuple(sorted(name for name in names if _PROFILE_NAME.match(name)))


@dataclass(frozen=True, slots=True)
class ProfilePaths:
    """What belongs to one profile."""

    profile: str
    places: Places

    @property
    def profile_file(self) -> str:
        """What its owner wrote or login wrote for them."""
        return os.path.join(self.places.config, f"{self.profile}.toml")

    @property
    def key_file(self) -> str:
        """The key of the sealed file."""
        return os.path.join(self.places.config, "keys", f"{self.profile}.key")

    @property
    def state(self) -> str:
        """The directory of the next four."""
        return os.path.join(self.places.state, self.profile)

    @property
    def sign_in(self) -> str:
        """Who is signed in and where the secret lies."""
        return os.path.join(self.state, "sign-in")

    @property
    def times(self) -> str:
        """How old the sign-in is."""
        return os.path.join(self.state, "times")

    @property
    def lock(self) -> str:
        """Never unlinked, and not in a runtime directory: logind deletes those."""
        return os.path.join(self.state, "lock")

    @property
    def login_lock(self) -> str:
        """One sign-in at a time; apart from `lock`, so that tokens are refreshed while a person is asked."""
        return os.path.join(self.state, "login-lock")

    @property
    def record(self) -> str:
        """The sealed record, where the store is the file."""
        return os.path.join(self.state, "record")

    @property
    def cache(self) -> str | None:
        """The directory of the cached access tokens, None where there is no runtime directory."""
        return None if self.places.runtime is None else os.path.join(self.places.runtime, self.profile)


def locate(environ: Mapping[str, str]) -> Places:
    """Return our directories as `environ` places them. Touches nothing.

    Raises ConfigError where neither HOME nor DEVICELOGIN_HOME says where to look.
    """
    home = environ.get("DEVICELOGIN_HOME", "")
    if home:
        if not os.path.isabs(home):
            raise errors.ConfigError(
                "DEVICELOGIN_HOME is not an absolute path",
                hint='export DEVICELOGIN_HOME="$PWD/..." with the whole path',
            )
        return Places(os.path.join(home, "config"), os.path.join(home, "state"), os.path.join(home, "runtime"))
    return Places(
        os.path.join(_xdg(environ, "XDG_CONFIG_HOME", ".config"), "devicelogin"),
        os.path.join(_xdg(environ, "XDG_STATE_HOME", os.path.join(".local", "state")), "devicelogin"),
        _runtime(environ),
    )


def check_home_owner(environ: Mapping[str, str]) -> None:
    """Raise ConfigError where our files would go below a HOME that is missing or somebody else's.

    `sudo -E` and a `su` without `-` leave the caller's HOME in place: what root writes there its owner can no longer
    read. With DEVICELOGIN_HOME, or with both XDG directories set, HOME is not used and not looked at.
    """
    named = environ.get("DEVICELOGIN_HOME") or all(
        os.path.isabs(environ.get(variable, "")) for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")
    )
    if named or not hasattr(os, "geteuid"):
        return
    home = environ.get("HOME", "")
    try:
        owner = os.stat(home).st_uid
    except OSError as error:
        raise errors.ConfigError(
            f"HOME is {ascii(home) if home else 'not set'}: {error.strerror}",
            hint="export DEVICELOGIN_HOME=/path/of/a/private/directory",
        ) from error
    if owner != os.geteuid():
        raise errors.ConfigError(
            f"HOME, {home!a}, belongs to user id {owner}, but this runs as user id {os.geteuid()}",
            hint="run it without sudo, or as that user with sudo -H; for a service, set DEVICELOGIN_HOME",
        )


def check_profile_name(name: str) -> str:
    """Return `name`. Raises UsageError where it cannot be a profile's name."""
    if not _PROFILE_NAME.match(name):
        raise errors.UsageError(
            "a profile's name has 1 to 64 letters, digits, dots, dashes or underscores and begins with a letter or digit",
            hint="choose another name: devicelogin --profile work status",
        )
    return name


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> str:
    given = environ.get(variable, "")
    if os.path.isabs(given):
        return given
    home = environ.get("HOME", "")
    if not os.path.isabs(home):
        raise errors.ConfigError(
            "HOME is not set, so there is no place for the saved sign-in",
            hint="export DEVICELOGIN_HOME=/path/of/a/private/directory",
        )
    return os.path.join(home, default)


def _runtime(environ: Mapping[str, str]) -> str | None:
    given = environ.get("XDG_RUNTIME_DIR", "")
    if not hasattr(os, "getuid"):
        return None
    candidates = [given] if os.path.isabs(given) else []
    candidates.append(f"/run/user/{os.getuid()}")
    for directory in candidates:
        try:
            facts = os.stat(directory)
        except OSError:
            continue
        if facts.st_uid == os.getuid():
            return os.path.join(directory, "devicelogin")
    return None


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
