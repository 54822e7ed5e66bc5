"""The rehearsal of cron: `devicelogin token` as a job of the user's crontab runs it, and whether that will last.

The job has the environment of cron and nothing of ours, a session of its own without a terminal, stdin at its end, umask
077 and HOME as its directory. Its token is looked at for its shape and forgotten.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from devicelogin import child_process, errors, redaction, secret_store, settings, user_session
from devicelogin.doctor import crontab, durability, scheduler
from devicelogin.settings import resolve
from devicelogin.terminal import messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicelogin import models
    from devicelogin.settings import paths as settings_paths

#: How long may the job take (seconds)? A silent command ends by itself after 75.
_PATIENCE = 85.0

#: What runs a module of this very installation: a job has no PYTHONPATH, and may find another one.
_START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"
)

#: Which failures are of the network today, and say nothing about the saved sign-in?
_PASSING = frozenset({errors.TryLaterError.exit_code, errors.BadAnswerError.exit_code})

MOMENTS = ("now", "after_logout", "after_reboot")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Whether a job works at one of MOMENTS (None: not known), why, one command, and the exit code of a no."""

    moment: str
    works: bool | None
    reason: str
    command: str | None = None
    exit_code: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What was found out: three answers, lines that the crontab lacks, how it must write our command if not by name, and
    what starts jobs here at all.
    """

    answers: tuple[Answer, ...]
    missing: tuple[str, ...]
    program: str | None
    scheduler: scheduler.Scheduler

    @property
    def exit_code(self) -> int:
        """The code of the first no; 0 where there is none."""
        return next((answer.exit_code for answer in self.answers if answer.works is False), 0)


def rehearse(profile: str, environ: Mapping[str, str], *, force_refresh: bool) -> Rehearsal:
    """Run the silent path of `profile` as cron would and judge what it will do later.

    `environ` is what this session has; with `force_refresh` the job makes a real refresh. Raises ConfigError where there
    is no cron to rehearse (Windows).
    """
    if os.name != "posix":
        raise errors.ConfigError(
            "there is no cron on this system", hint="try the task itself: devicelogin token --force-refresh"
        )
    found = scheduler.find()
    if not user_session.has_user_entry():
        raise errors.ConfigError(scheduler.no_entry(), hint=found.hint)
    job = crontab.environment()
    try:
        paths = settings.locate(job).of(profile)
    except errors.ConfigError as error:
        raise errors.ConfigError(
            f"in your crontab, {error.message}", hint="correct it there: crontab -e", code=error.code
        ) from error
    run = _Run(paths, job, crontab.missing_places(environ, job))
    now = (
        _refused(found) or run.of_another(settings.locate(environ).of(profile)) or run.now(force_refresh=force_refresh)
    )
    return Rehearsal(
        answers=(now, *run.later(now)),
        missing=(*run.lost, *crontab.missing_others(environ, job, ca_file=run.ca_file())),
        program=crontab.command(job),
        scheduler=found,
    )


def _refused(found: scheduler.Scheduler) -> Answer | None:
    """Return a no where nothing starts a job of this user's because it is not allowed to."""
    if not found.refuses:
        return None
    code = errors.ConfigError.exit_code
    return Answer(moment="now", works=False, reason=str(found.remark), command=found.hint, exit_code=code)


