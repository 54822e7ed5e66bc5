"""A plain HTTP client of the emulator: no MSAL, no code of ours, so that the emulator is held to the protocol itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from devicelogin.emulator import Emulator

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "User.Read openid profile offline_access"


class Client(requests.Session):
    """Speaks the device flow by hand; `root` is where `devicecode` and `token` lie."""

    def __init__(self, emulator: Emulator, *, tenant: str | None = None, oidc: bool = False) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = emulator.ca_file
        self.emulator = emulator
        self.client_id = emulator.client_id
        authority = emulator.authority_for(tenant or emulator.tenant_id)
        self.issuer = emulator.oidc_issuer if oidc else f"{authority}/v2.0"
        root = f"{emulator.oidc_issuer.rstrip('/')}/protocol/openid-connect" if oidc else f"{authority}/oauth2/v2.0"
        self.device_url = f"{root}/auth/device" if oidc else f"{root}/devicecode"
        self.token_url = f"{root}/token"
        self.keys_url = f"{root}/certs" if oidc else f"{authority}/discovery/v2.0/keys"

    def start(self, scope: str = SCOPE, **more: str) -> dict:
        """Ask for a device code; must succeed."""
        answer = self.post(self.device_url, data={"client_id": self.client_id, "scope": scope, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def poll(self, device_code: str, **more: str) -> requests.Response:
        """Ask once for the tokens."""
        form = {"grant_type": DEVICE_GRANT, "client_id": self.client_id, "device_code": device_code, **more}
        return self.post(self.token_url, data=form)

    def sign_in(self, scope: str = SCOPE, *, user: str | None = None, **more: str) -> dict:
        """Go the whole way; must succeed."""
        flow = self.start(scope)
        self.emulator.approve(flow["user_code"], user)
        answer = self.poll(flow["device_code"], **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refresh(self, refresh_token: str, **more: str) -> requests.Response:
        """Ask for new tokens."""
        form = {"grant_type": "refresh_token", "client_id": self.client_id, "refresh_token": refresh_token, **more}
        return self.post(self.token_url, data=form)

    def graph(self, path: str, access_token: str | None, method: str = "GET", **more: object) -> requests.Response:
        """Call Graph."""
        headers = {"Authorization": f"Bearer {access_token}"} if access_token is not None else {}
        return self.request(method, self.emulator.graph_root + path, headers=headers, **more)
