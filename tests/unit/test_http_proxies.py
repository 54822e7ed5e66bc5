"""Which proxy a request takes, and that its password is never seen."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

import pytest
import urllib3.util
from hypothesis import given
from hypothesis import strategies as st

from devicelogin import errors
from devicelogin.http_session import proxies

HOST = "login.microsoftonline.com"
PROXY = "http://proxy.example.org:3128"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("value", "url", "shown"),
    [
        (PROXY, PROXY, "proxy.example.org:3128"),
        ("proxy.example.org:3128", PROXY, "proxy.example.org:3128"),
        ("https://proxy.example.org", "https://proxy.example.org", "proxy.example.org"),
        ("http://[::1]:3128/", "http://[::1]:3128", "[::1]:3128"),
        ("HTTP://Proxy.Example.ORG:3128", PROXY, "proxy.example.org:3128"),
        (
            "DOMAIN%5Cuser:pw@proxy.example.org:3128",
            "http://DOMAIN%5Cuser:pw@proxy.example.org:3128",
            "proxy.example.org:3128",
        ),
        ("http://u@proxy.example.org", "http://u@proxy.example.org", "proxy.example.org"),
        ("http://u:p:w@proxy.example.org", "http://u:p:w@proxy.example.org", "proxy.example.org"),
        ("http://u:p%40ss@proxy.example.org:3128", "http://u:p%40ss@proxy.example.org:3128", "proxy.example.org:3128"),
    ],
)
def test_the_proxy_of_the_environment_is_taken(variable: str, value: str, url: str, shown: str) -> None:
    """All four names are read, with and without a scheme, a port and a password."""
    found = proxies.proxy_for(HOST, 443, {variable: value})
    assert found is not None
    assert (found.url, found.shown, found.source) == (url, shown, variable)
    assert "p%40ss" not in repr(found)


def test_https_proxy_wins_over_all_proxy_and_http_proxy_means_nothing() -> None:
    """HTTP_PROXY is for http, which we never speak (and which CGI lets strangers set)."""
    found = proxies.proxy_for(HOST, 443, {"ALL_PROXY": "http://other", "HTTPS_PROXY": PROXY})
    assert found is not None
    assert found.url == PROXY
    assert proxies.proxy_for(HOST, 443, {"HTTP_PROXY": PROXY, "http_proxy": PROXY}) is None


@pytest.mark.parametrize(
    ("host", "port", "no_proxy"),
    [
        (HOST, 443, "*"),
        (HOST, 443, HOST),
        (HOST, 443, "microsoftonline.com"),
        (HOST, 443, ".microsoftonline.com"),
        (HOST, 443, "*.microsoftonline.com"),
        (HOST, 443, "example.org, MicrosoftOnline.COM"),
        (HOST, 443, "example.org LOGIN.microsoftonline.com:443"),
        (HOST + ".", 443, HOST),
        ("10.1.2.3", 443, "10.1.2.3"),
        ("10.1.2.3", 443, "10.0.0.0/8"),
        ("10.1.2.3", 8443, "10.1.2.3:8443"),
        ("fd00::1", 443, "fd00::/8"),
        ("fd00::1", 8443, "[fd00::1]:8443"),
        ("localhost", 443, ""),
        ("box.localhost", 443, ""),
        ("127.0.0.1", 8443, ""),
        ("127.9.9.9", 8443, ""),
        ("::1", 8443, ""),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_excluded_hosts_are_reached_directly(host: str, port: int, no_proxy: str, variable: str) -> None:
    """Names, suffixes, addresses, networks and ports exclude; this machine itself is always excluded."""
    assert proxies.proxy_for(host, port, {"HTTPS_PROXY": PROXY, variable: no_proxy}) is None


@pytest.mark.parametrize(
    ("host", "no_proxy"),
    [
        (HOST, ""),
        (HOST, " , "),
        (HOST, "online.com"),
        (HOST, "login.microsoftonline.com:8443"),
        (HOST, "com.microsoftonline"),
        (HOST, "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2"),
        ("10.1.2.3", "2.3"),
        ("11.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "not/a/network"),
        ("notlocalhost", ""),
    ],
)
def test_other_hosts_are_not_excluded(host: str, no_proxy: str) -> None:
    """A suffix counts from a dot on."""
    assert proxies.proxy_for(host, 443, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) is not None


@pytest.mark.parametrize(
    "value",
    [
        "socks5://u:hunter2@proxy.example.org",
        "socks5h://proxy.example.org",
        "ftp://u:hunter2@proxy.example.org",
        "http://u:hunter2@",
        "http://u:hunter2@proxy.example.org:notaport",
        "http://u:hunter2@proxy.example.org:99999",
        "http://u:hunter2@[::1",
        "http://u:hunter2@proxy example.org",
        "http://u:hunter2@pröxy.example.org",
        "http://u:hunter2@proxy\x1b[31m.example.org",
        "http://",
        "://",
    ],
)
def test_what_is_no_http_proxy_is_a_configuration_error_without_its_password(value: str) -> None:
    """The variable is named; nothing of its value is shown."""
    with pytest.raises(errors.ConfigError) as caught:
        proxies.proxy_for(HOST, 443, {"HTTPS_PROXY": value})
    shown = f"{caught.value.as_json()}"
    assert "HTTPS_PROXY" in caught.value.message
    assert "hunter2" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "character", ["\\", "/", "#", "?", "@", "%", " ", "[", "]", "^", "|", "<", '"', "{", "`", "ä", "\t"]
)
@pytest.mark.parametrize(
    "form",
    [
        "http://u:hunter2{}zz345@proxy.example.org:3128",
        "DOMAIN{}u:hunter2@proxy.example.org",
        "http://u:12{}zhunter2@[::1]:1",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_with_the_way_to_write_it(character: str, form: str) -> None:
    """78 that names the codes and shows no part of the value: whatever parser reads it, there is no host to ask for."""
    with pytest.raises(errors.ConfigError) as caught:
        proxies.proxy_for(HOST, 443, {"https_proxy": form.format(character)})
    shown = f"{caught.value.as_json()}"
    assert "percent-encode it" in str(caught.value.hint)
    assert "%5C" in str(caught.value.hint)
    assert "https_proxy" in caught.value.message
    assert not any(part in shown for part in ("hunter2", "zz345", "DOMAIN", "proxy.example.org"))


@given(
    st.text(max_size=40), st.sampled_from(["http://{}@proxy.example.org:3128", "{}", "http://{}", "https://u:{}@[::1]"])
)
def test_what_was_checked_is_what_every_parser_reads(text: str, form: str) -> None:
    """A value is refused, or names one host to all: to ours, to the standard library and to urllib3."""
    with contextlib.suppress(errors.ConfigError):
        found = proxies.proxy_for(HOST, 443, {"HTTPS_PROXY": form.format(text)})
        if found is None:
            return
        theirs, urllibs = urllib3.util.parse_url(found.url), urlsplit(found.url)
        assert theirs.netloc == urllibs.netloc.rpartition("@")[2] == found.shown
        assert theirs.scheme == urllibs.scheme
        assert (theirs.auth or "") == urllibs.netloc.rpartition("@")[0]


@pytest.mark.parametrize("value", ["none", "DIRECT", "off"])
def test_a_word_for_no_proxy_is_no_host(value: str) -> None:
    """It would be asked for at the name server."""
    with pytest.raises(errors.ConfigError) as caught:
        proxies.proxy_for(HOST, 443, {"HTTPS_PROXY": value})
    assert caught.value.hint == "unset HTTPS_PROXY"
