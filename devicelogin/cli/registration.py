"""What somebody without an app registration reads and is asked: there is no default client id, and there will be none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from devicelogin import errors
from devicelogin.cli import output
from devicelogin.settings import shapes
from devicelogin.terminal import ask, screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

#: Can be followed on a phone. The manifest's name for the switch is allowPublicClient (isFallbackPublicClient in Graph).
STEPS = """\
Signing in needs an app registration of your own: once per tenant, two minutes,
also on a phone:
  1. https://entra.microsoft.com > App registrations > New registration
  2. Any name; accounts in this organizational directory only; Register
  3. Authentication > Settings > Allow public client flows: Enabled; Save
  4. Overview: copy the Application (client) ID and the Directory (tenant) ID
The same as one command, where the Azure CLI is signed in; it prints the client ID:
  az ad app create --display-name devicelogin --is-fallback-public-client true \\
    --query appId --output tsv
"""


def ask_for_app(flags: dict[str, object], *, needs_tenant: bool, is_oidc: bool, stdin: TextIO) -> None:
    """Show the steps, ask for client id and tenant, check their shape, and put them into `flags`.

    Raises UsageError where the person gives up.
    """
    view = screen.Screen(output.people(), environ=os.environ)
    if is_oidc:
        view.line("Signing in needs a client id: register a public client with the device flow at that provider.")
        flags["client_id"] = ask.ask(view, stdin, "Client id: ", check=_checked(shapes.oidc_client_id))
        return
    for line in STEPS.splitlines():
        view.line(line)
    flags["client_id"] = ask.ask(view, stdin, "Application (client) ID: ", check=_checked(shapes.client_id))
    if needs_tenant:
        flags["tenant"] = ask.ask(view, stdin, "Directory (tenant) ID or domain: ", check=_checked(shapes.tenant))


def _checked(shape: Callable[[object], str]) -> Callable[[str], str]:
    def check(answer: str) -> str:
        try:
            return shape(answer.strip())
        except shapes.BadValueError as bad:
            raise errors.UsageError(bad.why, hint=bad.hint) from None

    return check
