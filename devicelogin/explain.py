"""An error of the identity provider in plain words, with what to do about it and the exit code it deserves.

What to do next is decided by `error` alone, as RFC 6749, RFC 8628 and Microsoft say; AADSTS numbers may change at any time.
A known number only chooses better words and, between "sign in again" (4) and "an administrator must act" (77), which of
the two it is (design decision D9).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from devicelogin import entra_errors, errors, hints, models, redaction, resources

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where does Microsoft explain a number?
_LOOKUP = "https://login.microsoftonline.com/error?code={}"

_CORRELATION = re.compile(r"[0-9a-fA-F-]{8,40}\Z")
_NUMBER = re.compile(r"AADSTS(\d{4,9})\b")

#: At the token endpoint these mean "come back later", whatever else is said (RFC 6749 4.1.2.1; Microsoft's list). A poll that
#: hears `slow_down` goes on (RFC 8628 3.5); at a refresh, too, it is nothing that a person could mend.
TRANSIENT = frozenset({"temporarily_unavailable", "server_error", "slow_down"})

#: What is the code of the error that a new device code mends?
CODE_EXPIRED = "code_expired"

#: What are the codes of errors about one request that say nothing about the saved sign-in: no consent to these scopes, a proof
#: that only a person or nobody here can give, and what else was refused of other scopes?
CONSENT_REQUIRED = "consent_required"
MORE_PROOF_REQUIRED = "more_proof_required"
STEP_UP_REQUIRED = "step_up_required"
REQUEST_REFUSED = "request_refused"

#: What is the code of the error that the provider has had the same request too often?
REQUEST_LOOP = "request_loop"

_EXPIRED = frozenset({"expired_token", "code_expired"})
_DECLINED = frozenset({"access_denied", "authorization_declined"})
_SIGN_IN_AGAIN = frozenset(
    {"invalid_grant", "interaction_required", "login_required", "consent_required", "account_selection_required"}
)
_NOT_THIS_APP = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})
_NOT_THIS_REQUEST = frozenset(
    {"invalid_scope", "invalid_resource", "invalid_target", "invalid_request", "invalid_tenant"}
)

#: Which errors are OAuth's, whatever else is said (RFC 6749 5.2, RFC 8628 3.5, RFC 8707 2, OpenID Connect Core 3.1.2.6, Entra)?
OAUTH_ERRORS = frozenset({"authorization_pending", "bad_verification_code"}).union(
    TRANSIENT, _EXPIRED, _DECLINED, _SIGN_IN_AGAIN, _NOT_THIS_APP, _NOT_THIS_REQUEST
)


@models.record
class Refusal:
    """An OAuth error answer (RFC 6749 section 5.2), reduced to what may be shown and acted upon."""

    error: str
    suberror: str = ""
    number: int | None = None
    correlation_id: str | None = None
    claims: str | None = None
    #: What a provider without numbers says about it, made harmless.
    description: str = ""

    @property
    def detail(self) -> str:
        """The codes for whoever has to look them up, or what the provider says instead of them."""
        words = [self.error, self.suberror, f"AADSTS{self.number}" if self.number else ""]
        codes = ", ".join(word for word in words if word)
        return f"{codes}: {self.description}" if self.description else codes


_APP = "check the client id, and that the provider lets this app use the device flow: {login} --client-id ID"
_SCOPES = "check the scopes: {login} --scope SCOPE"

#: Which numbers and suberrors say that the refresh token itself is over, whatever it was to bring?
_ENDED = frozenset({700082, 70043, 70044, 50173, 50132, 50133, 70008, 70000, 700084})
_ENDED_SUBERRORS = frozenset({"bad_token", "token_expired"})

#: Which say that a person has not consented, and may?
_NO_CONSENT = frozenset({65001, 65004})

#: Which refusals are about the scopes, so that they name them?
_ABOUT_SCOPES = frozenset({"invalid_scope", "invalid_resource", "invalid_target"})

#: Which claims of a challenge are met by any new sign-in: that it is new, and what the client can do?
_MET_BY_LOGIN = frozenset({"nbf", "xms_cc"})

#: What can be done about an error whatever the provider?
_BY_ERROR = {
    **dict.fromkeys(_NOT_THIS_APP, _APP),
    **dict.fromkeys(("invalid_scope", "invalid_target", "invalid_resource"), _SCOPES),
    "invalid_tenant": "check the tenant: {login} --tenant TENANT",
}


def read_refusal(answer: Mapping[str, object]) -> Refusal:
    """Reduce an error answer of any shape to what may be shown.

    Of Entra's paragraph nothing survives but its number, which is explained here. Other providers have no numbers: what
    they say is all that there is to know.
    """
    error = answer.get("error")
    suberror = answer.get("suberror")
    correlation = answer.get("correlation_id")
    claims = answer.get("claims")
    number = _number(answer)
    return Refusal(
        error=redaction.quotable(error, limit=60) if isinstance(error, str) and error else "unknown_error",
        suberror=redaction.quotable(suberror, limit=60) if isinstance(suberror, str) else "",
        number=number,
        correlation_id=correlation if isinstance(correlation, str) and _CORRELATION.match(correlation) else None,
        claims=claims if isinstance(claims, str) else None,
        description="" if number else described(answer),
    )


def described(answer: Mapping[str, object]) -> str:
    """Return the first line of an error answer's description, made harmless; empty where it has none."""
    description = answer.get("error_description")
    lines = description[:4000].strip().splitlines() if isinstance(description, str) else []
    return redaction.quotable(lines[0], limit=200).rstrip(".") if lines else ""


