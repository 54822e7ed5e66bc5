"""Hints that name a command: with the profile it is meant for, so that it can be pasted as it stands."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\bdevicelogin (?=(?:login|logout|status|store)\b)")


def for_profile(hint: str, profile: str) -> str:
    """Return `hint` with `--profile` in every command of ours, unless the profile is the default one."""
    return hint if profile == "default" else _COMMAND.sub(f"devicelogin --profile {profile} ", hint)
