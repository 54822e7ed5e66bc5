"""A machine of its own for one test: a private home in memory, an emulator, and the real command line in real processes.

    with sandbox.opened(interval=1) as box:
        box.login()
        result = box.run("token")
        assert result.status == 0

Whatever is run is held to what every command promises: no traceback, never exit 1, no secret on stderr. `box.variables`
may be changed; `box.emulator` has the knobs. For calls in this process: `box.workplace()` and `box.sign_in()`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from devicelogin import client, clock, secret_store
from devicelogin.client import observing, reporting, signing_in
from devicelogin.emulator import Emulator
from devicelogin.tokens import access_cache, cache_directory, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from devicelogin import models

ROOT = Path(__file__).resolve().parent.parent

#: How long may a command take before the test gives it up (seconds)? No verdict: the machine may be busy.
PATIENCE = 300.0

#: How long may something take that comes soon (seconds)? Busy machines have this much; what must not be waited for is later.
SOON = 90.0
LATER = 600.0

#: For commands that look for a name that does not exist: name servers that do not answer would cost them 20 seconds.
QUICK_RESOLVER = {"RES_OPTIONS": "timeout:1 attempts:1"}

#: A keyring whose items are files, see `Box.give_odd_keyrings`, and another class that keeps its items where this one does.
HONEST = "keyring:odd_keyrings.Honest"
NOSY = "keyring:odd_keyrings.Nosy"


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str
    seconds: float

    def lines(self, kind: str) -> list[str]:
        """Return the lines of stderr that say `error`, `hint`, `warning` or another `kind`."""
        start = f"devicelogin: {kind}: "
        return [line.removeprefix(start) for line in self.err.splitlines() if line.startswith(start)]


class PatientEmulator(Emulator):
    """An emulator that waits for a code as long as a command may take."""

    def wait_for_code(self, timeout: float = PATIENCE) -> str:
        return super().wait_for_code(timeout)


class HurriedClock(clock.SystemClock):
    """The machine's clocks, but nobody waits: sleeping moves the boot clock ahead at once."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def boot(self) -> float:
        return super().boot() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds


def quick(**options: Any) -> signing_in.Options:
    """Return options of a sign-in that does not wait between polls."""
    return signing_in.Options(clock=HurriedClock(), **options)


class Running:
    """A command that was started and has not been waited for."""

    def __init__(self, box: Box, arguments: tuple[str, ...], **options: Any) -> None:
        self._box = box
        self._arguments = arguments
        self._began = time.monotonic()
        variables = options.pop("variables", {})
        command = [*options.pop("before", ()), sys.executable, "-m", "devicelogin", *arguments]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process: subprocess.Popen[str] = subprocess.Popen(
            command, env=box.environment(variables), cwd=box.home, text=True, start_new_session=True,
            **{**streams, **options},
        )  # fmt: skip

    def finish(self, timeout: float = PATIENCE, stdin: str | None = None) -> Result:
        """Wait for the end and return how it was, held to what every command promises."""
        try:
            out, err = self.process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"{self._arguments} did not end within {timeout} s\n{err}") from None
        result = Result(self.process.returncode, out or "", err or "", time.monotonic() - self._began)
        self._box.check(result)
        return result


