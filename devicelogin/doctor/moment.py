"""The clock: whether it can be right, and how far it is from the authority's."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from devicelogin import clock, errors
from devicelogin.doctor import subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devicelogin import models
    from devicelogin.doctor.network import Visit

NAME = "clock"

#: How far may the clock be off before it deserves a look (seconds)? Others' tokens allow five minutes.
_NOTEWORTHY = 300.0

#: From where on do certificates and lifetimes fail (seconds)?
_TOO_FAR = 86_400.0

_SET_IT = "sudo timedatectl set-ntp true"


def look(visits: Sequence[Visit]) -> models.Finding:
    """Return the finding, with what the authorities of `visits` said the time is."""
    about, now = subject.Subject(subject.MACHINE), time.time()
    shown = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC" if abs(now) < 1e11 else "no date"
    if not clock.is_plausible(now):
        words = f"the clock says {shown}: it was never set since this machine started"
        return about.red(NAME, errors.TryLaterError(words, hint=_SET_IT, code=clock.WRONG))
    refused = next((visit.clock_error for visit in visits if visit.clock_error is not None), None)
    known = next((visit for visit in visits if visit.server_date is not None), None)
    if known is None or known.server_date is None:
        if refused is not None:
            return about.red(NAME, errors.TryLaterError(refused.message, hint=_SET_IT, detail=refused.detail))
        return about.skipped(NAME, f"says {shown}; nobody could be asked whether that is right")
    ahead = known.asked_at - known.server_date
    words = f"{_span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} {known.host}"
    if abs(ahead) > _TOO_FAR:
        return about.red(NAME, errors.TryLaterError(f"the clock is {words}", hint=_SET_IT, code=clock.WRONG))
    if abs(ahead) > _NOTEWORTHY:
        return about.yellow(NAME, f"{words}: saved tokens seem to last longer or shorter than they do", hint=_SET_IT)
    return about.green(NAME, f"right to {max(1, round(abs(ahead)))} s, by the clock of {known.host}")


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        count = round(seconds / size)
        if count > 0 and seconds >= size:
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{round(seconds)} s"
