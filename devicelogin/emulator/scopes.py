"""Scopes: reading what was asked for, deciding what is granted, and echoing it as each dialect does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin.emulator import oauth_errors

if TYPE_CHECKING:
    from collections.abc import Callable

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
_DEFAULT = ".default"


@dataclass(frozen=True, slots=True)
class ScopeRequest:
    """What was asked for: reserved scopes, and (prefix, name) of the others; the prefix is Graph's URL or empty."""

    reserved: frozenset[str]
    asked: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, without prefix, `.default` left out."""
        return tuple(name for _, name in self.asked if name != _DEFAULT)

    @property
    def has_default(self) -> bool:
        """Was `.default` asked for?"""
        return any(name == _DEFAULT for _, name in self.asked)

    def within(self, names: frozenset[str]) -> ScopeRequest:
        """Return what of this is among the granted `names`: a refresh that names no scope asks for that (RFC 6749 6)."""
        return ScopeRequest(self.reserved, tuple(one for one in self.asked if one[1] in names or one[1] == _DEFAULT))


@dataclass(frozen=True, slots=True)
class GrantedScopes:
    """What was granted: names for Graph to check, and the `scope` that the token answer echoes."""

    names: frozenset[str]
    echo: str
    openid: bool
    offline: bool


def parse(scope: str, *, origin: str, is_oidc: bool) -> ScopeRequest:
    """Return what `scope`, a string of RFC 6749 section 3.3, asks for. Raises Refusal for what does not exist."""
    reserved, asked = set(), []
    for word in scope.split():
        if word.lower() in RESERVED:
            reserved.add(word.lower())
        elif is_oidc:
            asked.append(("", _known(word, _REALM_SCOPES, scope)))
        else:
            asked.append(_graph_scope(word, scope, origin))
    if len(asked) > 1 and any(name == _DEFAULT for _, name in asked):
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
    for prefix, name in request.asked:
        for one in defaults if name == _DEFAULT else (name,):
            if allowed(one) and one not in names:
                names.add(one)
                words.append(prefix + one)
        if name == _DEFAULT:
            words.append(prefix + name)
    return GrantedScopes(
        frozenset(names), " ".join(words), "openid" in request.reserved, "offline_access" in request.reserved
    )


def _graph_scope(word: str, scope: str, origin: str) -> tuple[str, str]:
    if "://" not in word:
        return ("", word if word == _DEFAULT else _known(word, GRAPH_SCOPES, scope))
    for root in (origin, *_GRAPH_ROOTS):
        prefix = root + "/"
        if word.lower().startswith(prefix):
            name = word[len(prefix) :]
            return (prefix, name if name == _DEFAULT else _known(name, GRAPH_SCOPES, scope))
    resource = word.rpartition("/")[0]
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
