"""Scopes: reading what was asked for, deciding what is granted, and echoing it as each dialect does."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from devicelogin.emulator import oauth_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devicelogin.emulator.directory import Resource

_NO_RESOURCES: Mapping[str, Resource] = MappingProxyType({})

RESERVED = ("email", "openid", "profile", "offline_access")

#: What Graph knows, in the spelling that Entra answers with, however it was asked.
GRAPH_SCOPES = (
    "Calendars.Read",
    "Calendars.ReadWrite",
    "Directory.Read.All",
    "Files.Read",
    "Files.ReadWrite",
    "Group.Read.All",
    "Mail.Read",
    "Mail.ReadWrite",
    "Mail.Send",
    "Sites.Read.All",
    "Tasks.Read",
    "Tasks.ReadWrite",
    "User.Read",
    "User.Read.All",
    "User.ReadBasic.All",
    "User.ReadWrite",
)
_REALM_SCOPES = (*GRAPH_SCOPES, "api.read", "api.write")
_GRAPH_ROOTS = (
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
)
GRAPH_ID = "00000003-0000-0000-c000-000000000000"

#: As what is Graph filed among the resources?
GRAPH = ""

_DEFAULT = ".default"


class Asked(NamedTuple):
    """One scope asked for: the API that it is filed under, what was written before its name, and the name."""

    resource: str
    prefix: str
    name: str

    @property
    def audience(self) -> str:
        """What a token for it names as `aud`: the resource as it was written, Graph's id where none was."""
        return self.prefix[:-1] or GRAPH_ID


@dataclass(frozen=True, slots=True)
class ScopeRequest:
    """What was asked for: reserved scopes, and the others."""

    reserved: frozenset[str]
    asked: tuple[Asked, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        """The APIs asked for, in their order; Graph where none was named."""
        return tuple(dict.fromkeys(one.resource for one in self.asked)) or (GRAPH,)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, without prefix, `.default` left out."""
        return tuple(one.name for one in self.asked if one.name != _DEFAULT)

    @property
    def has_default(self) -> bool:
        """Was `.default` asked for?"""
        return any(one.name == _DEFAULT for one in self.asked)

    def of(self, resource: str) -> ScopeRequest:
        """Return what of this is about one API."""
        return ScopeRequest(self.reserved, tuple(one for one in self.asked if one.resource == resource))

    def within(self, names: frozenset[str]) -> ScopeRequest:
        """Return what of this is among the granted `names`: a refresh that names no scope asks for that (RFC 6749 6)."""
        return ScopeRequest(self.reserved, tuple(one for one in self.asked if one.name in {*names, _DEFAULT}))


@dataclass(frozen=True, slots=True)
class GrantedScopes:
    """What was granted: names for the API to check, and the `scope` that the token answer echoes.

    `resource` is the API that they are for, and `audience` what a token names it.
    """

    names: frozenset[str]
    echo: str
    openid: bool
    offline: bool
    resource: str = GRAPH
    audience: str = GRAPH_ID


def parse(scope: str, *, origin: str, is_oidc: bool, resources: Mapping[str, Resource] = _NO_RESOURCES) -> ScopeRequest:
    """Return what `scope`, a string of RFC 6749 section 3.3, asks for. Raises Refusal for what does not exist.

    `resources` are the APIs beside Graph, as `Behaviour.resources` has them.
    """
    reserved, asked = set(), []
    for word in scope.split():
        if word.lower() in RESERVED:
            reserved.add(word.lower())
        elif is_oidc:
            asked.append(Asked(GRAPH, "", _known(word, _REALM_SCOPES, scope)))
        else:
            asked.append(_scope(word, scope, origin, resources))
    if len(asked) > 1 and any(one.name == _DEFAULT for one in asked):
        raise _invalid(scope, ".default scope can't be combined with resource-specific scopes.")
    return ScopeRequest(frozenset(reserved), tuple(asked))


def grant(
    request: ScopeRequest, defaults: tuple[str, ...], allowed: Callable[[str], bool], *, is_oidc: bool
) -> GrantedScopes:
    """Return what is granted of `request`; `defaults` is what `.default` stands for."""
    reserved = [name for name in RESERVED if name in request.reserved and name != "offline_access"]
    if "openid" in request.reserved and not is_oidc:
        # Entra answers with all three, whichever of them was asked for.
        reserved = ["email", "openid", "profile"]
    if is_oidc and "offline_access" in request.reserved:
        reserved.append("offline_access")
    words, names = list(reserved), set()
    for _, prefix, name in request.asked:
        for one in defaults if name == _DEFAULT else (name,):
            if allowed(one) and one not in names:
                names.add(one)
                words.append(prefix + one)
        if name == _DEFAULT:
            words.append(prefix + name)
    return GrantedScopes(
        frozenset(names),
        " ".join(words),
        "openid" in request.reserved,
        "offline_access" in request.reserved,
        request.resources[0],
        request.asked[0].audience if request.asked else GRAPH_ID,
    )


def _scope(word: str, scope: str, origin: str, resources: Mapping[str, Resource]) -> Asked:
    """Return one scope of Entra. The resource is all before the last slash; a second slash belongs to it."""
    resource, slash, name = word.rpartition("/")
    plain = resource.lower().removesuffix("/")
    if not slash or plain in {origin.lower(), GRAPH_ID, *_GRAPH_ROOTS}:
        return Asked(GRAPH, resource + slash, name if name == _DEFAULT else _known(name, GRAPH_SCOPES, scope))
    for known, description in resources.items():
        if known.lower().removesuffix("/") == plain:
            named = name if name == _DEFAULT else _known(name, description.permissions, scope)
            return Asked(known, resource + slash, named)
    raise oauth_errors.Refusal(
        "invalid_resource",
        500011,
        f"The resource principal named {resource} was not found in the tenant. This can happen if the application has "
        "not been installed by the administrator of the tenant or consented to by any user in the tenant.",
    )


def _known(word: str, known: tuple[str, ...], scope: str) -> str:
    for name in known:
        if name.lower() == word.lower():
            return name
    raise _invalid(scope, f"The scope '{word}' does not exist.")


def _invalid(scope: str, reason: str) -> oauth_errors.Refusal:
    return oauth_errors.Refusal(
        "invalid_scope",
        70011,
        f"The provided request must include a 'scope' input parameter. The provided value for the input parameter "
        f"'scope' is not valid. The scope '{scope}' is not valid. {reason}",
    )
