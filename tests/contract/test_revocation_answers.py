"""What a logout makes of the provider's answer to a revocation (RFC 7009 section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devicelogin.emulator import Fault

if TYPE_CHECKING:
    import sandbox


def _logged_out(box: sandbox.Box, answer: Fault) -> str:
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, graph_root=None)
    box.emulator.script("revoke", [answer])
    result = box.run("logout")
    assert result.status == 0, result
    assert not (box.state / "default" / "record").exists()
    return result.err


@pytest.mark.parametrize("status", [200, 202, 204])
def test_every_2xx_is_a_revocation_whatever_its_body(box: sandbox.Box, status: int) -> None:
    """It is told as one, and nothing is said to stay valid."""
    said = _logged_out(box, Fault.status(status))
    assert ", and revoked at the provider" in said
    assert "could not be revoked" not in said


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (Fault.text("", status=401), "answered with HTTP 401"),
        (Fault.text("", status=405), "answered with HTTP 405"),
        (Fault.oauth("unsupported_token_type", status=400), "answered with HTTP 400 (unsupported_token_type"),
        (Fault.oauth("invalid_client", status=401), "answered with HTTP 401 (invalid_client"),
        (Fault.html(404), "HTTP 404"),
        (Fault.status(405), "HTTP 405"),
        (Fault.status(503), "HTTP 503"),
    ],
    ids=range(7),
)
def test_a_refused_revocation_is_told_with_its_status(box: sandbox.Box, answer: Fault, named: str) -> None:
    """An answer without a body is a refusal of the provider, and no captive portal."""
    said = _logged_out(box, answer)
    assert "could not be revoked" in said
    assert named in said
    assert "answered" not in named or "captive portal" not in said


@pytest.mark.parametrize("cut", [Fault.reset_after_processing(), Fault.reset()], ids=["revoked", "not revoked"])
def test_what_became_of_a_revocation_without_an_answer_is_not_claimed_to_be_known(box: sandbox.Box, cut: Fault) -> None:
    """The provider may have revoked it before the connection was cut."""
    said = _logged_out(box, cut)
    assert "whether it was revoked at the provider is not known" in said
    assert "could not be revoked" not in said
