"""What the options before the command say, and the way from them to a profile's workplace."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devicelogin import client
from devicelogin.settings import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicelogin.tokens import turn as turns


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

    def places(self) -> paths.Places:
        """Return where everything of every profile lies. Raises ConfigError where that is not for us to use."""
        paths.check_home_owner(os.environ)
        return paths.locate(os.environ)

    def workplace(self, flags: Mapping[str, object] | None = None) -> client.Workplace:
        """Return the workplace of the profile, with the settings that `flags` give."""
        return client.Workplace(
            self.profile_name, flags=flags or {}, environ=os.environ, keyring_service=self.keyring_service
        )

    def can_ask(self) -> bool:
        """Tell whether a person sits at a terminal: nothing prompts unless stdin and stderr are terminals."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr)

    def is_at_display(self) -> bool:
        """Tell whether that person also has a display, on which a keyring may ask for its password."""
        return self.can_ask() and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def is_terminal(stream: Any) -> bool:
    """Tell whether `stream` is there and a terminal."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:
        return False
