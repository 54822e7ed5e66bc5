"""A real browser that looks at one page: what it shows, and what a scanner reads in that.

    picture = browser.screenshot(url, directory, size="1280,800")
    assert browser.decoded(picture) == "https://..."

Whoever uses it says `need("chromium", "zbarimg")`.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: A browser that asks nobody but the page.
_CHROMIUM = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def screenshot(url: str, directory: Path, *, size: str = "800,800") -> Path:
    """Return a picture of what a window of `size` shows of the page; the browser's files go into `directory`."""
    picture = directory / "screenshot.png"
    command = [
        *_CHROMIUM,
        f"--user-data-dir={directory}/browser",
        f"--screenshot={picture}",
        f"--window-size={size}",
        url,
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=True)
    return picture


def decoded(picture: Path) -> str:
    """Return what a scanner reads in a picture, an empty text where there is no QR code."""
    done = subprocess.run(["zbarimg", "--raw", "-q", "--nodbus", picture], capture_output=True, text=True, check=False)
    return done.stdout.removesuffix("\n")
