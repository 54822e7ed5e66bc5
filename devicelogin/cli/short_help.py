"""The help of a command with more options than a screen has rows: those of every day, and all of them on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Collection

_ALL = "help_all"


class ShortHelpCommand(click.Command):
    """A command whose `--help` leaves out the options named in `rare`, and whose `--help-all` does not."""

    def __init__(self, *given: Any, rare: Collection[str], **named: Any) -> None:
        super().__init__(*given, **named)
        self._rare = frozenset(rare)
        self.params.append(
            click.Option(
                ["--help-all"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_all,
                help="Show all options, the rare ones too.",
            )
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, as click does."""
        shown = [each for each in self.get_params(ctx) if ctx.meta.get(_ALL) or each.name not in self._rare]
        with formatter.section("Options"):
            formatter.write_dl([record for each in shown if (record := each.get_help_record(ctx)) is not None])


def _show_all(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        context.meta[_ALL] = True
        click.echo(context.get_help())
        context.exit()
