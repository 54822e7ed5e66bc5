"""What the options before the command say, and the way from them to a profile's workplace."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from devicelogin import client, clock
from devicelogin.cli import output
from devicelogin.settings import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devicelogin.tokens import turn as turns

Command = TypeVar("Command", bound="Callable[..., Any]")


class Ended(BaseException):
    """A signal asked us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(slots=True)
class Invocation:
    """One call of the program. `profile` is None where nobody named one.

    `turn` is what the entry point found or leads before anything else was imported; `arguments` is what was typed.
    """

    profile: str | None = None
    verbose: bool = False
    quiet: bool = False
    as_json: bool = False
    keyring_service: str | None = None
    turn: turns.Turn | None = None
    arguments: tuple[str, ...] = ()

    @property
    def profile_name(self) -> str:
        """The profile this call is about: --profile, else DEVICELOGIN_PROFILE, else `default`."""
        return paths.check_profile_name(self.profile or os.environ.get("DEVICELOGIN_PROFILE") or "default")

    def workplace(self, flags: Mapping[str, object] | None = None) -> client.Workplace:
        """Return the workplace of the profile, with the settings that `flags` give."""
        return client.Workplace(
            self.profile_name, flags=flags or {}, environ=os.environ, keyring_service=self.keyring_service
        )

    def can_ask(self) -> bool:
        """Tell whether a person sits at a terminal: nothing prompts unless stdin and stderr are terminals."""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stderr)

    def is_at_display(self) -> bool:
        """Tell whether that person also has a display, on which a keyring may ask for its password."""
        return self.can_ask() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


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
        # Resolved after the command was parsed, so the time runs from here.
        wait = clock.ClockWait(value)
        if wait.is_needed() and not context.ensure_object(Invocation).quiet and _is_terminal(sys.stderr):
            output.say(f"devicelogin: note: this machine's clock is not set; waiting for it, {value} seconds at most")
        return wait

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


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:
        return False
