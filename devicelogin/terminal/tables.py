"""Tables for people: which sign-ins are saved, where their secret lies and how long they last.

On a terminal rich fits them into its width. Elsewhere lines are as long as they need to be, and rich, half of what a `status`
in a script would take, is not imported.
"""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING, NamedTuple

from devicelogin import clock, hints, redaction
from devicelogin.terminal import screen as screens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devicelogin.models import Forecast, SignInStatus, StoreLocation
    from devicelogin.terminal.screen import Screen

_GAP = 2

#: On how few columns would a table be folded so often that nobody could read it?
_NARROW = 60

#: How many profiles are named that have the same protection?
_NAMED = 3

_HEADINGS = ("PROFILE", "WHO", "KEPT IN", "REFRESHED", "LASTS UNTIL")

#: From how many seconds on does which unit say how long ago something was?
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))

#: Which colour has a forecast? The words say the same.
_COLOURS = {"warning": "yellow", "critical": "red"}


class _Cell(NamedTuple):
    """What stands in one place of a table, and in which colour."""

    text: str
    colour: str = ""


def status_table(
    screen: Screen, statuses: Sequence[SignInStatus], forecasts: Sequence[Forecast], *, now: float | None = None
) -> None:
    """Write what is saved: one profile as a block of facts, several as a table; `forecasts` are those of `statuses`.

    `now` is in seconds since 1970; without it, the wall clock says. Elsewhere than on a terminal the columns are as
    wide as they need to be and nothing is cut, so that the lines can be searched. A terminal that is narrow, or read
    aloud, gets several blocks: each line is understood by itself there.
    """
    moment = clock.SystemClock().wall() if now is None else now
    if not statuses:
        screen.line("no saved sign-in")
    elif len(statuses) == 1 or (screen.is_terminal and (screen.is_plain or screen.columns < _NARROW)):
        for number, (status, forecast) in enumerate(zip(statuses, forecasts, strict=True)):
            if number:
                screen.line()
            _write(screen, _block(status, forecast, moment), labels=True)
    elif screen.is_terminal:
        _write(screen, _rows(statuses, forecasts, moment, whole=False), labels=False)
        _write_remarks(screen, statuses)
    else:
        _write(screen, _rows(statuses, forecasts, moment, whole=True), labels=False)


def _block(status: SignInStatus, forecast: Forecast, now: float) -> list[list[_Cell]]:
    """Return a profile as labels and values."""
    worry = _COLOURS.get(forecast.level, "")
    # Without a forecast to tell, the state is what there is to worry about.
    worried = "state" if forecast.words is None else "lasts"
    facts = [("profile", status.profile), ("who", _who(status)), ("state", _state(status))]
    if status.sign_in is not None:
        facts += [
            ("tenant", status.sign_in.account.tenant_id or status.sign_in.issuer),
            ("app", status.sign_in.client_id),
            ("permits", ", ".join(status.sign_in.granted_scopes or status.sign_in.scopes) or "nothing"),
            *([("also for", ", ".join(status.also))] if status.also else []),
            ("kept in", _place(status.sign_in.location)),
        ]
    if status.protection:
        facts.append(("protected", status.protection))
    if status.times is not None:
        facts.append(("refreshed", f"{_ago(status.times.last_refreshed, now)} ({_date(status.times.last_refreshed)})"))
    if forecast.words is not None:
        facts.append(("lasts", forecast.words))
    return [
        [_Cell(label), _Cell(redaction.printable(value), worry if label == worried else "")] for label, value in facts
    ]


def _rows(
    statuses: Sequence[SignInStatus], forecasts: Sequence[Forecast], now: float, *, whole: bool
) -> list[list[_Cell]]:
    """Return several profiles as a table with a heading, a profile a row.

    If `whole`, a row has all there is to say: full names, why somebody has to sign in, what protects the secret.
    """
    rows = [[_Cell(heading, "bold") for heading in _HEADINGS]]
    for status, forecast in zip(statuses, forecasts, strict=True):
        is_well = status.sign_in is not None and not status.needs_login
        place = _place(status.sign_in.location) if status.sign_in is not None else "-"
        worry = _COLOURS.get(forecast.level, "")
        who, until = _who(status), _until(status, forecast)
        if whole:
            who = who if is_well else f"{who} ({_state(status)})"
            place += f" ({status.protection})" if status.protection else ""
        else:
            who = status.sign_in.account.username if status.sign_in is not None else who
            until = until if is_well else _state(status).partition(":")[0]
        cells = (
            (status.profile, ""),
            (who, worry if whole and not is_well else ""),
            (place, ""),
            (_ago(status.times.last_refreshed, now) if status.times is not None else "-", ""),
            (until, worry),
        )
        rows.append([_Cell(redaction.printable(text), colour) for text, colour in cells])
    return rows


