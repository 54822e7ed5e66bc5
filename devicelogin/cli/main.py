"""The command `devicelogin`: its commands, and the options before them."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

import click

import devicelogin
from devicelogin import address_space, core_dumps
from devicelogin.cli import ending, output
from devicelogin.cli.invocation import Invocation
from devicelogin.cli.options import COMPLETION_VARIABLE, profile_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devicelogin.tokens import turn as turns

#: The commands, in the order in which a person meets them, each with its line of help.
_COMMANDS = {
    "demo": "The whole story on this machine; no tenant, no network.",
    "login": "Sign in with a phone; needs a person once.",
    "token": "Print an access token; never prompts.",
    "graph": "Call Microsoft Graph.",
    "status": "Who is signed in, where that is kept, how long it lasts.",
    "logout": "Delete the saved sign-in.",
    "store": "Move the saved sign-in, or seal it with a new key.",
    "doctor": "Check this machine; rehearse cron.",
    "keepalive": "Refresh idle sign-ins; install a daily job for it.",
    "completion": "Let your shell complete commands and profiles.",
}

_HELP = """
\b
Sign in to Microsoft Entra ID once, with your phone; the box stays signed in.
  devicelogin login --client-id ID --tenant contoso.com
"""


class _Commands(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        address_space.require()
        module = importlib.import_module(f"devicelogin.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; `help` and `help COMMAND` work, and commands of other programs are answered with ours."""
        if args[0] == "help" and not ctx.resilient_parsing:
            args = [*(word for word in args if word != "help"), "--help"]
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
        if args[0] not in _COMMANDS and not ctx.resilient_parsing:
            from devicelogin.cli import usage

            raise usage.unknown_command(args, _COMMANDS, "devicelogin")
        name, found, rest = super().resolve_command(ctx, args)
        if found is not None and any(word.startswith("-") for word in rest) and not ctx.resilient_parsing:
            from devicelogin.cli import usage

            usage.check_values(found, rest, f"devicelogin {name}")
        return name, found, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(
    cls=_Commands,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-p",
    "--profile",
    metavar="NAME",
    shell_complete=profile_names,
    help="The saved sign-in to use; default: default.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what is done; secrets are left out.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.version_option(
    devicelogin.__version__, "-V", "--version", prog_name="devicelogin", message="%(prog)s %(version)s"
)
@click.pass_context
def _program(context: click.Context, profile: str | None, *, verbose: bool, quiet: bool) -> None:
    """Note the options that stand before the command."""
    invocation = context.ensure_object(Invocation)
    invocation.profile = profile
    invocation.verbose, invocation.quiet = verbose, quiet
    if verbose:
        _log_to_stderr()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    core_dumps.forbid()


def run(arguments: Sequence[str], turn: turns.Turn | None = None) -> int:
    """Run the command line and return the exit code. `turn` is what the entry point found or leads for `token`."""
    invocation = Invocation(as_json="--json" in arguments, turn=turn, arguments=tuple(arguments))
    return ending.run(invocation, lambda: _run_command(arguments, invocation))


def _run_command(arguments: Sequence[str], invocation: Invocation) -> object:
    """Let click read the arguments and call the command; what click raises becomes what we know."""
    asked = os.environ.get(COMPLETION_VARIABLE)
    if asked and not arguments:
        from devicelogin.cli import completion

        return completion.answer(_program, invocation, asked)
    try:
        # Click's own way to complete would end the process by itself.
        return _program.main(
            list(arguments), prog_name="devicelogin", standalone_mode=False, obj=invocation, complete_var=""
        )
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        from devicelogin.cli import usage

        raise usage.error_of(error) from None
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit:  # click ends so where nobody reads the help
        raise output.ReaderGoneError from None
    except OSError as error:
        if not ending.place_of(error).startswith("click."):
            raise
        output.abandon_stdout()
        raise output.cannot_write(error) from error  # the help


def _log_to_stderr() -> None:
    import logging

    from devicelogin import redaction

    class _Handler(logging.Handler):
        """Writes as everything for people is written: a log has names and URLs that strangers chose."""

        def emit(self, record: logging.LogRecord) -> None:
            output.say(self.format(record))

    handler = _Handler()
    handler.addFilter(redaction.RedactingFilter())
    handler.setFormatter(logging.Formatter("devicelogin: %(name)s: %(message)s"))
    logger = logging.getLogger("devicelogin")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
