"""What findings are about, and how a check becomes one: class Subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devicelogin import errors, models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MACHINE = "this machine"


class Subject:
    """What is looked at, which is this machine, a host or a profile: makes the findings about it."""

    def __init__(self, about: str) -> None:
        self.about = about

    def green(self, name: str, message: str, **more: Any) -> models.Finding:
        """Return the finding that all is well."""
        return models.Finding(about=self.about, name=name, level="green", message=message, **more)

    def yellow(self, name: str, message: str, **more: Any) -> models.Finding:
        """Return the finding that something deserves a look and stops nothing."""
        return models.Finding(about=self.about, name=name, level="yellow", message=message, **more)

    def red(self, name: str, error: errors.DeviceLoginError) -> models.Finding:
        """Return the finding that a command would end with `error`."""
        return models.Finding(
            about=self.about,
            name=name,
            level="red",
            message=f"{error.message} ({error.detail})" if error.detail else error.message,
            hint=error.hint or "run it again with -v and read what it says on stderr: devicelogin -v doctor",
            exit_code=error.exit_code,
        )

    def skipped(self, name: str, why: str) -> models.Finding:
        """Return the finding that a check was not made, because what it needs is not there."""
        return models.Finding(about=self.about, name=name, level="skipped", message=why)

    def all_skipped(self, names: Iterable[str], why: str) -> Iterator[models.Finding]:
        """Yield the finding that each of the checks `names` was not made."""
        for name in names:
            yield self.skipped(name, why)

    def tried(self, name: str, check: Callable[[], models.Finding]) -> models.Finding:
        """Return what `check` finds, red where it raises. Raises nothing: a doctor is needed when much is broken."""
        try:
            return check()
        except Exception as error:
            return self.failed(name, error)

    def failed(self, name: str, error: Exception) -> models.Finding:
        """Return the red finding that a check ended with `error`, whatever that is."""
        if isinstance(error, errors.DeviceLoginError):
            return self.red(name, error)
        if isinstance(error, OSError):
            where = f"{error.filename}: " if isinstance(error.filename, str) else ""
            why = f"{where}{error.strerror or 'an error of the system'}"
            return self.red(name, errors.StoreUnusableError(why, hint="look at the system's log: dmesg"))
        # SECURITY: not its message, which may quote what is secret.
        bug = errors.InternalError(
            f"this is a bug in devicelogin: {type(error).__name__} in the check {name!r}",
            hint="report this line; the other lines are still right",
        )
        return self.red(name, bug)


def exit_code(findings: Iterable[models.Finding]) -> int:
    """Return the exit code of the first red one, 0 where there is none."""
    return next((finding.exit_code for finding in findings if finding.level == "red"), 0)
