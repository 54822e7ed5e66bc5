"""`devicelogin token`: one access token on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from devicelogin.cli import printing
from devicelogin.cli.options import file_names, json_option, profile_option, wait_for_clock_option

if TYPE_CHECKING:
    from devicelogin import clock
    from devicelogin.cli.invocation import Invocation

_HELP = """Print one access token and a newline.

The token comes from the cache, or from one refresh with the saved sign-in. Nothing is ever asked: where a person must
sign in, this ends with 4.

\b
  curl -H "$(devicelogin token --format header)" \\
    https://graph.microsoft.com/v1.0/me
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
@click.option("--output-file", metavar="FILE", shell_complete=file_names, help="Write to FILE (0600), not to stdout.")
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
    wanted = printing.Wanted(scopes, min_valid, force_refresh, shape, as_json, output_file)
    printing.print_token(invocation, wanted, clock_wait)
