"""Every page for users names commands that are there, with options that they have, and leads to pages that exist."""

from __future__ import annotations

import documentation
import pytest


@pytest.mark.parametrize("name", documentation.PAGES)
def test_every_command_of_the_page_is_one(name: str) -> None:
    """Command, options and number of arguments are known to the real parser."""
    calls = list(documentation.page(name).calls())
    assert [(words, why) for words in calls if (why := documentation.complaint(words)) is not None] == []


def test_the_reader_of_commands_finds_them_and_their_faults() -> None:
    """In pipes, quotes, assignments and paths; an option, a command and an argument that are none are each found."""
    line = 'x="$(/a/devicelogin token --format header)"; devicelogin -q doctor || devicelogin login # devicelogin no'
    assert list(documentation.calls_in(line)) == [["token", "--format", "header"], ["-q", "doctor"], ["login"]]
    assert list(documentation.calls_in("az --display-name devicelogin --x; docker build --tag=devicelogin .")) == []
    for good in ("token --min-valid=600", "-p work store move --to file", "graph POST /me --input -", "keepalive show"):
        assert documentation.complaint(good.split()) is None, good
    for bad in ("token --min", "sign-in", "store mov", "status work", "login --store", "keepalive install --daily"):
        assert (documentation.complaint(bad.split()) is None) is (bad == "login --store"), bad


@pytest.mark.parametrize("name", documentation.PAGES)
def test_every_link_of_the_page_leads_somewhere(name: str) -> None:
    """To a file of this checkout, and to a heading of it."""
    page = documentation.page(name)
    for link in page.links():
        path, _, anchor = link.partition("#")
        target = (documentation.CHECKOUT / name).parent / path if path else documentation.CHECKOUT / name
        assert target.exists(), link
        assert not anchor or anchor in documentation.Page(str(target)).anchors(), link
