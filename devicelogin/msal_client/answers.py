"""Answers of the identity provider made readable for MSAL, or refused, before it stumbles over them."""

from __future__ import annotations

import base64
import http
import json
import math
from typing import TYPE_CHECKING, Any

from devicelogin import errors, explain

if TYPE_CHECKING:
    from devicelogin.http_session import JsonAnswer

#: What does RFC 8628 section 3.2 say where the server names no interval (seconds)?
DEFAULT_INTERVAL = 5
#: How often do we poll at most and at least, whatever a server says (seconds)?
SHORTEST_INTERVAL, LONGEST_INTERVAL = 1, 60
#: How long does a code live where the server says nothing usable (seconds, Entra's own value), and at most?
DEFAULT_LIFETIME, LONGEST_LIFETIME = 900, 3600
#: How long is an access token good where the server does not say (seconds)? MSAL assumes the same.
DEFAULT_TOKEN_LIFETIME = 600

#: With which HTTP statuses do token endpoints refuse (Entra also with 200)?
_OAUTH_STATUSES = frozenset({200, 400, 401, 403, 428})

#: Exceptions by which MSAL says that it cannot read an answer.
UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)

#: The code of an error about an answer of the right server that cannot be used; asking again would not mend it.
UNUSABLE = "unusable_answer"


def clean_seconds(value: object, *, default: int, shortest: int, longest: int, up: bool = False) -> int:
    """Return `value`, whatever a server may have sent, as whole seconds between `shortest` and `longest`.

    A fraction is left out; with `up` it counts as a whole second, as for the least that has to be waited.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return default
    # Compared, not converted: a whole number may be too large for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0 or value == math.inf:
        return default
    within = min(max(value, shortest), longest)
    return math.ceil(within) if up else int(within)


def clean_authorization(body: dict[str, Any], answer: JsonAnswer) -> None:
    """Make the numbers of a device-authorization answer readable for MSAL (RFC 8628 section 3.2).

    Raises TryLaterError where it was not the identity provider that answered.
    """
    _check_speaker(body, answer, "a code")
    body["interval"] = clean_seconds(
        body.get("interval"), default=DEFAULT_INTERVAL, shortest=SHORTEST_INTERVAL, longest=LONGEST_INTERVAL, up=True
    )
    body["expires_in"] = clean_seconds(
        body.get("expires_in") or None, default=DEFAULT_LIFETIME, shortest=1, longest=LONGEST_LIFETIME
    )


def clean_token_answer(body: dict[str, Any], answer: JsonAnswer) -> None:
    """Make the numbers of a token answer readable for MSAL; refuse what is no token answer at all."""
    if body.get("error", "") is None:
        del body["error"]
    _check_speaker(body, answer, "a token")
    if "error" in body:
        if not isinstance(body["error"], str):
            body["error"] = "unknown_error"
        return
    # RFC 6749 section 5.1 says 200; but whoever sends 201 has used up the code for it.
    if not 200 <= answer.status < 300:
        raise _of_another(answer, "a token")
    kind = body.get("token_type")
    token = body.get("access_token")
    # RFC 6749 appendix A.12: visible ASCII. Anything else could not be sent in a header, or would break out of one.
    usable = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token and token != ""
    if not usable or not isinstance(kind, str) or kind.lower() != "bearer":
        raise errors.BadAnswerError(
            f"{answer.host} answered without a usable access token",
            hint="try again; if it stays, tell the operator of that server",
            code=UNUSABLE,
        )
    body["expires_in"] = clean_seconds(
        body.get("expires_in"), default=DEFAULT_TOKEN_LIFETIME, shortest=1, longest=366 * 86400
    )
    for name in ("ext_expires_in", "refresh_in", "expires_on"):
        body.pop(name, None)
    for name in ("refresh_token", "id_token", "client_info", "scope"):
        value = body.get(name)
        # RFC 6749 appendix A: all of these are printable ASCII.
        if name in body and not (isinstance(value, str) and value and value.isascii() and value.isprintable()):
            del body[name]


def _check_speaker(body: dict[str, Any], answer: JsonAnswer, asked: str) -> None:
    """Raise TryLaterError where an `error` is not OAuth's: gateways and web frameworks have members of that name, too.

    They repeat the words of the HTTP status there, or come with one that is not RFC 6749's (section 5.2; Google and Auth0
    also use 403, Google 428). It would be wrong to give a sign-in up for a server that is being restarted.
    """
    error = body.get("error")
    if error is None or (isinstance(error, str) and error in explain.OAUTH_ERRORS):
        return
    is_phrase = isinstance(error, str) and error.lower() == _phrase(answer.status)
    if answer.status not in _OAUTH_STATUSES or is_phrase:
        raise _of_another(answer, asked)


def _phrase(status: int) -> str | None:
    try:
        return http.HTTPStatus(status).phrase.lower()
    except ValueError:
        return None


def _of_another(answer: JsonAnswer, asked: str) -> errors.TryLaterError:
    return errors.TryLaterError(
        f"{answer.host} did not answer the request for {asked}",
        hint="try again; if it stays, tell the operator of that server",
        detail=f"HTTP {answer.status}",
    )


def drop_undecodable(body: dict[str, Any]) -> None:
    """Keep from MSAL what it would stumble over after the refresh token was already replaced at the server.

    The ID token is checked by us, not by MSAL; `client_info` only names the account, which the ID token does as well.
    """
    for name, part in (("id_token", 1), ("client_info", 0)):
        if name in body:
            try:
                text = body[name].split(".")[part]
                claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
                usable = isinstance(claims, dict) and (name == "client_info" or isinstance(claims.get("sub"), str))
            except UNREADABLE:
                usable = False
            if not usable:
                del body[name]
