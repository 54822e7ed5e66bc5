"""Commands of ours to be pasted: each names the profile that it is meant for, after the command, in one spelling."""

from __future__ import annotations

import re

_COMMAND = re.compile(
    r"\bdevicelogin (login|logout|status|token|graph|doctor|keepalive|store move|store rekey)\b(?! --profile)"
)


def command(words: str, profile: str) -> str:
    """Return `devicelogin WORDS` for `profile`: `command("login", "work")` is `devicelogin login --profile work`."""
    return for_profile(f"devicelogin {words}", profile)


def login(profile: str) -> str:
    """Return the command that signs in to `profile`."""
    return command("login", profile)


def for_profile(hint: str, profile: str) -> str:
    """Return `hint` with `--profile` in every command of ours, unless the profile is the default one."""
    return hint if profile == "default" else _COMMAND.sub(rf"devicelogin \1 --profile {profile}", hint)
