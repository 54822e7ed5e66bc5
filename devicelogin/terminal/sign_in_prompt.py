"""The sign-in as a person sees it: the prompt, the countdown while they type on their phone, and a clean end.

The terminal is never put into another mode: no hidden cursor, no raw input. So nothing can be left behind, however the
process ends, but a countdown line, and that is erased on every way out that Python takes.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devicelogin import errors, redaction
from devicelogin.terminal import prompt_layout, qr_code, screen, verification_uri

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from types import TracebackType
    from typing import Self

    from devicelogin.models import DeviceAuthorization

#: After how many seconds without an answer is the hint about a web page that refused given?
BLOCKED_HINT_AFTER = 120

BLOCKED_HINT = (
    "If the page says that the sign-in was blocked (53003, 530033 or similar), press Ctrl-C: this code will never be "
    "accepted. An administrator must allow the device code flow."
)

#: How long may a user code, and one fact about the sign-in, be on the screen?
_LONGEST_CODE = 64
_LONGEST_FACT = 300

_ERASE = "\r\x1b[K"


@dataclass(slots=True)
class _Drawn:
    """A prompt that stands on the terminal: what it says, its lines, and the window that it was drawn for."""

    text: prompt_layout.PromptText
    uri: str
    below: list[str]
    lines: list[str]
    shape: qr_code.Shape | None
    width: int
    size: tuple[int, int]


class SignInPrompt:
    """Shows one device-code sign-in on a screen, from the code to the end. A context manager: leaving it cleans up.

    `known_hosts` are the hosts on which the identity provider's sign-in page may lie, besides the authority's own;
    None judges no host. With `copy` the code goes to the clipboard of the terminal, wherever that is. Without `live`
    nothing is written in place, because others write between the lines.
    """

    def __init__(
        self,
        target: screen.Screen,
        *,
        qr: qr_code.Wanted = "auto",
        known_hosts: AbstractSet[str] | None = None,
        copy: bool = False,
        live: bool = True,
    ) -> None:
        self._screen = target
        self._qr = qr
        self._known_hosts = known_hosts
        self._copy = copy
        self._is_live = live
        self._drawn: _Drawn | None = None
        self._resting: tuple[int, int] | None = None
        self._countdown = ""
        self._is_drawing = False
        self._expires_in = 0.0
        self._minutes = -1
        self._hint_was_given = False
        self._is_in_trouble = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def show(
        self,
        authorization: DeviceAuthorization,
        *,
        host_name: str,
        app: str,
        tenant: str,
        user: str | None = None,
        note_below: str | None = None,
    ) -> None:
        """Show where to go, the code and who asks; again for a new code after one that expired.

        The lines of `note_below`, words of our own, stand under it. Raises `BadAnswerError`, before anything is
        written, if the server's address is none to send a person to; `OutputError` where it cannot be written: nobody
        waits for a code that was not shown. Whatever is written later is optional.
        """
        self._erase()
        self._expires_in = 0.0
        self._minutes = -1
        self._hint_was_given = False
        uri = verification_uri.for_qr_code(authorization)
        host = verification_uri.require_clean(authorization.verification_uri)
        warning = None
        if not verification_uri.is_known(host, authorization.authority, self._known_hosts):
            warning = (
                f"WARNING: {host} is not known as a host of this identity provider. Do not open it unless you know why."
            )
        bare_code = redaction.printable(authorization.user_code, limit=_LONGEST_CODE)
        code = grouped(bare_code)
        can_copy = self._copy and self._screen.has_clipboard and bare_code == authorization.user_code
        text = prompt_layout.PromptText(
            address=redaction.printable(authorization.verification_uri, limit=verification_uri.LONGEST),
            facts=_facts(authorization, host_name=host_name, app=app, tenant=tenant, user=user),
            warning=warning,
            code=code,
            bare_code=bare_code if code != bare_code else None,
            copied=self._words_on_copy(can_copy=can_copy) if self._copy else None,
        )
        below = (note_below or "").splitlines()
        if self._screen.is_plain:
            self._draw(self._sentences(text) + below)
        else:
            self._drawn = self._arranged(text, uri, below)
            self._draw(self._drawn.lines)
        if can_copy:
            self._screen.copy(bare_code)

    def _words_on_copy(self, *, can_copy: bool) -> str:
        """Return what became of the wish to have the code on the clipboard. Whether it got there, no terminal tells."""
        if not self._screen.has_clipboard:
            return "(not copied: no terminal with a clipboard)"
        if not can_copy:
            return "(not copied: it holds characters that are not shown)"
        return f"(sent to your terminal's clipboard{', through tmux' if self._screen.is_in_tmux else ''})"

    def _draw(self, lines: list[str]) -> None:
        self._is_drawing = not self._screen.is_plain
        self._screen.is_optional = False
        try:
            self._screen.write("".join(f"{line}\n" for line in lines))
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is closed"
            raise errors.OutputError(
                f"cannot show the sign-in code on stderr: {reason}", hint="look at what stderr is connected to"
            ) from error
        finally:
            self._screen.is_optional = True
        self._is_drawing = False

    def _sentences(self, text: prompt_layout.PromptText) -> list[str]:
        """Return whole sentences: they go into log files, through pipes and to screen readers."""
        lines = [text.warning] if text.warning else []
        lines += ["To sign in, open this address on a phone or any computer:", f"  {text.address}"]
        lines.append(f"and enter the code:  {text.code}")
        if text.bare_code:
            lines.append(f"(without the dashes: {text.bare_code})")
        if text.copied:
            lines.append(text.copied)
        lines.append("This sign-in was started by:")
        lines += [f"  {label}: {value}" for label, value in text.facts]
        lines.append(prompt_layout.SENTENCE)
        if self._qr in {"half", "full", "ascii"} and not text.warning:
            lines.append("No QR code: this is not a terminal that can draw one")
        return lines

    def _arranged(self, text: prompt_layout.PromptText, uri: str, below: list[str]) -> _Drawn:
        """Return the prompt for the window as it is now."""
        target = self._screen
        has_blocks = target.is_utf8 if self._qr == "auto" else target.encodes_blocks
        shapes = qr_code.shapes(uri, wanted=self._qr, has_blocks=has_blocks, has_half_blocks=target.has_half_blocks)
        if text.warning:
            shapes = qr_code.NoQrCode("")
        is_unsure = self._qr == "auto" and has_blocks and not target.has_half_blocks
        columns, rows = target.columns, target.rows
        plan = prompt_layout.arrange(
            text,
            shapes,
            columns=columns,
            rows=rows,
            looks=self._looks(),
            advice="; or --qr half, if the font has half blocks" if is_unsure else "",
        )
        lines = [self._styled(line) for line in plan.above]
        width = max((line.width for line in plan.above + plan.below), default=0)
        if plan.shape is not None:
            code = qr_code.render(
                uri,
                style=plan.shape.style,
                quiet_zone=plan.shape.quiet_zone,
                fixed_colours=target.has_fixed_colours,
            )
            lines += self._side_by_side(code, plan.shape.columns, plan.beside)
            beside = max((line.width + prompt_layout.GAP for line in plan.beside), default=0)
            width = max(width, plan.shape.columns + beside)
        lines += [self._styled(line) for line in plan.below]
        return _Drawn(text, uri, below, lines + below, plan.shape, min(width, columns - 1), (columns, rows))

    def _looks(self) -> tuple[prompt_layout.Look, ...]:
        """Return how the code may be drawn on this screen, best first."""
        looks: tuple[prompt_layout.Look, ...] = ("plate", "line") if self._screen.has_colours else ("line",)
        # Whoever asks for the ASCII style says that the font lacks block characters.
        return ("big", *looks) if self._screen.has_half_blocks and self._qr != "ascii" else looks

    def _redraw_if_broken(self) -> None:
        """Draw the prompt anew once a window that was resized has come to rest, if it no longer holds it or now can.

        A window that became larger keeps what stands there, but for a QR code that had no room before.
        """
        drawn = self._drawn
        if drawn is None:
            return
        size = (self._screen.columns, self._screen.rows)
        if size == drawn.size:
            self._resting = size
            return
        if size != self._resting:
            self._resting = size
            return
        height = len(drawn.lines) + prompt_layout.FREE_ROWS
        anew = self._arranged(drawn.text, drawn.uri, drawn.below)
        is_broken = size[0] <= drawn.width or size[1] < min(height, drawn.size[1])
        if is_broken or (drawn.shape is None and anew.shape is not None):
            self._drawn = anew
            self._countdown = ""
            self._screen.clear()
            self._screen.write("".join(f"{line}\n" for line in anew.lines))
            if self._hint_was_given:
                self._say(BLOCKED_HINT)
        else:
            drawn.size = size

    def _side_by_side(self, code: list[str], width: int, beside: list[prompt_layout.Line]) -> list[str]:
        lines = []
        for number in range(max(len(code), len(beside))):
            left = code[number] if number < len(code) else " " * width
            right = self._styled(beside[number]) if number < len(beside) else ""
            lines.append(f"{left}{' ' * prompt_layout.GAP}{right}" if right else left)
        return lines

    def _styled(self, line: prompt_layout.Line) -> str:
        if not line.text:
            return ""
        shown = self._screen.styled(line.text, line.style)
        return " " * line.indent + (self._screen.linked(shown, line.text) if line.style == "address" else shown)

    def waiting(self, seconds_left: float, *, note: str | None = None) -> None:
        """Say how long the code still lives: in place on a terminal (call it once a second), a line a minute elsewhere.

        `note` is a few words that stand behind it. In the background as well it is a line a minute: a countdown would be
        written over what a person types at their shell.
        """
        is_live = self._is_live and self._screen.is_in_foreground
        if is_live:
            self._redraw_if_broken()
        else:
            self._countdown = ""
        self._expires_in = max(self._expires_in, seconds_left)
        if not self._hint_was_given and self._expires_in - seconds_left >= BLOCKED_HINT_AFTER:
            self._hint_was_given = True
            self._say(BLOCKED_HINT)
        seconds = max(0, math.ceil(seconds_left))
        if self._is_in_trouble and note is None:
            note = "network trouble, still trying"
        tail = f" ({redaction.printable(note)})" if note else ""
        if self._screen.is_plain or not is_live:
            self._count_minutes(math.ceil(seconds / 60), tail)
            return
        text = self._countdown_text(f"{seconds // 60}:{seconds % 60:02}", tail)
        if text != self._countdown:
            self._countdown = text
            self._screen.write(f"\r{text}\x1b[K")

    def _countdown_text(self, left: str, tail: str) -> str:
        """Return the longest wording that leaves the last column free, where a terminal would wrap."""
        room = self._screen.columns - 1
        for wording in (f"Waiting for you to sign in; the code expires in {left}", f"The code expires in {left}"):
            if screen.cell_width(wording + tail) <= room:
                return wording + tail
        return screen.cut((wording if screen.cell_width(wording) <= room else left) + tail, room)

    def _count_minutes(self, minutes: int, tail: str) -> None:
        if minutes == self._minutes:
            return
        self._minutes = minutes
        self._screen.line(f"Waiting; the code expires in {minutes} minute{'' if minutes == 1 else 's'}{tail}")

    def trouble(self, message: str) -> None:
        """Say that a poll failed for a reason that may pass; once, until `recovered` is called."""
        if self._is_in_trouble:
            return
        self._is_in_trouble = True
        self._say(f"Network trouble ({redaction.printable(message)}); still trying until the code expires.")

    def recovered(self) -> None:
        """Note that a poll was answered, so that the next trouble is said again."""
        if self._is_in_trouble:
            self._is_in_trouble = False
            self._say("The network is back.")

    def done(self, *lines: str) -> None:
        """End the countdown and write `lines`, which may hold server text."""
        self._erase()
        for text in lines:
            line = redaction.printable(text, limit=verification_uri.LONGEST)
            for part in [line] if self._screen.is_plain else screen.wrapped(line, self._screen.columns - 1):
                self._screen.line(part)

    def close(self) -> None:
        """Erase the countdown line, end a half-drawn prompt. Never raises: it runs while another error is on its way."""
        with contextlib.suppress(OSError, ValueError):
            if self._is_drawing:
                self._is_drawing = False
                self._screen.write("\x1b[0m\n")
            self._erase()

    def _say(self, text: str) -> None:
        """Write a message of our own above the countdown line."""
        self._erase()
        lines = [text] if self._screen.is_plain else screen.wrapped(text, self._screen.columns - 1)
        for line in lines:
            self._screen.line(line)

    def _erase(self) -> None:
        if self._countdown:
            self._screen.write(_ERASE)
            self._countdown = ""


def _facts(
    authorization: DeviceAuthorization, *, host_name: str, app: str, tenant: str, user: str | None
) -> tuple[tuple[str, str], ...]:
    """Return who asks, made printable."""
    facts = [("host", f"{host_name}, user {user}" if user else host_name), ("app", app)]
    if authorization.client_id not in app:
        facts.append(("client", authorization.client_id))
    facts.append(("tenant", tenant))
    if authorization.scopes:
        facts.append(("scopes", ", ".join(authorization.scopes)))
    return tuple((label, redaction.printable(value, limit=_LONGEST_FACT)) for label, value in facts)


def grouped(user_code: str) -> str:
    """Return `user_code` in groups of three or four, with dashes; as it is where it has separators or is short."""
    if not user_code.isalnum() or len(user_code) <= 4:
        return user_code
    count = -(-len(user_code) // 4)
    size, larger = divmod(len(user_code), count)
    groups = []
    start = 0
    for number in range(count):
        end = start + size + (1 if number < larger else 0)
        groups.append(user_code[start:end])
        start = end
    return "-".join(groups)
