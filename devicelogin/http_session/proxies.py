"""Which proxy a request takes: `HTTPS_PROXY` or `ALL_PROXY`, unless `NO_PROXY` excludes the host.

requests' own reading of the environment is switched off together with netrc (fault catalogue M7), so it is done here.
Lower-case names win over upper-case ones, as in curl.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import field
from typing import TYPE_CHECKING

from devicelogin import errors, models

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where is a proxy looked for, the strongest first?
VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


#: What is taken for a proxy: user name and password percent-encoded (RFC 3986 section 3.2.1).
_PROXY = re.compile(
    r"""
    (?: (?P<scheme>https?)://)?
    (?P<user> (?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-F]{2})* (?: :(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-F]{2})*)? @)?
    (?P<host> [A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.? | \[[0-9A-Fa-f:.]{2,45}\])
    (?: :(?P<port>[0-9]{1,5}))?
    (?: /[A-Za-z0-9._~/-]*)?  # of no use here, and not kept
    """,
    re.VERBOSE | re.IGNORECASE,
)

#: What people write who want none?
_NO_PROXY_WORDS = frozenset({"none", "direct", "no", "off", "false", "0", "noproxy"})


@models.short_record
class Proxy:
    """A proxy and the variable that named it. `url` may hold a password; `shown` never does."""

    url: str = field(repr=False)
    shown: str
    source: str


def variable(environ: Mapping[str, str]) -> str | None:
    """Return the name of the variable that names a proxy, whether or not it is used for a host; None where none does."""
    return next((name for name in VARIABLES if environ.get(name, "").strip()), None)


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
    # SECURITY: two parsers that disagree where a password ends would send its rest to a name server, or show it. So what is
    # taken is what all of them read in one way, and everything else is refused before anybody is asked anything. Nothing of
    # it is shown: any part may be one of a password.
    found = _PROXY.fullmatch(value)
    if found is None or value.lower() in _NO_PROXY_WORDS or int(found["port"] or 1) not in range(1, 65536):
        raise _refused(value, variable)
    scheme, user, host, port = (found["scheme"] or "http").lower(), found["user"] or "", found["host"], found["port"]
    where = host.lower() if port is None else f"{host.lower()}:{int(port)}"
    return Proxy(f"{scheme}://{user}{where}", where, variable)


def _refused(value: str, variable: str) -> errors.ConfigError:
    """Return the error for a `value` that is not taken, by what seems to be meant."""
    scheme = value.partition("://")[0].lower() if "://" in value else ""
    if "@" in value and scheme in {"", "http", "https"}:
        return errors.ConfigError(
            f"{variable} holds a user name or a password with a character that cannot stand there as it is",
            hint="percent-encode it: \\ is %5C, / is %2F, # is %23, ? is %3F, @ is %40, % is %25, a space is %20",
        )
    if value.lower() in _NO_PROXY_WORDS:
        return errors.ConfigError(f"{variable} holds a word, not the address of a proxy", hint=f"unset {variable}")
    if scheme.startswith("socks"):
        return errors.ConfigError(
            f"{variable} names a SOCKS proxy, which devicelogin does not speak",
            hint=f"name an http proxy: export {variable}=http://proxy.example.org:3128",
        )
    return errors.ConfigError(
        f"{variable} holds no http or https proxy",
        hint=f"write it as export {variable}=http://proxy.example.org:3128",
    )


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
