"""Where everything of ours lies; the table stands in the design under "The way of the data".

`DEVICELOGIN_HOME` puts all of it under one directory. The XDG base directories are honoured where they are absolute
(a relative one is ignored, as their specification says). The warm path of `token` comes through here, so this module
imports nothing but `os`; no `re`, `typing` or `dataclasses`.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LETTERS_AND_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_NAME_CHARACTERS = _LETTERS_AND_DIGITS | frozenset("._-")
_LONGEST_NAME = 64


class Places:
    """The three directories, before any profile's name; `runtime` is None where this machine has none for us.

    `home` is the directory that holds all of them, None where they lie apart.
    """

    __slots__ = ("config", "home", "runtime", "state")

    def __init__(self, config: str, state: str, runtime: "str | None", home: "str | None" = None) -> None:
        self.home = home
        self.config = config
        self.state = state
        self.runtime = runtime

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Places):
            return NotImplemented
        return (self.config, self.state, self.runtime) == (other.config, other.state, other.runtime)

    def __hash__(self) -> int:
        return hash((self.config, self.state, self.runtime))

    def __repr__(self) -> str:
        return f"Places({self.config!r}, {self.state!r}, {self.runtime!r})"

    def of(self, profile: str) -> "ProfilePaths":
        """Return the paths of `profile`. Raises UsageError where that cannot be a profile's name."""
        return ProfilePaths(check_profile_name(profile), self)

    def profile_names(self) -> tuple[str, ...]:
        """Return the names of all profiles that have a file or a saved sign-in, sorted.

        Raises ConfigError or StoreUnusableError where a directory of ours cannot be read.
        """
        names = {name.removesuffix(".toml") for name in names_in(self.config) if name.endswith(".toml")}
        names |= {name for name in names_in(self.state) if _may_exist(os.path.join(self.state, name, "sign-in"))}
        return tuple(sorted(name for name in names if is_profile_name(name)))


class ProfilePaths:
    """What belongs to one profile."""

    __slots__ = ("places", "profile")

    def __init__(self, profile: str, places: Places) -> None:
        self.profile = profile
        self.places = places

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProfilePaths):
            return NotImplemented
        return (self.profile, self.places) == (other.profile, other.places)

    def __hash__(self) -> int:
        return hash((self.profile, self.places))

    def __repr__(self) -> str:
        return f"ProfilePaths({self.profile!r}, {self.places!r})"

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
        """The directory of the next ones, up to `record`."""
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
    def refused(self) -> str:
        """What the provider refused in the last minute, where there is no memory of ours for that."""
        return os.path.join(self.state, "refused")

    @property
    def lock(self) -> str:
        """Never unlinked, and not in a runtime directory: logind deletes those."""
        return os.path.join(self.state, "lock")

    @property
    def login_lock(self) -> str:
        """One sign-in at a time; apart from `lock`, so that tokens are refreshed while a person is asked."""
        return os.path.join(self.state, "login-lock")

    @property
    def provider(self) -> str:
        """The identity provider's discovery document, kept for a day."""
        return os.path.join(self.state, "provider")

    @property
    def login_needed(self) -> str:
        """Who was told that a person is needed, and when; one episode at a time. Its lock has the same name and `-lock`."""
        return os.path.join(self.state, "login-needed")

    @property
    def remote_login(self) -> str:
        """When somebody was last asked from afar to sign in. Its lock has the same name and `-lock`."""
        return os.path.join(self.state, "remote-login")

    @property
    def record(self) -> str:
        """The sealed record, where the store is the file."""
        return os.path.join(self.state, "record")

    @property
    def cache(self) -> "str | None":
        """The directory of the cached access tokens, None where there is no runtime directory."""
        return None if self.places.runtime is None else os.path.join(self.places.runtime, self.profile)

    def is_there(self) -> bool:
        """Return False if this machine has nothing of this profile; True also where a directory cannot be read."""
        ours = (self.profile_file, self.key_file, self.state, self.cache)
        return any(_may_exist(path) for path in ours if path is not None)

    def usable_cache(self, *, for_sure: bool = False) -> "str | None":
        """Return the directory of the cached access tokens, None where there is none that nobody else can have touched.

        It is optional: whatever is wrong with it means that tokens are kept elsewhere, and is no error. With `for_sure`,
        StoreUnusableError or TryLaterError is raised where that could not be seen.
        """
        from devicelogin import directories, errors, private_files

        runtime, cache = self.places.runtime, self.cache
        if runtime is None or cache is None:
            return None
        try:
            directories.check_way(runtime)
            private_files.check_outermost(runtime)
            private_files.check_inner(cache)
        except errors.ConfigError:
            return None  # it is not ours alone
        except errors.DeviceLoginError:
            if for_sure:
                raise
            return None
        return cache

    def check_directories(self) -> None:
        """Raise ConfigError where one of our directories is a link, somebody else's, open to others or out of reach.

        The outermost one may be a link: people and service managers choose where it lies. Missing ones are no error.
        What lies above them is looked at by `check_home_owner`.
        """
        from devicelogin import private_files

        places = self.places
        if places.home is not None:
            private_files.check_outermost(places.home)
        for outer, inner in (
            (places.config, os.path.dirname(self.key_file)),
            (places.state, self.state),
        ):
            if places.home is None:
                private_files.check_outermost(outer)
            else:
                private_files.check_inner(outer)
            private_files.check_inner(inner)
        if places.home is not None and places.runtime is not None and os.access(places.runtime, os.X_OK):
            # Within a home of ours a strange directory is somebody's doing; one elsewhere is not used, and no error.
            private_files.check_inner(places.runtime)
            private_files.check_inner(os.path.join(places.runtime, self.profile))


