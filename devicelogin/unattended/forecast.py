"""The forecast: how long a saved sign-in lasts if nobody uses it, and when it is time to care."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from devicelogin import hints, models

#: How long before its end does an unused sign-in deserve a look?
WARNING = timedelta(days=30)

#: How long before its end is it urgent?
CRITICAL = timedelta(days=7)

#: How far may this machine's clock be behind the last refresh before it is not to be believed?
_CLOCK_SLACK = timedelta(days=1)

#: What is said where nobody knows; no word of it is a reason to worry.
_UNKNOWN = "unknown; the provider does not say how long it lasts unused"


def forecast(status: models.SignInStatus, *, now: datetime | None = None) -> models.Forecast:
    """Return the forecast for a profile, as far as one can be made from its files; `now` is aware."""
    now = datetime.now(UTC) if now is None else now
    if status.needs_login or status.state == "unreadable":
        return models.Forecast(level="critical")
    if status.times is None:
        return models.Forecast(level="unknown", words="unknown; nothing tells when it was last refreshed")
    if now < datetime.fromtimestamp(status.times.last_refreshed, UTC) - _CLOCK_SLACK:
        words = f"unknown; this machine's clock says {now.date().isoformat()}, which is before the last refresh"
        return models.Forecast(level="unknown", words=words)
    if status.lasts_until is None:
        return models.Forecast(level="unknown", words=_UNKNOWN)
    left = status.lasts_until - now
    days = max(0, left.days)
    level = "critical" if left <= CRITICAL else "warning" if left <= WARNING else "ok"
    words = f"until {status.lasts_until.date().isoformat()} if unused, unless revoked or a policy ends it"
    if level != "ok":
        rest = "less than a day" if days == 0 else f"{days} day{'' if days == 1 else 's'}"
        words = f"{level}: {words}; {rest} left, refresh it: {hints.command('keepalive', status.profile)}"
    return models.Forecast(level=level, days_left=days, words=words)
