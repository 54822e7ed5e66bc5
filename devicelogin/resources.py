"""Which API a scope belongs to: a token is for one of them, and a request names the scopes of one (design decision D17)."""

from __future__ import annotations

import re
import shlex

from devicelogin import clouds

#: What is the resource of a scope that names none (scopes-oidc.md)? It also stands for Graph's own addresses.
GRAPH = ""

#: Which scopes are about the person and not about an API? They go with the scopes of every resource.
OF_NO_RESOURCE = frozenset({"openid", "profile", "offline_access", "email"})

#: What is the last part of the scope that stands for all that was consented to?
DEFAULT = ".default"

#: What is wrong with such a scope beside others of its API, and what to do.
NOT_BESIDE_OTHERS = "stands for all that was consented to of its API"
LEAVE_OUT = "leave it out, or leave out the other scopes of that API: Entra takes either"

#: As what is Graph known in every tenant?
_GRAPH_ID = "00000003-0000-0000-c000-000000000000"

_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}/?\Z")

#: What do people call the resources that they meet most often? Others are called what they are.
_NAMES = {
    GRAPH: "Graph",
    "https://outlook.office.com": "Exchange",
    "https://outlook.office365.com": "Exchange",
    "00000002-0000-0ff1-ce00-000000000000": "Exchange",
    "https://management.azure.com": "Azure Resource Manager",
    "https://management.core.windows.net": "Azure Resource Manager",
    "https://storage.azure.com": "Azure Storage",
    "https://vault.azure.net": "Key Vault",
    "https://database.windows.net": "Azure SQL",
    "499b84ac-1321-427f-aa17-267ca6975798": "Azure DevOps",
    "6dae42f8-4368-4678-94ff-3960e28e3630": "Azure Kubernetes Service",
}


def of(scope: str, graph_root: str = "") -> str | None:
    """Return the resource of `scope`: `GRAPH`, all before its last slash, or None for those that belong to none.

    `graph_root` is another address of Graph, beside Microsoft's. Entra compares resources without regard to case, so they
    are returned in lower case; a second slash at the end stays, because the token then names it as well.
    """
    folded = scope.lower()
    if folded in OF_NO_RESOURCE:
        return None
    resource = folded.rpartition("/")[0]
    if resource.removesuffix("/") in {GRAPH, _GRAPH_ID, graph_root.lower().rstrip("/"), *clouds.GRAPH_ROOTS}:
        return GRAPH
    return resource


def grouped(scopes: tuple[str, ...], graph_root: str = "") -> dict[str, tuple[str, ...]]:
    """Return the scopes of each resource, in the order in which the resources come; those of none go with the first."""
    found: dict[str, list[str]] = {}
    without = []
    for scope in scopes:
        resource = of(scope, graph_root)
        if resource is None:
            without.append(scope)
        else:
            found.setdefault(resource, []).append(scope)
    if without:
        found.setdefault(next(iter(found), GRAPH), []).extend(without)
    return {resource: tuple(words) for resource, words in found.items()}


def name(resource: str) -> str:
    """Return what a person calls `resource`."""
    return _NAMES.get(resource.removesuffix("/"), resource)


def is_default(scope: str) -> bool:
    """Tell whether `scope` stands for all that was consented to for its resource, so that no other goes with it."""
    return scope.lower().rpartition("/")[2] == DEFAULT


def whole_beside_others(scopes: tuple[str, ...]) -> str | None:
    """Return the scope that stands for all of an API beside single ones of it, which Entra refuses; None without one."""
    for words in grouped(tuple(scope for scope in scopes if of(scope) is not None)).values():
        whole = next(filter(is_default, words), None)
        if whole is not None and len(words) > 1:
            return whole
    return None


def together(saved: tuple[str, ...], added: tuple[str, ...], graph_root: str = "") -> tuple[str, ...]:
    """Return the scopes `saved` and `added`; what stands for all of a resource and single ones of it exclude each other.

    What was added last counts then: nobody may ask for both in one request.
    """
    new = grouped(added, graph_root)
    kept = tuple(
        scope
        for resource, scopes in grouped(saved, graph_root).items()
        for scope in scopes
        if resource not in new or is_default(scope) == any(map(is_default, new[resource]))
    )
    return tuple({scope.lower(): scope for scope in (*added, *kept)}[word] for word in _lowered((*kept, *added)))


def lacks_permission(scope: str) -> bool:
    """Tell whether `scope` is the address or the id of an API without one of its permissions."""
    host_and_path = scope.partition("://")[2]
    is_address = bool(host_and_path) and ("/" not in host_and_path or scope.endswith("/"))
    return is_address or _GUID.match(scope) is not None


def _lowered(scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scope.lower() for scope in scopes))


def options(scopes: tuple[str, ...]) -> str:
    """Return `scopes` as options of our commands, to be pasted into a shell."""
    return " ".join(f"--scope {shlex.quote(scope)}" for scope in scopes)
