"""Sign in to Microsoft Entra ID from a machine without a browser, once, with a phone, and stay signed in.

    from devicelogin import DeviceLogin

    token = DeviceLogin("work").access_token().token     # never prompts; raises LoginRequiredError instead

The map of the house; a module imports only from rows below its own:

    __main__                                entry point; answers a cached `token` before anything heavy is imported
    cli                                     one file per command: arguments in, results out, exit code
    emulator · doctor · unattended          an Entra ID and a small Graph on this machine, for demo and tests · checks of this
                                            machine, rehearsal of cron · forecast, keep-alive, timer, hooks
    client                                  class DeviceLogin: sign-in, token, status, sign-out in their order
    signin · tokens · graph · terminal      device flow and ID token · cache and refresh · Microsoft Graph · the screen
    msal_client · secret_store              MSAL behind one door · where the refresh token lies, the record, the lock
    authority                               the identity provider's description of itself, checked
    http_session                            one session factory
    settings                                flag > environment > profile > default; where every file is
    private_files                           files that only their owner may read, replaced whole or not at all
    directories                             who can change the way to ours; what is done in an open one
    explain · retry                         an error of the identity provider in plain words · how often anything is tried again
    resources · entra_errors                which API a scope belongs to · what Entra's error numbers mean
    file_errors · clouds · redaction · clock · child_process · core_dumps · address_space · hints · user_session · mounts
                                            what the system refused at a file · hosts · nothing secret in a log · two clocks ·
                                            a command with a deadline · none of what is secret · how much there is ·
                                            commands to paste · buses and lingering · file systems
    models                                  frozen records, no secret in their repr
    errors                                  one family: message, hint, exit code

The way of `devicelogin token`: `__main__` looks into the runtime directory (`tokens.access_cache`); a hit is printed. Else
`cli.token` asks `client.DeviceLogin.access_token`, which asks `tokens.silent`: lock, cache again, secret store, one request
through `msal_client`, secret store, cache; and `cli.token` prints.

Only the names in `__all__` and `devicelogin.emulator.Emulator` are public API; everything else may change at any time.
Importing this package imports none of it: the names resolve on first use (PEP 562).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from devicelogin.client import DeviceLogin, profiles
    from devicelogin.errors import (
        BadAnswerError,
        ConfigError,
        DataBadError,
        DeniedByPolicyError,
        DeviceLoginError,
        HttpAnswerError,
        InternalError,
        LoginNotCompletedError,
        LoginRequiredError,
        OutputError,
        StoreUnusableError,
        TryLaterError,
        UsageError,
    )
    from devicelogin.graph import GraphClient
    from devicelogin.models import AccessToken, Account, DeviceAuthorization, SecretRecord, SignInStatus, StoreLocation
    from devicelogin.secret_store import SecretStore

__version__ = "0.1.0"

__all__ = [
    "AccessToken",
    "Account",
    "BadAnswerError",
    "ConfigError",
    "DataBadError",
    "DeniedByPolicyError",
    "DeviceAuthorization",
    "DeviceLogin",
    "DeviceLoginError",
    "GraphClient",
    "HttpAnswerError",
    "InternalError",
    "LoginNotCompletedError",
    "LoginRequiredError",
    "OutputError",
    "SecretRecord",
    "SecretStore",
    "SignInStatus",
    "StoreLocation",
    "StoreUnusableError",
    "TryLaterError",
    "UsageError",
    "profiles",
]

_HOMES = {
    "AccessToken": "models",
    "Account": "models",
    "DeviceAuthorization": "models",
    "DeviceLogin": "client",
    "GraphClient": "graph",
    "SecretRecord": "models",
    "SecretStore": "secret_store",
    "SignInStatus": "models",
    "StoreLocation": "models",
    "profiles": "client",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
