"""The exit codes are frozen: scripts branch on them."""

from __future__ import annotations

import json

import pytest

from devicelogin import errors

FROZEN = [
    (errors.UsageError, 2, "usage", False, False),
    (errors.LoginRequiredError, 4, "login_required", False, True),
    (errors.LoginNotCompletedError, 5, "login_not_completed", False, True),
    (errors.HttpAnswerError, 22, "http_error", False, False),
    (errors.DataBadError, 65, "data_bad", False, True),
    (errors.InternalError, 70, "internal", False, False),
    (errors.StoreUnusableError, 73, "store_unusable", False, False),
    (errors.OutputError, 74, "output_io", False, False),
    (errors.TryLaterError, 75, "try_later", True, False),
    (errors.BadAnswerError, 76, "bad_answer", False, False),
    (errors.DeniedByPolicyError, 77, "denied_by_policy", False, True),
    (errors.ConfigError, 78, "config", False, False),
]


@pytest.mark.parametrize(("family", "exit_code", "code", "retryable", "human_needed"), FROZEN)
def test_the_numbers_and_words_of_an_error_are_frozen(
    family: type[errors.DeviceLoginError], exit_code: int, code: str, retryable: bool, human_needed: bool
) -> None:
    """Exit code, code and the two flags of every error are what the README says."""
    error = family("cannot do it", hint="do that", detail="invalid_grant", correlation_id="c")
    assert error.as_json() == {
        "format_version": 1,
        "code": code,
        "exit": exit_code,
        "retryable": retryable,
        "human_needed": human_needed,
        "message": "cannot do it",
        "hint": "do that",
        "detail": "invalid_grant",
        "correlation_id": "c",
    }
    assert json.loads(json.dumps(error.as_json())) == error.as_json()
    assert str(error) == "cannot do it"


def test_every_error_has_a_row_in_the_table() -> None:
    """No error of the family is without a frozen number, and no two share one."""
    family = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert family - {errors.DeviceLoginError} == {row[0] for row in FROZEN}
    assert len({row[1] for row in FROZEN}) == len(FROZEN)
    assert 1 not in {row[1] for row in FROZEN}


def test_an_error_can_have_a_code_of_its_own_without_changing_its_family() -> None:
    """A narrower code leaves the class as it was."""
    assert errors.TryLaterError("x", code="clock_not_set").as_json()["code"] == "clock_not_set"
    assert errors.TryLaterError("x").code == "try_later"
