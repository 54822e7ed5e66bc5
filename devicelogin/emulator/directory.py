"""Who and what the emulated directory knows: tenants, registered applications, people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from devicelogin.emulator import oauth_errors

HOME_TENANT_ID = "3f1c7a52-8d0e-4b6f-9a35-6c2e1d4b8a70"
OTHER_TENANT_ID = "b7e0d9c4-15a2-4f3b-8c6d-2a9f7e5b3d18"
#: The tenant that Microsoft files personal accounts under, a constant of the real service.
PERSONAL_TENANT_ID = "9188040d-6c67-4c5b-b112-36a304b66dad"

_DOMAINS = {
    "contoso.example": HOME_TENANT_ID,
    "contoso.onmicrosoft.example": HOME_TENANT_ID,
    "fabrikam.example": OTHER_TENANT_ID,
}
_ALIASES = ("common", "organizations", "consumers")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who can sign in. An empty `user_principal_name` is left out of the tokens.

    `email` None: the user principal name. Only the OpenID provider says whether it was verified.
    """

    user_principal_name: str
    display_name: str
    given_name: str
    surname: str
    object_id: str
    tenant_id: str = HOME_TENANT_ID
    job_title: str | None = None
    email: str | None = None
    email_verified: bool = False

    @property
    def is_personal(self) -> bool:
        """Is this a personal account, not one of an organization?"""
        return self.tenant_id == PERSONAL_TENANT_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An app registration. `tenant_id` None: usable in every tenant; `default_scopes`: what `.default` stands for."""

    client_id: str
    name: str
    allows_public_client_flows: bool = True
    tenant_id: str | None = None
    allows_personal_accounts: bool = True
    family_id: str | None = None
    default_scopes: tuple[str, ...] = ("User.Read",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An API beside Graph. `permissions` are all that it has.

    `consented` are those that an administrator has consented to for everybody; a person consents to others as they sign
    in. `is_listed` False: the app registration does not list it (AADSTS650057). `policy`: `"block"`, a Conditional Access
    policy refuses every token for it (AADSTS53003); `"mfa"`, it wants a second factor (AADSTS50076), which whoever approves
    a sign-in for it gives.
    """

    permissions: tuple[str, ...]
    consented: tuple[str, ...] = ()
    is_listed: bool = True
    policy: Literal["block", "mfa"] | None = None


ADA = User(
    user_principal_name="ada@contoso.example",
    display_name="Ada Lovelace",
    given_name="Ada",
    surname="Lovelace",
    object_id="0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a01",
    job_title="Analyst",
)
GRACE = User(
    user_principal_name="grace@contoso.example",
    display_name="Grace Hopper",
    given_name="Grace",
    surname="Hopper",
    object_id="0c5ad3f1-7b1e-4d52-9f0a-1d6c8b2e4a02",
    job_title="Rear Admiral",
)
MARY = User(
    user_principal_name="mary@outlook.example",
    display_name="Mary Somerville",
    given_name="Mary",
    surname="Somerville",
    # The object id of a personal account: zeros and sixteen hexadecimal digits.
    object_id="00000000-0000-0000-2d4f-8b7c6a5e3f01",
    tenant_id=PERSONAL_TENANT_ID,
)

CLIENT = Client(client_id="5d2e8f60-4c1b-4a97-b3d8-7e9f0a1c2b3d", name="Weather board")
NOT_PUBLIC_CLIENT = Client(
    client_id="6e3f9a71-5d2c-4ba8-84e9-8fa01b2d3c4e", name="Web shop", allows_public_client_flows=False
)
SINGLE_TENANT_CLIENT = Client(
    client_id="7f40ab82-6e3d-4cb9-95fa-90b12c3e4d5f",
    name="Contoso archive",
    tenant_id=HOME_TENANT_ID,
    allows_personal_accounts=False,
)


@dataclass(slots=True)
class Directory:
    """Tenants, clients and users. `domains` holds ids of tenants, `disabled` object ids."""

    users: list[User] = field(default_factory=lambda: [ADA, GRACE, MARY])
    clients: dict[str, Client] = field(
        default_factory=lambda: {c.client_id: c for c in (CLIENT, NOT_PUBLIC_CLIENT, SINGLE_TENANT_CLIENT)}
    )
    domains: dict[str, str] = field(default_factory=lambda: dict(_DOMAINS))
    disabled: set[str] = field(default_factory=set)

    def tenant(self, segment: str, *, error: str = "invalid_request") -> str:
        """Return the tenant id for a path segment, or the segment itself if it is `common` or one of its kin.

        Raises Refusal with `error` for a tenant that does not exist.
        """
        name = segment.lower()
        if name in (*_ALIASES, HOME_TENANT_ID, OTHER_TENANT_ID, PERSONAL_TENANT_ID):
            return name
        if name in self.domains:
            return self.domains[name]
        raise oauth_errors.Refusal(
            error,
            90002,
            f"Tenant '{segment}' not found. Check to make sure you have the correct tenant ID and are signing into the "
            "correct cloud. Check with your subscription administrator, this may happen if there are no active "
            "subscriptions for the tenant.",
        )

    def client(self, client_id: str, tenant: str) -> Client:
        """Return the registered client, if it may be used in `tenant`. Raises Refusal."""
        client = self.clients.get(client_id.lower())
        if client is None or (client.tenant_id not in {None, tenant} and tenant not in _ALIASES):
            raise oauth_errors.Refusal(
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen "
                "if the application has not been installed by the administrator of the tenant or consented to by any "
                "user in the tenant. You may have sent your authentication request to the wrong tenant.",
            )
        if client.tenant_id is not None and tenant == "common":
            raise oauth_errors.Refusal(
                "invalid_request",
                50194,
                f"Application '{client_id}'({client.name}) is not configured as a multi-tenant application. Usage of "
                "the /common endpoint is not supported for such apps created after '10/15/2018'. Use a "
                "tenant-specific endpoint or configure the application to be multi-tenant.",
            )
        if tenant == "consumers" and not client.allows_personal_accounts:
            raise oauth_errors.Refusal(
                "invalid_request",
                9002332,
                f"Application '{client_id}'({client.name}) is configured for use by Azure Active Directory users only. "
                "Please do not use the /consumers endpoint to serve this request.",
            )
        return client

    def user(self, wanted: User | str) -> User:
        """Return the user with this name or object id. Raises LookupError."""
        if isinstance(wanted, User):
            return wanted
        for user in self.users:
            if wanted.lower() in {user.user_principal_name.lower(), user.object_id}:
                return user
        raise LookupError(f"no user is named {wanted!r}")

    def may_sign_in(self, user: User, client: Client, tenant: str) -> bool:
        """Tell whether `user` can sign in to `client` through `tenant` (an id, an alias, or `home` for the realm)."""
        if user.is_personal:
            return client.allows_personal_accounts and tenant in {"common", "consumers", PERSONAL_TENANT_ID, "home"}
        if client.tenant_id not in {None, user.tenant_id}:
            return False
        return tenant in {"common", "organizations", "home", user.tenant_id}
