"""Options that several commands have."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from devicelogin.cli import waiting
from devicelogin.cli.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click import shell_completion

    from devicelogin import clock

    Complete = Callable[[click.Context, click.Parameter, str], "list[str] | list[shell_completion.CompletionItem]"]

#: In which variable does the script of a shell say what it wants to know?
COMPLETION_VARIABLE = "_DEVICELOGIN_COMPLETE"

Command = TypeVar("Command", bound="Callable[..., Any]")


def profile_option(command: Command) -> Command:
    """Let `--profile` stand after the command as well."""

    def remember(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.ensure_object(Invocation).profile = value

    option = click.option(
        "-p",
        "--profile",
        metavar="NAME",
        expose_value=False,
        callback=remember,
        shell_complete=profile_names,
        help="The saved sign-in to use.",
    )
    return option(command)


def profile_names(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of profiles that begin with what was typed."""
    from devicelogin import settings

    return [name for name in settings.locate(os.environ).profile_names() if name.startswith(incomplete)]


def file_names(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[shell_completion.CompletionItem]:
    """Let the shell offer its files."""
    from click import shell_completion

    return [shell_completion.CompletionItem(incomplete, type="file")]


def one_of(words: Sequence[str]) -> Complete:
    """Return what offers `words` for an option that takes something else as well, or says itself what it takes."""

    def offer(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offer


def json_option(text: str) -> Callable[[Command], Command]:
    """Return the option `--json`, which also turns errors into JSON."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
        context.ensure_object(Invocation).as_json = value
        return value

    return click.option("--json", "as_json", is_flag=True, callback=remember, is_eager=True, help=text)


def wait_for_clock_option(command: Command) -> Command:
    """Give a command that needs the network `--wait-for-clock`; it gets a `clock.ClockWait` as `clock_wait`."""

    def make(context: click.Context, _parameter: click.Parameter, value: int) -> clock.ClockWait:
        # While a shell asks what may be typed, nothing is waited for, and nothing is said.
        return waiting.clock_wait(context.ensure_object(Invocation), 0 if context.resilient_parsing else value)

    option = click.option(
        "--wait-for-clock",
        "clock_wait",
        type=click.IntRange(0, 86400),
        default=0,
        metavar="SECONDS",
        callback=make,
        help="Wait so long for a clock that is not set yet.",
    )
    return option(command)
