"""MSAL behind one door: its dictionaries, `None` and ValueErrors go in, our records and errors come out.

What MSAL must not do here, and how it is kept from it (facts: entra-facts E2 to E7): it discovers nothing by itself (its one
GET is answered from the checked document), it waits nowhere (single polls), it remembers no error between calls (its HTTP
cache is emptied), and it meets no number that `int()` cannot read (answers are cleaned first).
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
import warnings
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import msal

import devicelogin
from devicelogin import errors, explain, hints, http_session, models, redaction
from devicelogin.msal_client import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devicelogin.authority import Provider
    from devicelogin.http_session import HttpSession, JsonAnswer

#: Where does MSAL look for the document of an issuer, behind its URL?
_WELL_KNOWN = "/.well-known/openid-configuration"

#: What is the path of a URL without one for MSAL? Never sent; not one that a server would have.
_PATH_FOR_MSAL = "devicelogin-root"

#: MSAL adds these itself and refuses them from a caller.
RESERVED_SCOPES = frozenset({"openid", "profile", "offline_access"})

#: How long may a code be that a person is to type (characters)?
_LONGEST_USER_CODE = 64


@models.short_record
class _Answer:
    """What MSAL wants to see of an HTTP answer."""

    status_code: int
    text: str
    headers: dict[str, str]

    def raise_for_status(self) -> None:
        """Do nothing: the session has raised before an answer of 5xx could come here."""


class _Transport:
    """MSAL's `http_client` over our HTTP session; lets it talk to the two endpoints it is meant to, and no others."""

    def __init__(self, http: HttpSession, provider: Provider) -> None:
        self._http = http
        self._provider = provider
        self.last: JsonAnswer | None = None
        self.id_token: str | None = None
        self.omits_scope = False

    def get(self, url: str, **_: object) -> _Answer:
        if not url.endswith(_WELL_KNOWN):
            raise errors.InternalError(f"MSAL asked for an address it was not given: {redaction.printable(url)}")
        document = {
            # As MSAL was told: the issuer was checked already (see authority), and MSAL compares it with its own copy.
            "issuer": url.removesuffix(_WELL_KNOWN) if self._provider.is_oidc else self._provider.issuer,
            "authorization_endpoint": self._provider.authorization_endpoint,
            "token_endpoint": _with_path(self._provider.token_endpoint),
            "device_authorization_endpoint": self._provider.device_authorization_endpoint,
        }
        return _Answer(200, json.dumps(document), {})

    def post(
        self, url: str, params: object = None, data: Mapping[str, str] | None = None, headers: Any = None, **_: object
    ) -> _Answer:
        if url == _with_path(self._provider.token_endpoint):
            url = self._provider.token_endpoint
        if url not in {self._provider.token_endpoint, self._provider.device_authorization_endpoint} or params:
            raise errors.InternalError(f"MSAL wanted to post to another address: {redaction.printable(url)}")
        self.last = None
        form = dict(data or {})
        if self.omits_scope:
            form.pop("scope", None)
        answer = self._http.post_form(url, form, headers=self._headers(headers or {}))
        self.last = answer
        body = dict(answer.body)
        if url == self._provider.token_endpoint:
            answers.clean_token_answer(body, answer)
            self.id_token = _optional(body, "id_token")
            answers.drop_undecodable(body)
        else:
            answers.clean_authorization(body, answer)
        # No headers: a Retry-After among them would make MSAL replay this very answer for that long.
        return _Answer(answer.status, json.dumps(body), {})

    def _headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return what MSAL wants to send, without its X-AnchorMailbox where that is not for Microsoft or cannot be sent.

        It tells Entra which of its machines knows the account, and holds the subject, which may be any text elsewhere.
        """

        def is_sent(name: str, value: str) -> bool:
            is_anchor = name.lower() == "x-anchormailbox"
            return not is_anchor or (not self._provider.is_oidc and value.isascii() and value.isprintable())

        return {name: value for name, value in given.items() if is_sent(name, value)}

    def close(self) -> None:
        """Do nothing: the session belongs to the caller."""


class MsalClient:
    """One public client at one provider, for one sign-in or one refresh."""

    def __init__(self, http: HttpSession, provider: Provider, *, client_id: str, profile: str) -> None:
        self._transport = _Transport(http, provider)
        self._provider = provider
        self._client_id = client_id
        self._profile = profile
        self._http_cache: dict[str, object] = {}
        self._flow: dict[str, Any] = {}
        self._was_pending = False
        self._asked: tuple[str, ...] = ()
        self._cache = msal.TokenCache()
        self._app = self._application()

    def request_device_code(self, scopes: tuple[str, ...]) -> models.DeviceAuthorization:
        """Ask for a code for a person to enter (RFC 8628 section 3.1).

        Raises what `explain.start_refused` makes of a refusal, BadAnswerError where there is no code in the answer, and
        what the HTTP session raises.
        """
        self._http_cache.clear()
        with _reading(self._provider):
            flow = self._app.initiate_device_flow(scopes=_without_reserved(scopes))
        if "error" in flow:
            # Also with status 200: Entra has been seen to do that.
            raise self._timed(explain.start_refused(explain.read_refusal(flow), profile=self._profile, scopes=scopes))
        for name in ("user_code", "device_code", "verification_uri"):
            if not isinstance(flow.get(name), str) or not flow[name]:
                raise _unreadable(self._provider, f"no {name}")
        if not 0 < len(flow["user_code"].strip()) <= _LONGEST_USER_CODE:
            raise _unreadable(self._provider, "no code that a person could type")
        self._flow, self._was_pending = flow, False
        self._asked = scopes
        complete = flow.get("verification_uri_complete")
        return models.DeviceAuthorization(
            user_code=flow["user_code"],
            verification_uri=flow["verification_uri"],
            verification_uri_complete=complete if isinstance(complete, str) and complete else None,
            expires_in=flow["expires_in"],
            interval=flow["interval"],
            client_id=self._client_id,
            authority=self._provider.url,
            scopes=scopes,
            device_code=flow["device_code"],
        )

    def poll(self) -> models.TokenAnswer | models.Pending:
        """Ask once whether the person has finished (RFC 8628 section 3.4), without waiting.

        Raises what `explain.poll_refused` makes of a final refusal, and what the HTTP session raises.
        """
        self._http_cache.clear()
        # MSAL warns on stderr when it is asked "too soon" by the wall clock, which may just have jumped.
        self._flow["latest_attempt_at"] = -math.inf
        with _reading(self._provider), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = self._app.acquire_token_by_device_flow(self._flow, exit_condition=lambda _: True)
        if "error" not in result:
            return self._token_answer(result)
        refusal = explain.read_refusal(result)
        if refusal.error in {"authorization_pending", "slow_down"}:
            # MSAL has already added RFC 8628's five seconds for slow_down.
            interval = min(float(self._flow["interval"]), answers.LONGEST_INTERVAL)
            self._was_pending = True
            return models.Pending(interval=interval, retry_after=self._asked_wait())
        raise self._timed(
            explain.poll_refused(refusal, profile=self._profile, scopes=self._asked, was_pending=self._was_pending)
        )

    def refresh(
        self,
        credentials: str,
        scopes: tuple[str, ...],
        *,
        who: str,
        claims: str | None = None,
        as_granted: tuple[str, ...] | None = None,
        are_others: bool = False,
        graph_root: str = "",
    ) -> models.TokenAnswer:
        """Exchange the refresh token in `credentials` for a new access token (RFC 6749 section 6). Never prompts.

        `as_granted` are the scopes once granted: nothing is asked for then, which means just these. `claims` is the JSON text
        of a claims challenge. `are_others`: the scopes are not those of the sign-in, so that a refusal may be theirs alone.
        Raises what `explain.refresh_refused` makes of a refusal, DataBadError where `credentials` cannot be used, and what
        the HTTP session raises.
        """
        self._http_cache.clear()
        self._fill_cache(credentials)
        self._asked = scopes if as_granted is None else as_granted
        self._transport.omits_scope = as_granted is not None
        accounts = self._app.get_accounts()
        if len(accounts) != 1:
            raise errors.DataBadError(
                "the saved sign-in is incomplete",
                hint=f"sign in again: {hints.login(self._profile)}",
            )
        with _reading(self._provider):
            result = self._app.acquire_token_silent_with_error(
                _without_reserved(scopes), account=accounts[0], force_refresh=True, claims_challenge=claims
            )
        if result is None:
            raise errors.DataBadError(
                "the saved sign-in holds no refresh token for this app",
                hint=f"sign in again: {hints.login(self._profile)}",
            )
        if "error" in result:
            raise self._timed(
                explain.refresh_refused(
                    explain.read_refusal(result),
                    profile=self._profile,
                    who=who,
                    scopes=scopes if are_others else (),
                    graph_root=graph_root,
                    claims=claims,
                )
            )
        return self._token_answer(result)

    def _asked_wait(self) -> float | None:
        """Return the seconds that the last answer asked to wait, None where it did not."""
        last = self._transport.last
        return http_session.read_retry_after(last.headers, time.time) if last is not None else None

    def _timed(self, error: errors.DeviceLoginError) -> errors.DeviceLoginError:
        """Return `error`, with the time after which the server wants to be asked again where it is one of the moment."""
        if isinstance(error, errors.TryLaterError):
            error.retry_after = self._asked_wait()
        return error

    def _application(self) -> Any:
        where = {"oidc_authority" if self._provider.is_oidc else "authority": _with_path(self._provider.url)}
        try:
            app = msal.PublicClientApplication(
                self._client_id,
                **where,
                # Never: an error of that side trip hides the error that mattered (D1).
                instance_discovery=False,
                token_cache=self._cache,
                http_client=self._transport,
                http_cache=self._http_cache,
                app_name="devicelogin",
                app_version=devicelogin.__version__,
            )
        except ValueError as error:
            raise errors.ConfigError(
                f"the sign-in library cannot use {self._provider.url}",
                hint="check that it is the URL of the provider as its operator publishes it",
            ) from error
        _quiet_msal()
        return app

    def _token_answer(self, result: Mapping[str, Any]) -> models.TokenAnswer:
        token = result.get("access_token")
        if not isinstance(token, str) or not token:
            raise _unreadable(self._provider, "no access token")
        granted = result.get("scope")
        last = self._transport.last
        return models.TokenAnswer(
            access_token=token,
            token_type="Bearer",  # noqa: S106 - not a password
            expires_in=int(result["expires_in"]),
            # RFC 6749 section 5.1: no scope in the answer means the scope that was asked for.
            scopes=tuple(granted.split()) if isinstance(granted, str) and granted.strip() else self._asked,
            refresh_token=_optional(result, "refresh_token"),
            id_token=self._transport.id_token,
            credentials=self._credentials(_optional(result, "refresh_token")),
            home_account_id=self._home_account_id(),
            server_date=last.server_date if last else None,
        )

    def _home_account_id(self) -> str:
        found = list(self._cache.search(msal.TokenCache.CredentialType.ACCOUNT, query={}))
        return str(found[0].get("home_account_id", "")) if found else ""

    def _credentials(self, refresh_token: str | None) -> str:
        """Return MSAL's RefreshToken, Account and AppMetadata entries, one of each: all that a later refresh needs (D3)."""
        kinds = msal.TokenCache.CredentialType
        entries = {}
        for kind in (kinds.REFRESH_TOKEN, kinds.ACCOUNT, kinds.APP_METADATA):
            found = list(self._cache.search(kind, query={}))
            if kind == kinds.REFRESH_TOKEN:
                # MSAL keys refresh tokens by scope, and today puts the new one in the used one's place. Should two ever lie
                # there, the one of the answer counts: their times say nothing where the clock has jumped.
                found.sort(key=lambda entry: entry.get("secret") != refresh_token)
            if found:
                entries[kind] = found[0]
        return json.dumps(entries, sort_keys=True)

    def _fill_cache(self, credentials: str) -> None:
        try:
            entries = json.loads(credentials)
            for kind, entry in entries.items():
                self._cache.modify(kind, entry, entry)
        except answers.UNREADABLE as error:
            raise errors.DataBadError(
                "the saved sign-in cannot be read", hint=f"sign in again: {hints.login(self._profile)}"
            ) from error


