"""The public API as a program uses it: type-checked by tests/run, never run."""

from __future__ import annotations

import devicelogin
from devicelogin import emulator


class Memory:
    """A secret store of one's own."""

    location = devicelogin.StoreLocation(kind="keyring:program.Memory")
    protection = "the memory of this program"
    record: devicelogin.SecretRecord | None = None

    def probe(self) -> None:
        """Try it."""

    def load(self) -> devicelogin.SecretRecord | None:
        """Give it back."""
        return self.record

    def save(self, record: devicelogin.SecretRecord) -> None:
        """Keep it."""
        self.record = record

    def delete(self) -> None:
        """Forget it."""
        self.record = None


def sign_in() -> devicelogin.Account:
    """Sign in with the defaults of the profile, then with everything said."""
    login = devicelogin.DeviceLogin()
    account: devicelogin.Account = login.login()
    name: str = account.username
    print(name)
    work = devicelogin.DeviceLogin("work", client_id="id", tenant="contoso.com", scopes=["Mail.Read"], store=Memory())
    return work.login(show)


def show(authorization: devicelogin.DeviceAuthorization) -> None:
    """Show the code to a person."""
    address: str = authorization.verification_uri
    code: str = authorization.user_code
    seconds: float = authorization.expires_in
    print(address, code, seconds)


def use() -> object:
    """Get tokens, call Graph, look, sign out."""
    login = devicelogin.DeviceLogin("work")
    token: devicelogin.AccessToken = login.access_token()
    text: str = token.token
    other: devicelogin.AccessToken = login.access_token(["Mail.Read"], min_valid=600)
    status: devicelogin.SignInStatus = login.status()
    needs: bool = status.needs_login
    names: tuple[str, ...] = devicelogin.profiles()
    newer: devicelogin.AccessToken = login.access_token(force_refresh=True, claims='{"access_token": {}}')
    with devicelogin.GraphClient(login.access_token, "https://graph.microsoft.com", ca_file="ca.pem") as graph:
        body: bytes = b"".join(login.graph().request("GET", "me", max_wait=5).chunks)
    login.logout()
    return text, other, newer, needs, names, graph, body


def fail(error: devicelogin.DeviceLoginError) -> tuple[str, str | None, int, bool]:
    """Read what an error carries."""
    family: tuple[type[devicelogin.DeviceLoginError], ...] = (
        devicelogin.BadAnswerError,
        devicelogin.ConfigError,
        devicelogin.DataBadError,
        devicelogin.DeniedByPolicyError,
        devicelogin.HttpAnswerError,
        devicelogin.InternalError,
        devicelogin.LoginNotCompletedError,
        devicelogin.LoginRequiredError,
        devicelogin.OutputError,
        devicelogin.StoreUnusableError,
        devicelogin.TryLaterError,
        devicelogin.UsageError,
    )
    print(family)
    return error.message, error.hint, error.exit_code, error.retryable


def emulate() -> None:
    """Test a program of one's own against the emulator."""
    with emulator.Emulator() as provider:
        provider.approve_next()
        authority: str = provider.authority
        print(authority, provider.client_id, provider.ca_file, provider.graph_root)