class Box:
    """One sandbox. `home` holds all that the program writes; it lies in memory where this machine has it at /dev/shm."""

    def __init__(self, home: Path, emulator: Emulator) -> None:
        self.home = home
        self.emulator = emulator
        self.variables = {"DEVICELOGIN_HOME": str(home / "all")}

    @property
    def config(self) -> Path:
        """Where the profiles are."""
        return self.home / "all" / "config"

    @property
    def state(self) -> Path:
        """Where the traces of the sign-ins are."""
        return self.home / "all" / "state"

    @property
    def runtime(self) -> Path:
        """Where the cached access tokens are."""
        return self.home / "all" / "runtime"

    def environment(self, more: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Return the whole environment of a command; nothing of ours leaks in. None in `more` takes a variable out."""
        plain: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            **self.variables,
            **(more or {}),
        }
        return {name: value for name, value in plain.items() if value is not None}

    def start(self, *arguments: str, **options: Any) -> Running:
        """Start `devicelogin ARGUMENTS`; `variables`, `before` (words before the command) and options of Popen."""
        return Running(self, arguments, **options)

    def run(
        self, *arguments: str, timeout: float = PATIENCE, stdin: str | None = None, **variables: str | None
    ) -> Result:
        """Run `devicelogin ARGUMENTS` without a terminal, with `variables` beside the sandbox's own."""
        streams: dict[str, int | IO[str]] = {} if stdin is None else {"stdin": subprocess.PIPE}
        return self.start(*arguments, variables=variables, **streams).finish(timeout, stdin)

    def app(self, **options: str | None) -> list[str]:
        """Return the options of `login` for the emulator: `client_id="..."`, `store=None` for none."""
        emulator = self.emulator
        known: dict[str, str | None] = {
            "client_id": emulator.client_id,
            "authority": emulator.authority,
            "ca_file": emulator.ca_file,
            "graph_root": emulator.graph_root,
            "store": "file",
        }
        if "oidc_issuer" in options or "tenant" in options:
            del known["authority"]
        words = []
        for name, value in {**known, **options}.items():
            if value is not None:
                words += ["--" + name.replace("_", "-"), value]
        return words

    def login(self, *arguments: str, user: str | None = None, after: float = 0, **options: str | None) -> Result:
        """Run a `login` that `user` approves `after` seconds; it must succeed."""
        self.emulator.approve_next(after=after, user=user)
        result = self.run("login", *self.app(**options), *arguments)
        assert result.status == 0, result
        return result

    def token(self, *arguments: str, **variables: str | None) -> str:
        """Run `token`, which must succeed, and return the token."""
        result = self.run("token", *arguments, **variables)
        assert result.status == 0, result
        return result.out.removesuffix("\n")

    def secrets(self) -> set[str]:
        """Return every secret that the emulator has given to anybody, but for ID tokens, which it does not note."""
        provider = self.emulator._services.provider
        with provider.lock:
            return {*provider.codes._codes, *provider.tokens.issued, *provider.refresh_tokens._tokens}

    def refresh_tokens(self) -> list[str]:
        """Return every refresh token that the emulator has issued, oldest first."""
        provider = self.emulator._services.provider
        with provider.lock:
            return list(provider.refresh_tokens._tokens)

    def check_works(self, **variables: str | None) -> None:
        """See that the saved sign-in is what it was: a refresh gives a token, whatever was refused a moment ago."""
        self.forget_refusals()
        self.token("--force-refresh", **variables)

    def forget_refusals(self) -> None:
        """Let what the provider refused lately be forgotten, as a minute does."""
        for directory in (self.runtime, self.state):
            (directory / "default" / access_cache.REFUSED).unlink(missing_ok=True)

    def give_odd_keyrings(self) -> Path:
        """Let the classes of `odd_keyrings` keep their items in a directory of this sandbox, and return it."""
        directory = self.home / "items"
        directory.mkdir()
        self.variables["ODD_KEYRING_DIRECTORY"] = str(directory)
        return directory

    def odd_items(self) -> dict[str, bytes]:
        """Return the items of ours that lie in one of the `odd_keyrings`, by name."""
        return {item.name: item.read_bytes() for item in (self.home / "items").glob("*devicelogin*")}

    def expire_cached(self) -> None:
        """Let the cached token be one that expired a second ago, wherever it lies."""
        work = self.workplace()
        cache = work.token_cache(work.settings())
        entry = cache.read("")
        assert entry is not None
        entry.expires_boot, entry.expires_wall, entry.expires_server = 1.0, time.time() - 1, time.time() - 1
        cache.write(entry)

    def forget_cached(self) -> None:
        """Delete the cached tokens, as a boot does."""
        for file in (self.runtime / "default").iterdir():
            file.unlink()

    def check(self, result: Result) -> None:
        """Hold a result to what every command promises."""
        assert "Traceback" not in result.err, result
        assert "Exception ignored" not in result.err, result
        assert result.status != 1, result
        # Every token that is a JWT begins so, ID tokens included.
        assert "eyJ" not in result.err, result
        assert not any(secret in result.err for secret in self.secrets()), result

    def workplace(
        self,
        flags: Mapping[str, object] | None = None,
        *,
        store: secret_store.SecretStore | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> client.Workplace:
        """Return the profile `default` of this sandbox for calls in this process."""
        return client.Workplace("default", flags=flags or {}, environ=self.environment(variables), store=store)

    def sign_in(
        self,
        options: signing_in.Options | None = None,
        observer: observing.Observer | None = None,
        *,
        user: str | None = None,
        given: secret_store.SecretStore | None = None,
        **flags: object,
    ) -> models.SignIn:
        """Sign `user` in, in this process and without waiting between polls; the way to begin a test of something else.

        `given` is a store object, `store` the name of one.
        """
        emulator = self.emulator
        known: dict[str, object] = {
            "client_id": emulator.client_id,
            "authority": emulator.authority,
            "ca_file": emulator.ca_file,
            "graph_root": emulator.graph_root,
            "store": "file",
        }
        if "oidc_issuer" in flags:
            del known["authority"]
        emulator.approve_next(user=user)
        work = self.workplace({**known, **flags}, store=given)
        quiet = observing.Calling(lambda _: None)
        return signing_in.login(work, options or quick(), observer or quiet)

    def trace(self) -> models.SignIn:
        """Return the trace of the sign-in of the profile `default`, which must be there."""
        found = secret_store.read_sign_in(self.workplace().paths)
        assert found is not None, "no trace"
        return found

    def status(self) -> models.SignInStatus:
        """Return the status of the profile `default`."""
        return reporting.read_status(self.workplace())

    def access_token(
        self, store: secret_store.SecretStore | None = None, variables: Mapping[str, str] | None = None, **wish: Any
    ) -> models.AccessToken:
        """Return an access token without a person, in this process."""
        return self.workplace(store=store, variables=variables).silent_tokens().access_token(silent.Wish(**wish))


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` holds, for `what` a test cannot go on without."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {SOON:.0f} s"
        time.sleep(0.01)


def remove(directory: Path) -> None:
    """Delete `directory` and all below it, if it is there; also where a test took the right to from its owner."""
    subprocess.run(["chmod", "-R", "u+rwX", directory], capture_output=True, check=False)
    shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def opened(**behaviour: Any) -> Iterator[Box]:
    """Open a sandbox whose emulator has the knobs `behaviour`; polls every second if nothing else is said."""
    with _opened_in("/dev/shm" if has_memory() else None, behaviour) as box:
        yield box


@contextlib.contextmanager
def opened_on_disk(**behaviour: Any) -> Iterator[Box]:
    """Open a sandbox on a disk: access tokens lie there sealed in the store, and systemd makes a host key."""
    with _opened_in(disk(), behaviour) as box:
        yield box


def has_memory() -> bool:
    """Tell whether /dev/shm is what it should be: a container may have none, and a bare chroot an empty directory."""
    return cache_directory.is_memory("/dev/shm") and os.access("/dev/shm", os.W_OK)


def disk() -> str:
    """Return a directory on a disk in which tests may make their own."""
    places = (tempfile.gettempdir(), "/var/tmp", str(ROOT))
    return next(place for place in places if not cache_directory.is_memory(place) and os.access(place, os.W_OK))


@contextlib.contextmanager
def emulator_in(directory: str, **behaviour: Any) -> Iterator[Emulator]:
    """Run an emulator whose CA's certificate lies in `directory`: /tmp is memory on many machines, and gone after a boot."""
    before, tempfile.tempdir = tempfile.tempdir, directory
    try:
        emulator = PatientEmulator(**behaviour)
    finally:
        tempfile.tempdir = before
    with emulator:
        yield emulator


@contextlib.contextmanager
def _opened_in(directory: str | None, behaviour: dict[str, Any]) -> Iterator[Box]:
    home = Path(tempfile.mkdtemp(prefix="devicelogin-test-", dir=directory))
    try:
        with emulator_in(directory or tempfile.gettempdir(), **{"interval": 1, **behaviour}) as emulator:
            yield Box(home, emulator)
    finally:
        remove(home)
