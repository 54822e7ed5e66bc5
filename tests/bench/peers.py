"""Other programs that print an access token, each signed in at the same identity provider where it lets itself be sent there.

A peer that cannot be had here stands in the table with the reason, and is not left out.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import environments
import timing

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Sequence

    import machine

_PROGRAMS = Path(__file__).with_name("peer_programs")


class UnavailableError(Exception):
    """This peer cannot be measured here; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class Warmed:
    """A peer with a good token. `is_counted`: it speaks to our identity provider, so its requests can be counted."""

    version: str
    token: timing.Command
    refresh: timing.Command | None = None
    is_counted: bool = True


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a peer is warmed: environments below `cache`, a home beside that of `box`."""

    cache: Path
    box: machine.Machine
    until_end: contextlib.ExitStack

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """Return the environment of a peer with a home of its own in memory."""
        home = self.box.home / "peers" / name
        home.mkdir(parents=True, exist_ok=True)
        return {**self.box.environment, "HOME": str(home), **more}


def warm(place: Place, names: Sequence[str]) -> tuple[list[Warmed], dict[str, str]]:
    """Warm the peers; return those that can be measured, and the reasons of the others."""
    warmed, missing = [], {}
    for name in names:
        try:
            peer = KNOWN[name](place)
            peer.token.output()
            warmed.append(peer)
        except (UnavailableError, timing.BenchmarkError, OSError, subprocess.SubprocessError) as error:
            missing[name] = " ".join(str(error).split())[:300]
    return warmed, missing


def _program(place: Place, name: str, file: str, *packages: str, can_refresh: bool = True) -> Warmed:
    """Warm one of our `peer_programs`."""
    installed = environments.peer(place.cache, name, *packages)
    environment, facts = place.environment(name), place.box.provider.facts
    cache = str(Path(environment["HOME"]) / "cache")

    def command(wish: str) -> timing.Command:
        arguments = [wish, cache, facts["authority"], facts["client_id"], facts["ca_file"]]
        title = {"token": _TITLES[name], "refresh": f"{_TITLES[name]}, refresh"}.get(wish, wish)
        return timing.Command(title, [installed.python, str(_PROGRAMS / file), *arguments], environment)

    command("login").output()
    refresh = command("refresh") if can_refresh else None
    return Warmed(
        ", ".join(f"{package} {installed.version(package)}" for package in packages), command("token"), refresh
    )


def _msal(place: Place) -> Warmed:
    return _program(place, "msal", "msal_recipe.py", "msal")


def _msal_extensions(place: Place) -> Warmed:
    return _program(place, "msal-extensions", "msal_extensions_file.py", "msal-extensions", "msal")


def _azure_identity(place: Place) -> Warmed:
    # Its credentials have no call that refreshes a token which is still good.
    return _program(
        place, "azure-identity", "azure_identity_credential.py", "azure-identity", "msal", can_refresh=False
    )


def _azure_cli(place: Place) -> Warmed:
    installed = environments.peer(place.cache, "azure-cli", "azure-cli")
    facts = place.box.provider.facts
    more = {"REQUESTS_CA_BUNDLE": facts["ca_file"], "AZURE_CORE_COLLECT_TELEMETRY": "no"}
    more |= {"AZURE_CORE_INSTANCE_DISCOVERY": "no", "AZURE_CORE_LOGIN_EXPERIENCE_V2": "no"}
    environment = place.environment("azure-cli", **more)

    def az(name: str, *arguments: str) -> timing.Command:
        return timing.Command(name, [installed.program("az"), *arguments], environment, environment["HOME"])

    place.box.provider.serve_no_subscriptions()
    endpoints = ["--endpoint-active-directory", facts["origin"], "--endpoint-resource-manager", facts["origin"]]
    endpoints += ["--endpoint-active-directory-resource-id", "https://graph.microsoft.com"]
    endpoints += ["--endpoint-management", facts["origin"]]
    endpoints += ["--endpoint-active-directory-graph-resource-id", "https://graph.microsoft.com"]
    az(
        "az cloud register", "cloud", "register", "--name", "Benchmark", "--skip-endpoint-discovery", *endpoints
    ).output()
    az("az cloud set", "cloud", "set", "--name", "Benchmark").output()
    login = ["login", "--use-device-code", "--allow-no-subscriptions", "--tenant", facts["tenant"]]
    az("az login", *login).output()
    words = ["account", "get-access-token", "--query", "accessToken", "--output", "tsv"]
    token = az(_TITLES["azure-cli"], *words, "--scope", "https://graph.microsoft.com/.default")
    token.output()
    return Warmed(f"azure-cli {installed.version('azure-cli')}", token)


def _keyring(place: Place) -> Warmed:
    bus = place.box.provider.keyring()
    if not bus:
        raise UnavailableError("no gnome-keyring and dbus-daemon here")
    installed = environments.peer(place.cache, "keyring", "keyring")
    environment = place.environment("keyring", DBUS_SESSION_BUS_ADDRESS=bus["DBUS_SESSION_BUS_ADDRESS"])
    program = installed.program("keyring")
    subprocess.run(
        [program, "set", "benchmark", "token"],
        input=place.box.token(),
        text=True,
        check=True,
        env=environment,
        capture_output=True,
        timeout=60,
    )
    token = timing.Command(_TITLES["keyring"], [program, "get", "benchmark", "token"], environment)
    return Warmed(f"keyring {installed.version('keyring')}", token)


def _gh(place: Place) -> Warmed:
    program = _debian("gh", "gh")
    environment = place.environment("gh")
    config = Path(environment["HOME"]) / ".config" / "gh"
    config.mkdir(parents=True)
    # Where `gh auth login --insecure-storage` writes it; gh signs in nowhere but at GitHub.
    token = place.box.token()
    (config / "hosts.yml").write_text(
        f"github.com:\n    user: ada\n    oauth_token: {token}\n    git_protocol: https\n"
    )
    command = timing.Command(_TITLES["gh"], [program, "auth", "token"], environment)
    if command.output().strip() != token:
        raise UnavailableError("it does not print the token of its hosts.yml")
    return Warmed(_first_line([program, "--version"]), command, is_counted=False)


def _oidc_agent(place: Place) -> Warmed:
    agent, program = _debian("oidc-agent", "oidc-agent"), _debian("oidc-token", "oidc-agent")
    facts = place.box.provider.facts
    environment = place.environment("oidc-agent")
    environment["OIDC_SOCK"] = str(Path(environment["HOME"]) / "socket")
    # It goes into the background by itself and says which process to end.
    said = timing.Command(
        "oidc-agent", [agent, "--quiet", "--socket-path", environment["OIDC_SOCK"]], environment
    ).output()
    number = said.partition("OIDCD_PID=")[2].partition(";")[0]
    if not number.isdigit():
        raise UnavailableError("it does not say which process it is")
    place.until_end.callback(os.kill, int(number), signal.SIGTERM)
    generate = [_debian("oidc-gen", "oidc-agent"), "benchmark", "--manual", "--issuer", facts["oidc_issuer"]]
    generate += ["--client-id", facts["client_id"], "--client-secret=none", "--flow=device", "--prompt=none"]
    generate += ["--scope", "openid offline_access User.Read", "--redirect-uri", "http://localhost:4242"]
    generate += ["--cp", facts["ca_file"], "--pw-cmd", "echo benchmark", "--no-url-call", "--confirm-default"]
    timing.Command("oidc-gen", generate, environment, environment["HOME"]).output()
    token = timing.Command(_TITLES["oidc-agent"], [program, "benchmark"], environment)
    refresh = timing.Command(f"{_TITLES['oidc-agent']}, refresh", [program, "-f", "benchmark"], environment)
    token.output()
    return Warmed(_first_line([program, "--version"]), token, refresh)


def _debian(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise UnavailableError(f"not installed: apt-get install {package}")
    return path


def _first_line(command: list[str]) -> str:
    environment = {"PATH": os.environ["PATH"]}
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    return (said.stdout or said.stderr).partition("\n")[0].strip()


_TITLES = {
    "msal": "MSAL, recipe of its documentation",
    "msal-extensions": "MSAL Extensions, file",
    "azure-identity": "Azure Identity, `DeviceCodeCredential` with record",
    "azure-cli": "`az account get-access-token`",
    "keyring": "`keyring get`",
    "gh": "`gh auth token`",
    "oidc-agent": "`oidc-token` (C, with an agent that holds the token)",
}

#: Every peer, by the name that `--peers` knows.
KNOWN: dict[str, Callable[[Place], Warmed]] = {
    "msal": _msal,
    "msal-extensions": _msal_extensions,
    "azure-identity": _azure_identity,
    "azure-cli": _azure_cli,
    "keyring": _keyring,
    "gh": _gh,
    "oidc-agent": _oidc_agent,
}

MSAL = _TITLES["msal"]
AZURE_CLI = _TITLES["azure-cli"]
