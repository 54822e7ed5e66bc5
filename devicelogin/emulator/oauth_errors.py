"""Errors of the identity provider: why a request is refused, and the answer that says so in each dialect."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING

from devicelogin.emulator import messages

if TYPE_CHECKING:
    from devicelogin.emulator.messages import Answer, Request

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

#: RFC 6749 section 5.1 wants both; Entra sends all three.
_NO_STORE = (("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache"), ("Expires", "-1"))


class Refusal(Exception):  # noqa: N818 - an answer of the protocol, not a failure of this program
    """A request is refused with an OAuth error (RFC 6749 section 5.2) and, for Entra, an AADSTS number."""

    def __init__(
        self,
        error: str,
        number: int | None = None,
        text: str = "",
        *,
        suberror: str | None = None,
        status: int = 400,
        claims: str | None = None,
        token_age_ms: float | None = None,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.number = number
        self.text = text
        self.suberror = suberror
        self.status = status
        self.claims = claims
        self.token_age_ms = token_age_ms


def missing_parameter(name: str) -> Refusal:
    """Return the refusal of a request without the parameter `name`."""
    return Refusal("invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")


def answer(refusal: Refusal, request: Request, now: float) -> Answer:
    """Return the answer that tells of `refusal`, in the dialect that was asked; `now` dates it."""
    if request.is_oidc:
        body: dict[str, object] = {"error": refusal.error}
        if refusal.text:
            body["error_description"] = refusal.text
        return messages.json_answer(body, status=refusal.status, headers=_NO_STORE)
    trace_id = str(uuid.uuid4())
    correlation_id = _correlation_id(request)
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now))
    sentence = f"AADSTS{refusal.number}: {refusal.text}" if refusal.number is not None else refusal.text
    body = {
        "error": refusal.error,
        "error_description": "\r\n".join(
            [f"{sentence}", f"Trace ID: {trace_id}", f"Correlation ID: {correlation_id}", f"Timestamp: {stamp}"]
        ),
        "error_codes": [refusal.number] if refusal.number is not None else [],
        "timestamp": stamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
    }
    if refusal.number is not None:
        body["error_uri"] = f"{request.origin}/error?code={refusal.number}"
    if refusal.suberror is not None:
        body["suberror"] = refusal.suberror
    if refusal.claims is not None:
        body["claims"] = refusal.claims
    age = "" if refusal.token_age_ms is None else f"{refusal.token_age_ms:.4f}"
    headers = entra_headers(request, trace_id=trace_id, telemetry=f"1,{refusal.number or 0},0,{age},")
    return messages.json_answer(body, status=refusal.status, headers=headers)


def entra_headers(
    request: Request, *, trace_id: str | None = None, telemetry: str = "1,0,0,,"
) -> tuple[tuple[str, str], ...]:
    """Return the headers of every answer of Entra's token and devicecode endpoints."""
    echoed: tuple[tuple[str, str], ...] = ()
    if request.headers.get("return-client-request-id", "").lower() == "true":
        echoed = (("client-request-id", _correlation_id(request)),)
    return (
        *_NO_STORE,
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
        ("X-Content-Type-Options", "nosniff"),
        ("P3P", 'CP="DSP CUR OTPi IND OTRi ONL FIN"'),
        ("x-ms-request-id", trace_id or str(uuid.uuid4())),
        ("x-ms-ests-server", "2.1.0 - EMULATOR ProdSlices"),
        ("x-ms-clitelem", telemetry),
        ("Set-Cookie", "fpc=emulator; path=/; secure; HttpOnly; SameSite=None"),
        ("Set-Cookie", "x-ms-gateway-slice=emulator; path=/; secure; HttpOnly"),
        ("Set-Cookie", "stsservicecookie=emulator; path=/; secure; HttpOnly"),
        *echoed,
    )


def _correlation_id(request: Request) -> str:
    given = request.headers.get("client-request-id", "")
    return given if _GUID.fullmatch(given) else str(uuid.uuid4())
