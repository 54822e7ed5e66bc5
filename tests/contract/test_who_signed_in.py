"""Who a person is: what the provider vouches for, never what people call themselves."""

from __future__ import annotations

import dataclasses
import json

import pytest
import sandbox

from devicelogin import errors
from devicelogin.emulator import User, directory

MALLORY = User(
    user_principal_name="",
    display_name="ada@contoso.com",
    given_name="Ada",
    surname="Lovelace",
    object_id="mallory",
    email="",
)


def login(box: sandbox.Box, user: User, *arguments: str) -> sandbox.Result:
    """Run a `login` at the OpenID provider that `user` approves."""
    box.emulator.users.insert(0, user)
    box.emulator.approve_next(user=user)
    return box.run("login", *box.app(oidc_issuer=box.emulator.oidc_issuer, graph_root=None), *arguments)


@pytest.mark.parametrize(
    "claims",
    [
        {"display_name": "ada@contoso.com"},
        {"email": "ada@contoso.com"},
        {"email": "ada@contoso.com", "email_verified": False, "display_name": "mallory"},
        {"user_principal_name": "ada@conto\N{LATIN SMALL LETTER LONG S}o.com"},
        {"user_principal_name": "\N{CYRILLIC SMALL LETTER A}da@contoso.com"},
        {"user_principal_name": "ada@contoso.com\N{ZERO WIDTH SPACE}"},
        {"user_principal_name": "ada@contoso.com "},
        {"user_principal_name": "ada@contoso.com\n"},
        {"user_principal_name": "ada@contoso.com\N{NO-BREAK SPACE}"},
        {"user_principal_name": "ada", "email": "ada@contoso.com"},
        {"email": "ada@contoso.com ", "email_verified": True},
        {"given_name": "ada@contoso.com", "surname": "ada@contoso.com"},
    ],
    ids=str,
)
def test_nobody_passes_for_another_by_what_they_call_themselves(box: sandbox.Box, claims: dict[str, object]) -> None:
    """SECURITY: a display name, an address that nobody verified and a look-alike are no user name; nothing is saved."""
    result = login(box, dataclasses.replace(MALLORY, **claims), "--expect-user", "ada@contoso.com")
    assert result.status == 5
    assert "ada@contoso.com signed in" not in result.err
    assert box.run("status", "--check").status == 4


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"user_principal_name": "Ada@Contoso.com"}, "ada@contoso.COM"),
        ({"email": "ada@contoso.com", "email_verified": True}, "ada@contoso.com"),
        ({"email": "ada@contoso.com", "email_verified": True, "user_principal_name": "ada"}, "Ada@contoso.com"),
        ({"email": "ada@contoso.com", "email_verified": True, "user_principal_name": "ada"}, "ada"),
        ({"object_id": "f:4711:ada"}, "f:4711:ada"),
        ({"user_principal_name": "jürgen@contoso.com"}, "JÜRGEN@contoso.com"),
        ({"user_principal_name": "иван@contoso.com"}, "иван@contoso.com"),
    ],
    ids=str,
)
def test_user_name_verified_address_and_subject_name_a_person(
    box: sandbox.Box, claims: dict[str, object], expected: str
) -> None:
    """However a user name is capitalized; letters of another alphabet are the same ones to both sides."""
    assert login(box, dataclasses.replace(MALLORY, **claims), "--expect-user", expected).status == 0


def test_a_user_name_of_white_space_is_none(box: sandbox.Box) -> None:
    """Then the next claim says who it is: no line reads as if nobody had signed in."""
    result = login(box, dataclasses.replace(MALLORY, user_principal_name=" \t"))
    assert "Signed in as mallory (" in result.err


def test_if_needed_knows_the_expected_user_by_the_verified_address(box: sandbox.Box) -> None:
    """The trace of a sign-in keeps the address, so that provisioning need not ask again who signed in."""
    ada = dataclasses.replace(MALLORY, user_principal_name="ada", email="ada@contoso.com", email_verified=True)
    assert login(box, ada).status == 0
    again = box.run(
        "login", *box.app(oidc_issuer=box.emulator.oidc_issuer, graph_root=None),
        "--if-needed", "--expect-user", "ada@contoso.com",
    )  # fmt: skip
    assert again.status == 0
    assert box.emulator.count("devicecode") == 1


def test_a_subject_is_compared_letter_by_letter(box: sandbox.Box) -> None:
    """OpenID Connect Core 2: `sub` is case-sensitive, so another spelling is another person."""
    assert login(box, MALLORY, "--expect-user", "MALLORY").status == 5


def test_where_the_user_name_stands_there_is_never_a_name(box: sandbox.Box) -> None:
    """`status` names the subject; what the person calls themselves stands in quotes where it looks like a user name."""
    result = login(box, MALLORY)
    assert 'Signed in as mallory ("ada@contoso.com")' in result.err
    told = json.loads(box.run("status", "--json").out)["profiles"][0]
    assert told["username"] == "mallory"
    assert '"ada@contoso.com" <mallory>' in box.run("status").out


def test_a_look_alike_is_told_apart_by_who_reads_it(box: sandbox.Box) -> None:
    """A letter of another alphabet among Latin ones is written as its number."""
    result = login(box, dataclasses.replace(MALLORY, user_principal_name="\N{CYRILLIC SMALL LETTER A}da@contoso.com"))
    assert r"Signed in as \u0430da@contoso.com" in result.err


def test_if_needed_does_not_take_a_name_for_the_expected_user(box: sandbox.Box) -> None:
    """The saved sign-in of somebody who calls themselves so is not the expected one's."""
    assert login(box, MALLORY).status == 0
    box.emulator.approve_next(user=MALLORY)
    again = box.run(
        "login", *box.app(oidc_issuer=box.emulator.oidc_issuer, graph_root=None),
        "--if-needed", "--expect-user", "ada@contoso.com",
    )  # fmt: skip
    assert again.status == 5


def test_the_expected_user_is_the_one_of_entra_too(box: sandbox.Box) -> None:
    """By user name or object id, and by nothing else: the display name is not compared."""
    with pytest.raises(errors.LoginNotCompletedError):
        box.sign_in(sandbox.quick(expect_user=directory.ADA.display_name))
    for expected in (directory.ADA.user_principal_name.upper(), directory.ADA.object_id.upper()):
        box.sign_in(sandbox.quick(expect_user=expected))
