"""What `devicelogin doctor` found in a sandbox, held to what it always promises.

found = doctor_report.examined(box, SSL_CERT_FILE="/etc/passwd")
assert found["certificates"]["exit"] == 78
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence


#: A secret that a test may put where only a person's own things are; no output ever holds it.
PASSWORD = "hunter2-canary"


def examined(box: sandbox.Box, *arguments: str, before: Sequence[str] = (), **variables: str | None) -> Examined:
    """Run `doctor --json`, held to what it always promises."""
    result = box.start("doctor", "--json", *arguments, before=before, variables=variables).finish()
    answer = json.loads(result.out)
    assert answer["format_version"] == 1
    found = Examined(answer["checks"], result)
    assert result.status == (found.red[0]["exit"] if found.red else 0), result
    for check in found.checks:
        assert (check["exit"] != 0) is (check["level"] == "red"), check
        assert check["hint"] or check["level"] != "red", check
        assert "this is a bug" not in check["message"], check
    assert result.seconds < sandbox.SOON
    for text in (result.out, result.err):
        assert PASSWORD not in text
        assert "eyJ" not in text
        assert not any(secret in text for secret in box.secrets())
    return found


class Examined:
    """What a doctor found; `[NAME]` is the first finding of that name."""

    def __init__(self, checks: list[dict[str, Any]], result: sandbox.Result) -> None:
        self.checks = checks
        self.result = result
        self.red = [check for check in checks if check["level"] == "red"]

    def __getitem__(self, name: str) -> dict[str, Any]:
        return next(check for check in self.checks if check["name"] == name)

    def level(self, name: str) -> str:
        return str(self[name]["level"])