class _Run:
    """One rehearsal; `lost` are the lines without which the job looks for our files elsewhere."""

    def __init__(self, paths: settings_paths.ProfilePaths, job: Mapping[str, str], lost: list[str]) -> None:
        self.lost = lost
        self._paths = paths
        self._job = job
        self._profile = paths.profile

    def of_another(self, meant: settings_paths.ProfilePaths) -> Answer | None:
        """Return a no where the job would find another sign-in than this session's, whose files are `meant`; else None."""
        found = _sign_in(self._paths)
        if not self.lost or found is None or _sign_in(meant) is None:
            return None
        who = redaction.printable(found.account.username, limit=80)
        return self._no(f"another sign-in is saved, that of {who}", None, errors.ConfigError.exit_code)

    def ca_file(self) -> str | None:
        """Return the certificates that the job's settings name; None also where these cannot be read, which `now` tells."""
        try:
            return resolve.resolve(self._paths, {}, self._job, for_login=False).ca_file.value
        except errors.DeviceLoginError:
            return None

    def now(self, *, force_refresh: bool) -> Answer:
        """Return whether a token comes out; one from the cache counts only if the saved sign-in can be read as well."""
        before = _stamp(self._paths.times)
        wish = ["--force-refresh"] if force_refresh else []
        failed, warning = self._run("devicelogin", "token", "--json", "--profile", self._profile, *wish)
        if failed is not None:
            return failed
        if _stamp(self._paths.times) != before:
            return Answer(moment="now", works=True, reason="a token came out of a refresh made just now")
        if force_refresh:
            return self._no(warning or "a token came out, but of no refresh", None, errors.TryLaterError.exit_code)
        unreadable = self._unreadable()
        if unreadable is None:
            return Answer(
                moment="now", works=True, reason="a token came out of the cache, and the saved sign-in can be read"
            )
        return Answer(
            moment="now",
            works=False,
            reason=f"a token came out of the cache, but when that one ends: {unreadable.reason}",
            command=unreadable.command,
            exit_code=unreadable.exit_code,
        )

    def later(self, now: Answer) -> tuple[Answer, Answer]:
        """Return the answers for after logout and after a reboot."""
        in_the_way = now if now.works is False and now.exit_code not in _PASSING else None
        if now.works is False and in_the_way is None:
            in_the_way = self._unreadable()
        sign_in = _sign_in(self._paths)
        if in_the_way is not None or sign_in is None:
            why = in_the_way or now
            same = dataclasses.replace(why, works=False, reason="for the same reason")
            return dataclasses.replace(same, moment=MOMENTS[1]), dataclasses.replace(same, moment=MOMENTS[2])
        outlooks = durability.of_sign_in(sign_in, self._paths, self._job, ca_file=self.ca_file())
        return _answer(MOMENTS[1], outlooks.after_logout), _answer(MOMENTS[2], outlooks.after_reboot)

    def _unreadable(self) -> Answer | None:
        """Return why a job cannot read the saved sign-in, None where it can."""
        return self._run("devicelogin.doctor.store_child", self._profile)[0]

    def _run(self, module: str, *arguments: str) -> tuple[Answer | None, str]:
        """Run `module` as a job; return what went wrong, None for nothing, and the last warning."""
        try:
            outcome = child_process.run(
                _command(module, *arguments),
                deadline_seconds=_PATIENCE,
                environment=self._job,
                directory=self._job["HOME"],
                umask=0o077,
            )
        except OSError as error:
            home = redaction.printable(self._job["HOME"])
            return self._no(f"no job can start in {home}: {error.strerror}", None, errors.ConfigError.exit_code), ""
        if outcome.timed_out:
            reason = f"the job did not end within {_PATIENCE:.0f} seconds"
            return self._no(reason, "devicelogin doctor", errors.TryLaterError.exit_code), ""
        said = _error_of(outcome)
        if said is None:
            return None, _warning_of(outcome)
        status = outcome.status or int(said.get("exit") or errors.InternalError.exit_code)
        return self._no(str(said["message"]), said.get("hint"), status), ""

    def _no(self, message: str, hint: str | None, status: int) -> Answer:
        reason = redaction.printable(message)
        if self.lost:
            name = self.lost[0].partition("=")[0]
            reason = f"cron does not have this session's {name} and looks elsewhere, where {reason}"
            hint = crontab.advice(self.lost[0])
        elif status == errors.StoreUnusableError.exit_code and self._lies_in_keyring():
            hint = durability.to_file(self._profile)
        command = None if hint is None else redaction.printable(hint, limit=1000)
        return Answer(moment="now", works=False, reason=reason, command=command, exit_code=status)

    def _lies_in_keyring(self) -> bool:
        sign_in = _sign_in(self._paths)
        return sign_in is not None and sign_in.location.kind != "file"


def _sign_in(paths: settings_paths.ProfilePaths) -> models.SignIn | None:
    try:
        return secret_store.read_sign_in(paths)
    except errors.DeviceLoginError:
        return None


def _command(module: str, *arguments: str) -> list[str]:
    # As the keyring's child: isolated where we are, and never the modules of the directory that we happen to be in.
    flags = ["-I"] if sys.flags.isolated else ["-P"]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, *flags, "-c", _START, root, module, *arguments]


def _error_of(outcome: child_process.Outcome) -> dict[str, Any] | None:
    """Return the error of a job that ended, None where it gave what it was for."""
    content = outcome.output if outcome.status == 0 else outcome.diagnostics.strip().rpartition(b"\n")[2]
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return {"message": "the job failed without saying why" if outcome.status else "the job gave no token"}
    if outcome.status:
        return answer if isinstance(answer.get("message"), str) else {"message": "the job failed without saying why"}
    if "error" in answer:
        return answer["error"] if isinstance(answer["error"], dict) else None
    token = answer.get("access_token")
    is_token = isinstance(token, str) and token.isascii() and token.isprintable() and token and " " not in token
    return None if is_token else {"message": "the job gave no token"}


def _warning_of(outcome: child_process.Outcome) -> str:
    lines = outcome.diagnostics.decode("utf-8", "replace").splitlines()
    start = messages.warning_line("")
    return next((line.removeprefix(start) for line in reversed(lines) if line.startswith(start)), "")


def _answer(moment: str, outlook: durability.Outlook) -> Answer:
    code = errors.StoreUnusableError.exit_code if outlook.works is False else 0
    command = None if outlook.works else outlook.command
    return Answer(moment=moment, works=outlook.works, reason=outlook.reason, command=command, exit_code=code)


def _stamp(path: str) -> tuple[int, int] | None:
    """Return what tells one writing of a file from the next: every one replaces it."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns
