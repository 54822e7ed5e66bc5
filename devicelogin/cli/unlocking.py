"""The passphrase of a sealed file: asked for by those commands that a person runs at a terminal.

What is silent never prompts: it fails. Then a person who is there is asked, and it runs again; no lock is held meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from devicelogin import errors
from devicelogin.cli import output
from devicelogin.terminal import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin import client
    from devicelogin.cli.invocation import Invocation

T = TypeVar("T")

#: What is the code of the error that a passphrase mends?
_NEEDED = "key_passphrase"


def let_ask(invocation: Invocation, work: client.Workplace) -> client.Workplace:
    """Return `work`, which may now ask the person at the terminal for a passphrase, if there is one."""
    if invocation.can_ask():
        work.key_supply.ask = _ask
    return work


def with_passphrase(invocation: Invocation, work: client.Workplace, act: Callable[[], T]) -> T:
    """Return what `act` returns. Where it lacks only a passphrase, ask the person at the terminal and act once more."""
    try:
        return act()
    except errors.StoreUnusableError as error:
        if error.code != _NEEDED or not invocation.can_ask():
            raise
    work.key_supply.passphrase = _ask(f"Passphrase of the saved sign-in ({work.profile}):")
    return act()


def _ask(question: str) -> str:
    return ask.hidden(question, output.people())
