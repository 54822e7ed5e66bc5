"""`devicelogin status`: who is signed in, where that is kept, how long it lasts; no network, no secret read."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from devicelogin import client, errors, redaction, settings
from devicelogin.cli import output
from devicelogin.cli.options import json_option, profile_option
from devicelogin.client import reporting
from devicelogin.terminal import messages
from devicelogin.unattended import forecast

if TYPE_CHECKING:
    from devicelogin import models
    from devicelogin.cli.invocation import Invocation
    from devicelogin.unattended import login_needed

_HELP = """Show every profile: who is signed in, where the secret is and what protects it, how long it lasts.

\b
  devicelogin status
  devicelogin status --check || echo "somebody has to sign in"
"""


@click.command("status", help=_HELP, short_help="Who is signed in, where that is kept, how long it lasts.")
@profile_option
@click.option("--check", is_flag=True, help="Say nothing; exit 0, or 4 if a person is needed.")
@json_option("Print an object with all that is known.")
@click.pass_obj
def command(invocation: Invocation, *, check: bool, as_json: bool) -> int:
    """Run the command."""
    named = invocation.profile or os.environ.get("DEVICELOGIN_PROFILE")
    places = invocation.places()
    names = (invocation.profile_name,) if named else places.profile_names()
    if named and not as_json and not check:
        _check_known(places.of(names[0]))
    statuses = [
        reporting.read_status(client.Workplace(name, flags={}, environ=os.environ, keyring_service=None))
        for name in names
    ]
    if as_json:
        output.write(json.dumps({"format_version": 1, "profiles": [_as_json(status) for status in statuses]}) + "\n")
    elif not check:
        _show(statuses)
        _warn_of_hooks(statuses)
    needed = not statuses or any(status.needs_login or status.state == "unreadable" for status in statuses)
    return 4 if check and needed else 0


def _check_known(paths: settings.paths.ProfilePaths) -> None:
    """Raise LoginRequiredError for a name that no profile has, as silent commands do."""
    if paths.profile not in paths.places.profile_names():
        from devicelogin.tokens import silent  # not worth its import where the name is right

        if silent.unknown_profile(paths) is not None:
            raise silent.not_signed_in(paths)


def _show(statuses: list[models.SignInStatus]) -> None:
    if not statuses:
        output.write("nobody is signed in; begin with: devicelogin login, or try it: devicelogin demo\n")
        return
    from devicelogin.terminal import screen, tables

    forecasts = [forecast.forecast(status) for status in statuses]
    with output.guarded() as stream:
        tables.status_table(screen.Screen(stream, environ=os.environ), statuses, forecasts)


def _warn_of_hooks(statuses: list[models.SignInStatus]) -> None:
    """Say on stderr which `on_login_needed` did not work: nobody was there when it was run."""
    for status in statuses:
        told = _told(status)
        if told is not None and told.failed:
            output.say(
                messages.warning_line(
                    f"profile {status.profile}: on_login_needed told nobody: {told.outcome or 'unknown'}"
                )
            )


def _told(status: models.SignInStatus) -> login_needed.Told | None:
    with contextlib.suppress(errors.DeviceLoginError):
        paths = settings.locate(os.environ).of(status.profile)
        if os.path.lexists(paths.login_needed):
            from devicelogin.unattended import login_needed  # a tenth of what `status` takes

            return login_needed.told(paths)
    return None


def _as_json(status: models.SignInStatus) -> dict[str, object]:
    expected = forecast.forecast(status)
    fields: dict[str, object] = {
        "profile": status.profile,
        "state": status.state,
        "needs_login": status.needs_login,
        "reason": status.reason,
        "lasts_until": _moment(status.lasts_until.timestamp() if status.lasts_until else None),
        "days_left": expected.days_left,
        "level": expected.level,
    }
    told = _told(status)
    if told is not None:
        fields |= {"told_at": _moment(told.at), "told_outcome": told.outcome, "told_failed": told.failed}
    sign_in, times = status.sign_in, status.times
    if sign_in is not None:
        account = sign_in.account
        fields |= {
            "username": account.username,
            "name": account.name,
            "tenant_id": account.tenant_id,
            "object_id": account.object_id,
            "issuer": sign_in.issuer,
            "authority": sign_in.authority,
            "client_id": sign_in.client_id,
            "graph_root": sign_in.graph_root,
            "scopes": list(sign_in.scopes),
            "granted_scopes": list(sign_in.granted_scopes),
            "also": list(status.also),
            "store": sign_in.location.kind,
            "key": sign_in.location.key,
            "bind": sign_in.location.bind,
            "protection": status.protection,
        }
    if times is not None:
        fields |= {
            "generation": times.generation,
            "made": _moment(times.made),
            "last_refreshed": _moment(times.last_refreshed),
        }
    return {key: redaction.printable(value) if isinstance(value, str) else value for key, value in fields.items()}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
