"""The benchmark's end of `serve.py`: an identity provider that approves every sign-in at once, and a keyring."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import environments


class Provider:
    """A running identity provider; `facts` says where it is and what it knows."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.facts: dict[str, str] = self._read()
        self._keyring: dict[str, str] | None = None

    def requests(self) -> dict[str, int]:
        """Return how many requests each endpoint has had."""
        return self._ask({"do": "counts"})

    def behave(self, *, mode: str = "entra", delay: float = 0) -> None:
        """Choose what becomes of a used refresh token (`entra`, `strict`) and how long a refresh takes (seconds)."""
        self._ask({"do": "set", "mode": mode, "delay": delay})

    def serve_no_subscriptions(self) -> None:
        """Be a resource manager without subscriptions as well."""
        self._ask({"do": "no-subscriptions"})

    def keyring(self) -> dict[str, str]:
        """Return the variables of a session with an unlocked keyring, empty where there can be none."""
        if self._keyring is None:
            self._keyring = self._ask({"do": "keyring"})
        return self._keyring

    def _ask(self, wish: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise timing.BenchmarkError("the identity provider of the benchmark has ended")
        return json.loads(line)


@contextlib.contextmanager
def started(stage: environments.Environment) -> Iterator[Provider]:
    """Start an identity provider that ends with the context."""
    command = [stage.python, str(Path(__file__).with_name("serve.py"))]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], "HOME": "/"}
    )
    try:
        yield Provider(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
