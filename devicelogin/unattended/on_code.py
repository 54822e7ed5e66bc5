"""`on_code`: the owner's command that is run when a code is there, beside whatever shows the code.

The command is run and watched by a process of its own (`on_code_child`): nothing it does delays the sign-in, and the QR
code in its file is gone when the code is spent, also where this process was killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Self

from devicelogin import errors, private_files, user_session
from devicelogin.client import observing
from devicelogin.terminal import qr_image, verification_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from devicelogin import authority, client, models
    from devicelogin.settings import paths as settings_paths

_logger = logging.getLogger("devicelogin.on_code")

#: How long do we wait for the watching process when the sign-in is over (seconds)?
_LAST_SECONDS = 5.0


class OnCode(observing.Relay):
    """An observer before another one, which is told everything; a context manager that ends what it has started.

    `command` empty: nothing is run. `reason` is the sentence for the person who gets the code; None: the usual one.
    """

    def __init__(
        self,
        observer: observing.Observer,
        command: Sequence[str],
        work: client.Workplace,
        *,
        reason: str | None = None,
    ) -> None:
        super().__init__(observer)
        self._command = [user_session.program(word, work.environ) for word in command[:1]] + list(command[1:])
        self._work = work
        self._reason = reason
        self._directory: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._report: _Report | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._tell()
        finally:
            self._end()

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Have the code shown, then start the command."""
        self._observer.show(authorization, provider, tenant)
        self._end()
        sweep(self._work.paths)
        if not self._command:
            return
        try:
            verification_uri.require_known(authorization, is_oidc=provider.is_oidc)
            self._start(authorization)
        except (OSError, errors.DeviceLoginError) as error:
            reason = error.message if isinstance(error, errors.DeviceLoginError) else error.strerror
            self._observer.note(f"on_code was not run: {reason}")
            self._end()

    def waiting(self, seconds_left: float) -> None:
        """Pass it on, and what became of the command."""
        self._tell()
        self._observer.waiting(seconds_left)

    def may_renew(self) -> bool:
        """Stop the command, delete the picture, and ask the other observer."""
        self._tell()
        self._end()
        return self._observer.may_renew()

    def _start(self, authorization: models.DeviceAuthorization) -> None:
        uri = verification_uri.for_qr_code(authorization)
        self._directory = _make_directory(self._work.paths)
        picture = qr_image.as_png(uri)
        qr_file = os.path.join(self._directory, "qr.png") if picture is not None else None
        if picture is not None and qr_file is not None:
            private_files.replace(qr_file, picture)
        from devicelogin.unattended import hooks

        profile = self._work.profile
        started = f"a sign-in with devicelogin, profile {profile}, was started on {hooks.this_machine()}"
        facts = hooks.Facts(
            event="code",
            profile=profile,
            reason=self._reason or f"{started}; only enter this code if you started it",
            code=authorization.user_code,
            uri=uri,
            expires_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + authorization.expires_in)),
            qr_file=qr_file,
        )
        task = {"command": self._command, "variables": facts.variables(), "directory": self._directory}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "devicelogin.unattended.on_code_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(self._work.environ),
            # Ctrl-C goes to everybody in the terminal's foreground; this one has to tidy up.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        self._process.stdin.flush()
        self._report = _Report(self._process)

    def _tell(self) -> None:
        """Pass on how the command ended, once it has."""
        if self._report is None or self._report.is_alive():
            return
        report, self._report = self._report, None
        _logger.debug("on_code said: %s", report.ending.said)
        if report.ending.problem is not None:
            self._observer.note(f"on_code: {report.ending.problem}; the sign-in goes on")

    def _end(self) -> None:
        """Stop the command where it still runs, delete the picture: the code is spent. Waits 5 s at most."""
        process, self._process = self._process, None
        directory, self._directory = self._directory, None
        self._report = None
        if process is not None:
            with contextlib.suppress(OSError):
                _close(process.stdin)
            try:
                process.wait(_LAST_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with contextlib.suppress(OSError):
                _close(process.stdout)
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


class _Report(threading.Thread):
    """Waits for the line in which the watching process says how the command ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        from devicelogin.unattended import hooks

        super().__init__(daemon=True)
        self.ending = hooks.Ending("the process that watches it has died")
        self._stream = process.stdout
        self.start()

    def run(self) -> None:
        from devicelogin.unattended import hooks

        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            self.ending = hooks.Ending(**json.loads(self._stream.readline()))  # type: ignore[union-attr]


def sweep(paths: settings_paths.ProfilePaths) -> None:
    """Delete the pictures that a sign-in to this profile has left when it was killed with all its processes.

    The caller holds the profile's login lock, so that none of them is in use.
    """
    for parent in {paths.places.runtime, _temporary_files()} - {None}:
        with contextlib.suppress(OSError):
            for name in os.listdir(parent):
                if name.startswith(_prefix(paths)):
                    shutil.rmtree(os.path.join(str(parent), name), ignore_errors=True)


def _make_directory(paths: settings_paths.ProfilePaths) -> str:
    parent = paths.places.runtime
    if parent is not None:
        try:
            private_files.make_directory(parent)
        except errors.DeviceLoginError:
            parent = None
    parent = parent or _temporary_files()
    if parent is None:
        raise errors.ConfigError(
            "no directory for temporary files can be written into", hint="export TMPDIR=/path/of/a/directory that can"
        )
    return tempfile.mkdtemp(prefix=_prefix(paths), dir=parent)


def _temporary_files() -> str | None:
    """Return the directory of temporary files, None where no place for them can be written into."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return None


def _prefix(paths: settings_paths.ProfilePaths) -> str:
    # With a dot: no profile's name begins so. The state directory tells apart those who share a directory of temporary files.
    return f".devicelogin-code-{hashlib.sha256(os.fsencode(paths.state)).hexdigest()[:16]}-"


def _close(stream: object) -> None:
    close: Callable[[], None] | None = getattr(stream, "close", None)
    if close is not None:
        close()