def locate(environ: "Mapping[str, str]") -> Places:
    """Return our directories as `environ` places them. Touches nothing.

    Raises ConfigError where neither HOME nor DEVICELOGIN_HOME says where to look.
    """
    home = environ.get("DEVICELOGIN_HOME", "")
    if home:
        if not os.path.isabs(home):
            from devicelogin import errors

            raise errors.ConfigError(
                "DEVICELOGIN_HOME is not an absolute path",
                hint='export DEVICELOGIN_HOME="$PWD/..." with the whole path',
            )
        return Places(os.path.join(home, "config"), os.path.join(home, "state"), os.path.join(home, "runtime"), home)
    return Places(
        os.path.join(_xdg(environ, "XDG_CONFIG_HOME", ".config"), "devicelogin"),
        os.path.join(_xdg(environ, "XDG_STATE_HOME", os.path.join(".local", "state")), "devicelogin"),
        _runtime(environ),
    )


def check_home_owner(environ: "Mapping[str, str]") -> None:
    """Raise ConfigError where our files would go below a HOME that is missing, or below what somebody else can change.

    `sudo -E` and a `su` without `-` leave the caller's HOME in place: what root writes there its owner can no longer
    read. With DEVICELOGIN_HOME, or with both XDG directories set, HOME is not used and not looked at; every directory
    above ours is (design decision D23). Every command asks this before it reads or makes anything.
    """
    _check_home(environ)
    from devicelogin import directories

    places = locate(environ)
    for place in (places.config, places.state) if places.home is None else (places.home,):
        directories.check_way(place)


def _check_home(environ: "Mapping[str, str]") -> None:
    named = environ.get("DEVICELOGIN_HOME") or all(
        os.path.isabs(environ.get(variable, "")) for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")
    )
    if named or not hasattr(os, "geteuid"):
        return
    from devicelogin import errors

    home = environ.get("HOME", "")
    try:
        facts = os.stat(home)
    except OSError as error:
        raise errors.ConfigError(
            f"HOME is {ascii(home) if home else 'not set'}: {error.strerror}",
            hint="export DEVICELOGIN_HOME=/path/of/a/private/directory",
        ) from error
    if not os.path.isdir(home):
        raise errors.ConfigError(
            f"HOME, {home!a}, is not a directory", hint="export DEVICELOGIN_HOME=/path/of/a/private/directory"
        )
    if facts.st_uid != os.geteuid():
        raise errors.ConfigError(
            f"HOME, {home!a}, belongs to user id {facts.st_uid}, but this runs as user id {os.geteuid()}",
            hint="run it without sudo, or as that user with sudo -H; for a service, set DEVICELOGIN_HOME",
        )


def is_profile_name(name: str) -> bool:
    """Tell whether `name` can be a profile's: it becomes part of file names and of keyring items."""
    return 0 < len(name) <= _LONGEST_NAME and name[0] in _LETTERS_AND_DIGITS and _NAME_CHARACTERS.issuperset(name)


def check_profile_name(name: str) -> str:
    """Return `name`. Raises UsageError where it cannot be a profile's name."""
    if not is_profile_name(name):
        from devicelogin import errors

        raise errors.UsageError(
            "a profile's name has 1 to 64 letters, digits, dots, dashes or underscores and begins with a letter or digit",
            hint="choose another name: devicelogin --profile work status",
        )
    return name


def _xdg(environ: "Mapping[str, str]", variable: str, default: str) -> str:
    given = environ.get(variable, "")
    if os.path.isabs(given):
        return given
    home = environ.get("HOME", "")
    if not os.path.isabs(home):
        from devicelogin import errors

        given = f"HOME is {home!a}, which is not an absolute path" if home else "HOME is not set"
        raise errors.ConfigError(
            f"{given}, so there is no place for the saved sign-in",
            hint="export DEVICELOGIN_HOME=/path/of/a/private/directory",
        )
    return os.path.join(home, default)


def _runtime(environ: "Mapping[str, str]") -> "str | None":
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
        # SECURITY: where others may write, what is called `devicelogin` may be theirs, or a link of theirs.
        if facts.st_uid == os.getuid() and not facts.st_mode & 0o022:
            return os.path.join(directory, "devicelogin")
    return None


def names_in(directory: str) -> list[str]:
    """Return the names in `directory`, none where there is no such. Raises as `file_errors.failure` says."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        from devicelogin import file_errors

        raise file_errors.failure("read", directory, error) from error


def _may_exist(path: str) -> bool:
    """Tell whether there is such a file, or nobody can tell."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # its profile is there, and says what is wrong
    return True
