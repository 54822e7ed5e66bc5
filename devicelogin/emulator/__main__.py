"""Entry point of `python -m devicelogin.emulator`."""

from __future__ import annotations

import sys

from devicelogin.emulator import standalone

if __name__ == "__main__":
    standalone.run(sys.argv[1:])
