"""The identity provider and the keyring of a benchmark, in a process of their own that nobody measures.

Run by `provider.py` with the stage's interpreter; reads one JSON object a line and answers each with one.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import itertools
import json
import shutil
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from devicelogin.emulator import Emulator, Fault, directory  # noqa: E402 - the two paths come first

#: The client id that the Azure CLI brings along.
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


def main() -> None:
    """Serve until stdin ends."""
    with contextlib.ExitStack() as until_end:
        emulator = until_end.enter_context(Emulator(interval=1, approve_after=0))
        accept_basic(emulator)
        emulator.add_client(directory.Client(client_id=AZURE_CLI, name="Azure CLI"))
        facts = {
            "authority": emulator.authority,
            "tenant": emulator.tenant_id,
            "origin": emulator.origin,
            "client_id": emulator.client_id,
            "oidc_issuer": emulator.oidc_issuer,
            "graph_root": emulator.graph_root,
            "ca_file": emulator.ca_file,
        }
        answer(facts)
        for line in sys.stdin:
            wish = json.loads(line)
            if wish["do"] == "counts":
                answer(dict(collections.Counter(request.endpoint for request in emulator.requests)))
            elif wish["do"] == "set":
                emulator.mode = wish["mode"]
                delay = wish["delay"]
                emulator.script("refresh", itertools.repeat(Fault.delay(delay)) if delay else [])
                answer({})
            elif wish["do"] == "no-subscriptions":
                # What the Azure CLI asks the resource manager for after a login.
                emulator.script("unknown", itertools.repeat(Fault.json({"value": []})))
                answer({})
            elif wish["do"] == "keyring":
                answer(keyring(until_end))


def accept_basic(emulator: Emulator) -> None:
    """Take the client id from HTTP Basic where the form has none: oidc-agent sends it there, the emulator is stricter."""
    receive = emulator._services.receive

    def receive_either(*, headers: dict[str, str], body: bytes, **rest: str) -> object:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme == "Basic" and b"client_id=" not in body:
            body += b"&client_id=" + base64.b64decode(credentials).partition(b":")[0]
        return receive(headers=headers, body=body, **rest)

    emulator._services.receive = receive_either  # type: ignore[method-assign,assignment]


def keyring(until_end: contextlib.ExitStack) -> dict[str, str]:
    """Start an unlocked gnome-keyring and return what a process needs to see it; nothing where there is none."""
    if shutil.which("gnome-keyring-daemon") is None or shutil.which("dbus-daemon") is None:
        return {}
    import keyring_session

    return until_end.enter_context(keyring_session.started("unlocked")).variables


def answer(data: dict[str, str] | dict[str, int]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
