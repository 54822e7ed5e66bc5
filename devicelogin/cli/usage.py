"""Wrong words on the command line: what click says about them as our error, with the one hint that leads out."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click

from devicelogin import errors, hints, redaction
from devicelogin.cli import habits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TENANT = re.compile(r"(?:[a-z0-9-]+\.)+(?:com|org|net|edu|gov|io|eu|de|uk|us)", re.IGNORECASE)
_CLIENT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SCOPE = re.compile(r"https://\S+|[A-Z]\w+(?:\.[A-Z]\w+)+")

#: What a lone word after a command may be, and the option that it belongs to.
_KINDS = (
    ("--client-id", _CLIENT_ID, "the client id"),
    ("--expect-user", re.compile(r"[^\s@]+@[^\s@]+"), "the user"),
    ("--scope", _SCOPE, "a scope"),
    ("--tenant", _TENANT, "the tenant"),
    ("--to", re.compile(r"file|keyring(?::\S+)?"), "the store"),
    ("--profile", re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), "the profile"),
)


def error_of(error: click.UsageError) -> errors.UsageError:
    """Return what click says as our error."""
    context = error.ctx
    command = context.command_path if context is not None else "devicelogin"
    if isinstance(error, click.NoSuchOption):
        return _unknown_option(error.option_name, context, command)
    # Not every click that we work with has an error of its own for these.
    wrong = re.fullmatch(r"No such command '(.*)'\.", error.message, re.DOTALL)
    if wrong is not None and context is not None and isinstance(context.command, click.Group):
        return unknown_command((wrong[1],), context.command.list_commands(context), command)
    extra = re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", error.message, re.DOTALL)
    if extra is not None and context is not None:
        return _extra_word(extra[1], context, command)
    if isinstance(error, click.MissingParameter) and isinstance(error.param, click.Option):
        option = error.param
        return errors.UsageError(
            f"the option {option.opts[0]} is missing", hint=f"{command} {option.opts[0]} {option.metavar or 'VALUE'}"
        )
    message = error.format_message().replace(". Choose from:", ": choose one of").rstrip(".")
    message = message.replace("a valid integer range", "a whole number")
    return errors.UsageError(message[:1].lower() + message[1:], hint=f"{command} --help")


def unknown_command(words: Sequence[str], names: Iterable[str], command: str) -> errors.UsageError:
    """Return the error for `words` after `command`, whose commands are `names`: none of them is the first word."""
    known = habits.command_for(tuple(words)) if command == "devicelogin" else None
    if known is not None:
        said, ours = known
        return errors.UsageError(f"no such command '{said}'; here it is: {ours}", hint=ours)
    near = hints.nearest(words[0], names)
    message = f"no such command '{words[0]}'" + (f"; did you mean {near}?" if near else "")
    return errors.UsageError(message, hint=f"{command} {near} --help" if near else f"{command} --help")


def check_values(command: click.Command, words: Sequence[str], path: str) -> None:
    """Raise UsageError if an option among `words` lacks its value: nothing, or an option of the same command, follows.

    Click would take that option for the value, and say nothing or something else.
    """
    names = {name: option for option in command.params if isinstance(option, click.Option) for name in option.opts}
    rest = iter(words)
    for word in rest:
        if word == "--" or not word.startswith("-"):
            if isinstance(command, click.Group) and word in command.commands:
                check_values(command.commands[word], list(rest), f"{path} {word}")
            if word == "--":
                return
            continue
        option = names.get(word)
        if option is None or option.is_flag or option.count:
            continue
        value = next(rest, None)
        if value is None or value in names:
            follows = f": {value} follows" if value is not None else ""
            raise errors.UsageError(f"the option {word} has no value{follows}", hint=f"{path} --help")


def _unknown_option(wrong: str, context: click.Context | None, command: str) -> errors.UsageError:
    name = context.info_name or "" if context is not None and context.parent is not None else ""
    hint = habits.hint_for(name, wrong)
    if hint is not None:
        return errors.UsageError(f"no such option '{wrong}'", hint=hint)
    parameters = context.command.get_params(context) if context is not None else []
    options = [option for parameter in parameters for option in parameter.opts if option.startswith("--")]
    if context is not None and isinstance(context.command, click.Group):
        name = wrong.lstrip("-")
        if name in context.command.list_commands(context):
            return errors.UsageError(f"no such option '{wrong}'; it is a command", hint=f"{command} {name}")
    near = hints.nearest(wrong, options) if wrong.startswith("--") else None
    meant = f"; did you mean {near}?" if near else ""
    return errors.UsageError(f"no such option '{wrong}'{meant}", hint=f"{command} --help")


def _extra_word(words: str, context: click.Context, command: str) -> errors.UsageError:
    """Return the error for words after a command that takes none: a lone one may be the value of an option."""
    options = {option for parameter in context.command.params for option in parameter.opts}
    for option, shape, what in _KINDS:
        if option in options and shape.fullmatch(words):
            typed = redaction.quotable(words, limit=100)
            return errors.UsageError(
                f"unexpected word '{typed}'; {what} is an option",
                hint=f"{command} {option} {shlex.quote(typed)}",
            )
    return errors.UsageError(f"unexpected words: {redaction.quotable(words, limit=100)}", hint=f"{command} --help")
