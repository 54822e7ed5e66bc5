"""The process that runs `on_login_needed` when the command that needed a person has ended, and notes how that went."""

from __future__ import annotations

import json
import os
import sys

from devicelogin import settings
from devicelogin.unattended import hooks, login_needed


def main() -> None:
    """Do the one task on stdin."""
    task = json.loads(sys.stdin.buffer.read())
    ending = hooks.run(task["command"], task["variables"])
    login_needed.note_outcome(settings.locate(os.environ).of(task["profile"]), task["episode"], ending)


if __name__ == "__main__":
    main()
