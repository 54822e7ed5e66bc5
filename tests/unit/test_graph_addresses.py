"""Which addresses `devicelogin graph` takes; whatever it takes leads to the Graph root and nowhere else."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
import requests
import urllib3.util
from hypothesis import example, given
from hypothesis import strategies as st

from devicelogin import errors
from devicelogin.graph import addresses

ROOT = "https://graph.microsoft.com"

_HOSTS = (
    "evil.example",
    "graph.microsoft.com.evil.example",
    "graph.microsoft.com@evil.example",
    "user:password@graph.microsoft.com",
    "user@graph.microsoft.com",
    ":@graph.microsoft.com",
    "graph.microsoft.com:443",
    "graph.microsoft.com:8443",
    "graph.microsoft.com:",
    "graph.microsoft.com:80@evil.example",
    "graph.microsoft.com.",
    "graph.microsoft.com..",
    ".graph.microsoft.com",
    "GRAPH.MICROSOFT.COM",
    "Graph.microsoft.com",
    "graph.microsoft.co",
    "graph.microsoft.comm",
    "graph-microsoft.com",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "login.microsoftonline.com",
    "gr\u0430ph.microsoft.com",
    "graph\u3002microsoft\u3002com",
    "graph\uff0emicrosoft\uff0ecom",
    "graph\uff61microsoft.com",
    "xn--grph-63d.microsoft.com",
    "graph.microsoft\u2024com",
    "\uff47\uff52\uff41\uff50\uff48.microsoft.com",
    "graph.microsoft.com\u200b",
    "graph.microsoft.com%2eevil.example",
    "graph%2emicrosoft%2ecom",
    "graph.microsoft.com%00.evil.example",
    "graph.microsoft.com\\.evil.example",
    "graph.microsoft.com\\@evil.example",
    "graph.microsoft.com#@evil.example",
    "graph.microsoft.com?@evil.example",
    "graph.microsoft.com;@evil.example",
    "graph.microsoft.com&evil.example",
    "127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "localhost",
    "169.254.169.254",
    "",
)

_ABSOLUTE = [f"https://{host}/v1.0/me" for host in _HOSTS]
_OTHER_SCHEMES = [
    f"{scheme}graph.microsoft.com/v1.0/me"
    for scheme in (
        "http://",
        "HTTPS://",
        "Https://",
        "https:/",
        "https:",
        "https:///",
        "https:////",
        "https:\\\\",
        "https:/\\",
        "https:\\/",
        "ftp://",
        "file://",
        "ws://",
        "javascript:",
        "data:",
        "//",
        "///",
        "////",
        "\\\\",
        "/\\",
        "\\/",
        " https://",
        "\thttps://",
        "ht\ttps://",
        "https\n://",
        "https%3a//",
        "/http://",
        "/https://",
        "x-y+z.1:",
        "https://https://",
        "https://graph.microsoft.com/https://",
        "https://graph.microsoft.com//",
    )
]
_STEPS_UP = [
    template.format(dots)
    for dots in ("..", ".", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2e", "%252e%252e", "%25252e%2e", "%2525252e")
    for template in ("{}/me", "me/{}/x", "me/{}", "/{}", "/v1.0/{}/beta/me", ROOT + "/{}", ROOT + "/v1.0/{}/x", "{}")
]
_ENCODED_SYNTAX = [
    "me/%00",
    "me/%0a",
    "me/%0d%0aHost:%20evil.example",
    "me/%09",
    "me/%1f",
    "me/%7f",
    "me/%5c..%5c",
    "me/%5C",
    "me/%255c",
    "me/%2f..%2f",
    "me/%2F..%2Fx",
    "me/..%2f",
    "me/%252f..%252fx",
    "me/" + "%25" * 9 + "2e",
    "me/%25%32%65%25%32%65/x",
]
_CHARACTERS = [f"me/{character}x" for character in "\x00\x01\x07\x08\t\n\x0b\x0c\r\x1b\x1f\x7f\x80\x85\x9b\\#\ud800"]
_CHARACTERS += [
    f"me/x{character}y"
    for character in "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff"
]
_CHARACTERS += [
    f"me/{character}"
    for character in (
        "\u2024",
        "\u2025",
        "\u2026",
        "\uff0e",
        "\uff0e\uff0e",
        "\u3002",
        "\uff61",
        "\ufe52",
        "\u2100",
        "\u2101",
    )
]
_CHARACTERS += [
    f"me{character}x" for character in "\uff0f\uff3c\uff20\uff1a\uff1f\uff03\uff05\u2048\ufe56\ufe55\ufe5f\ufe6b"
]
_SHAPES = [
    "",
    " ",
    "me ",
    " me",
    "\u00a0me",
    "me\u3000",
    "me//messages",
    "/v1.0//me",
    "me/messages//",
    "//me",
    "%",
    "me/%",
    "me/%2",
    "me/%zz",
    "me?$filter=a%",
    "me?$filter=%g1",
    "me#fragment",
    "me?a=b#c",
    "#",
    ROOT,
    ROOT + "?a=b",
    ROOT + "#/v1.0/me",
    ROOT + "/v1.0/me#x",
    ROOT + "/v1.0/m e",
    ROOT + "/v1.0/me?$filter=a b",
    ROOT + "/v1.0/m\u00e9",
    ROOT + "/v1.0/%",
    ROOT + "\\/v1.0/me",
    ROOT + "/v1.0\\..\\me",
]

REFUSED = [*_ABSOLUTE, *_OTHER_SCHEMES, *_STEPS_UP, *_ENCODED_SYNTAX, *_CHARACTERS, *_SHAPES]

TAKEN = {
    "me": "/v1.0/me",
    "/me": "/v1.0/me",
    "/v1.0/me": "/v1.0/me",
    "v1.0/me": "/v1.0/me",
    "/beta/me": "/beta/me",
    "beta/me": "/beta/me",
    "betamax": "/v1.0/betamax",
    "/me?$select=id": "/v1.0/me?$select=id",
    "me/messages?$filter=subject eq 'x y'": "/v1.0/me/messages?$filter=subject%20eq%20'x%20y'",
    "users/ada@contoso.com": "/v1.0/users/ada@contoso.com",
    "@evil.example/x": "/v1.0/@evil.example/x",
    "me/drive/root:/My file.txt:/content": "/v1.0/me/drive/root:/My%20file.txt:/content",
    "me/drive/root:/Räksmörgås.txt": "/v1.0/me/drive/root:/R%C3%A4ksm%C3%B6rg%C3%A5s.txt",
    "users/日本": "/v1.0/users/%E6%97%A5%E6%9C%AC",
    "me/drive/root:/a..b/...c": "/v1.0/me/drive/root:/a..b/...c",
    "me/drive/items/AA%2FBB%3D": "/v1.0/me/drive/items/AA%2FBB%3D",
    "me?$search=%22a%20b%22": "/v1.0/me?$search=%22a%20b%22",
    'me?$search="a"': "/v1.0/me?$search=%22a%22",
    "me?url=https://evil.example/../x": "/v1.0/me?url=https://evil.example/../x",
    "me?x=//evil.example": "/v1.0/me?x=//evil.example",
    "reports/getX(period='D7')": "/v1.0/reports/getX(period='D7')",
    "$metadata": "/v1.0/$metadata",
    "/v1.0": "/v1.0",
    "/v1.0/": "/v1.0/",
    ROOT + "/v1.0/me": "/v1.0/me",
    ROOT + "/v1.0/me/messages?$skiptoken=a%2Bb%3D": "/v1.0/me/messages?$skiptoken=a%2Bb%3D",
    ROOT + "/beta/x[1]": "/beta/x[1]",
    ROOT + "/other": "/other",
}


def test_the_corpus_has_at_least_200_addresses() -> None:
    """The security checklist (S09) asks for 200 hostile addresses."""
    assert len(set(REFUSED)) >= 200


@pytest.mark.parametrize("address", REFUSED, ids=ascii)
def test_an_address_that_may_lead_elsewhere_is_refused(address: str) -> None:
    """Whatever could lead to another host, or upwards, is a usage error that names no part of the address raw."""
    with pytest.raises(errors.UsageError) as caught:
        addresses.resolve(address, ROOT)
    assert caught.value.message.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("//evil.example/me", "names another host"),
        ("https://evil.example/me", "on another host than https://graph.microsoft.com"),
        ("me\\x", "a backslash or a #"),
        ("me/../x", "a part . or .."),
        ("me\x1b[2J", "a control character"),
        ("", "empty"),
        ("me?a=100%", "write %25"),
    ],
)
def test_a_refused_address_says_why(address: str, reason: str) -> None:
    """Who mistyped an address reads what was wrong with it."""
    with pytest.raises(errors.UsageError, match=re.escape(reason)):
        addresses.resolve(address, ROOT)


@pytest.mark.parametrize(("given_address", "target"), TAKEN.items(), ids=lambda value: ascii(value)[:60])
def test_an_address_on_graph_is_taken(given_address: str, target: str) -> None:
    """A path gets its version and its percent signs; a whole URL stays as it is."""
    assert addresses.resolve(given_address, ROOT) == ROOT + target


_SYNTAX = (
    "https:",
    "http:",
    "/",
    "//",
    "\\",
    "@",
    ":",
    ".",
    "..",
    "%2e",
    "%2f",
    "%25",
    "%",
    "?",
    "#",
    "[",
    "]",
    " ",
    "\t",
)
_NAMES = ("graph.microsoft.com", "evil.example", ROOT, "v1.0", "beta", "me", "443", "é", "\u3002", "\uff0e", "\x00")
_PIECES = st.sampled_from(_SYNTAX + _NAMES)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=8).map("".join)))
@example("\u1e9e")
def test_every_parser_sees_the_graph_host_in_what_is_taken(address: str) -> None:
    """An address is refused, or urllib, urllib3 and requests all find the root's host, no user and no other path in it."""
    try:
        url = addresses.resolve(address, ROOT)
    except errors.UsageError:
        return
    assert url.startswith(ROOT + "/")
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url
    assert (urlsplit(url).netloc, urlsplit(url).fragment) == ("graph.microsoft.com", "")
    parsed = urllib3.util.parse_url(url)
    assert (parsed.scheme, parsed.auth, parsed.host, parsed.port) == ("https", None, "graph.microsoft.com", None)
    assert (parsed.path or "").count("/") == urlsplit(url).path.count("/")
    prepared = requests.Request("GET", url).prepare().url
    assert prepared is not None
    assert prepared.startswith(ROOT + "/")


@pytest.mark.parametrize(
    ("root", "origin"),
    [
        ("https://graph.microsoft.com/", ROOT),
        ("https://graph.microsoft.com:443", ROOT),
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_a_graph_root_is_a_plain_origin(root: str, origin: str) -> None:
    """A slash at the end and the port 443 are no part of the origin."""
    assert addresses.check_root(root) == origin


@pytest.mark.parametrize(
    "root",
    [
        "",
        "graph.microsoft.com",
        "http://graph.microsoft.com",
        "https://",
        "https://graph.microsoft.com/v1.0",
        "https://graph.microsoft.com?x",
        "https://graph.microsoft.com#x",
        "https://user@graph.microsoft.com",
        "https://graph.microsoft.com\\",
        "https://graph.microsoft.com:0",
        "https://graph.microsoft.com:99999",
        "https://graph.microsoft.com:x",
        "https://gräph.microsoft.com",
        "https://[::1",
        "https://graph.microsoft.com\n",
    ],
)
def test_a_graph_root_that_is_no_https_origin_is_a_configuration_error(root: str) -> None:
    """Everything else is 78, before anything is sent."""
    with pytest.raises(errors.ConfigError):
        addresses.check_root(root)
