"""One normal form for every setting, and a reason for what has none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from conftest import repetitions
from hypothesis import given, settings
from hypothesis import strategies as st

from devicelogin import errors
from devicelogin.graph import addresses
from devicelogin.settings import shapes

if TYPE_CHECKING:
    from pathlib import Path

GUID = "1F6C2F0E-AAAA-4000-8000-00000000000B"


@pytest.mark.parametrize(
    "name",
    ["organizations", "COMMON", "consumers", GUID, "contoso.com", "Contoso.OnMicrosoft.com", "a.b.co", "x1.xn--p1ai"],
)
def test_a_tenant_is_a_guid_a_domain_or_a_word(name: str) -> None:
    """Every spelling comes out in lower case."""
    assert shapes.tenant(name) == name.lower()


@pytest.mark.parametrize(
    "name",
    ["", "contoso", ".", "..", "a..b", "-a.com", "a-.com", "contoso.com/x", "contoso.com\n", "cöntoso.com", " contoso.com",
     "organizations ", GUID[:-1], "{" + GUID + "}", "https://login.microsoftonline.com/x", "a." + "b" * 70, "a.1", "me@contoso.com", 7, None],
)  # fmt: skip
def test_nothing_else_is_a_tenant(name: object) -> None:
    """It stands in a URL path: what is no tenant must not become part of one."""
    with pytest.raises(shapes.BadValueError):
        shapes.tenant(name)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://login.example/tenant", "https://login.example/tenant"),
        ("HTTPS://LOGIN.Example:443/Tenant/", "https://login.example/Tenant"),
        ("https://localhost:8443/contoso.com", "https://localhost:8443/contoso.com"),
        ("https://127.0.0.1:1/x", "https://127.0.0.1:1/x"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
        ("https://fs.example/adfs", "https://fs.example/adfs"),
        (
            "https://x.b2clogin.com/x.onmicrosoft.com/B2C_1_signin",
            "https://x.b2clogin.com/x.onmicrosoft.com/B2C_1_signin",
        ),
        ("https://login.microsoftonline.us/Contoso.COM", "https://login.microsoftonline.us/contoso.com"),
        ("https://keys.example/realms/My%20Realm", "https://keys.example/realms/My%20Realm"),
    ],
)
def test_an_authority_has_one_normal_form(written: str, normal: str) -> None:
    """Lower-case host, no default port, no slash at the end; the path of an unknown host as it was written."""
    assert shapes.authority(written) == normal
    assert shapes.authority(normal) == normal


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("http://login.example/x", "begins with http:"),
        ("login.example/x", "not an https URL"),
        ("ftp://login.example/x", "not an https URL"),
        ("", "not an https URL"),
        ("https://user:geheim@login.example/x", "user name"),
        ("https://graph.microsoft.com@evil.example/x", "user name"),
        ("https://login.example/x?y=1", "query"),
        ("https://login.example/x#y", "query"),
        ("https://login.example/x?", "query"),
        ("https://login.example/../x", "plain URL"),
        ("https://login.example/x/..", "plain URL"),
        ("https://login.example/./x", "plain URL"),
        ("https://login.example/%2e%2E/x", "plain URL"),
        ("https://login.example/a%2Fb", "plain URL"),
        ("https://login.example//x", "plain URL"),
        ("https://login.example/x//", "plain URL"),
        ("https://login.example/x y", "plain URL"),
        ("https://login.example/x\n", "plain URL"),
        ("https://login.example\\@evil.example/x", "user name"),
        ("https://login.example\\evil/x", "plain URL"),
        ("https://lögin.example/x", "plain URL"),
        ("https://login.example:0/x", "port"),
        ("https://login.example:65536/x", "port"),
        ("https://login.example:/x", "plain URL"),
        ("https:///x", "plain URL"),
        ("https://.example/x", "plain URL"),
        ("https://login.example\t/x", "plain URL"),
        (7, "string"),
    ],
)
def test_what_is_no_authority_says_why(written: object, why: str) -> None:
    """The reason is named; the value, which may hold a password, is not shown."""
    for shape in (shapes.authority, shapes.oidc_issuer):
        with pytest.raises(shapes.BadValueError, match=why) as caught:
            shape(written)
        assert "geheim" not in caught.value.why + caught.value.hint


@pytest.mark.parametrize(
    "written", ["https://accounts.example", "https://accounts.example/", "HTTPS://Accounts.Example:443/"]
)
def test_an_issuer_may_be_a_host_alone_and_an_authority_may_not(written: str) -> None:
    """The path of an authority is the tenant; that of an issuer is nobody's business."""
    assert shapes.oidc_issuer(written) == "https://accounts.example"
    with pytest.raises(shapes.BadValueError, match="no path") as caught:
        shapes.authority(written)
    assert "tenant" in caught.value.hint


