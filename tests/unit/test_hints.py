"""Commands in hints name the profile they are meant for, in one spelling."""

from __future__ import annotations

import pytest

from devicelogin import hints


def test_the_default_profile_is_not_named() -> None:
    """Who has one profile need not read about profiles."""
    assert hints.login("default") == "devicelogin login"
    assert hints.for_profile("rm x, then devicelogin logout", "default") == "rm x, then devicelogin logout"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("devicelogin login --store file", "devicelogin login --profile work --store file"),
        (
            "devicelogin logout and devicelogin login",
            "devicelogin logout --profile work and devicelogin login --profile work",
        ),
        ("devicelogin store move --to file", "devicelogin store move --profile work --to file"),
        ("devicelogin store rekey", "devicelogin store rekey --profile work"),
        ("devicelogin graph me > FILE", "devicelogin graph --profile work me > FILE"),
        ("keep both: devicelogin login --profile NAME", "keep both: devicelogin login --profile NAME"),
        ("a devicelogin of another kind", "a devicelogin of another kind"),
    ],
)
def test_another_profile_is_named_after_the_command(hint: str, expected: str) -> None:
    """What is pasted acts on the profile that the error was about."""
    assert hints.for_profile(hint, "work") == expected
