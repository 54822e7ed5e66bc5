"""Scopes asked for and scopes granted, compared as the providers mean them: without regard to case or short form."""

from __future__ import annotations

#: These are not permissions for an API: a provider need not name them in its answer (Entra never names offline_access).
_NOT_ECHOED = frozenset({"openid", "profile", "email", "offline_access", "address", "phone"})

#: Without a resource in front, a scope means Microsoft Graph's (scopes-oidc.md).
_GRAPH = "https://graph.microsoft.com/"


def missing(asked: tuple[str, ...], granted: tuple[str, ...], *, graph_root: str = "") -> tuple[str, ...]:
    """Return which of the scopes asked for were not granted, in the order asked."""
    have = {_plain(scope, graph_root) for scope in granted}
    return tuple(
        scope
        for scope in asked
        if (plain := _plain(scope, graph_root)) not in have
        and plain not in _NOT_ECHOED
        # Whatever a resource grants for its `.default` is its default; it need not be echoed.
        and not plain.endswith("/.default")
        and plain != ".default"
    )


def _plain(scope: str, graph_root: str) -> str:
    folded = scope.casefold()
    for prefix in (_GRAPH, graph_root.casefold().rstrip("/") + "/"):
        if len(prefix) > 1 and folded.startswith(prefix):
            return folded.removeprefix(prefix)
    return folded
