"""Errors and warnings as lines."""

from __future__ import annotations

import subprocess
import sys

from devicelogin import errors
from devicelogin.terminal import messages


def test_an_error_reads_error_hint_detail():
    """One line what could not be done, one thing to do, the server's code and the correlation id."""
    error = errors.LoginRequiredError(
        "the saved sign-in of ada@contoso.com is no longer accepted",
        hint="sign in again: devicelogin login",
        detail="invalid_grant, AADSTS700082",
        correlation_id="6b1d3a52-0000",
    )
    assert messages.error_lines(error) == [
        "devicelogin: error: the saved sign-in of ada@contoso.com is no longer accepted",
        "devicelogin: hint: sign in again: devicelogin login",
        "devicelogin: detail: invalid_grant, AADSTS700082, correlation_id 6b1d3a52-0000",
    ]


def test_an_error_without_hint_and_detail_is_one_line():
    """No empty lines; the program's name may be another one."""
    assert messages.error_lines(errors.ConfigError("no client id"), program="x") == ["x: error: no client id"]


def test_a_correlation_id_is_told_once_and_also_alone():
    """It is what an administrator asks for."""
    alone = errors.TryLaterError("m", correlation_id="abc")
    assert messages.error_lines(alone)[1] == "devicelogin: detail: correlation_id abc"
    inside = errors.TryLaterError("m", detail="code 1, correlation_id abc", correlation_id="abc")
    assert messages.error_lines(inside)[1] == "devicelogin: detail: code 1, correlation_id abc"


def test_a_warning_is_one_line():
    """Line breaks cannot forge a second one."""
    assert messages.warning_line("short\ndevicelogin: error: x") == "devicelogin: warning: short devicelogin: error: x"


def test_messages_import_neither_rich_nor_qrcode():
    """A failing cron job should not pay for the screen."""
    code = "import sys, devicelogin.terminal.messages as m; print({'rich', 'qrcode'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
