"""`devicelogin graph`: one call of Microsoft Graph, its body to stdout."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import TYPE_CHECKING

import click

from devicelogin import clock, errors, graph, hints, http_session, redaction
from devicelogin.cli import graph_words, output, telling, unlocking, waiting
from devicelogin.cli.options import file_names, one_of, profile_option, wait_for_clock_option
from devicelogin.client import graph_access
from devicelogin.terminal import body, messages, screen
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from devicelogin import client
    from devicelogin.cli.invocation import Invocation

_HELP = """Call Microsoft Graph and print the body of its answer.

PATH is below /v1.0 unless it begins with /v1.0/ or /beta/. Requests go to the Graph of the sign-in and nowhere else.

\b
  devicelogin graph me
  devicelogin graph '/me/messages?$top=5&$select=subject'
  devicelogin graph POST /me/todo/lists --input list.json
"""


#: The longest answer that a terminal shows (bytes).
_LONGEST_SHOWN = 32 << 20


@click.command("graph", help=_HELP, short_help="Call Microsoft Graph.")
@profile_option
@click.argument("words", nargs=-1, metavar="[METHOD] PATH", required=True, shell_complete=one_of(graph_words.METHODS))
@click.option(
    "--input", "source", metavar="FILE|-", shell_complete=file_names, help="The body to send, JSON; - is stdin."
)
@wait_for_clock_option
@click.pass_obj
def command(invocation: Invocation, words: tuple[str, ...], source: str | None, clock_wait: clock.ClockWait) -> None:
    """Run the command."""
    typed = graph_words.read(words, source)
    work = invocation.workplace()
    with telling.if_login_is_needed(work):
        _call(invocation, work, clock_wait, typed)


def _call(
    invocation: Invocation, work: client.Workplace, clock_wait: clock.ClockWait, typed: graph_words.Typed
) -> None:
    graph_access.graph_sign_in(work)  # what is wrong there needs no clock
    clock_wait.until_plausible()

    def call() -> None:
        with waiting.said("waiting for Microsoft Graph", invocation):
            clock_wait.call(lambda: _request(work, typed))

    unlocking.with_passphrase(invocation, work, call)


def _request(work: client.Workplace, typed: graph_words.Typed) -> None:
    """Make the request and write the body of its answer."""
    limit = clock.Deadline(silent.SILENT_SECONDS)
    with graph_access.graph_client(work, deadline=limit, warn=_warn) as calls:
        try:
            answer = calls.request(typed.method, typed.path, headers=typed.headers, body=typed.body)
        except graph.TokenRejectedError as rejected:
            rejected.hint = f"sign in again: {hints.login(work.profile)}"
            raise
        with contextlib.closing(answer):
            if answer.status == 304:
                raise errors.BadAnswerError(
                    "Microsoft Graph answered that nothing has changed, though nobody asked that",
                    hint="try from another network; something between this machine and Graph may cache answers",
                )
            _write(answer, typed)


def _warn(warning: str) -> None:
    output.say(messages.warning_line(warning))


def _write(answer: graph.GraphAnswer, typed: graph_words.Typed) -> None:
    """Write the body to stdout. What fails here fails after the request was done, which is then said (D21)."""
    method = typed.method
    is_change = method not in http_session.SAFE_METHODS
    try:
        if sys.stdout is not None and sys.stdout.isatty():
            _show(answer, typed)
        else:
            output.write_chunks(answer.chunks)
    except errors.OutputError as error:
        raise (http_session.was_done(error, method) if is_change else error) from error
    except output.ReaderGoneError:
        if is_change:
            output.say(f"devicelogin: the {method} was done; nobody reads its answer")
        raise
    except BaseException as end:
        if is_change and not isinstance(end, Exception):
            end.add_note(f"the {method} was done; do not repeat it for its answer")
        raise


def _show(answer: graph.GraphAnswer, typed: graph_words.Typed) -> None:
    """Write the body to the terminal. Raises OutputError for one that no terminal can show, or should."""
    kind = next((value for name, value in answer.headers.items() if name.lower() == "content-type"), "")
    content = bytearray()
    for chunk in answer.chunks:
        content += chunk
        if len(content) > _LONGEST_SHOWN:
            raise _not_for_terminals(f"longer than {_LONGEST_SHOWN >> 20} MiB", typed)
    if not content:
        return
    with output.guarded() as stream:
        is_shown = body.show(screen.Screen(stream, environ=os.environ), bytes(content), kind)
    if not is_shown:
        what = redaction.quotable(kind.partition(";")[0], limit=80) or "no text"
        raise _not_for_terminals(f"{len(content)} bytes of {what}", typed)


def _not_for_terminals(what: str, typed: graph_words.Typed) -> errors.OutputError:
    path = shlex.quote(redaction.quotable(typed.path, limit=300))
    words = path if typed.method == "GET" else f"{typed.method} {path}"
    return errors.OutputError(
        f"the answer is {what}, which a terminal cannot show",
        hint=f"write it to a file: devicelogin graph {words} > FILE",
    )
