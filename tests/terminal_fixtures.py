"""What the tests of the terminal room share: a stream that is a terminal in memory, and one device authorization."""

from __future__ import annotations

import io
from typing import Any

import pyte

from devicelogin import models
from devicelogin.terminal import qr_code, screen, sign_in_prompt

UTF8 = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
PUBLIC = "https://microsoft.com/devicelogin"
NEWER = "https://login.microsoft.com/device"
KNOWN = frozenset({"microsoft.com", "login.microsoft.com", "www.microsoft.com"})
CLIENT_ID = "1f6c2f0e-7d3c-4a52-9b1e-2f3d4c5b6a79"


class MemoryStream(io.TextIOWrapper):
    """A text stream in memory that may say that it is a terminal."""

    def __init__(self, *, is_terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def text(self) -> str:
        """Everything written so far."""
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def terminal(columns: int = 80, rows: int = 24, *, encoding: str = "utf-8", **environ: str) -> tuple[Any, MemoryStream]:
    """Return a screen on a terminal of that size, and its stream."""
    stream = MemoryStream(is_terminal=True, encoding=encoding)
    return screen.Screen(stream, environ={**UTF8, "COLUMNS": str(columns), "LINES": str(rows), **environ}), stream


def pipe(*, encoding: str = "utf-8", **environ: str) -> tuple[Any, MemoryStream]:
    """Return a screen that is no terminal, and its stream."""
    stream = MemoryStream(is_terminal=False, encoding=encoding)
    return screen.Screen(stream, environ={**UTF8, **environ}), stream


def authorization(**changed: Any) -> models.DeviceAuthorization:
    """Return what Entra answers, with some fields `changed`."""
    fields: dict[str, Any] = {
        "user_code": "BPPVYQZMA",
        "verification_uri": PUBLIC,
        "expires_in": 900,
        "interval": 5,
        "client_id": CLIENT_ID,
        "authority": "https://login.microsoftonline.com/contoso.com",
        "scopes": ("User.Read", "openid", "profile", "offline_access"),
        "device_code": "never-shown-device-code",
    }
    return models.DeviceAuthorization(**{**fields, **changed})


def show(prompt: sign_in_prompt.SignInPrompt, **changed: Any) -> None:
    """Show an authorization with some fields `changed`; `host_name`, `app`, `tenant`, `user` and `note_below` may change too."""
    words = {"host_name": "board-7", "app": CLIENT_ID, "tenant": "contoso.com", "user": "ada", "note_below": None}
    given = {name: changed.pop(name, value) for name, value in words.items()}
    prompt.show(authorization(**changed), **given)


def seen(text: str, columns: int, rows: int) -> pyte.Screen:
    """Return what stands on a terminal of that size after `text`; the driver adds carriage returns, as a tty does."""
    emulated = pyte.Screen(columns, rows)
    pyte.Stream(emulated).feed(text.replace("\n", "\r\n"))
    return emulated


def qr_modules(emulated: pyte.Screen) -> list[list[bool]]:
    """Return what a camera would see dark of the QR code on a terminal, two rows for each row of cells.

    Its cells are those with a background of their own; half blocks are read as such, spaces as their background.
    """
    modules = []
    for y in range(emulated.lines):
        cells = [emulated.buffer[y][x] for x in range(emulated.columns)]
        painted = [cell for cell in cells if cell.bg in {"black", "white", "000000", "ffffff"}]
        if not painted:
            continue
        upper, lower = [], []
        for cell in painted:
            assert cell.data in " \u2580\u2584"
            is_dark = cell.bg == "000000" if len(cell.bg) == 6 else not cell.reverse
            upper.append(is_dark is not (cell.data == "\u2580"))
            lower.append(is_dark is not (cell.data == "\u2584"))
        modules += [upper, lower]
    return modules


def is_whole_qr_code(emulated: pyte.Screen, text: str) -> bool:
    """Tell whether the QR code for `text` stands on a terminal with a quiet zone of 4 or 2, in half blocks or full ones.

    False where there is none; a part of one, or another one, is an error.
    """
    modules = qr_modules(emulated)
    if not modules:
        return False
    for zone in qr_code.QUIET_ZONES:
        wanted = qr_code.modules(text, quiet_zone=zone)
        assert isinstance(wanted, list)
        side = len(wanted)
        half = [*wanted, [False] * side] if side % 2 else wanted
        full = [[module for module in row for _ in range(2)] for row in wanted for _ in range(2)]
        if modules in (half, full):
            return True
    message = "there is part of a QR code, or a wrong one"
    raise AssertionError(message)
