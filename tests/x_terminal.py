"""A real terminal on a screen in memory: xterm under Xvfb, plain or with tmux or screen in it, and what a camera sees."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import time
from typing import TYPE_CHECKING

import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: Foreground, background, and what the scheme makes of the colours 0 to 15 that a program may ask for by name.
Scheme = tuple[str, str, dict[int, str]]

SCHEMES: dict[str, Scheme] = {
    "dark": ("#d0d0d0", "#000000", {}),
    "light": ("#202020", "#ffffff", {}),
    "solarized": ("#839496", "#002b36", {0: "#073642", 7: "#eee8d5", 8: "#002b36", 15: "#fdf6e3"}),
    "low contrast": ("#8a8a8a", "#6a6a6a", {0: "#606060", 7: "#909090", 15: "#a0a0a0"}),
}

#: Fonts with block characters: two that are scaled, the second with half blocks that do not fill their half, and one of pixels.
FONTS = {
    "DejaVu": ["-fa", "DejaVu Sans Mono", "-fs", "10"],
    "Liberation": ["-fa", "Liberation Mono", "-fs", "10"],
    "9x15": ["-fn", "-misc-fixed-medium-r-normal--15-140-75-75-c-90-iso10646-1"],
}

#: Where they are: xterm takes another font for one that is missing, and says nothing.
FONT_FILES = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationMono-Regular.ttf",
    "/usr/share/fonts/X11/misc/9x15.pcf.gz",
    "/usr/share/fonts/X11/misc/9x15-ISO8859-1.pcf.gz",
)

#: A font that has none: the Latin-1 part of the last one.
WITHOUT_BLOCKS = ["-fn", "-misc-fixed-medium-r-normal--15-140-75-75-c-90-iso8859-1"]

#: What stands between the program and the terminal.
AROUND = ("plain", "tmux", "screen")

#: How a phone may see a screen: as it is, out of focus, from afar, from near, held obliquely, and all at once.
CAMERA = {
    "as it is": [],
    "blurred": ["-blur", "0x1.2"],
    "scaled down": ["-resize", "75%"],
    "scaled up": ["-resize", "160%"],
    "turned by 4 degrees": ["-background", "#303030", "-rotate", "4"],
    "all at once": ["-blur", "0x0.8", "-resize", "130%", "-background", "#303030", "-rotate", "4"],
}

#: How long may a terminal take to show what it was told, on a busy machine (seconds)?
PATIENCE = sandbox.SOON


@contextlib.contextmanager
def display(size: str = "1100x860") -> Iterator[str]:
    """Run a screen in memory of `size` pixels; yields its name. The server chooses the number, so that several may run at a time."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with open(read_end, encoding="ascii") as answer:
            number = answer.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(PATIENCE)


