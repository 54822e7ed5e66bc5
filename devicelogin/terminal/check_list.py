"""The list of what `doctor` found: a line a check, and below a red or yellow one what to do about it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from devicelogin import redaction
from devicelogin.terminal import screen as screens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devicelogin.models import Finding
    from devicelogin.terminal.screen import Screen

# Words and no symbols: every encoding has them, a screen reader says them, and grep finds them.
_WORDS = {"green": "ok", "yellow": "warn", "red": "FAIL", "skipped": "skip"}
_STYLES = {"green": "green", "yellow": "yellow", "red": "red", "skipped": ""}

_WIDEST_WORD = max(map(len, _WORDS.values()))

#: How long may one text be (characters)? A hint may hold a whole command.
_LONGEST = 1000


def show(screen: Screen, findings: Sequence[Finding], *, with_details: bool = False) -> None:
    """Write `findings`, those about one thing under its name, and how many there are of each kind.

    On a terminal they are as wide as it is; elsewhere nothing is broken or coloured, so that lines can be searched.
    """
    width = screen.columns - 1 if screen.is_terminal else 100_000
    names = max((len(finding.name) for finding in findings), default=0)
    for about, group in itertools.groupby(findings, lambda finding: finding.about):
        screen.line(screen.styled(screens.cut(redaction.printable(about), width), "bold"))
        for finding in group:
            _show_one(screen, finding, names, width, with_details=with_details)
    screen.line(summary(findings))


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each kind, the worst first, in the words of their lines."""
    counts = {level: sum(1 for finding in findings if finding.level == level) for level in ("red", "yellow", "green")}
    return ", ".join(f"{count} {_WORDS[level]}" for level, count in counts.items() if count) or "0 ok"


def _show_one(screen: Screen, finding: Finding, names: int, width: int, *, with_details: bool) -> None:
    word = f"{_WORDS[finding.level]:<{_WIDEST_WORD}}"
    indent = 2 + _WIDEST_WORD + 2
    start = f"  {screen.styled(word, _STYLES[finding.level])}  {finding.name:<{names}}  "
    text = indent + names + 2
    for line in _lines(finding.message, width - text):
        screen.line((start + line).rstrip())
        start = " " * text
    if finding.hint:
        # Further to the left than the message, so that most commands stay on one line.
        for position, line in enumerate(_lines(finding.hint, width - indent - 6)):
            screen.line(" " * indent + ("hint: " if position == 0 else " " * 6) + line)
    for detail in finding.details if with_details else ():
        for line in _lines(detail, width - indent - 2):
            screen.line(" " * (indent + 2) + line)


def _lines(text: str, width: int) -> Iterator[str]:
    yield from screens.wrapped(redaction.printable(text, limit=_LONGEST), max(width, 12))
