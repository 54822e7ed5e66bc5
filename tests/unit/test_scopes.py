"""Scopes asked for and scopes granted, compared as the providers mean them."""

from __future__ import annotations

import pytest

from devicelogin.signin import scopes

GRAPH = "https://graph.microsoft.com"


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("User.Read", "user.read"),
        ("user.read", "User.Read openid"),
        ("User.Read", f"{GRAPH}/User.Read"),
        (f"{GRAPH}/user.read", "User.Read"),
        (f"{GRAPH}/.default", "User.Read Mail.Read"),
        (".default", "User.Read"),
        ("openid profile offline_access email User.Read", "User.Read"),
        ("https://graph.example/User.Read", "User.Read"),
        ("https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/IMAP.AccessAsUser.All"),
    ],
)
def test_what_was_granted_in_another_form_is_not_missing(asked: str, granted: str) -> None:
    """Neither case, nor the short form of a Graph scope, nor what providers never name makes a warning."""
    assert scopes.missing(tuple(asked.split()), tuple(granted.split()), graph_root="https://graph.example") == ()


@pytest.mark.parametrize(
    ("asked", "granted", "missing"),
    [
        ("User.Read Mail.Read", "User.Read", ("Mail.Read",)),
        ("User.Read Mail.Read Files.Read", "mail.read", ("User.Read", "Files.Read")),
        ("https://outlook.office.com/User.Read", "User.Read", ("https://outlook.office.com/User.Read",)),
        ("User.Read", "", ("User.Read",)),
    ],
)
def test_what_was_not_granted_is_named_as_it_was_asked_for(asked: str, granted: str, missing: tuple[str, ...]) -> None:
    """In the order asked, and a scope of another resource is another scope."""
    assert scopes.missing(tuple(asked.split()), tuple(granted.split())) == missing