def start_refused(refusal: Refusal, *, profile: str, scopes: tuple[str, ...] = ()) -> errors.DeviceLoginError:
    """Return the error for a device-authorization request for `scopes` that was refused (RFC 8628 section 3.2)."""
    return _before_saved(refusal, profile, "the sign-in could not be started", scopes)


def poll_refused(
    refusal: Refusal, *, profile: str, scopes: tuple[str, ...] = (), was_pending: bool = False
) -> errors.DeviceLoginError:
    """Return the error for a poll that was refused for good (RFC 8628 section 3.5); `scopes` were asked for.

    `was_pending`: the code was good a moment ago. Where the provider then knows neither it nor the app, it has forgotten
    them, as one does that was restarted; no setting here is wrong.
    """
    if refusal.error in _DECLINED:
        return _make(
            errors.LoginNotCompletedError,
            refusal,
            "the sign-in was declined in the browser; nothing was saved",
            _again(profile),
            code="declined",
        )
    if (
        refusal.error in _EXPIRED
        or refusal.error == "bad_verification_code"
        or refusal.number in {70019, 70020, 7000014}
        or _has_forgotten(refusal, was_pending=was_pending)
    ):
        return expired(profile=profile, refusal=refusal)
    return _before_saved(refusal, profile, "the sign-in was refused", scopes)


def _has_forgotten(refusal: Refusal, *, was_pending: bool) -> bool:
    """Tell whether the provider says that it does not know the code, in one of the ways that are in use."""
    if refusal.error in {"invalid_grant", "invalid_request"} and refusal.number is None:
        return True  # the app, the tenant and the scopes were good enough for it when it made the code
    is_about_app = refusal.error in _NOT_THIS_APP or refusal.error in _NOT_THIS_REQUEST
    return was_pending and is_about_app and refusal.number in {None, 700016, 90002}


def expired(
    *, profile: str, refusal: Refusal | None = None, trouble: errors.DeviceLoginError | None = None
) -> errors.LoginNotCompletedError:
    """Return the error for a code that nobody entered in time, or that the server says it does not know (any more).

    `trouble`: what kept us from hearing at the end whether somebody had.
    """
    if trouble is not None:
        return errors.LoginNotCompletedError(
            f"the code has expired, and nobody could be asked whether it was entered: {trouble.message}; nothing was saved",
            hint=f"run {hints.login(profile)} again when that is mended; it shows a new code",
            detail=trouble.detail,
            correlation_id=trouble.correlation_id,
            code=CODE_EXPIRED,
        )
    unknown = refusal is not None and refusal.error not in _EXPIRED and refusal.number not in {70019, 70020}
    words = (
        "is not known there any more: it was used, has expired, or was forgotten"
        if unknown
        else "was not entered in time and has expired"
    )
    return errors.LoginNotCompletedError(
        f"the code {words}; nothing was saved",
        hint=f"run {hints.login(profile)} again; it shows a new code",
        detail=refusal.detail if refusal else None,
        correlation_id=refusal.correlation_id if refusal else None,
        code=CODE_EXPIRED,
    )


