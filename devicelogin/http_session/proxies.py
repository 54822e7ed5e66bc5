"""Which proxy a request takes: `HTTPS_PROXY` or `ALL_PROXY`, unless `NO_PROXY` excludes the host.

requests' own reading of the environment is switched off together with netrc (fault catalogue M7), so it is done here.
Lower-case names win over upper-case ones, as in curl.
"""

from __future__ import annotations

import ipaddress
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import errors, models, redaction

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where is a proxy looked for, the strongest first?
VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@models.short_record
class Proxy:
    """A proxy and the variable that named it. `url` may hold a password; `shown` never does."""

    url: str = field(repr=False)
    shown: str
    source: str


def proxy_for(host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for https requests to `host`, None for the direct way.

    Raises ConfigError where the variable holds no http or https proxy.
    """
    for variable in VARIABLES:
        value = environ.get(variable, "").strip()
        if value:
            break
    else:
        return None
    if _is_excluded(host, port, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    return _parse(value, variable)


def _parse(value: str, variable: str) -> Proxy:
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise errors.ConfigError(
            f"{variable} holds no http or https proxy",
            hint=f"write it as export {variable}=http://proxy.example.org:3128",
        )
    wrapped = f"[{host}]" if ":" in host else host
    shown = redaction.printable(wrapped if port is None else f"{wrapped}:{port}", limit=100)
    # Without what may stand behind the host: a path or query is of no use here, and could only confuse a parser.
    return Proxy(f"{parts.scheme}://{parts.netloc}", shown, variable)


def _is_excluded(host: str, port: int, no_proxy: str) -> bool:
    name = host.strip("[]").rstrip(".").lower()
    address = _address(name)
    if name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback):
        return True
    for entry in no_proxy.replace(",", " ").split():
        pattern = entry.lower()
        if pattern == "*":
            return True
        pattern, wanted_port = _split_port(pattern)
        if wanted_port not in (None, port):
            continue
        if address is not None:
            if _holds(pattern, address):
                return True
        elif name == pattern.lstrip("*.").rstrip(".") or name.endswith("." + pattern.lstrip("*.").rstrip(".")):
            return True
    return False


def _split_port(pattern: str) -> tuple[str, int | None]:
    if pattern.startswith("["):
        inside, _, rest = pattern[1:].partition("]")
        return inside, int(rest[1:]) if rest[:1] == ":" and rest[1:].isdecimal() else None
    name, colon, port = pattern.rpartition(":")
    if colon and ":" not in name and port.isdecimal():
        return name, int(port)
    return pattern, None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _holds(pattern: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False
