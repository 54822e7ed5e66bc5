"""The identity provider: device authorization, the token endpoint and revocation, in both dialects."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from devicelogin.emulator import (
    device_codes,
    discovery,
    messages,
    oauth_errors,
    refresh_tokens,
    scopes,
    signing_keys,
    tokens,
)

if TYPE_CHECKING:
    from devicelogin.emulator.behaviour import Behaviour
    from devicelogin.emulator.clock import MovableClock
    from devicelogin.emulator.directory import Client, Directory, User
    from devicelogin.emulator.messages import Answer, Request
    from devicelogin.emulator.scopes import GrantedScopes, ScopeRequest

#: The bare form is what old clients send and Entra accepts.
_DEVICE_GRANTS = ("urn:ietf:params:oauth:grant-type:device_code", "device_code")

#: The id of every Conditional Access policy here.
_POLICY_ID = "9a1f2b7e-63c5-4d0e-8f24-1c7d5e3a6b90"

_MESSAGES = {
    "de": "Um sich anzumelden, öffnen Sie in einem Webbrowser die Seite {uri}, und geben Sie den Code {code} ein, um sich "
    "zu authentifizieren.",
    "en": "To sign in, use a web browser to open the page {uri} and enter the code {code} to authenticate.",
}


class IdentityProvider:
    """Answers the endpoints of the authorization server. One lock guards all that changes."""

    def __init__(self, behaviour: Behaviour, clock: MovableClock, directory: Directory) -> None:
        self.lock = threading.RLock()
        self.keys = signing_keys.SigningKeys()
        self.codes = device_codes.DeviceCodes(behaviour, clock, directory, self.lock)
        self.refresh_tokens = refresh_tokens.RefreshTokens(behaviour)
        self.tokens = tokens.Tokens(behaviour, self.keys)
        self._behaviour = behaviour
        self._clock = clock
        self._directory = directory
        #: Of each app and person, by API.
        self._consents: dict[tuple[str, str], dict[str, set[str]]] = {}

    def answer(self, request: Request) -> Answer:
        """Answer a request to any endpoint of the identity provider."""
        try:
            if request.endpoint in {"discovery", "jwks", "instance"}:
                return self._metadata(request)
            _want_post(request)
            if request.endpoint == "devicecode":
                return self._device_authorization(request)
            if request.endpoint == "revoke":
                return self._revocation(request)
            return self._token(request)
        except oauth_errors.Refusal as refusal:
            return oauth_errors.answer(refusal, request, self._clock.now())

    def revoke(self, user: User | None) -> None:
        """Let all refresh tokens of `user`, or of everybody, be revoked as an admin would."""
        with self.lock:
            self.refresh_tokens.revoke(user)

    def _metadata(self, request: Request) -> Answer:
        if request.endpoint == "jwks":
            if not request.is_oidc:
                self._directory.tenant(request.segments[0])
            return discovery.keys(self.keys.document(request.origin, is_oidc=request.is_oidc))
        if request.endpoint == "instance":
            return discovery.instance(request)
        if request.is_oidc:
            return self._realm_metadata(request)
        tenant = self._directory.tenant(request.segments[0], error="invalid_tenant")
        return discovery.entra_document(request, tenant, self._behaviour)

    def _realm_metadata(self, request: Request) -> Answer:
        if (request.path == messages.ROOT_DOCUMENT) != self._behaviour.oidc_at_root:
            return messages.json_answer({"error": "Unable to find matching target resource method"}, status=404)
        return discovery.realm_document(request, self._behaviour)

    def _device_authorization(self, request: Request) -> Answer:
        client, tenant = self._client(request)
        scope = request.form.get("scope", "")
        if not scope and not request.is_oidc:
            raise oauth_errors.missing_parameter("scope")
        # Entra looks at the resources only when the code is redeemed, and accepts scopes of several ones here.
        asked = self._parsed(scope, request)
        if request.is_oidc and not client.allows_public_client_flows:
            raise oauth_errors.Refusal(
                "unauthorized_client", text="Client is not allowed to initiate OAuth 2.0 Device Authorization Grant."
            )
        code = self.codes.issue(client, tenant, asked, request)
        uri = self._behaviour.verification_uri or f"{request.origin}/device"
        body: dict[str, object] = {
            "user_code": code.user_code,
            "device_code": code.device_code,
            "verification_uri": uri,
            "expires_in": self._behaviour.device_code_lifetime,
            "interval": self._behaviour.interval,
        }
        if not request.is_oidc:
            language = request.query.get("mkt", "en").partition("-")[0].lower()
            body["message"] = _MESSAGES.get(language, _MESSAGES["en"]).format(uri=uri, code=code.user_code)
        elif self._behaviour.verification_uri_complete:
            body["verification_uri_complete"] = f"{uri}?user_code={code.user_code}"
        return self._success(request, body)

    def _token(self, request: Request) -> Answer:
        grant_type = request.form.get("grant_type")
        if not grant_type:
            raise oauth_errors.missing_parameter("grant_type")
        if grant_type not in {*_DEVICE_GRANTS, "refresh_token"}:
            raise oauth_errors.Refusal(
                "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant_type}'."
            )
        client, tenant = self._client(request)
        with self.lock:
            if grant_type == "refresh_token":
                return self._refresh(request, client, tenant)
            return self._redeem(request, client, tenant)

    def _redeem(self, request: Request, client: Client, tenant: str) -> Answer:
        device_code = request.form.get("device_code")
        if not device_code:
            raise oauth_errors.missing_parameter("device_code")
        self._check_public(client)
        code = self.codes.redeem(device_code, client, tenant)
        assert code.user is not None
        consented = self._consents.setdefault((client.client_id, code.user.object_id), {})
        if not request.is_oidc:
            for resource in code.scopes.resources:
                self._check_listed(resource)
                self._check_policy(resource, has_second_factor=True)
        granted = [self._approved(code.scopes.of(one), client, code.user, request) for one in code.scopes.resources]
        for one in granted:
            consented.setdefault(one.resource, set()).update(one.names)
        self._check_one_resource(code.scopes)
        family = refresh_tokens.Family(
            user=code.user,
            client=client,
            tenant=tenant,
            scopes=code.scopes.within(granted[0].names),
            signed_in_at=code.signed_in_at,
            has_second_factor=any(self._policy(one) == "mfa" for one in code.scopes.resources),
        )
        with_refresh = granted[0].offline and self._behaviour.grant_refresh_token
        return self._tokens_answer(request, family, granted[0], with_refresh=with_refresh, with_id=granted[0].openid)

    def _refresh(self, request: Request, client: Client, tenant: str) -> Answer:
        refresh_token = request.form.get("refresh_token")
        if not refresh_token:
            raise oauth_errors.missing_parameter("refresh_token")
        scope = request.form.get("scope")
        asked = self._parsed(scope, request) if scope else None
        self._check_public(client)
        family = self.refresh_tokens.find(refresh_token, client, tenant, self._clock.now())
        if family.user.object_id in self._directory.disabled:
            raise oauth_errors.Refusal("invalid_grant", 50057, "The user account is disabled.")
        asked = asked or family.scopes
        self._check_one_resource(asked)
        resource = asked.resources[0]
        if not request.is_oidc:
            self._check_listed(resource)
        consented = self._consented(resource, client, family.user)
        self._check_consent(asked, consented, client, is_oidc=request.is_oidc)
        if not request.is_oidc:
            self._check_policy(resource, has_second_factor=family.has_second_factor)
        granted = self._grant(asked, client, family.user, tuple(sorted(consented)), request)
        self.refresh_tokens.spend(refresh_token)
        with_id = granted.openid and self._behaviour.id_token_on_refresh
        return self._tokens_answer(
            request, family, granted, with_refresh=self._behaviour.refresh_token_on_refresh, with_id=with_id
        )

    def _tokens_answer(
        self,
        request: Request,
        family: refresh_tokens.Family,
        granted: GrantedScopes,
        *,
        with_refresh: bool,
        with_id: bool,
    ) -> Answer:
        now, user = self._clock.now(), family.user
        grant = tokens.Grant(
            user=user,
            client=family.client,
            scopes=granted,
            origin=request.origin,
            is_oidc=request.is_oidc,
            claims=_claims(request),
        )
        access_token, lifetime = self.tokens.access_token(grant, now)
        body: dict[str, object] = {"token_type": "Bearer", "scope": granted.echo, "expires_in": lifetime}
        if not request.is_oidc:
            body["ext_expires_in"] = lifetime
            refresh_in = self._behaviour.refresh_in
            if refresh_in is None and grant.handles_challenges:
                refresh_in = lifetime // 2
            if refresh_in is not None:
                body["refresh_in"] = refresh_in
        body["access_token"] = access_token
        if with_refresh:
            body["refresh_token"] = self.refresh_tokens.issue(family, now)
        if not request.is_oidc and family.client.family_id:
            body["foci"] = family.client.family_id
        id_token = self.tokens.id_token(grant, self._issuer(request, user), now) if with_id else None
        if id_token is not None:
            body["id_token"] = id_token
        if not request.is_oidc and self._behaviour.client_info and request.form.get("client_info") == "1":
            identity = json.dumps({"uid": user.object_id, "utid": user.tenant_id})
            body["client_info"] = signing_keys.encoded(identity.encode())
        return self._success(request, body)

    def _revocation(self, request: Request) -> Answer:
        if not self._behaviour.oidc_revocation:
            return messages.json_answer({"error": "HTTP 404 Not Found"}, status=404)
        self._client(request)
        token = request.form.get("token")
        if not token:
            raise oauth_errors.Refusal("invalid_request", text="Token not provided")
        with self.lock:
            self.refresh_tokens.revoke_family(token)
            self.tokens.issued.pop(token, None)
        # RFC 7009 section 2.2: 200 also for a token that is not known.
        return messages.Answer()

    def _client(self, request: Request) -> tuple[Client, str]:
        client_id = request.form.get("client_id")
        if not client_id:
            raise oauth_errors.missing_parameter("client_id")
        if not request.is_oidc:
            tenant = self._directory.tenant(request.segments[0])
            return self._directory.client(client_id, tenant), tenant
        client = self._directory.clients.get(client_id.lower())
        if client is None:
            raise oauth_errors.Refusal(
                "invalid_client", text="Invalid client or Invalid client credentials", status=401
            )
        return client, "home"

    def _check_public(self, client: Client) -> None:
        if not client.allows_public_client_flows:
            raise oauth_errors.Refusal(
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                status=401,
            )

    def _parsed(self, scope: str, request: Request) -> ScopeRequest:
        return scopes.parse(scope, origin=request.origin, is_oidc=request.is_oidc, resources=self._behaviour.resources)

    def _check_one_resource(self, asked: ScopeRequest) -> None:
        if len(asked.resources) > 1:
            raise oauth_errors.Refusal(
                "invalid_grant",
                28000,
                "Provided value for the input parameter scope is not valid because it contains more than one resource. "
                f"Scope {' '.join(one.prefix + one.name for one in asked.asked)} is not valid.",
            )

    def _check_listed(self, resource: str) -> None:
        known = self._behaviour.resources.get(resource)
        if known is not None and not known.is_listed:
            raise oauth_errors.Refusal(
                "invalid_resource",
                650057,
                "Invalid resource. The client has requested access to a resource which is not listed in the requested "
                f"permissions in the client's application registration. Resource value from request: {resource}.",
            )

    def _policy(self, resource: str) -> str | None:
        known = self._behaviour.resources.get(resource)
        return known.policy if known is not None else None

    def _check_policy(self, resource: str, *, has_second_factor: bool) -> None:
        policy = self._policy(resource)
        claims = json.dumps({"access_token": {"capolids": {"essential": True, "values": [_POLICY_ID]}}})
        if policy == "block":
            raise oauth_errors.Refusal(
                "invalid_grant",
                53003,
                "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
                suberror="message_only",
                claims=claims,
            )
        if policy == "mfa" and not has_second_factor:
            raise oauth_errors.Refusal(
                "interaction_required",
                50076,
                "Due to a configuration change made by your administrator, or because you moved to a new location, you "
                f"must use multi-factor authentication to access '{resource}'.",
                suberror="basic_action",
                claims=claims,
            )

    def _consented(self, resource: str, client: Client, user: User) -> set[str]:
        """Return what of an API was consented to: by the person, and by an administrator for everybody."""
        own = self._consents.get((client.client_id, user.object_id), {}).get(resource, set())
        known = self._behaviour.resources.get(resource)
        return own | set(known.consented if known is not None else ())

    def _approved(self, asked: ScopeRequest, client: Client, user: User, request: Request) -> GrantedScopes:
        """Return what a person who approves `asked`, all of one API, grants of it.

        `.default` is what was consented to before; where nothing was, they are shown, and consent to, all that the app
        registration lists, of every API (scopes-oidc.md).
        """
        resource = asked.resources[0]
        consented = self._consented(resource, client, user)
        if asked.has_default and not consented and not request.is_oidc:
            known = self._consents[(client.client_id, user.object_id)]
            known.setdefault(scopes.GRAPH, set()).update(client.default_scopes)
            for name, description in self._behaviour.resources.items():
                if description.is_listed:
                    known.setdefault(name, set()).update(description.permissions)
            consented = self._consented(resource, client, user)
        return self._grant(asked, client, user, tuple(sorted(consented)), request)

    def _check_consent(self, asked: ScopeRequest, consented: set[str], client: Client, *, is_oidc: bool) -> None:
        if set(asked.names) <= consented and (consented or not asked.has_default):
            return
        if is_oidc:
            raise oauth_errors.Refusal("invalid_scope", text="Invalid scopes: not granted before")
        raise oauth_errors.Refusal(
            "invalid_grant",
            65001,
            f"The user or administrator has not consented to use the application with ID '{client.client_id}' named "
            f"'{client.name}'. Send an interactive authorization request for this user and resource.",
            suberror="consent_required",
        )

    def _grant(
        self, asked: ScopeRequest, client: Client, user: User, defaults: tuple[str, ...], request: Request
    ) -> GrantedScopes:
        named = self._behaviour.granted_scopes
        wanted = None if named is None else {name.lower() for name in named}

        def allowed(name: str) -> bool:
            # Microsoft leaves out, without a word, what personal accounts cannot have.
            if user.is_personal and name.endswith(".All"):
                return False
            return wanted is None or name.lower() in wanted

        return scopes.grant(asked, defaults, allowed, is_oidc=request.is_oidc)

    def _issuer(self, request: Request, user: User) -> str:
        if request.is_oidc:
            return discovery.realm_issuer(request.origin, self._behaviour)
        return discovery.entra_issuer(request.origin, user.tenant_id)

    def _success(self, request: Request, body: dict[str, object]) -> Answer:
        if request.is_oidc:
            return messages.json_answer(body, headers=(("Cache-Control", "no-store"), ("Pragma", "no-cache")))
        return messages.json_answer(body, headers=oauth_errors.entra_headers(request))


def _want_post(request: Request) -> None:
    if request.method != "POST":
        raise oauth_errors.Refusal(
            "invalid_request",
            900561,
            f"The endpoint only accepts POST requests. Received a {request.method} request.",
            status=405,
        )


def _claims(request: Request) -> dict[str, Any]:
    try:
        claims = json.loads(request.form.get("claims", "{}"))
    except ValueError as error:
        raise oauth_errors.Refusal(
            "invalid_request", 900144, "The request parameter 'claims' is not valid JSON."
        ) from error
    return claims if isinstance(claims, dict) else {}
