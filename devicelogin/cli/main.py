"""The command `devicelogin`: its commands, and the options before them."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import TYPE_CHECKING

import click

import devicelogin
from devicelogin import address_space, core_dumps, errors
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
    "store": "Move the saved sign-in to the keyring or to a file.",
    "doctor": "Check this machine; rehearse cron.",
    "keepalive": "Refresh what was not used for a week; a daily job that does.",
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
@click.version_option(devicelogin.__version__, prog_name="devicelogin", message="%(prog)s %(version)s")
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
        raise _usage(error) from None
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit:  # click ends so where nobody reads the help
        raise output.ReaderGoneError from None
    except OSError as error:
        if not ending.place_of(error).startswith("click."):
            raise
        output.abandon_stdout()
        raise output.cannot_write(error) from error  # the help


def _usage(error: click.UsageError) -> errors.UsageError:
    """Return what click says as our error: one line, and at most the one word that may have been meant."""
    command = error.ctx.command_path if error.ctx is not None else "devicelogin"
    wrong, names = _misspelt(error)
    if wrong is None:
        message = error.format_message().replace(". Choose from:", ": choose one of").rstrip(".")
        return errors.UsageError(message[:1].lower() + message[1:], hint=f"{command} --help")
    import difflib

    near = difflib.get_close_matches(wrong, names, n=1)
    what = "option" if wrong.startswith("-") else "command"
    if near and what == "command":
        command += f" {near[0]}"
    meant = f"; did you mean {near[0]}?" if near else ""
    return errors.UsageError(f"no such {what} '{wrong}'{meant}", hint=f"{command} --help")


def _misspelt(error: click.UsageError) -> tuple[str | None, list[str]]:
    """Return the command or option that does not exist, if that is the error, and those that do."""
    context = error.ctx
    if context is None:
        return None, []
    if isinstance(error, click.NoSuchOption):
        options = [name for parameter in context.command.get_params(context) for name in parameter.opts]
        return error.option_name, [name for name in options if name.startswith("--")]
    # Not every click that we work with has an error of its own for it.
    wrong = re.fullmatch(r"No such command '(.*)'\.", error.message, re.DOTALL)
    if wrong is None or not isinstance(context.command, click.Group):
        return None, []
    return wrong[1], context.command.list_commands(context)


def _log_to_stderr() -> None:
    import logging

    from devicelogin import redaction

    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(redaction.RedactingFilter())
    handler.setFormatter(logging.Formatter("devicelogin: %(name)s: %(message)s"))
    logger = logging.getLogger("devicelogin")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