@contextlib.contextmanager
def terminal(
    shown_on: str,
    home: Path,
    command: Sequence[str],
    *,
    size: str = "80x24",
    scheme: str | Scheme = "dark",
    font: Sequence[str] = tuple(FONTS["DejaVu"]),
    around: str = "plain",
    term: str = "xterm-256color",
    resources: Sequence[str] = (),
) -> Iterator[dict[str, str]]:
    """Run `command` in an xterm of that look on the screen `shown_on`; yields the environment that its programs have.

    The sockets of tmux and screen lie under `home`.
    """
    foreground, background, palette = SCHEMES[scheme] if isinstance(scheme, str) else scheme
    look = ["-fg", foreground, "-bg", background]
    look += [part for number, colour in palette.items() for part in ("-xrm", f"XTerm*color{number}: {colour}")]
    look += [part for resource in resources for part in ("-xrm", resource)]
    sockets = home / "sockets"
    sockets.mkdir(mode=0o700, exist_ok=True)
    environ = {
        name: value for name, value in os.environ.items() if name not in {"TMUX", "STY", "NO_COLOR", "FORCE_COLOR"}
    }
    environ |= {"DISPLAY": shown_on, "LC_ALL": "C.UTF-8", "NO_AT_BRIDGE": "1", "SHELL": "/bin/sh"}
    environ |= {"TMUX_TMPDIR": str(sockets), "SCREENDIR": str(sockets)}
    inside = {
        "plain": [],
        "tmux": ["tmux", "-f", "/dev/null", "new-session"],
        "screen": ["screen", "-c", "/dev/null", "-U", "-S", "test"],
    }[around]
    program = subprocess.Popen(
        ["xterm", "-u8", "-tn", term, *font, *look, "-geometry", f"{size}+0+0", "-e", *inside, *command],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield environ
    finally:
        for end in {"tmux": ["tmux", "kill-server"], "screen": ["screen", "-S", "test", "-X", "quit"]}.items():
            if end[0] == around:
                subprocess.run(end[1], env=environ, capture_output=True, timeout=PATIENCE, check=False)
        program.terminate()
        program.wait(PATIENCE)


def picture(shown_on: str, target: Path, window: str = "root") -> Path:
    """Write what stands on the screen, or in the window of that title, into `target`."""
    subprocess.run(["import", "-display", shown_on, "-window", window, target], check=True, timeout=PATIENCE)
    return target


def seen_by_camera(source: Path, view: Sequence[str]) -> Path:
    """Return the picture `source` as a camera sees it: the arguments of `convert`."""
    if not view:
        return source
    target = source.with_name("camera.ppm")
    # It is held up to the code, not to the whole screen.
    part = ["-crop", "480x640+0+0", "+repage"]
    subprocess.run(["convert", source, *part, *view, target], check=True, timeout=PATIENCE)
    return target


def decoded(source: Path) -> list[str]:
    """Return what zbarimg reads of the QR codes in a picture; dark ones on light, which is all that it looks for."""
    done = subprocess.run(
        ["zbarimg", "--raw", "-q", "--nodbus", "-S*.enable=0", "-Sqrcode.enable=1", source],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.stdout.splitlines()


def when_decoded(shown_on: str, target: Path, ready: Path) -> list[str]:
    """Return what is read from the screen once the program has made the file `ready`, tried until the patience ends."""
    end = time.monotonic() + PATIENCE
    found: list[str] = []
    while not found and time.monotonic() < end:
        if ready.exists():
            found = decoded(picture(shown_on, target))
        if not found:
            time.sleep(0.05)
    return found


def when_still(shown_on: str, target: Path, ready: Path) -> Path:
    """Return a picture of what the program shows once its upper part no longer changes: below, the countdown runs."""
    end = time.monotonic() + PATIENCE
    before = b""
    while time.monotonic() < end:
        if ready.exists():
            # A picture without compression, from the top: three bytes a pixel.
            upper = picture(shown_on, target).read_bytes()[: 3 * 1100 * 200]
            if upper == before and len(set(upper[100:])) > 2:
                return target
            before = upper
        time.sleep(0.2)
    message = "the terminal did not come to rest"
    raise AssertionError(message)


def brightness_of_quiet_zone(source: Path) -> tuple[int, int]:
    """Return how bright the left quiet zone of a QR code at the left edge of the terminal is at its darkest, and how
    bright the darkest module is, from 0 to 255."""
    done = subprocess.run(
        ["convert", source, "-depth", "8", "pgm:-"], capture_output=True, check=True, timeout=PATIENCE
    )
    magic, wide, high, most = done.stdout.split(maxsplit=4)[:4]
    assert (magic, most) == (b"P5", b"255")
    width, height = int(wide), int(high)
    pixels = done.stdout[-width * height :]
    rows = [pixels[y * width : (y + 1) * width] for y in range(height)]
    strip = [min(row[4:10]) for row in rows]
    longest = max(
        (list(run) for is_light, run in itertools.groupby(range(height), lambda y: strip[y] > 160) if is_light), key=len
    )
    assert len(longest) > 200, "there is no light strip as high as a QR code"
    return min(strip[y] for y in longest), min(min(rows[y][10:200]) for y in longest)
