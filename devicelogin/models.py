"""The records that rooms hand to each other: frozen, and without a secret in their `repr`."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import field
from datetime import datetime  # noqa: TC003 - dataclasses resolve their annotations at run time

_Kind = typing.TypeVar("_Kind")


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(kind: type[_Kind]) -> type[_Kind]:
    """Make a class a frozen dataclass with slots, all of its fields by keyword.

    `dataclass(frozen=True)` writes and compiles six methods for each class, where one will do: the others are the same for
    all. A refresh makes twenty such classes before it asks anybody anything, and a sign-in forty.
    """
    return _completed(dataclasses.dataclass(slots=True, kw_only=True, repr=False, eq=False)(kind))


@typing.dataclass_transform(frozen_default=True, field_specifiers=(field,))
def short_record(kind: type[_Kind]) -> type[_Kind]:
    """Make a class what `record` makes it, with fields that may be given by position."""
    return _completed(dataclasses.dataclass(slots=True, repr=False, eq=False)(kind))


class _Methods:
    """Those that all records have in common."""

    def __repr__(self: typing.Any) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __eq__(self: typing.Any, other: object) -> bool:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(_values(self))

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _completed(made: type[_Kind]) -> type[_Kind]:
    for name in ("__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"):
        if name not in vars(made):
            setattr(made, name, vars(_Methods)[name])
    return made


def _values(instance: typing.Any) -> tuple[object, ...]:
    return tuple(getattr(instance, each.name) for each in dataclasses.fields(instance) if each.compare)


@record
class Account:
    """The person who signed in, as the verified ID token named them.

    `username` and `name` are for display and may change; who it is says `key` (design decision D7). `username` is what the
    provider vouches for, at worst the subject; `name` is what people call themselves. `email` is an address that the
    provider has verified, empty where it says of none that it has.
    """

    username: str
    name: str
    issuer: str
    subject: str
    home_account_id: str = ""
    tenant_id: str | None = None
    object_id: str | None = None
    email: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The identity: (`tid`, `oid`) where Entra gave both, else (`iss`, `sub`)."""
        if self.tenant_id and self.object_id:
            return (self.tenant_id.lower(), self.object_id.lower())
        return (self.issuer, self.subject)

    @property
    def shown_name(self) -> str:
        """What people call themselves, beside the user name: in quotes where it could be taken for one; empty without it."""
        if not self.name or self.name == self.username:
            return ""
        is_plain = all(character.isalpha() or character in " .,'-" for character in self.name)
        return self.name if is_plain else '"{}"'.format(self.name.replace('"', "'"))

    def is_named(self, wanted: str) -> bool:
        """Tell whether `wanted`, a user name, a verified address, an object id or a subject, names this account.

        Its `name` never does.

        SECURITY: a display name is whatever its owner chose. User names are compared without regard to case, but what
        is ASCII is never the same as what is not: folding makes a plain letter of the Kelvin sign, too.
        """
        given = wanted.strip()
        if given in {self.object_id, self.subject} - {None, ""}:
            return True
        if self.object_id and given.lower() == self.object_id.lower():
            return True
        return any(
            given.isascii() == known.isascii() and given.casefold() == known.casefold()
            for known in (self.username, self.email)
            if known not in {"", self.subject}
        )


@record
class AccessToken:
    """An access token for `scopes`. `str()` and `repr()` do not show it.

    It is good until `expires_at` by the clock of the server that gave it, and until `expires_at_local` by this machine's,
    which may be a wrong one (both aware, UTC): compare that one with `datetime.now`. `expires_in` is how many seconds it was
    good for when it was handed out, whatever the clocks say.
    """

    token: str = field(repr=False)
    expires_at: datetime
    scopes: tuple[str, ...]
    token_type: str = "Bearer"
    warnings: tuple[str, ...] = ()
    expires_in: int | None = None
    expires_at_local: datetime | None = None


@record
class DeviceAuthorization:
    """What a person needs to sign in with a phone (RFC 8628 section 3.2).

    `expires_in` and `interval` are seconds. The `device_code` is the program's secret and is never shown or written.
    """

    user_code: str
    verification_uri: str
    expires_in: int
    interval: int
    client_id: str
    authority: str
    scopes: tuple[str, ...]
    verification_uri_complete: str | None = None
    device_code: str = field(repr=False)


