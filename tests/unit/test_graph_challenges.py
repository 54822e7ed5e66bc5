"""What is read out of `WWW-Authenticate`."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicelogin.graph import challenges

CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}},"x":"???>>>"}'
STANDARD = base64.b64encode(CLAIMS.encode()).decode()
URL_SAFE = base64.urlsafe_b64encode(CLAIMS.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        f'Bearer realm="", error="insufficient_claims", claims="{STANDARD}"',
        f'Bearer claims="{URL_SAFE}"',
        f'Bearer claims="{STANDARD.rstrip("=")}"',
        f'bearer CLAIMS = "{URL_SAFE.rstrip("=")}"',
        f'Basic realm="a, Bearer claims=\\"no\\", b", Bearer realm="x,y", claims="{STANDARD}", error=invalid_token',
        f'Negotiate, Bearer authorization_uri="https://a/b?c=d,e", claims="{STANDARD}"',
        f'Negotiate abc/+def==, NTLM, Bearer claims="{STANDARD}"',
        f'PoP alg="RS256", Bearer error="x" , , claims="{STANDARD}"',
        f'Bearer realm="no claims here", Bearer claims="{STANDARD}"',
        "Bearer claims=" + json.dumps(CLAIMS),
    ],
)
def test_the_claims_are_found_and_decoded(header: str) -> None:
    """Several challenges, commas in quotes, both kinds of base64, missing padding and plain JSON are understood."""
    assert STANDARD != URL_SAFE
    found = challenges.read_claims(header)
    assert found is not None
    assert json.loads(found) == json.loads(CLAIMS)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer claims",
        'Bearer claims=""',
        'Bearer claims="%%%"',
        'Bearer claims="bm8ganNvbg"',
        f'Bearer claims="{base64.b64encode(b"[1]").decode()}"',
        f'Bearer claims="{base64.b64encode(bytes([255, 254])).decode()}"',
        f'Basic claims="{STANDARD}"',
        f'Bearer realm="claims={STANDARD}"',
        f'Bearer claims="{STANDARD}',
        "Bearer claims=" + "[" * 9000,
    ],
)
def test_what_is_no_claims_challenge_is_none(header: str | None) -> None:
    """A missing, foreign or damaged challenge is no challenge, and no exception."""
    assert challenges.read_claims(header) is None


@given(st.text(alphabet='Bearer claims="\\,= \t\x00e0{}', max_size=200))
def test_any_header_is_survived(header: str) -> None:
    """Whatever stands in the header, parsing ends without an exception."""
    challenges.read_claims(header)


def test_a_long_hostile_header_is_parsed_in_linear_time() -> None:
    """64 kB of nested-looking quotes cost no noticeable time."""
    for part in ('"\\', 'a="', "a=", "a ", "a,", "=", 'a="\\"'):
        challenges.read_claims("Bearer " + part * (65_536 // len(part)))
