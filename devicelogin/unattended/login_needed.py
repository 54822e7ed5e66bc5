"""`on_login_needed`: the owner's command that is run when a person is needed, once per episode.

An episode begins when `status --check` begins to say 4 (nobody is signed in, or the provider no longer accepts what is
saved), or when a command cannot read what is saved (65). It ends with the next successful sign-in or refresh, which
changes the file `times`; so nothing has to be done at its end, and what goes well pays nothing. However many commands
fail meanwhile, the command is started once.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING

from devicelogin import errors, private_files, secret_store, user_session
from devicelogin.unattended import hooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicelogin import client, models
    from devicelogin.settings import paths as settings_paths

_logger = logging.getLogger("devicelogin.on_login_needed")

#: How long may another process take to note that it tells (seconds)? Two small files; then we leave it to that one.
_LOCK_SECONDS = 1.0

#: How long may the watching process wait for the same (seconds)? Nobody waits for it.
_PATIENT_SECONDS = 30.0

_FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """That the command was started: `at` is seconds since 1970.

    `outcome` says in words how it ended; None: it still runs, or was cut off with this machine. `failed`: it did not end
    with 0.
    """

    episode: str
    at: float
    outcome: str | None = None
    failed: bool = False


def notify(work: client.Workplace, error: errors.DeviceLoginError) -> None:
    """Start the profile's `on_login_needed`, unless that was done in this episode. Never raises, never waits for it.

    It is started for errors that a sign-in mends: not for a scope that needs a consent of its own, and not for a passphrase
    that was typed wrong by a person, who is there and can type it again.
    """
    if not isinstance(error, errors.LoginRequiredError | errors.DataBadError) or work.key_supply.passphrase is not None:
        return
    try:
        _notify(work, error)
    except Exception as failure:  # what failed already must not fail in another way
        _logger.debug("on_login_needed was not started: %s", type(failure).__name__)


def is_needed(paths: settings_paths.ProfilePaths) -> bool:
    """Tell whether a person is needed now. Raises DataBadError where the trace of the sign-in cannot be read."""
    return _episode(paths) is not None


def told(paths: settings_paths.ProfilePaths) -> Told | None:
    """Return what was done to tell somebody of the present episode; None: nothing, or there is none. For `status`."""
    known = _read(paths)
    if known is None:
        return None
    return known if known.episode == _unreadable(paths) or known.episode == _episode(paths) else None


def note_outcome(paths: settings_paths.ProfilePaths, episode: str, ending: hooks.Ending) -> None:
    """Write down how the command of `episode` ended. Raises StoreUnusableError or TryLaterError where that fails."""
    with _lock(paths, _PATIENT_SECONDS):
        known = _read(paths)
        if known is not None and known.episode == episode:
            outcome, failed = ending.problem or "it ended with 0", ending.problem is not None
            _write(paths, dataclasses.replace(known, outcome=outcome, failed=failed))


def _notify(work: client.Workplace, error: errors.DeviceLoginError) -> None:
    command = work.settings().on_login_needed.value
    paths = work.paths
    if not command:
        return
    episode = _unreadable(paths) if isinstance(error, errors.DataBadError) else _episode(paths)
    if episode is None or _is_told(paths, episode):
        return
    lock = _lock(paths, _LOCK_SECONDS)
    lock.acquire()
    try:
        if _is_told(paths, episode):
            return
        # Before it is started: what cannot be noted would be repeated with every run.
        _write(paths, Told(episode=episode, at=time.time()))
    finally:
        lock.release()
    hint = f"; {error.hint}" if error.hint else ""
    facts = hooks.Facts(
        event="login_needed",
        profile=work.profile,
        reason=f"a person must sign in on {hooks.this_machine()}, profile {work.profile}: {error.message}{hint}",
    )
    words = [user_session.program(command[0], work.environ), *command[1:]]
    task = {"profile": work.profile, "episode": episode, "command": words, "variables": facts.variables()}
    try:
        _start(work, task)
    except OSError as failure:
        note_outcome(paths, episode, hooks.Ending(f"it could not be started: {failure.strerror}"))


def _start(work: client.Workplace, task: Mapping[str, object]) -> None:
    """Start the process that runs the command and outlives us; it holds nothing that somebody waits for."""
    with _unnamed_file() as given:  # not a pipe: nobody is there to fill it
        given.write(json.dumps(task).encode())
        given.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "devicelogin.unattended.login_needed_child"],
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(work.environ),
            start_new_session=True,
        )
    # Nobody is going to wait for it, and Python need not warn of that.
    process.returncode = 0


def _unnamed_file() -> IO[bytes]:
    """Return a file without a name, in memory where the system has such: that needs no directory that can be written into."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("devicelogin"), "w+b")
    return tempfile.TemporaryFile()


def _episode(paths: settings_paths.ProfilePaths) -> str | None:
    """Return what names the present episode, the last success before it; None where no person is needed."""
    trace = secret_store.read_sign_in(paths)
    times = secret_store.read_times(paths)
    if trace is None or (trace.state != "saved" and times is None):
        return "nobody"
    if times is None or times.refused is None:
        return None
    return _success(times)


def _unreadable(paths: settings_paths.ProfilePaths) -> str:
    """Return what names the present episode where the saved sign-in cannot be read; its trace may be damaged as well."""
    times = secret_store.read_times(paths)
    return "unreadable" if times is None else f"unreadable {_success(times)}"


def _success(times: models.Times) -> str:
    return f"{times.generation} {times.made} {times.last_refreshed}"


def _is_told(paths: settings_paths.ProfilePaths, episode: str) -> bool:
    known = _read(paths)
    return known is not None and known.episode == episode


def _lock(paths: settings_paths.ProfilePaths, seconds: float) -> secret_store.ProfileLock:
    return secret_store.ProfileLock(paths, path=f"{paths.login_needed}-lock", wait_seconds=seconds)


def _read(paths: settings_paths.ProfilePaths) -> Told | None:
    """Return what is noted; a damaged note counts as none."""
    content = private_files.read(paths.login_needed)
    try:
        data = json.loads(content or b"")
        if data.pop("format_version") == _FORMAT_VERSION:
            return Told(**data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # at worst somebody is told once more; an error here would keep them from being told at all
    return None


def _write(paths: settings_paths.ProfilePaths, known: Told) -> None:
    content = json.dumps({"format_version": _FORMAT_VERSION, **dataclasses.asdict(known)}, indent=1) + "\n"
    private_files.replace(paths.login_needed, content.encode())
