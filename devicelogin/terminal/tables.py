"""Tables for people: which sign-ins are saved, where their secret lies and how long they last."""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING

from rich import console, table, text

from devicelogin import clock, redaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devicelogin.models import Forecast, SignInStatus, StoreLocation
    from devicelogin.terminal.screen import Screen

_HEADINGS = ("PROFILE", "WHO", "KEPT IN", "REFRESHED", "LASTS UNTIL")

#: From how many seconds on does which unit say how long ago something was?
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))

#: Which colour has a forecast? The words say the same.
_COLOURS = {"warning": "yellow", "critical": "red"}


def status_table(
    screen: Screen, statuses: Sequence[SignInStatus], forecasts: Sequence[Forecast], *, now: float | None = None
) -> None:
    """Write what is saved: one profile as a block of facts, several as a table; `forecasts` are those of `statuses`.

    `now` is in seconds since 1970; without it, the wall clock says. Elsewhere than on a terminal the columns are as
    wide as they need to be and nothing is cut, so that the lines can be searched.
    """
    moment = clock.SystemClock().wall() if now is None else now
    if not statuses:
        screen.line("no saved sign-in")
    elif len(statuses) == 1:
        _write(screen, _block(statuses[0], forecasts[0], moment))
    else:
        _write(screen, _rows(screen, statuses, forecasts, moment))


def _block(status: SignInStatus, forecast: Forecast, now: float) -> table.Table:
    """Return a profile as labels and values."""
    block = table.Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    block.add_column(no_wrap=True)
    block.add_column(overflow="fold")
    worry = _COLOURS.get(forecast.level, "")
    # Without a forecast to tell, the state is what there is to worry about.
    worried = "state" if forecast.words is None else "lasts"
    facts = [("profile", status.profile), ("who", _who(status)), ("state", _state(status))]
    if status.sign_in is not None:
        facts += [
            ("tenant", status.sign_in.account.tenant_id or status.sign_in.issuer),
            ("app", status.sign_in.client_id),
            ("kept in", _place(status.sign_in.location)),
        ]
    if status.protection:
        facts.append(("protected", status.protection))
    if status.times is not None:
        facts.append(("refreshed", f"{_ago(status.times.last_refreshed, now)} ({_date(status.times.last_refreshed)})"))
    if forecast.words is not None:
        facts.append(("lasts", forecast.words))
    for label, value in facts:
        block.add_row(label, text.Text(redaction.printable(value), style=worry if label == worried else ""))
    return block


def _rows(screen: Screen, statuses: Sequence[SignInStatus], forecasts: Sequence[Forecast], now: float) -> table.Table:
    """Return several profiles as a table, a profile a row, and what protects the secret below its place."""
    rows = table.Table(
        box=None, header_style="bold" if screen.has_colours else "", padding=(0, 2, 0, 0), pad_edge=False
    )
    for heading in _HEADINGS:
        rows.add_column(heading, overflow="fold")
    for status, forecast in zip(statuses, forecasts, strict=True):
        is_well = status.sign_in is not None and not status.needs_login
        place = _place(status.sign_in.location) if status.sign_in is not None else "-"
        worry = _COLOURS.get(forecast.level, "")
        who = _who(status) if is_well else f"{_who(status)} ({_state(status)})"
        rows.add_row(
            redaction.printable(status.profile),
            text.Text(redaction.printable(who), style="" if is_well else worry),
            redaction.printable(f"{place} ({status.protection})" if status.protection else place),
            redaction.printable(_ago(status.times.last_refreshed, now) if status.times is not None else "-"),
            text.Text(redaction.printable(_until(status, forecast)), style=worry),
        )
    return rows


def _until(status: SignInStatus, forecast: Forecast) -> str:
    """Return the date on which a sign-in that nobody uses ends, and where that is soon, in how many days."""
    if forecast.days_left is None or status.lasts_until is None:
        return "unknown" if forecast.level == "unknown" else "-"
    date = status.lasts_until.date().isoformat()
    return date if forecast.level == "ok" else f"{date} ({forecast.level}: {forecast.days_left} days left)"


def _write(screen: Screen, what: table.Table) -> None:
    """Let rich draw into memory: the screen writes what its encoding has, rich would fail."""
    memory = io.StringIO()
    drawing = console.Console(
        file=memory,
        width=10_000 if not screen.is_terminal else screen.columns,
        color_system="standard" if screen.has_colours else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    drawing.print(what)
    for line in memory.getvalue().splitlines():
        screen.line(line.rstrip())


def _who(status: SignInStatus) -> str:
    if status.sign_in is None:
        return "unknown" if status.state == "unreadable" else "nobody"
    account = status.sign_in.account
    return f"{account.name} <{account.username}>" if account.name else account.username


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
