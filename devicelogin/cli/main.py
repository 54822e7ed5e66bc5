"""The command `devicelogin`: its groups of options, and the one place where an error becomes an exit code."""

from __future__ import annotations

import importlib
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import click

import devicelogin
from devicelogin import core_dumps, errors
from devicelogin.cli import output
from devicelogin.cli.invocation import Ended, Invocation

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
}

_EXAMPLES = """
Examples:

\b
  devicelogin demo
  devicelogin login --client-id 11111111-2222-3333-4444-555555555555 --tenant contoso.com
  devicelogin graph me
  curl -H "$(devicelogin token --format header)" https://graph.microsoft.com/v1.0/me

Exit codes: 0 done, 4 a person must sign in, 75 try again later; all of them are in the README.
"""


class _Commands(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
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
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-p", "--profile", metavar="NAME", help="The saved sign-in to use; default: default.")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what is done; secrets are left out.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.version_option(devicelogin.__version__, prog_name="devicelogin", message="%(prog)s %(version)s")
@click.pass_context
def _program(context: click.Context, profile: str | None, *, verbose: bool, quiet: bool) -> None:
    """Sign in to Microsoft Entra ID once, with your phone; the box stays signed in."""
    invocation = context.ensure_object(Invocation)
    invocation.profile = profile
    invocation.verbose, invocation.quiet = verbose, quiet
    if verbose:
        _log_to_stderr()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    core_dumps.forbid()


def run(arguments: Sequence[str], turn: turns.Turn | None = None) -> int:  # noqa: PLR0911 - one line for each way of ending
    """Run the command line and return the exit code. Catches everything that can happen; prints no traceback.

    `turn` is what the entry point found or leads for `token`.
    """
    output.occupy_standard_descriptors()
    _catch_signals()
    if not sys.warnoptions:
        # Warnings are for programmers: urllib3 has one for boards whose clock is not set.
        warnings.simplefilter("ignore")
    invocation = Invocation(as_json="--json" in arguments, turn=turn, arguments=tuple(arguments))
    try:
        result: Any = _program.main(list(arguments), prog_name="devicelogin", standalone_mode=False, obj=invocation)
        return result if isinstance(result, int) else 0
    except errors.DeviceLoginError as error:
        return _report(error, invocation)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _report(_usage(error), invocation)
    except (KeyboardInterrupt, click.Abort):
        return _interrupted(signal.SIGINT, "interrupted")
    except Ended as end:
        return _interrupted(end.number, "ended by a signal")
    except (output.ReaderGoneError, SystemExit):  # click exits so where nobody reads the help
        output.abandon_stdout()
        return 128 + 13
    except Exception as error:
        return _report(_unwritten(error) or _bug(error), invocation)
    finally:
        output.see_off_stderr()


def _report(error: errors.DeviceLoginError, invocation: Invocation) -> int:
    # Most calls end without an error, and `--help` and `--version` should come at once.
    if invocation.as_json:
        import json

        from devicelogin import redaction

        shown = {
            key: redaction.printable(value) if isinstance(value, str) else value
            for key, value in error.as_json().items()
        }
        output.say(json.dumps(shown))
    else:
        from devicelogin.terminal import messages

        for line in messages.error_lines(error):
            output.say(line)
    return error.exit_code


def _usage(error: click.UsageError) -> errors.UsageError:
    message = error.format_message().rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "devicelogin"
    return errors.UsageError(message[:1].lower() + message[1:], hint=f"{command} --help")


def _unwritten(error: Exception) -> errors.OutputError | None:
    """Return the error for help that click could not write to stdout, None where it is something else."""
    if not isinstance(error, OSError) or not _where(error).startswith("click."):
        return None
    output.abandon_stdout()
    return output.cannot_write(error)


def _where(error: Exception) -> str:
    where, trace = "an unknown place", error.__traceback__
    while trace is not None:
        where = f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _bug(error: Exception) -> errors.InternalError:
    # SECURITY: neither the message nor the traceback of an unknown error is shown: both may quote what is secret.
    return errors.InternalError(
        f"this is a bug in devicelogin: {type(error).__name__} in {_where(error)}",
        hint=f"please report this line and the version, devicelogin {devicelogin.__version__}; nothing saved was deleted",
    )


def _interrupted(number: int, words: str) -> int:
    # A second Ctrl-C must not turn the goodbye into a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output.say(f"devicelogin: {words}; what was saved before is unchanged")
    return 128 + number


def _catch_signals() -> None:
    def end(number: int, _frame: object) -> NoReturn:
        raise Ended(number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # nohup asks for hang-ups to be ignored, and means it.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


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
