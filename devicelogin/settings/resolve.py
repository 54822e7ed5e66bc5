"""Flag > environment > profile > default: the settings of one command, each with the words for where it came from.

Whoever passes flags uses the names of the profile's keys; None, and an empty list, mean that a flag was not given. An
environment variable that is empty counts as not set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from devicelogin import clouds, errors, hints, models, redaction, resources
from devicelogin.settings import profile, shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from devicelogin.settings.paths import ProfilePaths

T = TypeVar("T")

#: What is the source of a value that nobody gave?
DEFAULT = "default"

FLAGS = {
    "client_id": "--client-id",
    "tenant": "--tenant",
    "authority": "--authority",
    "oidc_issuer": "--oidc-issuer",
    "scopes": "--scope",
    "default_scope": "--no-default-scope",
    "graph_root": "--graph-root",
    "ca_file": "--ca-file",
    "min_valid": "--min-valid",
    "store": "--store",
    "qr": "--qr",
    "on_code": "--on-code",
}
VARIABLES = {
    "client_id": "DEVICELOGIN_CLIENT_ID",
    "tenant": "DEVICELOGIN_TENANT",
    "authority": "DEVICELOGIN_AUTHORITY",
    "oidc_issuer": "DEVICELOGIN_OIDC_ISSUER",
    "scopes": "DEVICELOGIN_SCOPE",
    "graph_root": "DEVICELOGIN_GRAPH_ROOT",
    "ca_file": "DEVICELOGIN_CA_FILE",
    "min_valid": "DEVICELOGIN_MIN_VALID",
    "store": "DEVICELOGIN_STORE",
    "qr": "DEVICELOGIN_QR",
}
# On Azure machines these name a managed identity, so they only ever fill a gap, and only where a person watches.
_AZURE_VARIABLES = {"client_id": "AZURE_CLIENT_ID", "tenant": "AZURE_TENANT_ID"}
_OTHER_VARIABLES = ("DEVICELOGIN_PROFILE", "DEVICELOGIN_HOME")
# Set by us for hooks, which may run devicelogin again, and by our tests.
_NOT_SETTINGS = frozenset(
    f"DEVICELOGIN_{name}" for name in ("EVENT", "CODE", "URI", "EXPIRES_AT", "QR_FILE", "REASON", "SOAK")
)
# A wrong one of these is a wrong argument (exit 2); a wrong client id, authority or file is a wrong configuration (78).
_PLAIN_ARGUMENTS = frozenset({"scopes", "min_valid", "store", "qr", "on_code"})


@models.short_record
class Value(Generic[T]):
    """A setting and the words for where it came from: `--tenant`, `environment variable X`, `profile /path`, `default`."""

    value: T
    source: str

    @property
    def explicit(self) -> bool:
        """Tell whether somebody gave it."""
        return self.source != DEFAULT


@models.record
class Settings:
    """Everything a command may want to know, checked.

    `authority_url` has no slash at its end; `is_oidc` tells an OpenID issuer from an Entra-shaped authority.
    `authority_key` is `tenant`, `authority` or `oidc_issuer` and `authority_choice` what was written there. `scopes` are
    those of one API, the profile's default resource; `also` are those of others (design decision D17). `added` is what
    `--scope` gave at login. `graph_root` None: to be derived at login. `min_valid` (seconds) None: derived from the
    token's lifetime. `bind` None: `machine` where this machine has an identity. `notes` are sentences for the person who
    signs in.
    """

    profile: str
    client_id: Value[str | None]
    authority_url: Value[str]
    is_oidc: bool
    authority_key: str
    authority_choice: str
    scopes: Value[tuple[str, ...]]
    also: Value[tuple[str, ...]]
    default_scope: Value[bool]
    graph_root: Value[str | None]
    ca_file: Value[str | None]
    min_valid: Value[int | None]
    store: Value[str]
    key: Value[str | tuple[str, ...]]
    bind: Value[str | None]
    cache: Value[str]
    qr: Value[str]
    on_code: Value[tuple[str, ...]]
    on_login_needed: Value[tuple[str, ...]]
    remote_login: Value[bool]
    remote_login_hours: Value[str | None]
    notes: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def profile_changes(self) -> dict[str, object]:
        """Return what login writes into the profile, so that later commands need no options (for `write_profile`)."""
        changes: dict[str, object] = dict.fromkeys(profile.AUTHORITY_KEYS)
        changes[self.authority_key] = self.authority_choice
        changes["client_id"] = self.client_id.value
        changes["scopes"] = list(self.scopes.value)
        changes["also"] = list(self.also.value) or None
        if self.default_scope.explicit:
            changes["default_scope"] = self.default_scope.value
        if self.graph_root.explicit:
            changes["graph_root"] = self.graph_root.value
        if self.ca_file.explicit:
            changes["ca_file"] = self.ca_file.value
        if self.store.explicit:
            changes["store"] = None if self.store.value == "auto" else self.store.value
        return changes


@models.short_record
class _Level:
    """One place where settings are given, and how it names each of them."""

    is_flags: bool
    values: Mapping[str, object]
    source: Callable[[str], str]

    def read(self, name: str, parse: Callable[[object], T]) -> Value[T]:
        try:
            return Value(parse(self.values[name]), self.source(name))
        except shapes.BadValueError as bad:
            usage = self.is_flags and name in _PLAIN_ARGUMENTS
            family = errors.UsageError if usage else errors.ConfigError
            words = name.replace("_", " ")
            hint = bad.hint if self.is_flags else self._hint(bad)
            raise family(f"cannot use the {words} of {self.source(name)}: {bad.why}", hint=hint) from None

    def _hint(self, bad: shapes.BadValueError) -> str:
        """Return the hint of `bad` for who wrote a profile or a variable, not an option."""
        if not isinstance(bad, shapes.BadScopesError):
            return bad.hint
        if self.source("scopes").startswith("environment"):
            return f"separate scopes with spaces: {VARIABLES['scopes']}={' '.join(bad.parts)!r}"
        return "write a list: scopes = [" + ", ".join(f'"{part}"' for part in bad.parts) + "]"

    def authority_key(self) -> str | None:
        given = [key for key in profile.AUTHORITY_KEYS if key in self.values]
        if len(given) > 1:
            family = errors.UsageError if self.is_flags else errors.ConfigError
            raise family(
                f"{self.source(given[0])} and {self.source(given[1])} exclude each other",
                hint="keep the one that names your identity provider and leave out the other",
            )
        return given[0] if given else None


def resolve(
    paths: ProfilePaths, flags: Mapping[str, object], environ: Mapping[str, str], *, for_login: bool
) -> Settings:
    """Return the settings of one command.

    `for_login`: `--scope` adds to the other scopes instead of replacing them, and AZURE_CLIENT_ID and AZURE_TENANT_ID
    fill gaps. Raises ConfigError for what is wrong in the profile or the environment and for a wrong client id,
    authority, Graph root or CA file wherever it was given; UsageError for other wrong flags.
    """
    levels = _levels(paths, flags, environ)
    azure = _azure_level(environ) if for_login else _Level(False, {}, str)
    authority_key, authority_url = _authority([*levels, azure])
    is_oidc = authority_key == "oidc_issuer"
    # An AZURE_CLIENT_ID is an Entra app's: it fills no gap at another provider.
    asked, shape = (levels, shapes.oidc_client_id) if is_oidc else ((*levels, azure), shapes.client_id)
    client_id = _pick(asked, "client_id", shape, None)
    choice = authority_url.value
    graph_root = _pick(levels, "graph_root", shapes.graph_root, None)
    default_scope = _pick(levels, "default_scope", shapes.flag, True)
    scopes, also, added = _all_scopes(
        levels, is_oidc=is_oidc, for_login=for_login, root=graph_root.value or "", with_default=default_scope
    )
    return Settings(
        profile=paths.profile,
        client_id=client_id,
        authority_url=authority_url,
        is_oidc=is_oidc,
        authority_key=authority_key,
        authority_choice=choice.rpartition("/")[2] if authority_key == "tenant" else choice,
        scopes=scopes,
        also=also,
        added=added,
        default_scope=default_scope,
        graph_root=graph_root,
        ca_file=_ca_file(levels, paths, environ),
        min_valid=_pick(levels, "min_valid", shapes.min_valid, None),
        store=_pick(levels, "store", shapes.store, "auto"),
        key=_pick(levels, "key", shapes.key, "file"),
        bind=_pick(levels, "bind", lambda given: shapes.one_of(given, ("machine", "none")), None),
        cache=_pick(levels, "cache", lambda given: shapes.one_of(given, ("on", "off")), "on"),
        qr=_pick(levels, "qr", lambda given: shapes.one_of(given, shapes.QR_FORMS), "auto"),
        on_code=_pick(levels, "on_code", shapes.command, ()),
        on_login_needed=_pick(levels, "on_login_needed", shapes.command, ()),
        remote_login=_pick(levels, "remote_login", shapes.flag, False),
        remote_login_hours=_pick(levels, "remote_login_hours", shapes.hours, None),
        notes=_azure_notes(client_id, authority_url) + _unknown_variables(environ),
    )


def _levels(paths: ProfilePaths, flags: Mapping[str, object], environ: Mapping[str, str]) -> tuple[_Level, ...]:
    strange = sorted(set(flags) - set(FLAGS))
    if strange:
        raise errors.InternalError(f"no such flag: {', '.join(strange)}", hint="report this line")
    given = {name: value for name, value in flags.items() if value is not None and value not in ((), [])}
    in_environment: dict[str, object] = {name: environ[key] for name, key in VARIABLES.items() if environ.get(key)}
    if "scopes" in in_environment:
        in_environment["scopes"] = environ[VARIABLES["scopes"]].split()
    saved = profile.read_profile(paths)
    return (
        _Level(True, given, FLAGS.__getitem__),
        _Level(False, in_environment, lambda name: f"environment variable {VARIABLES[name]}"),
        _Level(False, saved.values, lambda _name: f"profile {saved.path}"),
    )


def _azure_level(environ: Mapping[str, str]) -> _Level:
    found = {name: environ[key] for name, key in _AZURE_VARIABLES.items() if environ.get(key)}
    return _Level(False, found, lambda name: f"environment variable {_AZURE_VARIABLES[name]}")


def _pick(levels: Sequence[_Level], name: str, parse: Callable[[object], T], default: T) -> Value[T]:
    for level in levels:
        if name in level.values:
            return level.read(name, parse)
    return Value(default, DEFAULT)


def _authority(levels: Sequence[_Level]) -> tuple[str, Value[str]]:
    parsers = {"tenant": _tenant_url, "authority": shapes.authority, "oidc_issuer": shapes.oidc_issuer}
    for level in levels:
        key = level.authority_key()
        if key is not None:
            return key, level.read(key, parsers[key])
    return "tenant", Value(_tenant_url("organizations"), DEFAULT)


def _tenant_url(given: object) -> str:
    return f"https://{clouds.DEFAULT_LOGIN_HOST}/{shapes.tenant(given)}"


def _all_scopes(
    levels: tuple[_Level, ...], *, is_oidc: bool, for_login: bool, root: str, with_default: Value[bool]
) -> tuple[Value[tuple[str, ...]], Value[tuple[str, ...]], tuple[str, ...]]:
    """Return the scopes of the default resource, those of others, and those that flags add to a login.

    The default resource is that of the first scope; `root` is where Graph is.
    """

    def parse(given: object) -> tuple[str, ...]:
        return shapes.scopes(given, is_oidc=is_oidc) if is_oidc else shapes.entra_scopes(given)

    nothing: tuple[str, ...] = ()
    flags, *others = levels
    scopes, further = _pick(levels, "scopes", parse, nothing), _pick(levels, "also", parse, nothing)
    added = scopes.value if for_login and "scopes" in flags.values else nothing
    if added:
        saved = _pick(others, "scopes", parse, nothing)
        both = shapes.scopes(saved.value + added, is_oidc=is_oidc)
        together = both if is_oidc else resources.together(saved.value + further.value, added, root)
        scopes = Value(together, f"{scopes.source} and {saved.source}" if saved.explicit else scopes.source)
    if is_oidc:
        return scopes, Value(nothing, DEFAULT), added
    groups = resources.grouped(scopes.value, root)
    default = next(iter(groups), resources.GRAPH)
    if not added:
        groups = resources.grouped(scopes.value + further.value, root)
    own = groups.pop(default, nothing)
    if default == resources.GRAPH and for_login:
        own = _with_default(own, with_default, flags.source("scopes"))
    elif not scopes.explicit:
        own = ("User.Read",)
    also = tuple(scope for group in groups.values() for scope in group)
    return Value(own, scopes.source), Value(also, further.source if further.explicit else scopes.source), added


def _with_default(scopes: tuple[str, ...], with_default: Value[bool], option: str) -> tuple[str, ...]:
    """Return Graph's scopes with the one that every sign-in has, unless that is not wished or all are asked for."""
    if not with_default.value:
        if not scopes:
            raise errors.UsageError(
                f"no scope is left to ask for: {with_default.source} leaves out User.Read",
                hint=f"name one: {option} SCOPE",
            )
        return scopes
    if any(resources.is_default(scope) or scope.lower().rpartition("/")[2] == "user.read" for scope in scopes):
        return scopes
    return ("User.Read", *scopes)


