"""A machine on which somebody is signed in: a home and a runtime directory in memory, and commands that see no other."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import timing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import environments
    import provider

SCOPE = "Mail.Read"

#: What the sign-ins are made with. Each scope can be asked for by itself, so they are as many sets.
SCOPES = (
    "User.Read",
    SCOPE,
    "Mail.ReadWrite",
    "Mail.Send",
    "Calendars.Read",
    "Calendars.ReadWrite",
    "Files.Read",
    "Files.ReadWrite",
    "Tasks.Read",
    "Tasks.ReadWrite",
)


class Machine:
    """One of them. Everything lies below `home`."""

    def __init__(self, home: Path, installed: environments.Environment, running: provider.Provider) -> None:
        self.home = home
        self.installed = installed
        self.provider = running
        self.runtime = home / "run"
        self.runtime.mkdir(mode=0o700)
        self.environment = {
            "PATH": f"{installed.directory / 'bin'}:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.runtime),
        }

    def command(
        self, name: str, arguments: Sequence[str], *, module: bool = False, more: Mapping[str, str] | None = None
    ) -> timing.Command:
        """Return `devicelogin ARGUMENTS` as the console script or as `python -m`."""
        program = [self.installed.python, "-m", "devicelogin"] if module else [self.installed.program("devicelogin")]
        return timing.Command(name, [*program, *arguments], {**self.environment, **(more or {})}, str(self.home))

    def sign_in(self, *, profile: str = "default", store: str = "file", more: Mapping[str, str] | None = None) -> None:
        """Sign in as a person does, and fetch a token for the profile's scopes and one for another scope."""
        facts = self.provider.facts
        options = ["--profile", profile, "--store", store, "--client-id", facts["client_id"]]
        options += ["--authority", facts["authority"], "--graph-root", facts["graph_root"]]
        options += ["--ca-file", facts["ca_file"]]
        for scope in SCOPES:
            options += ["--scope", scope]
        self.command("login", ["login", *options], more=more).output()
        self.token("--profile", profile, more=more)
        self.token("--profile", profile, "--scope", SCOPE, more=more)

    def token(self, *arguments: str, more: Mapping[str, str] | None = None) -> str:
        """Return what `devicelogin token` prints."""
        printed = self.command("token", ["token", *arguments], more=more).output().strip()
        if not printed:
            raise timing.BenchmarkError("devicelogin token printed nothing")
        return printed

    def cached(self, profile: str = "default") -> Path:
        """Return where the cached access tokens of `profile` lie."""
        return self.runtime / "devicelogin" / profile

    def forget_tokens(self, profile: str = "default") -> None:
        """Delete the cached access tokens: the next call must refresh, as after their time."""
        for entry in self.cached(profile).iterdir():
            entry.unlink()


@contextlib.contextmanager
def made(installed: environments.Environment, running: provider.Provider) -> Iterator[Machine]:
    """Make a machine that is gone when the context ends. Raises BenchmarkError without a file system in memory."""
    if not os.path.isdir("/dev/shm"):
        raise timing.BenchmarkError("there is no /dev/shm: cached access tokens need a file system in memory")
    home = Path(tempfile.mkdtemp(prefix="devicelogin-bench-", dir="/dev/shm"))
    try:
        yield Machine(home, installed, running)
    finally:
        shutil.rmtree(home, ignore_errors=True)
