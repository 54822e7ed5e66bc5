"""Which Graph root belongs to which login host."""

from __future__ import annotations

import pytest

from devicelogin import clouds


@pytest.mark.parametrize(
    ("login_host", "document_says", "root"),
    [
        ("login.microsoftonline.com", None, "https://graph.microsoft.com"),
        ("LOGIN.microsoftonline.com:443", None, "https://graph.microsoft.com"),
        ("login.microsoftonline.us", None, "https://graph.microsoft.us"),
        ("login.microsoftonline.us", "dod-graph.microsoft.us", "https://dod-graph.microsoft.us"),
        ("login.partner.microsoftonline.cn", None, "https://microsoftgraph.chinacloudapi.cn"),
        ("login.chinacloudapi.cn", None, "https://microsoftgraph.chinacloudapi.cn"),
        ("login.sovcloud-identity.fr", "graph.example.fr", "https://graph.example.fr"),
        ("localhost:8443", "LOCALHOST:9443", "https://localhost:9443"),
        ("login.example.org", "graph.example.org:443", "https://graph.example.org"),
    ],
)
def test_every_cloud_has_its_graph_root(login_host: str, document_says: str | None, root: str) -> None:
    """The table names each cloud's root; the document chooses where one login host serves two clouds."""
    assert clouds.graph_root_for(login_host, document_says) == root


@pytest.mark.parametrize("host", sorted(clouds.KNOWN_LOGIN_HOSTS - {"login-us.microsoftonline.com"}))
def test_a_forged_document_of_a_known_host_cannot_move_the_tokens(host: str) -> None:
    """A discovery document cannot send a known cloud's access tokens to another host."""
    if clouds.graph_root_for(host):
        assert clouds.graph_root_for(host, "graph.evil.example") == clouds.graph_root_for(host)
    assert host == host.lower()


@pytest.mark.parametrize("host", ["login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn"])
def test_national_clouds_have_roots_of_their_own(host: str) -> None:
    """A known host needs no document."""
    assert clouds.graph_root_for(host).startswith("https://")


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "graph.example/path",
        "user@graph.example",
        "graph.example?x",
        "graph.example#x",
        "https://graph.example",
        "graph .example",
        "graph.example\n",
        "graph.example:99999999",
        ".",
        "..",
        "-x",
        "gräph.example",
        "a" * 300,
        7,
        None,
        ["graph.example"],
        {"host": "graph.example"},
    ],
)
def test_nonsense_in_the_document_names_no_graph_root(nonsense: object) -> None:
    """What is not the shape of a host name is not made into a URL."""
    assert clouds.graph_root_for("login.example.org", nonsense) == ""
    assert clouds.graph_root_for("login.microsoftonline.com", nonsense) == "https://graph.microsoft.com"


def test_the_code_is_asked_for_on_microsofts_own_hosts() -> None:
    """Every verification page Microsoft has been seen to use is known, and none of another owner."""
    assert {"microsoft.com", "www.microsoft.com", "login.microsoft.com"} <= clouds.VERIFICATION_HOSTS
    owners = ("microsoft.com", ".microsoft.com", ".microsoftonline.com", ".microsoftonline.us", ".microsoftonline.cn")
    assert all(host.endswith(owners) for host in clouds.VERIFICATION_HOSTS)
    assert clouds.DEFAULT_LOGIN_HOST in clouds.KNOWN_LOGIN_HOSTS