def _ca_file(levels: tuple[_Level, ...], paths: ProfilePaths, environ: Mapping[str, str]) -> Value[str | None]:
    def parse(given: object, directory: str) -> str:
        return shapes.ca_file(given, directory=directory, home=environ.get("HOME", ""))

    *nearer, saved = levels
    if any("ca_file" in level.values for level in nearer):
        return _pick(nearer, "ca_file", lambda given: parse(given, ""), None)
    # A profile is read from wherever cron starts us, so its relative paths begin beside it.
    return _pick([saved], "ca_file", lambda given: parse(given, paths.places.config), None)


def _azure_notes(*values: Value[str | None] | Value[str]) -> tuple[str, ...]:
    filled = [value for value in values if value.source.startswith("environment variable AZURE_")]
    return tuple(f"using {value.value}, from {value.source}, for want of a setting of our own" for value in filled)


def _unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = (*VARIABLES.values(), *_OTHER_VARIABLES)
    notes = []
    for name in sorted(environ):
        if name.startswith("DEVICELOGIN_") and name not in known and name not in _NOT_SETTINGS:
            close = hints.nearest(name, known)
            meant = f"; did you mean {close}?" if close else ""
            shown = redaction.printable(name, limit=80)
            notes.append(f"the environment variable {shown} has no effect: there is no such setting{meant}")
    return tuple(notes)