def _write_remarks(screen: Screen, statuses: Sequence[SignInStatus]) -> None:
    """Write below a table why somebody has to sign in, and what protects the secrets, each sentence once.

    In columns they would take ten lines each.
    """
    profiles: dict[str, list[str]] = {}
    for status in statuses:
        if status.protection:
            profiles.setdefault(status.protection, []).append(status.profile)
    for status in statuses:
        if status.sign_in is not None and status.sign_in.granted_scopes:
            permits = f"permits {', '.join(status.sign_in.granted_scopes)}"
            permits += f"; also for {', '.join(status.also)}" if status.also else ""
            profiles.setdefault(permits, []).append(status.profile)
    remarks = [f"{status.profile}: {_remedy(status)}" for status in statuses if status.reason]
    for protection, names in profiles.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        remarks.append(f"{', '.join(names[:_NAMED])}{more}: {protection}")
    for remark in remarks:
        screen.line()
        for line in screens.wrapped(redaction.printable(remark, limit=1000), screen.columns - 1):
            screen.line(line)


def _remedy(status: SignInStatus) -> str:
    """Return why a sign-in is not well, and the command that mends it where signing in does."""
    if status.state == "unreadable":
        return str(status.reason)
    return f"{status.reason}; sign in: {hints.login(status.profile)}"


def _until(status: SignInStatus, forecast: Forecast) -> str:
    """Return the date on which a sign-in that nobody uses ends, and where that is soon, in how many days."""
    if forecast.days_left is None or status.lasts_until is None:
        return "unknown" if forecast.level == "unknown" else "-"
    date = status.lasts_until.date().isoformat()
    return date if forecast.level == "ok" else f"{date} ({forecast.level}: {forecast.days_left} days left)"


def _write(screen: Screen, rows: list[list[_Cell]], *, labels: bool) -> None:
    """Write `rows`, whose first column are `labels`, or whose first row are headings."""
    lines = _folded(screen, rows, labels=labels) if screen.is_terminal else _unfolded(screen, rows)
    for line in lines:
        screen.line(line.rstrip())


def _unfolded(screen: Screen, rows: list[list[_Cell]]) -> Iterator[str]:
    """Yield a line a row, its columns as wide as what stands in them."""
    widths = [max(screens.cell_width(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        last = len(row) - 1
        yield "".join(
            screen.styled(cell.text, cell.colour)
            + (" " * (widths[number] - screens.cell_width(cell.text) + _GAP) if number < last else "")
            for number, cell in enumerate(row)
        )


def _folded(screen: Screen, rows: list[list[_Cell]], *, labels: bool) -> list[str]:
    """Return the lines that rich makes of `rows` for the width of the terminal, in memory.

    The screen writes what its encoding has; rich would fail.
    """
    from rich import console, table, text

    grid = table.Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    for number, _ in enumerate(rows[0]):
        grid.add_column(overflow="fold", no_wrap=labels and number == 0)
    for row in rows:
        grid.add_row(*(text.Text(cell.text, style=cell.colour) for cell in row))
    memory = io.StringIO()
    drawing = console.Console(
        file=memory,
        width=screen.columns,
        color_system="standard" if screen.has_colours else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    drawing.print(grid)
    return memory.getvalue().splitlines()


def _who(status: SignInStatus) -> str:
    if status.sign_in is None:
        return "unknown" if status.state == "unreadable" else "nobody"
    account = status.sign_in.account
    return f"{account.shown_name} <{account.username}>" if account.shown_name else account.username


def _state(status: SignInStatus) -> str:
    if status.state == "unreadable":
        return f"cannot be read: {status.reason}"
    if not status.needs_login:
        return "signed in"
    return f"sign-in needed: {status.reason}" if status.reason else "sign-in needed"


def _place(location: StoreLocation) -> str:
    if location.kind == "file":
        return "sealed file"
    if location.kind == "keyring":
        # keyring.backends.SecretService.Keyring: the module tells them apart, the class is called Keyring in most.
        name = (location.backend or "").removesuffix(".Keyring").rpartition(".")[2]
        return f"keyring ({name})" if name else "keyring"
    return location.kind


def _ago(moment: float, now: float) -> str:
    """Return how long ago `moment` was, in its largest unit; a clock set back makes it `in the future`."""
    seconds = now - moment
    if seconds < -60:
        return "in the future"
    for size, unit in _UNITS:
        count = int(seconds // size)
        if count > 0:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _date(moment: float) -> str:
    try:
        return dt.datetime.fromtimestamp(moment, tz=dt.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "at an impossible time"
