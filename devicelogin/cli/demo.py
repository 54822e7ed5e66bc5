"""`devicelogin demo`: the whole story on this machine, through the normal code path, against the embedded emulator."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

import click

from devicelogin import child_process, errors, redaction
from devicelogin.cli import demo_sweeper, login, output
from devicelogin.cli.invocation import Invocation
from devicelogin.client import signing_in, signing_out
from devicelogin.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin import models

_HELP = """The whole story on this machine, against an identity provider that this program brings along.

A code and a QR code are shown as in a real sign-in; then a second process gets a token without asking, and Microsoft Graph
is called. Nothing leaves this machine, and nothing is left on it.

\b
  devicelogin demo
  devicelogin demo --yes
"""

#: After how many seconds does the demo approve its own sign-in?
APPROVE_AFTER = 10

#: The keyring items of a demo stand under a name of their own.
KEYRING_SERVICE = "devicelogin-demo"

_STEP_SECONDS = 60.0

_REAL = (
    "The same for real (the first line needs an app registration, see the README):",
    "  devicelogin login --client-id ID --tenant TENANT",
    "  devicelogin token",
    "  devicelogin graph me",
)


@click.command("demo", help=_HELP, short_help="The whole story on this machine; no tenant, no network.")
@click.option("--yes", is_flag=True, help="Approve the sign-in at once.")
@click.option("--keyring", "use_keyring", is_flag=True, help="Keep the secret in the system keyring, not in a file.")
@click.pass_obj
def command(invocation: Invocation, *, yes: bool, use_keyring: bool) -> None:
    """Run the command."""
    _need_temporary_files()
    with _temporary_home() as home, Emulator(interval=1) as emulator:
        demo = Invocation(quiet=invocation.quiet, keyring_service=KEYRING_SERVICE)
        flags: dict[str, object] = {
            "client_id": emulator.client_id,
            "authority": emulator.authority,
            "graph_root": emulator.graph_root,
            "ca_file": emulator.ca_file,
            "store": "keyring" if use_keyring else "file",
        }
        output.say(
            f"A sign-in service of this program's own is listening on {emulator.origin}; everything lies in {home}."
        )
        _say_step(1, "sign in, as a person would:  devicelogin login --client-id ... --authority ...")
        approval = _Approval(emulator, at_once=yes, can_ask=demo.can_ask())
        try:
            login.sign_in_on_screen(
                demo, flags, signing_in.Options(), note_below=approval.explanation, shown=approval.shown
            )
        finally:
            approval.end()
        _say_step(2, "later, in another process, nobody is asked:  devicelogin token --force-refresh")
        before = emulator.count("refresh")
        token = _run("token", "--force-refresh").decode().strip()
        requests = emulator.count("refresh") - before
        output.say(f"an access token of {len(token)} characters, with {requests} request for it and nobody present")
        _say_step(3, "Microsoft Graph with that token:  devicelogin graph me")
        output.write(_readable(_run("graph", "me")))
        _say_step(4, "clean up:  devicelogin logout")
        signing_out.logout(demo.workplace())
    output.say("the saved sign-in is deleted; nothing of this demo is left")
    output.say("")
    for line in _REAL:
        output.say(line)


class _Approval:
    """Plays the person: approves at once, after a while, or when Enter is pressed here."""

    def __init__(self, emulator: Emulator, *, at_once: bool, can_ask: bool) -> None:
        self._emulator = emulator
        self._at_once = at_once
        self._can_ask = can_ask
        self._ended = threading.Event()

    @property
    def explanation(self) -> str:
        """What stands under the code."""
        if self._at_once:
            return "This page exists only on this machine; the demo approves it itself, at once."
        enter = " (Enter: now)" if self._can_ask else ""
        return (
            "This page exists only on this machine: a phone cannot open it. It approves\n"
            f"by itself in {APPROVE_AFTER} s{enter}, or click through it in a browser here."
        )

    def shown(self, authorization: models.DeviceAuthorization) -> None:
        """Begin to wait beside the sign-in that waits as well."""
        threading.Thread(target=self._approve, args=(authorization.user_code,), daemon=True).start()

    def end(self) -> None:
        """Stop waiting."""
        self._ended.set()

    def _approve(self, user_code: str) -> None:
        end = time.monotonic() + (0 if self._at_once else APPROVE_AFTER)
        while time.monotonic() < end and not self._ended.is_set() and not self._enter_was_pressed():
            pass
        # Whoever clicked through the page was quicker, and may have declined.
        with contextlib.suppress(LookupError):
            self._emulator.approve(user_code)

    def _enter_was_pressed(self) -> bool:
        if not self._can_ask:
            self._ended.wait(0.1)
            return False
        ready, _, _ = select.select([sys.stdin], [], [], 0.1)
        return bool(ready) and bool(sys.stdin.readline())


def _need_temporary_files() -> None:
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise errors.ConfigError(
            "the demo needs a directory for temporary files, and none can be written into",
            hint="export TMPDIR=/path/of/a/directory that can",
        ) from error


@contextlib.contextmanager
def _temporary_home() -> Iterator[str]:
    """Let everything of ours live in a private directory, in memory where there is one, until the end of the demo.

    A second process deletes what is left there and in the keyring, however this one ends.
    """
    memory = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = memory if os.path.isabs(memory) and os.access(memory, os.W_OK) else None
    home = tempfile.mkdtemp(prefix="devicelogin-demo-", dir=parent)
    # Settings of the person's own, and a proxy that cannot reach this machine's own address, must not interfere.
    kept = {name: value for name, value in os.environ.items() if not _interferes(name)}
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(kept, DEVICELOGIN_HOME=home)
        with demo_sweeper.watching(home):
            yield home
    finally:
        os.environ.clear()
        os.environ.update(before)


def _interferes(name: str) -> bool:
    upper = name.upper()
    return upper.startswith(("DEVICELOGIN_", "AZURE_")) or upper in {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"}


def _run(*arguments: str) -> bytes:
    """Run a command of ours in a process of its own and return its stdout."""
    program = [sys.executable, "-P", "-m", "devicelogin", *arguments]
    outcome = child_process.run(program, deadline_seconds=_STEP_SECONDS)
    if outcome.status != 0:
        said = redaction.printable(outcome.diagnostics.decode("utf-8", "replace"), limit=500)
        raise errors.InternalError(
            f"devicelogin {' '.join(arguments)} ended with {outcome.status} in the demo: {redaction.redacted(said)}",
            hint="report this line",
        )
    return outcome.output


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=True) + "\n"
    except ValueError:
        return redaction.printable(body.decode("utf-8", "replace"))


def _say_step(number: int, text: str) -> None:
    output.say(f"\n{number}. {text}")