@record
class TokenAnswer:
    """A successful answer of the token endpoint (RFC 6749 section 5.1), whatever library read it.

    `expires_in` is seconds. `home_account_id` is MSAL's name for the account. `scopes` are the granted ones; where the
    server named none, those asked for. `server_date` is the answer's `Date` in seconds since 1970. `credentials` is what a
    later refresh needs, as text.
    """

    access_token: str = field(repr=False)
    token_type: str
    expires_in: int
    scopes: tuple[str, ...]
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    credentials: str = field(repr=False)
    home_account_id: str = ""
    server_date: float | None = None


@record
class Pending:
    """The person has not yet finished (RFC 8628 section 3.5); `interval` is the seconds to wait before each poll from now on.

    `retry_after` is how long the server wants to be left alone now (seconds), where it says so.
    """

    interval: float
    retry_after: float | None = None


@record
class SecretRecord:
    """What a secret store keeps under one name: a text that only its writer understands, and which one is newer."""

    generation: int
    text: str = field(repr=False)


@record
class StoreLocation:
    """Where a secret lies, in a form that can be written down and found again; holds no secret.

    `kind` is `keyring`, `keyring:module.Class` or `file`. `backend` names the keyring class, `service` and `user` its
    item. `key` is the key source of a sealed file (`file`, `credential`, `passphrase`, `command`), `bind` is `machine`
    or `none`.
    """

    kind: str
    backend: str | None = None
    service: str | None = None
    user: str | None = None
    key: str | None = None
    bind: str | None = None

    def is_same_place(self, other: StoreLocation) -> bool:
        """Tell whether a record there and one here are one and the same.

        The key and the binding of a sealed file are how it is sealed, not where it lies; a keyring is known by its class
        only once it was used.
        """
        if self.kind == "file" or other.kind == "file":
            return self.kind == other.kind
        backends = {self.backend, other.backend} - {None}
        return (self.service, self.user) == (other.service, other.user) and len(backends) <= 1


@record
class SignIn:
    """The trace of a saved sign-in: who, with what, where the secret lies. Not secret (file `sign-in`).

    `state` is `pending` while the secret is being saved and `saved` once it was read back. `previous` names the place of
    an older secret that a login to another store is about to replace, so that none is ever without a trace. `hosts` are
    those (with their ports) that the provider named at login; a secret is sent to no other one.
    """

    state: str
    account: Account
    client_id: str
    authority: str
    is_oidc: bool
    issuer: str
    graph_root: str
    scopes: tuple[str, ...]
    granted_scopes: tuple[str, ...]
    location: StoreLocation
    previous: StoreLocation | None = None
    hosts: tuple[str, ...] = ()


@record
class Times:
    """How old a saved sign-in is: seconds since 1970, and the generation of its record (file `times`).

    `refused` says in words why the provider no longer accepts it, None while it does.
    """

    generation: int
    made: int
    last_refreshed: int
    refused: str | None = None


@record
class SignInStatus:
    """What can be said of one profile without network and without touching a secret.

    `state` is `signed-in` while silent commands need nobody, `login-required` where a person must sign in again, `pending`
    where a sign-in was interrupted, `signed-out`, `damaged` where what is saved cannot be used here (exit code 65), and
    `unreadable` where its files cannot be had, which no sign-in mends. `also` are the scopes of other APIs in the profile,
    which `login` asks for as well.
    """

    profile: str
    state: str
    sign_in: SignIn | None = None
    times: Times | None = None
    protection: str | None = None
    needs_login: bool = True
    reason: str | None = None
    lasts_until: datetime | None = None
    also: tuple[str, ...] = ()


@record
class Forecast:
    """How long a saved sign-in lasts if nobody uses it.

    `level` is `ok`, `warning`, `critical` (a person is needed, now or soon) or `unknown`. `words` say it to a person, None
    where there is nothing to say beside why a person is needed.
    """

    level: str
    days_left: int | None = None
    words: str | None = None


@record
class Finding:
    """What one check of `doctor` found.

    `about` is what was looked at (this machine, a host, a profile), `level` is `green`, `yellow`, `red` or `skipped`.
    `hint` is one command or one thing to do; a red one always has it. `exit_code` is 0 but for a red one. `details` are
    lines for those who want to know more.
    """

    about: str
    name: str
    level: str
    message: str
    hint: str | None = None
    exit_code: int = 0
    details: tuple[str, ...] = ()