@pytest.mark.parametrize("path", [f"{GUID}/v2.0", "common/oauth2", "nonsense", "x/y"])
def test_the_path_on_microsofts_own_hosts_is_a_tenant(path: str) -> None:
    """A pasted issuer or endpoint would only fail later, with a worse message."""
    with pytest.raises(shapes.BadValueError, match="path is the tenant"):
        shapes.authority(f"https://login.microsoftonline.com/{path}")


@settings(max_examples=repetitions(3000), deadline=None, database=None)
@given(
    st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=30).map("https://login.example".__add__) | st.text()
)
def test_any_text_is_an_authority_of_plain_letters_or_refused(text: str) -> None:
    """What passes has one reading: plain ASCII, no user, query, fragment, doubled slash or dots; and it stays as it is."""
    try:
        url = shapes.authority(text)
    except shapes.BadValueError:
        return
    rest = url.removeprefix("https://")
    assert url.isascii()
    assert url.isprintable()
    assert not [part for part in ("//", "/../", "/./", "\\", "?", "#", " ") if part in rest + "/"]
    assert "@" not in rest.partition("/")[0]
    assert shapes.authority(url) == url


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://graph.microsoft.com", "https://graph.microsoft.com"),
        ("https://Graph.Microsoft.com:443/", "https://graph.microsoft.com"),
        ("https://localhost:8443/", "https://localhost:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_graph_root_is_an_origin(written: str, normal: str) -> None:
    """Whatever stands before /v1.0, and what is taken here, the graph command takes as well."""
    assert shapes.graph_root(written) == normal
    assert addresses.check_root(normal) == normal


@pytest.mark.parametrize(
    "written", ["https://graph.example/prefix", "https://graph.example/a/v1.0", "https://a_b.example"]
)
def test_a_graph_root_that_the_graph_command_would_refuse_is_refused_before(written: str) -> None:
    """Nobody signs in first and hears of it then."""
    with pytest.raises(errors.ConfigError):
        addresses.check_root(written)
    with pytest.raises(shapes.BadValueError) as caught:
        shapes.graph_root(written)
    if "_" not in written:
        assert caught.value.hint == "leave it out: https://graph.example"


@pytest.mark.parametrize("version", ["v1.0", "beta", "v1.0/"])
def test_a_graph_root_with_a_version_says_to_leave_it_out(version: str) -> None:
    """The paths of the graph command add it."""
    with pytest.raises(shapes.BadValueError) as caught:
        shapes.graph_root(f"https://graph.microsoft.com/{version}")
    assert caught.value.hint == "leave it out: https://graph.microsoft.com"


def test_a_client_id_of_entra_is_a_guid_in_lower_case() -> None:
    """The `aud` of its ID tokens is spelt so."""
    assert shapes.client_id(GUID) == GUID.lower()


@pytest.mark.parametrize(
    "written", ["", "my-app", GUID + " ", GUID + "\n", "{" + GUID + "}", "q~S8Q~geheim-geheim-geheim", 5]
)
def test_what_is_no_client_id_is_not_shown(written: object) -> None:
    """People paste the client secret: the message says what to copy instead and never repeats it."""
    with pytest.raises(shapes.BadValueError) as caught:
        shapes.client_id(written)
    assert "geheim" not in caught.value.why + caught.value.hint


@pytest.mark.parametrize(
    ("written", "fine"), [("board", True), ("my app/1", True), ("", False), (" ", False), ("a\n", False), ("ä", False)]
)
def test_an_openid_client_id_is_printable(written: str, fine: bool) -> None:
    """RFC 6749 appendix A.1: VSCHAR."""
    if fine:
        assert shapes.oidc_client_id(written) == written
        return
    with pytest.raises(shapes.BadValueError):
        shapes.oidc_client_id(written)


@pytest.mark.parametrize("item", ["", "a b", "a\n", "a\x00", 'a"', "a\\b", "ä", "a\x7f", "\u202eevil"])
def test_a_scope_has_no_space_quote_or_control_character(item: str) -> None:
    """RFC 6749 section 3.3: scope-token; the message cannot steer a terminal."""
    with pytest.raises(shapes.BadValueError) as caught:
        shapes.scopes([item], is_oidc=True)
    assert caught.value.why.isprintable()


@pytest.mark.parametrize(("written", "seconds"), [(0, 0), (86400, 86400), ("300", 300), ("007", 7)])
def test_min_valid_is_seconds(written: object, seconds: int) -> None:
    """A number or its digits."""
    assert shapes.min_valid(written) == seconds


@pytest.mark.parametrize("written", [-1, 86401, True, "", "5m", "1e3", "1.5", 1.5, " 5", "٣", "9" * 5000, None])
def test_nothing_else_is_min_valid(written: object) -> None:
    """Over a day no token lives."""
    with pytest.raises(shapes.BadValueError, match="seconds"):
        shapes.min_valid(written)


@pytest.mark.parametrize("written", ["auto", "keyring", "file", "keyring:a.B", "keyring:pkg.mod.Class_1"])
def test_a_store_is_one_of_four_shapes(written: str) -> None:
    """As it was written."""
    assert shapes.store(written) == written


@pytest.mark.parametrize(
    "written",
    [
        "",
        "Keyring",
        "plaintext",
        "keyring:",
        "keyring:Class",
        "keyring:a..B",
        "keyring:a.B\n",
        "keyring:ä.B",
        "keyring:a.B:c",
    ],
)
def test_nothing_else_is_a_store(written: str) -> None:
    """There is no plaintext store."""
    with pytest.raises(shapes.BadValueError, match="not a store"):
        shapes.store(written)


def test_a_key_is_a_source_or_a_command() -> None:
    """Three words, or an argument list that begins with a program."""
    assert [shapes.key(word) for word in ("file", "credential", "passphrase")] == ["file", "credential", "passphrase"]
    assert shapes.key(["pass", "show"]) == ("pass", "show")
    for wrong in ("pass show", "", [], [""], ["a\0"], [1], 5):
        with pytest.raises(shapes.BadValueError):
            shapes.key(wrong)


@pytest.mark.parametrize("written", ["08:00-18:00", "22:30-06:00", "00:00-23:59"])
def test_hours_are_a_span_of_a_day(written: str) -> None:
    """Over midnight too."""
    assert shapes.hours(written) == written


@pytest.mark.parametrize("written", ["", "8-18", "24:00-25:00", "08:00-18:60", "08:00-18:00\n", "08:00"])
def test_nothing_else_is_hours(written: str) -> None:
    """Two times of day."""
    with pytest.raises(shapes.BadValueError, match="span"):
        shapes.hours(written)


def test_a_ca_file_must_be_there_and_readable(tmp_path: Path) -> None:
    """The reason is the system's, the path is whole."""
    with pytest.raises(shapes.BadValueError, match=f"cannot read {tmp_path}/no.pem: No such file"):
        shapes.ca_file("no.pem", directory=str(tmp_path), home="")
    with pytest.raises(shapes.BadValueError, match="Is a directory"):
        shapes.ca_file(str(tmp_path), directory="/", home="")
    for nonsense in ("", "a\0b"):
        with pytest.raises(shapes.BadValueError, match="cannot read"):
            shapes.ca_file(nonsense, directory=str(tmp_path), home="")
    if os.getuid() != 0:
        (tmp_path / "shut.pem").touch(mode=0)
        with pytest.raises(shapes.BadValueError, match="Permission denied"):
            shapes.ca_file("shut.pem", directory=str(tmp_path), home="")
