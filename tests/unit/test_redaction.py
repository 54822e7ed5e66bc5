"""Nothing that looks like a token passes, and a log stays readable."""

from __future__ import annotations

import base64
import logging
import string

import pytest
from conftest import repetitions
from hypothesis import given, settings
from hypothesis import strategies as st

from devicelogin import redaction

GUID = "1f6c2f0e-aaaa-4bbb-8ccc-0123456789ab"

# Made-up tokens of the shapes that are really seen.
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhYmNkZWZnIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
ENTRA_REFRESH = "1.AXoAx7Qd9tK_" + "Zk3bWq-Lm8Rt2" * 20 + ".AgABAAEAAAAmoFfGtYxvRrNriQdPKIZ-AgDs_wUA9P8"
PERSONAL_REFRESH = "M.C507_BAY.0.U.-Ch" + "Gwq*Zt8!Rk$2xLm9" * 12 + "$$"
PERSONAL_ACCESS = "EwB4A8l6BAAUbDba3x2OMJElkF7gJ4z/VbCPEz0AAb" + "Qk7/+aB9cD1eF2gH3iJ4kL5mN6oP7qR8sT9uV" * 8 + "=="
DEVICE_CODE = "BAQABIQEAAAAmoFfGtYxvRrNriQdPKIZ-" + "kT4bVw9Yx2" * 16
HEX_KEY = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TOKENS = [JWT, ENTRA_REFRESH, PERSONAL_REFRESH, PERSONAL_ACCESS, DEVICE_CODE, HEX_KEY]

FRAMES = [
    "{}",
    "answer was {}.",
    '{{"refresh_token": "{}", "expires_in": 3599}}',
    "{{'access_token': '{}'}}",
    '"{{\\"id_token\\": \\"{}\\"}}"',
    "grant_type=refresh_token&refresh_token={}&client_info=1",
    "client_info=1&device_code={}",
    "Authorization: Bearer {}",
    "{{'Authorization': 'Bearer {}'}}",
    "https://host.example/callback?state=x&code={}",
    "GET /v1.0/me?access_token={} HTTP/1.1",
    "argv: ['prog', '--token={}']",
    "refresh_token%3D{}",
]


def _pieces(token: str) -> list[str]:
    """Return the parts of a token of which none may be left: 12 characters in a row."""
    return [token[at : at + 12] for at in range(len(token) - 12)]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("frame", FRAMES)
def test_no_known_shape_of_token_passes(frame: str, token: str) -> None:
    """Wherever a token of a known shape stands, nothing of it is left."""
    left = redaction.redacted(frame.format(token))
    assert "[redacted]" in left
    assert not [piece for piece in _pieces(token) if piece in left]


@pytest.mark.parametrize(
    "text",
    [
        '"refresh_token": "short-opaque-1"',
        "refresh_token=short-opaque-1",
        "my_refresh_token = short-opaque-1",
        "Authorization: Bearer short-opaque-1",
        "authorization: short-opaque-1",
        "Bearer short-opaque-1",
        "Bearer short-opaque-1.",
        "client_secret=short-opaque-1",
        '"device_code":"short-opaque-1"',
        "user_code=short-opaque-1",
        "?code=short-opaque-1",
        "https://h/device?otc=short-opaque-1",
        "https://user:short-opaque-1@proxy.example:3128/",
    ],
)
def test_what_is_named_as_a_secret_is_one_however_short(text: str) -> None:
    """A short token is recognised by its name."""
    assert "short-opaque-1" not in redaction.redacted(text)


@pytest.mark.parametrize("cut", [JWT[:20], JWT[:60], f"/path/{JWT[:24]}"])
def test_a_cut_json_web_token_is_one(cut: str) -> None:
    """The first characters of a token give it away, however little follows."""
    assert JWT[:12] not in redaction.redacted(f"read {cut}")