def refresh_refused(
    refusal: Refusal,
    *,
    profile: str,
    who: str,
    scopes: tuple[str, ...] = (),
    graph_root: str = "",
    claims: str | None = None,
) -> errors.DeviceLoginError:
    """Return the error for a refresh that was refused (RFC 6749 section 5.2). `who` names the saved sign-in's account.

    `scopes` are those asked for where they are others than the sign-in's own, `claims` those of a challenge: what is refused
    of such a request need not be the end of the sign-in (design decision D17).
    """
    if _is_transient(refusal):
        return _transient(refusal)
    person = redaction.printable(who, limit=80)
    if refusal.error in _NOT_THIS_APP | _NOT_THIS_REQUEST and not (scopes and _lacks_consent(refusal)):
        return _wrong_request(refusal, profile, person, scopes)
    has_ended = refusal.number in _ENDED or refusal.suberror in _ENDED_SUBERRORS
    if not has_ended and _lacks_consent(refusal):
        return _no_consent(refusal, profile, person, scopes, graph_root)
    if not has_ended and claims is not None:
        return _more_proof(refusal, profile, person, claims)
    if not has_ended and scopes:
        return _refused_for(refusal, profile, person, scopes, graph_root)
    known = _advice(refusal, profile)
    subject = f"the saved sign-in of {person} is no longer accepted"
    family = errors.DeniedByPolicyError if known and known.admin else errors.LoginRequiredError
    return _make(
        family,
        refusal,
        f"{subject}: {known.words}" if known else subject,
        known.hint if known else _again(profile),
    )


def _wrong_request(refusal: Refusal, profile: str, person: str, scopes: tuple[str, ...]) -> errors.DeviceLoginError:
    """Return the error for an app, a scope or a resource that the provider does not know, or not so."""
    known = _advice(refusal, profile)
    hint = known.hint if known else _by_error(refusal, profile)
    if refusal.error in _NOT_THIS_APP:
        subject = f"the saved sign-in of {person} is no longer accepted"
        words = f"{subject}: {known.words}" if known else subject
        family = errors.DeniedByPolicyError if known and known.admin else errors.ConfigError
        return _make(family, refusal, words, hint)
    words = known.words if known else "the identity provider does not accept what was asked for"
    return _make(errors.ConfigError, refusal, words + _named(refusal, scopes), hint)


def _lacks_consent(refusal: Refusal) -> bool:
    known = entra_errors.KNOWN.get(refusal.number) if refusal.number is not None else None
    if known is not None and known.admin:
        return False
    if refusal.error == "invalid_scope" and refusal.number is None:
        return True  # RFC 6749 section 6: a refresh brings no more than was granted; Entra says 65001 for that
    return CONSENT_REQUIRED in {refusal.error, refusal.suberror} or refusal.number in _NO_CONSENT


def _no_consent(
    refusal: Refusal, profile: str, person: str, scopes: tuple[str, ...], graph_root: str
) -> errors.DeviceLoginError:
    """Return the error for scopes that nobody consented to, with the one command that asks for them."""
    login = hints.login(profile)
    if not scopes:
        words, hint = (
            f"the app may no longer use all that {person} signed in for: consent is missing",
            f"consent: {login}",
        )
    else:
        api, named = _api(scopes, graph_root), _short(scopes)
        missing = f"no consent to {named}" if named else "no consent to any of its permissions"
        words = f"the app may not use {api} for {person} yet: {missing}; the sign-in itself is fine"
        hint = f"{login} {resources.options(scopes)}"
    return _make(errors.LoginRequiredError, refusal, words, hint, code=CONSENT_REQUIRED)


def _more_proof(refusal: Refusal, profile: str, person: str, claims: str) -> errors.DeviceLoginError:
    """Return the error for a claims challenge that a refresh does not meet; whether a sign-in would, its claims tell."""
    known = _advice(refusal, profile)
    if known and known.admin:
        return _make(errors.DeniedByPolicyError, refusal, f"a new token was refused: {known.words}", known.hint)
    reason = f": {known.words}" if known else ""
    if _is_met_by_login(claims):
        words = f"more proof is wanted of {person}{reason}"
        return _make(errors.LoginRequiredError, refusal, words, _again(profile), code=MORE_PROOF_REQUIRED)
    return _make(
        errors.DeniedByPolicyError,
        refusal,
        f"this request wants more proof of {person} than a saved sign-in can give{reason}; the sign-in itself is fine",
        "ask an administrator which policy wants it, naming the code below; signing in again does not bring it",
        code=STEP_UP_REQUIRED,
    )


def _is_met_by_login(claims: str) -> bool:
    """Tell whether a challenge wants no more than a token of a newer sign-in."""
    try:
        wanted = json.loads(claims).get("access_token", {})
        return isinstance(wanted, dict) and set(wanted) <= _MET_BY_LOGIN
    except (ValueError, AttributeError, RecursionError):
        return False


def _refused_for(
    refusal: Refusal, profile: str, person: str, scopes: tuple[str, ...], graph_root: str
) -> errors.DeviceLoginError:
    """Return the error for other scopes than the sign-in's own, of which nobody knows whether it is more than that."""
    known = _advice(refusal, profile, resources.options(scopes))
    subject = f"no token for {_api(scopes, graph_root)} was given to {person}"
    words = f"{subject}: {known.words}" if known else subject
    if known and known.admin:
        return _make(errors.DeniedByPolicyError, refusal, words, known.hint, code=REQUEST_REFUSED)
    hint = known.hint if known else f"{hints.login(profile)} {resources.options(scopes)}"
    return _make(errors.LoginRequiredError, refusal, words, hint, code=REQUEST_REFUSED)


