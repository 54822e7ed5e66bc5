"""Options that several commands have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from devicelogin.cli import waiting
from devicelogin.cli.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin import clock

Command = TypeVar("Command", bound="Callable[..., Any]")


def profile_option(command: Command) -> Command:
    """Let `--profile` stand after the command as well."""

    def remember(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.ensure_object(Invocation).profile = value

    option = click.option(
        "-p", "--profile", metavar="NAME", expose_value=False, callback=remember, help="The saved sign-in to use."
    )
    return option(command)


def json_option(text: str) -> Callable[[Command], Command]:
    """Return the option `--json`, which also turns errors into JSON."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
        context.ensure_object(Invocation).as_json = value
        return value

    return click.option("--json", "as_json", is_flag=True, callback=remember, is_eager=True, help=text)


def wait_for_clock_option(command: Command) -> Command:
    """Give a command that needs the network `--wait-for-clock`; it gets a `clock.ClockWait` as `clock_wait`."""

    def make(context: click.Context, _parameter: click.Parameter, value: int) -> clock.ClockWait:
        return waiting.clock_wait(context.ensure_object(Invocation), value)

    option = click.option(
        "--wait-for-clock",
        "clock_wait",
        type=click.IntRange(0, 86400),
        default=0,
        metavar="SECONDS",
        callback=make,
        help="Wait so long until the clock has been set, on a board that boots in 1970.",
    )
    return option(command)
