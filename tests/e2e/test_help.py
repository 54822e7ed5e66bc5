"""What `--help` promises: it fits a screen, shows how the command is used, and nothing is kept from who asks for all."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

import click
import pytest

from devicelogin.cli import main

if TYPE_CHECKING:
    import sandbox


def below(name: str) -> list[str]:
    """Return the commands below the command `name`."""
    command = importlib.import_module(f"devicelogin.cli.{name}").command
    return [f"{name} {each}" for each in command.commands] if isinstance(command, click.Group) else []


#: Every command; the first is the bare program.
COMMANDS = ["", *main._COMMANDS]


def options(text: str) -> set[str]:
    """Return the long names of the options that a help lists."""
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))


@pytest.mark.parametrize("command", [*COMMANDS, *(each for name in COMMANDS[1:] for each in below(name))])
def test_help_fits_a_screen(box: sandbox.Box, command: str) -> None:
    """80 columns by 24 rows, of which the prompt needs one."""
    result = box.run(*command.split(), "--help", COLUMNS="80")
    rows = result.out.splitlines()
    assert (result.status, result.err) == (0, "")
    assert len(rows) <= 23
    assert max(len(row) for row in rows) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(box: sandbox.Box, command: str) -> None:
    """One line at least that can be typed as it stands, or nearly."""
    assert f"  devicelogin {command}".rstrip() in box.run(*command.split(), "--help").out


def test_all_options_of_login_are_told_on_demand(box: sandbox.Box) -> None:
    """The nine that few people need are not in the help of every day, and work all the same."""
    short, whole = box.run("login", "--help"), box.run("login", "--help-all")
    assert (whole.status, whole.err) == (0, "")
    left_out = {"--authority", "--oidc-issuer", "--graph-root", "--ca-file", "--copy", "--qr-image", "--renew"}
    assert options(whole.out) - options(short.out) == left_out | {"--on-code", "--wait-for-clock"}
    assert options(short.out) < options(whole.out)
    assert whole.out.startswith(short.out.partition("Options:")[0])