def _api(scopes: tuple[str, ...], graph_root: str) -> str:
    """Return what people call the API that `scopes` are for."""
    found = resources.grouped(scopes, graph_root)
    return ", ".join(redaction.printable(resources.name(resource), limit=100) for resource in found)


def _short(scopes: tuple[str, ...]) -> str:
    """Return the permissions without the address of their API; empty where all of them were asked for."""
    words = [scope.rpartition("/")[2] for scope in scopes if not resources.is_default(scope)]
    return redaction.printable(", ".join(words), limit=200)


def _named(refusal: Refusal, scopes: tuple[str, ...]) -> str:
    return f": {redaction.printable(' '.join(scopes), limit=200)}" if scopes and refusal.error in _ABOUT_SCOPES else ""


def _before_saved(
    refusal: Refusal, profile: str, subject: str, scopes: tuple[str, ...] = ()
) -> errors.DeviceLoginError:
    known = _advice(refusal, profile)
    if _is_transient(refusal):
        return _transient(refusal)
    words = f"{subject}: {known.words}" if known else f"{subject} by the identity provider"
    words += _named(refusal, scopes)
    hint = known.hint if known else _lookup(refusal) or _by_error(refusal, profile, otherwise=entra_errors.ASK)
    if (known and known.admin) or refusal.error == "consent_required":
        return _make(errors.DeniedByPolicyError, refusal, words, hint)
    if refusal.error in _SIGN_IN_AGAIN or refusal.error == "unknown_error":
        return _make(errors.LoginNotCompletedError, refusal, words, hint)
    if refusal.error in _NOT_THIS_APP:
        return _make(errors.ConfigError, refusal, words, known.hint if known else _by_error(refusal, profile))
    if refusal.error.startswith("invalid_"):
        return _make(errors.ConfigError, refusal, words, hint)
    return _make(errors.LoginNotCompletedError, refusal, words, hint)


def _is_transient(refusal: Refusal) -> bool:
    # The one number that overrides an `error` (D9): Entra's loop detection says invalid_grant as well, but the refresh token
    # is good again in some minutes, and nobody can mend it by signing in.
    return refusal.error in TRANSIENT or (refusal.error == "invalid_grant" and refusal.number == entra_errors.LOOP)


def _transient(refusal: Refusal) -> errors.DeviceLoginError:
    words = "the identity provider asks to come back later; what is saved here is unchanged"
    code = REQUEST_LOOP if refusal.number == entra_errors.LOOP else None
    return _make(errors.TryLaterError, refusal, words, "try again in some minutes", code=code)


def _make(
    family: type[errors.DeviceLoginError], refusal: Refusal, message: str, hint: str, *, code: str | None = None
) -> errors.DeviceLoginError:
    return family(message, hint=hint, detail=refusal.detail, correlation_id=refusal.correlation_id, code=code)


def _advice(refusal: Refusal, profile: str, options: str = "") -> entra_errors.Advice | None:
    known = entra_errors.KNOWN.get(refusal.number) if refusal.number is not None else None
    return known._replace(hint=_fill(known.hint, profile, options)) if known else None


def _number(answer: Mapping[str, object]) -> int | None:
    numbers = answer.get("error_codes")
    if isinstance(numbers, list) and numbers and isinstance(numbers[0], int) and not isinstance(numbers[0], bool):
        return int(numbers[0]) if 0 < numbers[0] < 10**9 else None
    description = answer.get("error_description")
    found = _NUMBER.search(description[:400]) if isinstance(description, str) else None
    return int(found.group(1)) if found else None


def _lookup(refusal: Refusal) -> str | None:
    return f"read what the code means: {_LOOKUP.format(refusal.number)}" if refusal.number else None


def _fill(hint: str, profile: str, options: str = "") -> str:
    # A command that is to be completed is not completed twice.
    more = f" {options}" if options and hint.endswith("{login}") else ""
    return hint.replace("{login}", hints.login(profile)) + more


def _by_error(refusal: Refusal, profile: str, *, otherwise: str = entra_errors.AGAIN) -> str:
    """Return what to do about an error that comes without a known number, as from every provider but Entra."""
    return _fill(_BY_ERROR.get(refusal.error, otherwise), profile)


def _again(profile: str) -> str:
    return _fill(entra_errors.AGAIN, profile)
