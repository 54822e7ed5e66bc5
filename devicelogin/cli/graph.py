"""`devicelogin graph`: one call of Microsoft Graph, its body to stdout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from devicelogin import clock, errors, graph, hints, secret_store
from devicelogin.cli import output, telling, unlocking, waiting
from devicelogin.cli.options import file_names, one_of, profile_option, wait_for_clock_option
from devicelogin.client import unfinished
from devicelogin.terminal import messages
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin import client, models
    from devicelogin.cli.invocation import Invocation
    from devicelogin.settings import resolve

_HELP = """Call Microsoft Graph and print the body of its answer.

PATH is below /v1.0 unless it begins with /v1.0/ or /beta/. Requests go to the Graph of the sign-in and nowhere else.

\b
  devicelogin graph me
  devicelogin graph '/me/messages?$top=5&$select=subject'
  devicelogin graph POST /me/todo/lists --input list.json
"""

#: How large may a body to be sent be (bytes)? Graph's own limit for anything but upload sessions is 4 MB.
_BODY_LIMIT = 64 << 20

_ELSEWHERE = "://"

_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


@click.command("graph", help=_HELP, short_help="Call Microsoft Graph.")
@profile_option
@click.argument("words", nargs=-1, metavar="[METHOD] PATH", required=True, shell_complete=one_of(_METHODS))
@click.option(
    "--input", "source", metavar="FILE|-", shell_complete=file_names, help="The body to send, JSON; - is stdin."
)
@wait_for_clock_option
@click.pass_obj
def command(invocation: Invocation, words: tuple[str, ...], source: str | None, clock_wait: clock.ClockWait) -> None:
    """Run the command."""
    method, path = _method_and_path(words)
    body = _body(source)
    work = invocation.workplace()
    with telling.if_login_is_needed(work):
        _call(invocation, work, clock_wait, method, path, body)


def _call(
    invocation: Invocation,
    work: client.Workplace,
    clock_wait: clock.ClockWait,
    method: str,
    path: str,
    body: bytes | None,
) -> None:
    sign_in = unfinished.read_settled(work)
    if sign_in is None:
        raise silent.not_signed_in(work.profile)
    chosen = work.settings()
    if not sign_in.graph_root:
        raise errors.ConfigError(
            f"the sign-in at {sign_in.authority} has no Microsoft Graph",
            hint=f"{hints.login(work.profile)} --graph-root URL",
        )
    clock_wait.until_plausible()

    def call() -> None:
        with waiting.said("waiting for Microsoft Graph", invocation):
            clock_wait.call(lambda: _request(work, sign_in, chosen, method, path, body))

    unlocking.with_passphrase(invocation, work, call)


def _request(
    work: client.Workplace,
    sign_in: models.SignIn,
    chosen: resolve.Settings,
    method: str,
    path: str,
    body: bytes | None,
) -> None:
    """Make the request and write the body of its answer."""
    scopes = _graph_scopes(sign_in, chosen.scopes.value if chosen.scopes.explicit else sign_in.scopes)
    headers = {} if body is None else {"Content-Type": "application/json"}
    with work.connect(chosen.ca_file.value, clock.Deadline(silent.SILENT_SECONDS)) as session:

        def call(token: Callable[[], models.AccessToken]) -> graph.GraphAnswer:
            return graph.GraphClient(token, sign_in.graph_root, session=session).request(
                method, path, headers=headers, body=body
            )

        answer = _call_twice(work, sign_in, scopes, call)
        try:
            if answer.status == 304:
                raise errors.BadAnswerError(
                    f"{sign_in.graph_root} answered that nothing has changed, though nobody asked that",
                    hint="try from another network; something between this machine and Graph may cache answers",
                )
            output.write_chunks(answer.chunks)
            if sys.stdout.isatty():
                output.write("\n")  # JSON ends without one; the prompt would stand behind it
        finally:
            answer.close()


def _call_twice(
    work: client.Workplace,
    sign_in: models.SignIn,
    scopes: tuple[str, ...],
    call: Callable[[Callable[[], models.AccessToken]], graph.GraphAnswer],
) -> graph.GraphAnswer:
    """Call with the token at hand; if Graph does not accept it, once more with a new one."""

    def token(*, force: bool = False, claims: str | None = None) -> models.AccessToken:
        found = work.silent_tokens().access_token(silent.Wish(scopes=scopes, force=force, claims=claims))
        _check_unchanged(work, sign_in)
        for warning in found.warnings:
            output.say(messages.warning_line(warning))
        return found

    try:
        return call(token)
    except graph.TokenRejectedError as rejected:
        claims = rejected.claims
    newer = token(force=True, claims=claims)
    try:
        return call(lambda: newer)
    except graph.TokenRejectedError as rejected:
        rejected.hint = f"sign in again: {hints.login(work.profile)}"
        raise


def _check_unchanged(work: client.Workplace, sign_in: models.SignIn) -> None:
    """Raise ConfigError where another sign-in has come meanwhile.

    SECURITY: the token may be of the new one, and the request is addressed to the Graph of the old one.
    """
    now = secret_store.read_sign_in(work.paths)
    if now is None or (now.authority, now.client_id, now.graph_root) != (
        sign_in.authority,
        sign_in.client_id,
        sign_in.graph_root,
    ):
        raise errors.ConfigError(
            f"the sign-in of the profile {work.profile} was replaced in the middle of this call; it was not sent",
            hint="run the command again",
            code="sign_in_replaced",
        )


def _method_and_path(words: tuple[str, ...]) -> tuple[str, str]:
    if len(words) == 1:
        return "GET", words[0]
    if len(words) == 2:
        return words[0].upper(), words[1]
    raise errors.UsageError(
        "more than a method and a path were given",
        hint="put quotes around the path: devicelogin graph GET '/me?$select=id'",
    )


def _body(source: str | None) -> bytes | None:
    if source is None:
        return None
    try:
        if source == "-":
            if sys.stdin is None:
                raise errors.UsageError(
                    "stdin is closed, so there is no body to send", hint="name a file: --input FILE"
                )
            content = sys.stdin.buffer.read(_BODY_LIMIT + 1)
        else:
            with open(source, "rb") as file:
                content = file.read(_BODY_LIMIT + 1)
    except OSError as error:
        raise errors.UsageError(
            f"cannot read {source}: {error.strerror}", hint="name a file that exists: --input FILE"
        ) from error
    if len(content) > _BODY_LIMIT:
        raise errors.UsageError(
            f"the body is larger than {_BODY_LIMIT >> 20} MiB", hint="use a Graph upload session for large content"
        )
    return content


def _graph_scopes(sign_in: models.SignIn, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of the token for Graph: the profile's own if all are Graph's, else Graph's among them, else all."""
    root = sign_in.graph_root.rstrip("/").lower() + "/"
    of_graph = tuple(scope for scope in scopes if _ELSEWHERE not in scope or scope.lower().startswith(root))
    if of_graph and len(of_graph) == len(scopes):
        return ()
    return of_graph or (f"{sign_in.graph_root.rstrip('/')}/.default",)
