"""Where a client finds things: issuers, the OpenID configuration of both dialects, Microsoft's instance discovery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devicelogin.emulator import directory, messages, oauth_errors

if TYPE_CHECKING:
    from devicelogin.emulator.behaviour import Behaviour
    from devicelogin.emulator.messages import Answer, Request

_METADATA_HEADERS = (
    ("Cache-Control", "max-age=86400, private"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, OPTIONS"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("Set-Cookie", "esctx=emulator; path=/; secure; HttpOnly; SameSite=None"),
)


def entra_issuer(origin: str, tenant: str) -> str:
    """Return the issuer for a tenant id, or the template that stands in the documents of `common` and its kin."""
    if tenant == "consumers":
        tenant = directory.PERSONAL_TENANT_ID
    return f"{origin}/{'{tenantid}' if tenant in {'common', 'organizations'} else tenant}/v2.0"


def realm_issuer(origin: str, behaviour: Behaviour) -> str:
    """Return the issuer of the OpenID provider."""
    path = "" if behaviour.oidc_at_root else messages.REALM_PATH
    return origin + path + ("/" if behaviour.oidc_trailing_slash else "")


def entra_document(request: Request, tenant: str, behaviour: Behaviour) -> Answer:
    """Return the OpenID configuration of `tenant`, an id or an alias."""
    root = f"{request.origin}/{tenant}"
    graph = behaviour.msgraph_host or request.origin.removeprefix("https://")
    document: dict[str, Any] = {
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": entra_issuer(request.origin, tenant),
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"https://{graph}/oidc/userinfo",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{root}/oauth2/v2.0/logout",
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"],
        "tenant_region_scope": None if tenant in {"common", "organizations"} else "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": graph,
        "rbac_url": "https://pas.windows.net",
    }
    return messages.json_answer(document, headers=_METADATA_HEADERS)


def realm_document(request: Request, behaviour: Behaviour) -> Answer:
    """Return the OpenID configuration of the plain OpenID provider, shaped like Keycloak's."""
    endpoints = f"{request.origin}{messages.REALM_PATH}/protocol/openid-connect"
    document: dict[str, Any] = {
        "issuer": realm_issuer(request.origin, behaviour),
        "authorization_endpoint": f"{endpoints}/auth",
        "token_endpoint": f"{endpoints}/token",
        "jwks_uri": f"{endpoints}/certs",
        "device_authorization_endpoint": f"{endpoints}/auth/device",
        "grant_types_supported": ["refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access", "api.read", "api.write"],
    }
    if behaviour.oidc_revocation:
        document["revocation_endpoint"] = f"{endpoints}/revoke"
    return messages.json_answer(document, headers=(("Cache-Control", "no-cache, must-revalidate, no-store"),))


def instance(request: Request) -> Answer:
    """Return Microsoft's instance discovery: this emulator is a cloud of one host."""
    host = request.origin.removeprefix("https://")
    if not request.query.get("authorization_endpoint", "").startswith(request.origin.rpartition(":")[0]):
        refusal = oauth_errors.Refusal("invalid_instance", 50049, "Unknown or invalid instance.")
        return oauth_errors.answer(refusal, request, request.time)
    document = {
        "tenant_discovery_endpoint": f"{request.origin}/common/v2.0/.well-known/openid-configuration",
        "api-version": request.query.get("api-version", "1.1"),
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }
    return messages.json_answer(document, headers=_METADATA_HEADERS)


def keys(document: dict[str, Any]) -> Answer:
    """Return the answer that publishes the signing keys."""
    return messages.json_answer(document, headers=_METADATA_HEADERS)
