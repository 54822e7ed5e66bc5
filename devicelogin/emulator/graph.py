"""A small Microsoft Graph: `/me`, people, and a collection that can be changed, for access tokens of the emulator."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from devicelogin.emulator import messages, scopes

if TYPE_CHECKING:
    from devicelogin.emulator.behaviour import Behaviour
    from devicelogin.emulator.clock import MovableClock
    from devicelogin.emulator.directory import Directory, User
    from devicelogin.emulator.messages import Answer, Request
    from devicelogin.emulator.provider import IdentityProvider
    from devicelogin.emulator.tokens import IssuedAccessToken

_CONTENT_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_BEARER = 'Bearer realm="", authorization_uri="{origin}/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"'
_LIST = re.compile(r"/me/todo/lists/([^/]+)")
_USER = re.compile(r"/users/([^/]+)")


class _GraphError(Exception):
    def __init__(self, status: int, code: str, message: str, authenticate: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.authenticate = authenticate


class Graph:
    """Answers `/v1.0/...` and `/beta/...`. Its task lists are one per emulator, not per person."""

    def __init__(
        self, behaviour: Behaviour, clock: MovableClock, directory: Directory, provider: IdentityProvider
    ) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._directory = directory
        self._provider = provider
        self._challenged_at: float | None = None
        self._lists: dict[str, dict[str, Any]] = {}

    def challenge(self) -> None:
        """Refuse, with a claims challenge, every access token that was not issued from now on in answer to one."""
        self._challenged_at = self._clock.now()

    def answer(self, request: Request) -> Answer:
        """Answer a request to Graph."""
        request_id = str(uuid.uuid4())
        client_request_id = request.headers.get("client-request-id", request_id)
        try:
            token = self._token(request)
            with self._provider.lock:
                status, body = self._route(request, token)
            headers: list[tuple[str, str]] = []
        except _GraphError as error:
            status, headers = error.status, []
            if error.authenticate is not None:
                headers = [("WWW-Authenticate", error.authenticate)]
            inner = {
                "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._clock.now())),
                "request-id": request_id,
                "client-request-id": client_request_id,
            }
            body = {"error": {"code": error.code, "message": error.message, "innerError": inner}}
        headers += [
            ("Cache-Control", "no-cache"),
            ("Strict-Transport-Security", "max-age=31536000"),
            ("request-id", request_id),
            ("client-request-id", client_request_id),
            ("x-ms-ags-diagnostic", json.dumps({"ServerInfo": {"DataCenter": "Emulator", "Slice": "E", "Ring": "0"}})),
            ("x-ms-resource-unit", "1"),
            ("OData-Version", "4.0"),
        ]
        if body is None:
            return messages.Answer(status=status, headers=tuple(headers))
        return messages.json_answer(
            body, status=status, headers=tuple(headers), content_type=_CONTENT_TYPE, compress=True
        )

    def _token(self, request: Request) -> IssuedAccessToken:
        bearer = _BEARER.format(origin=request.origin)
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not value.strip():
            raise _GraphError(401, "InvalidAuthenticationToken", "Access token is empty.", bearer)
        token = self._provider.tokens.issued.get(value.strip())
        if token is None:
            message = "IDX14100: JWT is not well formed, there are no dots (.)."
            if "." in value:
                message = "Signature verification failed, the token was not issued by this emulator."
            raise _GraphError(401, "InvalidAuthenticationToken", message, bearer)
        if token.grant.scopes.resource != scopes.GRAPH:
            message = "Access token validation failure. Invalid audience."
            raise _GraphError(401, "InvalidAuthenticationToken", message, bearer)
        if self._clock.now() >= token.expires_at:
            message = "Lifetime validation failed, the token is expired."
            raise _GraphError(401, "InvalidAuthenticationToken", message, bearer)
        if self._challenged_at is not None and (
            token.issued_at < self._challenged_at or not token.grant.answers_challenge
        ):
            claims = {"access_token": {"nbf": {"essential": True, "value": str(int(self._challenged_at))}}}
            encoded = base64.b64encode(json.dumps(claims).encode()).decode()
            raise _GraphError(
                401,
                "InvalidAuthenticationToken",
                "Continuous access evaluation resulted in claims challenge with result: InteractionRequired and code: "
                "TokenIssuedBeforeRevocationTimestamp",
                f'{bearer}, error="insufficient_claims", claims="{encoded}"',
            )
        return token

    def _route(self, request: Request, token: IssuedAccessToken) -> tuple[int, dict[str, Any] | None]:
        _, version, rest = request.path.split("/", 2)
        path = "/" + rest.rstrip("/")
        root = f"https://{self._behaviour.msgraph_host or request.origin.removeprefix('https://')}/{version}"
        if path == "/me":
            _want_method(request, "GET")
            _want_scope(token, "User.Read", "User.ReadWrite", "User.Read.All")
            return 200, _selected(_person(token.grant.user, root), request)
        if path == "/users":
            _want_method(request, "GET")
            _want_scope(token, "User.ReadBasic.All", "User.Read.All", "Directory.Read.All")
            people = [_person(user, root, with_context=False) for user in self._directory.users]
            return 200, {"@odata.context": f"{root}/$metadata#users", "value": people}
        if match := _USER.fullmatch(path):
            return 200, _selected(_person(self._person_named(match[1], token), root), request)
        if path == "/me/todo/lists":
            return self._list_of_lists(request, token, root)
        if match := _LIST.fullmatch(path):
            return self._one_list(request, token, root, match[1])
        raise _GraphError(400, "BadRequest", f"Resource not found for the segment '{request.segments[-1]}'.")

    def _person_named(self, wanted: str, token: IssuedAccessToken) -> User:
        try:
            user = self._directory.user(wanted)
        except LookupError:
            raise _GraphError(
                404,
                "Request_ResourceNotFound",
                f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present.",
            ) from None
        if user.object_id != token.grant.user.object_id:
            _want_scope(token, "User.ReadBasic.All", "User.Read.All", "Directory.Read.All")
        return user

    def _list_of_lists(self, request: Request, token: IssuedAccessToken, root: str) -> tuple[int, dict[str, Any]]:
        if request.method == "GET":
            _want_scope(token, "Tasks.Read", "Tasks.ReadWrite")
            return 200, self._page(request, root)
        _want_method(request, "POST")
        _want_scope(token, "Tasks.ReadWrite")
        data = messages.json_body(request)
        if data is None or not isinstance(data.get("displayName"), str):
            raise _GraphError(400, "BadRequest", "The value of 'displayName' is missing or not a string.")
        made = {"displayName": data["displayName"], "id": uuid.uuid4().hex, "isOwner": True, "isShared": False}
        self._lists[made["id"]] = made
        return 201, {"@odata.context": f"{root}/$metadata#lists/$entity"} | made

    def _page(self, request: Request, root: str) -> dict[str, Any]:
        everything = list(self._lists.values())
        start, size = _number(request, "$skiptoken", 0), _number(request, "$top", 100) or 100
        page: dict[str, Any] = {"@odata.context": f"{root}/$metadata#lists", "value": everything[start : start + size]}
        if start + size < len(everything):
            page["@odata.nextLink"] = f"{root}/me/todo/lists?$top={size}&$skiptoken={start + size}"
        return page

    def _one_list(
        self, request: Request, token: IssuedAccessToken, root: str, name: str
    ) -> tuple[int, dict[str, Any] | None]:
        _want_method(request, "GET", "PATCH", "DELETE")
        _want_scope(token, "Tasks.ReadWrite", *(("Tasks.Read",) if request.method == "GET" else ()))
        if name not in self._lists:
            raise _GraphError(404, "itemNotFound", "The specified object was not found in the store.")
        if request.method == "DELETE":
            del self._lists[name]
            return 204, None
        if request.method == "PATCH":
            data = messages.json_body(request)
            if data is None:
                raise _GraphError(400, "BadRequest", "Unable to read JSON request payload.")
            self._lists[name] |= {key: value for key, value in data.items() if key == "displayName"}
        return 200, {"@odata.context": f"{root}/$metadata#lists/$entity"} | self._lists[name]


def _want_method(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise _GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")


def _want_scope(token: IssuedAccessToken, *names: str) -> None:
    if not token.grant.scopes.names & set(names):
        raise _GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _person(user: User, root: str, *, with_context: bool = True) -> dict[str, Any]:
    person: dict[str, Any] = {"@odata.context": f"{root}/$metadata#users/$entity"} if with_context else {}
    return person | {
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": user.given_name,
        "jobTitle": user.job_title,
        "mail": user.user_principal_name,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": user.surname,
        "userPrincipalName": user.user_principal_name,
        "id": user.object_id,
    }


def _selected(entity: dict[str, Any], request: Request) -> dict[str, Any]:
    wanted = [name for name in request.query.get("$select", "").split(",") if name]
    return {name: value for name, value in entity.items() if not wanted or name in wanted or name.startswith("@")}


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default
