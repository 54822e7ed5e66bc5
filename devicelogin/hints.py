"""What hints are made of: commands to be pasted, which name their profile in one spelling, and the word that was meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMMAND = re.compile(
    r"\bdevicelogin (login|logout|status|token|graph|doctor|keepalive|store move|store rekey)\b(?! --profile)"
)

#: How alike two words are, 0 to 1, before one is suggested for the other.
_ALIKE = 0.75


def command(words: str, profile: str) -> str:
    """Return `devicelogin WORDS` for `profile`: `command("login", "work")` is `devicelogin login --profile work`."""
    return for_profile(f"devicelogin {words}", profile)


def login(profile: str) -> str:
    """Return the command that signs in to `profile`."""
    return command("login", profile)


def for_profile(hint: str, profile: str) -> str:
    """Return `hint` with `--profile` in every command of ours, unless the profile is the default one."""
    return hint if profile == "default" else _COMMAND.sub(rf"devicelogin \1 --profile {profile}", hint)


def nearest(wrong: str, names: Iterable[str]) -> str | None:
    """Return the name most like `wrong`, compared without dashes, underscores and capitals; None if none is alike."""
    import difflib  # only for a mistake

    plain = {_plain(name): name for name in names}
    typed = _plain(wrong)
    # Two letters in the wrong order: difflib finds a short word with such a slip too unlike.
    swapped = (typed[:at] + typed[at + 1] + typed[at] + typed[at + 2 :] for at in range(len(typed) - 1))
    found = [word for word in swapped if word in plain] or difflib.get_close_matches(typed, plain, n=1, cutoff=_ALIKE)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()
