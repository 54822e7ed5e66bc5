"""Microsoft's clouds: which login host belongs to which Graph root, and on which hosts Microsoft asks for the code.

Kept by hand from Microsoft's pages on national clouds. A host that is missing here still works when its discovery
document names `msgraph_host`, or with `--graph-root`.
"""

from __future__ import annotations

import re

#: Where does a sign-in go when only a tenant is named?
DEFAULT_LOGIN_HOST = "login.microsoftonline.com"

_GLOBAL = ("graph.microsoft.com",)
# GCC High and DoD share their login hosts; only the discovery document of the tenant can tell them apart.
_US_GOVERNMENT = ("graph.microsoft.us", "dod-graph.microsoft.us")
_CHINA = ("microsoftgraph.chinacloudapi.cn",)
# Sovereign clouds whose Graph host Microsoft has not published: their discovery documents name it.
_UNPUBLISHED: tuple[str, ...] = ()

_GRAPH_HOSTS: dict[str, tuple[str, ...]] = {
    DEFAULT_LOGIN_HOST: _GLOBAL,
    "login.microsoft.com": _GLOBAL,
    "login.windows.net": _GLOBAL,
    "sts.windows.net": _GLOBAL,
    "login.microsoftonline.us": _US_GOVERNMENT,
    "login.usgovcloudapi.net": _US_GOVERNMENT,
    "login-us.microsoftonline.com": _UNPUBLISHED,
    "login.partner.microsoftonline.cn": _CHINA,
    "login.chinacloudapi.cn": _CHINA,
    "login.sovcloud-identity.fr": _UNPUBLISHED,
    "login.sovcloud-identity.de": _UNPUBLISHED,
    "login.sovcloud-identity.sg": _UNPUBLISHED,
}

#: Which hosts are known to be Microsoft's identity provider (lower case, port 443)?
KNOWN_LOGIN_HOSTS = frozenset(_GRAPH_HOSTS)

#: Where is Graph, in any of the clouds?
GRAPH_ROOTS = frozenset(f"https://{host}" for hosts in _GRAPH_HOSTS.values() for host in hosts)

#: On which hosts has Microsoft been seen to ask for the code? The page moves, so another host is unusual, not wrong.
VERIFICATION_HOSTS = frozenset(
    {
        "microsoft.com",
        "www.microsoft.com",
        "login.microsoft.com",
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.microsoftonline.cn",
        "login.partner.microsoftonline.cn",
    }
)

_HOST_AND_PORT = re.compile(
    r"(?=[^:]{1,253}(?::|\Z))[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*(?::[0-9]{1,5})?\Z"
)


def graph_root_for(authority_host: str, msgraph_host: object = None) -> str:
    """Return the Graph root for a login host, without a slash at its end; empty where none is known.

    `authority_host` may carry a port. `msgraph_host` is what the discovery document says, unchecked. A known login host
    gets a Graph host of its own cloud whatever the document says, so that a forged one cannot redirect tokens; the
    document only chooses between that cloud's hosts. Any other host may name any Graph host: the tokens are its own.
    """
    named = _host_shaped(msgraph_host)
    ours = _GRAPH_HOSTS.get(authority_host.lower().removesuffix(":443"), _UNPUBLISHED)
    if ours:
        return f"https://{named if named in ours else ours[0]}"
    return f"https://{named}" if named else ""


def _host_shaped(text: object) -> str:
    if not isinstance(text, str) or not _HOST_AND_PORT.match(text):
        return ""
    return text.lower().removesuffix(":443")
