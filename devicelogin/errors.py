"""The one family of errors, each with the words for a person and the exit code for a script.

This module imports nothing, so that every other one may use it. The exit codes are frozen (see the README);
`tests/unit/test_errors.py` holds them in a table.
"""

from __future__ import annotations


class DeviceLoginError(Exception):
    """What could not be done, one next step, and what a script should do about it.

    `message` is one line in plain words without a full stop; `hint` is one command to paste or one thing to do;
    `detail` carries the server's error code, never its paragraph. No argument may hold a secret: all of them are
    shown.
    """

    exit_code = 70
    code = "internal"
    retryable = False
    human_needed = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        detail: str | None = None,
        correlation_id: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        self.correlation_id = correlation_id
        if code is not None:
            self.code = code

    def as_json(self) -> dict[str, object]:
        """Return the object that `--json` prints for this error."""
        return {
            "format_version": 1,
            "code": self.code,
            "exit": self.exit_code,
            "retryable": self.retryable,
            "human_needed": self.human_needed,
            "message": self.message,
            "hint": self.hint,
            "detail": self.detail,
            "correlation_id": self.correlation_id,
        }


class UsageError(DeviceLoginError):
    """The arguments are wrong."""

    exit_code = 2
    code = "usage"


class LoginRequiredError(DeviceLoginError):
    """A person must sign in: nothing is saved, or what is saved is no longer accepted."""

    exit_code = 4
    code = "login_required"
    human_needed = True


class LoginNotCompletedError(DeviceLoginError):
    """The sign-in ended without one: declined, code expired, unexpected account, no refresh token granted."""

    exit_code = 5
    code = "login_not_completed"
    human_needed = True


class HttpAnswerError(DeviceLoginError):
    """Microsoft Graph answered an error that a retry will not mend."""

    exit_code = 22
    code = "http_error"


class DataBadError(DeviceLoginError):
    """The stored record is damaged, of a newer version or of another machine. It is kept."""

    exit_code = 65
    code = "data_bad"
    human_needed = True


class InternalError(DeviceLoginError):
    """A bug in this program, caught."""


class StoreUnusableError(DeviceLoginError):
    """The secret store is missing, locked, hung or full, its key is missing, or the lock cannot be had."""

    exit_code = 73
    code = "store_unusable"


class OutputError(DeviceLoginError):
    """The result could not be written."""

    exit_code = 74
    code = "output_io"


class TryLaterError(DeviceLoginError):
    """Network trouble, a server that is down or throttles, a busy lock, a clock that is not set. Nothing was lost."""

    exit_code = 75
    code = "try_later"
    retryable = True
    #: For how many seconds does the server ask to be left alone? None where it did not say.
    retry_after: float | None = None


class BadAnswerError(DeviceLoginError):
    """Something that is not the identity provider or Graph answered: a captive portal, a proxy, an interceptor."""

    exit_code = 76
    code = "bad_answer"


class DeniedByPolicyError(DeviceLoginError):
    """Only an administrator can help: Conditional Access, admin consent, a disabled user."""

    exit_code = 77
    code = "denied_by_policy"
    human_needed = True


class ConfigError(DeviceLoginError):
    """The client id, the authority, the profile or the permissions of our files are wrong."""

    exit_code = 78
    code = "config"
