"""The emulator as a process of its own, to try things by hand or from other languages: `python -m devicelogin.emulator`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading

from devicelogin.emulator import emulator


def run(arguments: list[str]) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; say where as one JSON object, on stderr and in the file `--facts` names.

    The file appears whole, once the emulator listens, and is removed at the end.
    """
    options = _options(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    with emulator.Emulator(
        host=options.host, port=options.port, mode=options.mode, approve_after=options.approve_after
    ) as running:
        facts = json.dumps(
            {
                "format_version": 1,
                "authority": running.authority,
                "tenant_id": running.tenant_id,
                "client_id": running.client_id,
                "oidc_issuer": running.oidc_issuer,
                "graph_root": running.graph_root,
                "ca_file": running.ca_file,
                "signin_uri": running.signin_uri,
            }
        )
        sys.stderr.write(facts + "\n")
        sys.stderr.flush()
        if options.facts is not None:
            _write(options.facts, facts)
        try:
            ended.wait()
        finally:
            if options.facts is not None:
                os.unlink(options.facts)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devicelogin.emulator", description="Run the devicelogin emulator.")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--mode", choices=("entra", "strict"), default="entra", help="what becomes of a used refresh token"
    )
    parser.add_argument("--approve-after", type=float, metavar="SECONDS", help="approve every code by itself")
    parser.add_argument("--facts", metavar="FILE", help="write where everything is to this file")
    return parser.parse_args(arguments)


def _write(path: str, text: str) -> None:
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    os.replace(temporary, path)