def _with_path(url: str) -> str:
    """Return `url` as MSAL is told it, which takes no URL without a path: what has none gets one that only MSAL sees."""
    parts = urlsplit(url)
    return url if parts.path[1:2].strip("/") else f"https://{parts.netloc}/{_PATH_FOR_MSAL}"


def _without_reserved(scopes: tuple[str, ...]) -> list[str]:
    return [scope for scope in scopes if scope.lower() not in RESERVED_SCOPES]


def _optional(result: Mapping[str, Any], name: str) -> str | None:
    value = result.get(name)
    return value if isinstance(value, str) and value else None


@contextlib.contextmanager
def _reading(provider: Provider) -> Any:
    """Turn MSAL's ways of saying "I cannot read this" into one error. Our own errors pass."""
    try:
        yield
    except errors.DeviceLoginError:
        raise
    except answers.UNREADABLE as error:
        _raise_unreadable(provider, error)


def _raise_unreadable(provider: Provider, error: Exception) -> NoReturn:
    # SECURITY: without `from error`: MSAL's message quotes the answer.
    raise _unreadable(provider, type(error).__name__) from None


def _unreadable(provider: Provider, what: str) -> errors.BadAnswerError:
    return errors.BadAnswerError(
        f"{provider.origin} gave an answer that cannot be used ({what})",
        hint="try again; if it stays, tell the operator of that server",
        code=answers.UNUSABLE,
    )


def _quiet_msal() -> None:
    """Put the redacting filter on every logger of MSAL, also for programs that log everything.

    A filter on the parent logger would not see the records of its children.
    """
    names: Callable[[], list[str]] = lambda: list(logging.root.manager.loggerDict)  # noqa: E731
    for name in names():
        if name == "msal" or name.startswith("msal."):
            logger = logging.getLogger(name)
            if not any(isinstance(item, redaction.RedactingFilter) for item in logger.filters):
                logger.addFilter(redaction.RedactingFilter())
