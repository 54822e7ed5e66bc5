"""`devicelogin completion`: the script that lets a shell complete commands, options and their values, and its answers.

The script calls this program again with what was typed so far. What is looked up then is what lies in files here: neither
the network nor a secret is touched, and whatever is wrong there means only that nothing is offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click import shell_completion

from devicelogin import errors
from devicelogin.cli import output
from devicelogin.cli.options import COMPLETION_VARIABLE

if TYPE_CHECKING:
    from devicelogin.cli.invocation import Invocation

_PROGRAM = "devicelogin"

_HELP = """Print the script that completes commands, options, profiles and file names in
a shell: SHELL is bash, zsh or fish.

\b
For this session:
  source <(devicelogin completion bash)
  source <(devicelogin completion zsh)
  devicelogin completion fish | source

For good, put that line into ~/.bashrc, ~/.zshrc (below compinit) or
~/.config/fish/config.fish.
"""


class _Completing(shell_completion.ShellComplete):
    """What click leaves out: a value behind `--option=` is offered with what stands before it in the same word."""

    def get_completions(self, args: list[str], incomplete: str) -> list[shell_completion.CompletionItem]:
        offered = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in offered:
                item.value = f"{option}={item.value}"
        return offered


class _Bash(_Completing, shell_completion.BashComplete):
    """Bash takes `--profile=work` apart into three words."""

    def source(self) -> str:
        # That of click looks for a bash to run; whoever asks for the script knows where it goes.
        return shell_completion.ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = super().get_completion_args()
        return [word for word in words if word != "="], incomplete


class _Zsh(_Completing, shell_completion.ZshComplete):
    """As click has it."""


class _Fish(_Completing, shell_completion.FishComplete):
    """The script of click cuts a description at its first comma."""

    source_template = shell_completion.FishComplete.source_template.replace(
        'string split "," $completion', 'string split --max 1 "," $completion'
    )


_SHELLS: dict[str, type[shell_completion.ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


@click.command("completion", help=_HELP, short_help="Let your shell complete commands and profiles.")
@click.argument("shell", metavar="SHELL", type=click.Choice(list(_SHELLS)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Run the command."""
    output.write(_completer(context.find_root().command, shell, context.obj).source())


def answer(program: click.Command, invocation: Invocation, instruction: str) -> int:
    """Write what the shell may offer to stdout; `instruction` is what its script says, like `bash_complete`."""
    shell, _, wanted = instruction.partition("_")
    if shell not in _SHELLS or wanted != "complete":
        raise errors.UsageError(
            f"{COMPLETION_VARIABLE} does not hold what the scripts of devicelogin write into it",
            hint=f"unset {COMPLETION_VARIABLE}",
        )
    try:
        offered = _completer(program, shell, invocation).complete()
    except Exception:  # whatever is wrong: a word about it would end up in the middle of what is being typed
        offered = ""
    output.write(offered + "\n")
    return 0


def _completer(program: click.Command, shell: str, invocation: Invocation) -> shell_completion.ShellComplete:
    return _SHELLS[shell](program, {"obj": invocation}, _PROGRAM, COMPLETION_VARIABLE)
