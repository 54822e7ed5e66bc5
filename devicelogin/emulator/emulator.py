"""The `Emulator`: puts the parts together and is what a test holds in its hands."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from devicelogin.emulator import behaviour, certificates, clock, directory, discovery, server, services

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from devicelogin.emulator.directory import Client, User
    from devicelogin.emulator.faults import Fault
    from devicelogin.emulator.messages import Request


@dataclass(kw_only=True, eq=False, repr=False)
class Emulator(behaviour.Behaviour):
    """An Entra ID, an OpenID provider and a small Graph on loopback HTTPS; listens as soon as it is made.

    It keeps everything in memory; only the certificate of its CA lies in a private temporary directory until `close`.
    Beside the knobs of `Behaviour`: `host` (a loopback address), `port` (0: a free one) and `names`, other hosts that its
    certificate is good for, and that its documents name to who asks for them; that they lead here is the caller's work.
    """

    host: str = "127.0.0.1"
    port: int = 0
    names: Collection[str] = ()

    def __post_init__(self) -> None:
        """Start listening. Raises OSError if the port is taken."""
        self.clock = clock.MovableClock()
        self.directory = directory.Directory()
        self._services = services.Services(self, self.clock, self.directory, self.names)
        self._codes = self._services.provider.codes
        self._closed = False
        self._directory_on_disk = tempfile.TemporaryDirectory(prefix="devicelogin-emulator-")
        try:
            made = certificates.make_certificates(self._directory_on_disk.name, self.names)
            self._server = server.HttpsServer(self.host, self.port, made.context, self._services)
        except BaseException:
            self._directory_on_disk.cleanup()
            raise
        self.ca_file = made.ca_file
        self.port = self._server.port
        self._services.origin = self.origin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, end every connection, remove the CA certificate. Again is harmless."""
        if not self._closed:
            self._closed = True
            self._server.close()
            self._directory_on_disk.cleanup()

    # Where things are

    @property
    def origin(self) -> str:
        """`https://127.0.0.1:PORT`."""
        return f"https://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def tenant_id(self) -> str:
        """The tenant of the default users."""
        return directory.HOME_TENANT_ID

    @property
    def client_id(self) -> str:
        """An app that may use the device flow, in every tenant."""
        return directory.CLIENT.client_id

    @property
    def not_public_client_id(self) -> str:
        """An app whose public client flows are off: the code is issued, the token poll is refused (7000218)."""
        return directory.NOT_PUBLIC_CLIENT.client_id

    @property
    def single_tenant_client_id(self) -> str:
        """An app of `tenant_id` alone."""
        return directory.SINGLE_TENANT_CLIENT.client_id

    @property
    def authority(self) -> str:
        """The authority of `tenant_id`."""
        return self.authority_for(self.tenant_id)

    def authority_for(self, tenant: str) -> str:
        """Return the authority of a tenant id, a domain, `common`, `organizations` or `consumers`."""
        return f"{self.origin}/{tenant}"

    @property
    def oidc_issuer(self) -> str:
        """The issuer of the plain OpenID provider."""
        return discovery.realm_issuer(self.origin, self)

    @property
    def graph_root(self) -> str:
        """The root of Graph: `/v1.0/me` lies below it."""
        return self.origin

    @property
    def signin_uri(self) -> str:
        """The emulator's own sign-in page."""
        return f"{self.origin}/device"

    # People and apps

    @property
    def users(self) -> list[User]:
        """The people who can sign in; the first one does if none is named. More can be appended."""
        return self.directory.users

    def add_client(self, client: Client) -> None:
        """Register an app, or replace one of the same client id."""
        self.directory.clients[client.client_id.lower()] = client

    def add_domain(self, domain: str) -> None:
        """Give `tenant_id` another domain, by which it can be named."""
        self.directory.domains[domain.lower()] = self.tenant_id

    def pending(self) -> list[str]:
        """Return the user codes that wait for a person, oldest first."""
        return [code.user_code for code in self._codes.pending()]

    def wait_for_code(self, timeout: float = 10) -> str:
        """Return the next user code, each code once. Raises TimeoutError after `timeout` seconds of real time."""
        return self._codes.wait(timeout).user_code

    def approve(self, user_code: str, user: User | str | None = None) -> None:
        """Let `user` (a name, an object id; None: the first who can) accept the sign-in with this code.

        Raises LookupError for a code that is not pending, PermissionError if that user cannot sign in there.
        """
        self._codes.approve(user_code, self._user(user))

    def approve_next(self, after: float = 0, user: User | str | None = None) -> None:
        """Approve the next code by itself, `after` seconds of the emulator's clock; n calls: the next n codes."""
        self._codes.approve_next(after, self._user(user))

    def decline(self, user_code: str) -> None:
        """Let the person decline. Raises LookupError for a code that is not pending."""
        self._codes.decline(user_code)

    def expire(self, user_code: str) -> None:
        """Let a pending code expire now. Raises LookupError for a code that is not pending."""
        self._codes.expire(user_code)

    def revoke(self, user: User | str | None = None) -> None:
        """Revoke all refresh tokens of `user`, or of everybody, as an admin does (AADSTS50173)."""
        self._services.provider.revoke(self._user(user))

    def disable_user(self, user: User | str) -> None:
        """Disable an account: it can neither sign in nor refresh (AADSTS50057)."""
        self.directory.disabled.add(self.directory.user(user).object_id)

    def enable_user(self, user: User | str) -> None:
        """Undo `disable_user`."""
        self.directory.disabled.discard(self.directory.user(user).object_id)

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Sign ID tokens with a new key from now on; `keep_old=False` also withdraws the old ones."""
        self._services.provider.keys.rotate(keep_old=keep_old)

    def challenge(self) -> None:
        """Let Graph refuse all access tokens issued so far with a claims challenge.

        It accepts only tokens that were asked for with the challenge's claims.
        """
        self._services.graph.challenge()

    def _user(self, user: User | str | None) -> User | None:
        return None if user is None else self.directory.user(user)

    # Faults and records

    def script(self, endpoint: str, steps: Iterable[Fault | None]) -> None:
        """Let the next requests to `endpoint` (see `Request`) meet `steps`, one each; None is a normal answer.

        Replaces what was scripted for it before. Steps may be endless (`itertools.repeat`).
        """
        self._services.scripts.set(endpoint, steps)

    def break_for(self, seconds: float) -> None:
        """Reset every connection during the next `seconds` of real time."""
        self._server.break_for(seconds)

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of their arrival."""
        return self._services.records()

    def count(self, endpoint: str | None = None, **form: str) -> int:
        """Return how many requests reached `endpoint` (None: any) with these form fields."""
        return sum(
            (endpoint is None or request.endpoint == endpoint)
            and all(request.form.get(name) == value for name, value in form.items())
            for request in self.requests
        )
