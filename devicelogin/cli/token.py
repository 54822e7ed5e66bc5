"""`devicelogin token`: one access token on stdout."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from devicelogin import errors
from devicelogin.cli import output, telling, unlocking
from devicelogin.cli.invocation import Invocation, json_option, profile_option, wait_for_clock_option
from devicelogin.settings import shapes
from devicelogin.terminal import messages
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from devicelogin import clock, models

_HELP = """Print one access token and a newline.

The token comes from the cache, or from one refresh with the saved sign-in. Nothing is ever asked: where a person must
sign in, this ends with 4.

\b
  curl -H "$(devicelogin token --format header)" https://graph.microsoft.com/v1.0/me
  devicelogin token --scope https://outlook.office.com/IMAP.AccessAsUser.All
"""


@click.command("token", help=_HELP, short_help="Print an access token; never prompts.")
@profile_option
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="A scope of the token; again for more.")
@click.option("--min-valid", type=click.IntRange(0, 86400), metavar="SECONDS", help="How long it must last at least.")
@click.option("--force-refresh", is_flag=True, help="Do not take a token from the cache.")
@click.option("--format", "shape", type=click.Choice(["raw", "header"]), default="raw", help="Bare, or as HTTP header.")
@json_option("Print an object with the token and when it expires.")
@wait_for_clock_option
@click.option("--output-file", metavar="FILE", help="Write to FILE (0600, replaced at once) instead of stdout.")
@click.pass_obj
def command(
    invocation: Invocation,
    scopes: tuple[str, ...],
    min_valid: int | None,
    *,
    force_refresh: bool,
    shape: str,
    as_json: bool,
    clock_wait: clock.ClockWait,
    output_file: str | None,
) -> None:
    """Run the command."""
    work = invocation.workplace({"min_valid": min_valid})
    wish = silent.Wish(scopes=checked_scopes(scopes), force=force_refresh)
    tokens = work.silent_tokens(invocation.turn)
    if clock_wait.is_needed() and not tokens.is_cached(wish):
        clock_wait.until_plausible()
    with telling.if_login_is_needed(work):
        token = unlocking.with_passphrase(invocation, work, lambda: clock_wait.call(lambda: tokens.access_token(wish)))
    for warning in token.warnings:
        output.say(messages.warning_line(warning))
    content = _content(token, shape, as_json=as_json)
    if output_file is not None:
        output.write_file(output_file, content.encode())
        return
    if sys.stdout is not None and sys.stdout.isatty() and not invocation.quiet:
        output.say("devicelogin: note: the token now stands in the scrollback of this terminal")
    output.write(content)


def checked_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of `--scope` options. Raises UsageError where one is none."""
    try:
        return shapes.scopes(scopes, is_oidc=False) if scopes else ()
    except shapes.BadValueError as bad:
        raise errors.UsageError(f"cannot use the scopes of --scope: {bad.why}", hint=bad.hint) from None


def _content(token: models.AccessToken, shape: str, *, as_json: bool) -> str:
    if as_json:
        fields = {
            "format_version": 1,
            "access_token": token.token,
            "token_type": token.token_type,
            "expires_at": token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "expires_on": int(token.expires_at.timestamp()),
            "expires_in": token.expires_in,
            "scopes": list(token.scopes),
        }
        return json.dumps(fields) + "\n"
    return (f"Authorization: {token.token_type} {token.token}" if shape == "header" else token.token) + "\n"
