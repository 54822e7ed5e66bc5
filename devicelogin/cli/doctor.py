"""`devicelogin doctor`: is this machine fit for a sign-in that lasts; with `--as-cron`, would a job of cron get a token."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import click

from devicelogin import errors, redaction
from devicelogin.cli import output, waiting
from devicelogin.cli.options import json_option, profile_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devicelogin import models
    from devicelogin.cli.invocation import Invocation
    from devicelogin.terminal import screen

_HELP = """Check this machine, the way to the identity provider, and every saved sign-in.

One line a check: ok, warn or FAIL, and what to do about it. Nothing is changed or refreshed. Exits with the code of the first
FAIL, 0 without one. With -v it also shows where every setting comes from.

\b
  devicelogin doctor
  devicelogin doctor --as-cron
"""


@click.command("doctor", help=_HELP, short_help="Check this machine; rehearse cron.")
@profile_option
@click.option("--as-cron", is_flag=True, help="Get a token as a job of cron would, and tell when that will work.")
@click.option("--force-refresh", is_flag=True, help="With --as-cron: really refresh, whatever is cached.")
@json_option("Print an object with every finding.")
@click.pass_obj
def command(invocation: Invocation, *, as_cron: bool, force_refresh: bool, as_json: bool) -> int:
    """Run the command."""
    if as_cron:
        from devicelogin.cli import rehearsal_view

        return rehearsal_view.show(invocation, as_json=as_json, force_refresh=force_refresh)
    if force_refresh:
        raise errors.UsageError(
            "--force-refresh belongs to --as-cron", hint="devicelogin doctor --as-cron --force-refresh"
        )
    from devicelogin.doctor import examination, subject
    from devicelogin.unattended import forecast

    named = invocation.profile or os.environ.get("DEVICELOGIN_PROFILE")
    with waiting.said("looking at this machine; it takes half a minute at most", invocation):
        findings = examination.examine(
            os.environ,
            profile=invocation.profile_name if named else None,
            terminal=_terminal(),
            forecast=forecast.forecast,
        )
    _show(invocation, findings, as_json=as_json)
    return subject.exit_code(findings)


def _show(invocation: Invocation, findings: Sequence[models.Finding], *, as_json: bool) -> None:
    if as_json:
        shown = [_as_json(finding, with_details=invocation.verbose) for finding in findings]
        output.write(json.dumps({"format_version": 1, "checks": shown}) + "\n")
        return
    from devicelogin.terminal import check_list, screen

    if invocation.quiet:
        findings = [finding for finding in findings if finding.level == "red"]
        if not findings:
            return
    with output.guarded() as stream:
        check_list.show(screen.Screen(stream, environ=os.environ), findings, with_details=invocation.verbose)


def _as_json(finding: models.Finding, *, with_details: bool) -> dict[str, object]:
    fields: dict[str, object] = {
        "about": redaction.printable(finding.about),
        "name": finding.name,
        "level": finding.level,
        "message": redaction.printable(finding.message, limit=1000),
        "hint": None if finding.hint is None else redaction.printable(finding.hint, limit=1000),
        "exit": finding.exit_code,
    }
    if with_details:
        fields["details"] = [redaction.printable(detail, limit=1000) for detail in finding.details]
    return fields


def _terminal() -> screen.Screen | None:
    """Return the terminal that a sign-in would be shown on."""
    from devicelogin.terminal import screen

    streams = (stream for stream in (sys.stderr, sys.stdout) if stream is not None)
    screens = (screen.Screen(stream, environ=os.environ) for stream in streams)
    return next((each for each in screens if each.is_terminal), None)
