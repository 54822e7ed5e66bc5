"""Servers that repeat a token in their refusal: a person reads the refusal, and nobody the token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    import sandbox


def _hidden(result: sandbox.Result, *secrets: str) -> None:
    """See that nothing of `secrets`, not even twelve characters of one, was printed."""
    for secret in secrets:
        pieces = [secret[at : at + 12] for at in range(len(secret) - 12)]
        assert not [piece for piece in pieces if piece in result.err + result.out], result


@pytest.mark.parametrize("status", [400, 401, 403, 429])
def test_a_token_that_graph_repeats_is_not_shown(box: sandbox.Box, status: int) -> None:
    """In the message, the code, or in both; the words around it are."""
    box.sign_in()
    token = box.token()
    error = {"code": f"Invalid {token}", "message": f"The request with Bearer {token} (or '{token}') has no filter."}
    headers = {"request-id": token[:60], "Retry-After": "3000"}
    box.emulator.script("me", [Fault.json({"error": error}, status=status, headers=headers)] * 3)
    result = box.run("graph", "me")
    assert result.status in {4, 22, 75}
    _hidden(result, token)
    assert "[redacted]" in result.err
    if status in {400, 403}:
        assert "has no filter" in result.err


@pytest.mark.parametrize("member", ["error", "suberror", "correlation_id"])
def test_a_refresh_token_that_the_provider_repeats_is_not_shown(box: sandbox.Box, member: str) -> None:
    """Neither as the error nor beside it."""
    box.sign_in()
    token = box.refresh_tokens()[-1]
    refusal = {"error": "invalid_grant", member: token}
    box.emulator.script("refresh", [Fault.json(refusal, status=400)] * 2)
    for more in ([], ["--json"]):
        result = box.run("token", "--force-refresh", *more)
        assert result.status == 4
        _hidden(result, token)
    assert json.loads(result.err)["exit"] == 4


#: Secrets that look like words: only who has sent them knows what they are.
TOKEN = "plain-words-as-a-token"
OTHER = "other-words-to-refresh"
CODE = "these-words-are-a-device-code"


def test_a_token_without_any_shape_is_not_shown_either(box: sandbox.Box) -> None:
    """What was sent is known letter by letter, and so is taken out wherever a server repeats it."""
    answer = {"access_token": TOKEN, "refresh_token": OTHER}
    box.emulator.script("token", [Fault.patch(answer)])
    box.emulator.script("me", [Fault.json({"error": {"code": "x", "message": f"{TOKEN} is bad"}}, status=400)])
    box.login()
    graph = box.run("graph", "me")
    assert (graph.status, TOKEN in graph.err, "[redacted] is bad" in graph.err) == (22, False, True)
    box.emulator.script("refresh", [Fault.json({"error": "invalid_grant", "suberror": f"a {OTHER}"}, status=400)])
    refresh = box.run("-v", "token", "--force-refresh")
    assert (refresh.status, OTHER in refresh.err, "a [redacted]" in refresh.err) == (4, False, True)


def test_a_device_code_that_the_provider_repeats_is_not_shown(box: sandbox.Box) -> None:
    """It is as good as the refresh token while a person types."""
    box.emulator.script("devicecode", [Fault.patch({"device_code": CODE})] * 2)
    box.emulator.script("token", [Fault.json({"error": "odd", "suberror": CODE}, status=400)] * 2)
    for more in ([], ["--json"]):
        result = box.run("login", *box.app(), *more)
        assert result.status == 5
        assert CODE not in result.err + result.out