@pytest.mark.parametrize(
    "text",
    [
        f"https://login.microsoftonline.com/{GUID}/oauth2/v2.0/devicecode",
        f"https://login.microsoftonline.com/{GUID}/v2.0/.well-known/openid-configuration",
        f"https://graph.microsoft.com/v1.0/users/{GUID}/messages?$select=subject,receivedDateTime&$top=10",
        f"home account {GUID}.{GUID} in {GUID.upper()}",
        "/home/ada/.local/state/devicelogin/default/sign-in is a link, and devicelogin uses only real files",
        "/run/user/1000/devicelogin/some-rather-long-profile-name/with-a-very-long-directory-name-below-it-2026",
        "/usr/lib/python3.11/site-packages/keyring/backends/SecretService.py",
        "keyring:keyrings.cryptfile.cryptfile.CryptFileKeyring",
        '{"code": "InvalidAuthenticationToken", "exit": 22}',
        '{"error_codes": [70016], "error": "authorization_pending"}',
        "error code invalid_client, exit code 78",
        "the refresh_token has expired; the access_token was refreshed",
        "AADSTS700082: The refresh token has expired due to inactivity. Correlation ID: " + GUID,
        "invalid_grant, AADSTS50173, correlation_id " + GUID,
        "token_endpoint=https://login.microsoftonline.com/organizations/oauth2/v2.0/token",
        "https://graph.microsoft.com/.default https://graph.microsoft.com/User.ReadWrite.All",
        "POST https://localhost:8443/organizations/oauth2/v2.0/token -> 400 in 0.012 s",
        "1234567890 1234567890 1234567890 1234567890 1234567890 1234567890",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Basic authentication is not supported for this endpoint.",
        "This API needs Bearer authorization, and has none",
        f"Resource '{GUID}' does not exist or one of its queried reference-property objects are not present.",
        "Could not find a property named 'receivedDateTime2' on type 'Microsoft.OutlookServices.Message'.",
        "API requires one of 'Mail.ReadBasic, Mail.Read, Mail.ReadWrite, Mail.ReadBasic.All'.",
        "Microsoft.Exchange.Services.Core.Types.InvalidReferenceItemException",
        "ApplicationAccessPolicy_BlockedByTenantPolicyAttribute",
        "JWT is not well formed, there are no dots (.).",
    ],
)
def test_ordinary_text_survives_redaction(text: str) -> None:
    """Paths, URLs, hosts, GUIDs and error codes are what a log is read for."""
    assert redaction.redacted(text) == text


@settings(max_examples=repetitions(2000), deadline=None, database=None)
@given(raw=st.binary(min_size=120, max_size=400), frame=st.sampled_from(FRAMES), url_safe=st.booleans())
def test_no_random_token_passes(raw: bytes, frame: str, url_safe: bool) -> None:
    """Random bytes in either base64 alphabet, in every frame, leave nothing of twelve characters behind."""
    encoded = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(raw).decode()
    kinds = (string.ascii_uppercase, string.ascii_lowercase, string.digits)
    if not all(any(character in kind for character in encoded[:40]) for kind in kinds) or "/" in encoded[:40]:
        return  # hypothesis likes zeros; what has no mix of letters is no token
    left = redaction.redacted(frame.format(encoded))
    assert not [piece for piece in _pieces(encoded) if piece in left]


@settings(max_examples=repetitions(2000), deadline=None, database=None)
@given(st.text())
def test_printable_text_cannot_steer_a_terminal(text: str) -> None:
    """One line, no control, bidi or zero-width characters, at most the limit."""
    shown = redaction.printable(text, limit=50)
    assert shown.isprintable()
    assert len(shown) <= 50
    assert redaction.printable(shown, limit=50) == shown


def test_printable_keeps_words_and_marks_what_it_took_away() -> None:
    """Letters of every script stay, escape sequences and bidi marks become visible, white space is folded."""
    assert redaction.printable("Zoë  Ünal\r\n東京\x1b[31m\u202eevil") == "Zoë Ünal 東京\ufffd[31m\ufffdevil"
    assert redaction.printable("x" * 400) == "x" * 299 + "…"


@pytest.mark.parametrize("token", TOKENS)
def test_what_a_server_said_can_be_quoted_without_a_token_and_within_the_limit(token: str) -> None:
    """A token is hidden before the text is cut: what is left of it could be too short to be known as one."""
    for limit in range(10, 60, 7):
        said = redaction.quotable(f"\x1b[2J{'word ' * (limit // 6)}{token}\nis wrong", limit=limit)
        assert said.isprintable()
        assert len(said) <= limit
        assert not [piece for piece in _pieces(token) if piece in said]
        assert token[:6] not in said


def test_the_log_filter_hides_tokens_in_messages_arguments_and_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    """No part of a log record carries a token out."""
    log = logging.getLogger("test.redaction")
    log.addFilter(redaction.RedactingFilter())
    caplog.set_level(logging.DEBUG)
    try:
        raise ValueError(JWT)
    except ValueError:
        log.exception("could not read %s", {"refresh_token": ENTRA_REFRESH}, stack_info=True)
    too_many = ("x", JWT)
    log.debug("one place: %s", *too_many)
    log.debug("wrong %d", JWT)
    written = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "Stack (most recent" not in caplog.text
    assert "could not read {'refresh_token': '[redacted]'} (ValueError)" in caplog.text
    assert not [piece for token in (JWT, ENTRA_REFRESH) for piece in _pieces(token) if piece in written]


def test_redaction_takes_time_in_proportion_to_the_text() -> None:
    """A server cannot make us busy with a text made for it (quadratic patterns would take minutes here)."""
    for hostile in (
        "a" * 300_000,
        "a_" * 150_000,
        "eyJ" * 100_000,
        "code=" * 60_000,
        "://a:" * 60_000,
        "Bearer " * 40_000,
    ):
        redaction.redacted(hostile)
