"""The help of every command fits the screen that it is read on, and shows how the command is typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from devicelogin.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many lines of help may there be at most? A screen has 24, and the prompt needs one.
LINES = 23

#: What takes nothing but its name; an example would say that once more.
BARE = {"devicelogin keepalive install", "devicelogin keepalive remove", "devicelogin keepalive show"}


def contexts(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context of 80 columns for the command and for those below it."""
    settings = {**command.context_settings, "terminal_width": 80}
    context = click.Context(command, parent, name, **settings)
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from contexts(found, below, context)


ALL = {context.command_path: context.get_help() for context in contexts(main._program, "devicelogin")}


@pytest.mark.parametrize("path", ALL)
def test_help_fits_80_columns_and_shows_how_it_is_typed(path: str) -> None:
    """And a screen, with its examples."""
    lines = ALL[path].splitlines()
    assert max(map(len, lines)) <= 80, ALL[path]
    assert len(lines) <= LINES, ALL[path]
    examples = [
        number for number, line in enumerate(lines) if re.match(r" +(devicelogin|source <\(devicelogin) ", line)
    ]
    assert path in BARE or examples, ALL[path]


def test_every_command_has_help() -> None:
    """Those that are imported when they are called are among them."""
    assert {"devicelogin", "devicelogin store move", "devicelogin keepalive show", "devicelogin completion"} <= set(ALL)
    assert len(ALL) >= 15
