"""The way to the identity provider, step by step: proxy, certificates, name, connection, TLS, its discovery document.

One real request, as every command makes it, and the tale of how far it came.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import clock, errors, http_session
from devicelogin.authority import provider as providers
from devicelogin.doctor import subject
from devicelogin.http_session import certificates, proxies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devicelogin import models
    from devicelogin.http_session import exchange

#: How long may the whole way take (seconds)? The design's limit for a network that is not there.
SECONDS = 15.0

_STEPS = ("certificates", "name", "connection", "TLS", "authority")


@dataclass(frozen=True, slots=True)
class Target:
    """The authority or issuer to visit, whom its profile trusts, and which hosts were named at login, where somebody is signed in."""

    url: str
    is_oidc: bool
    ca_file: str | None = None
    hosts: tuple[str, ...] = field(default=(), compare=False)


class Visit:
    """One visit to an authority. `server_date` is its clock at our moment `asked_at`, once known (seconds since 1970).

    `clock_error` is why its certificate was refused, where that is this machine's clock's fault.
    """

    def __init__(self, target: Target, environ: Mapping[str, str]) -> None:
        parts = urlsplit(target.url)
        self.host = parts.netloc
        self.server_date: float | None = None
        self.asked_at = 0.0
        self.clock_error: errors.DeviceLoginError | None = None
        self._name, self._port = parts.hostname or "", parts.port or 443
        self._target = target
        self._environ = environ
        self._about = subject.Subject(self.host)
        self._proxy: proxies.Proxy | None = None

    def look(self) -> Iterator[models.Finding]:
        """Yield a finding for each step; those behind the first one that fails are skipped."""
        proxy = self._about.tried("proxy", self._look_at_proxy)
        yield proxy
        if proxy.level == "red":
            yield from self._about.all_skipped(_STEPS, "the proxy must be right first")
            return
        try:
            http = http_session.HttpSession(
                environ=self._environ, ca_file=self._target.ca_file, deadline=clock.Deadline(SECONDS)
            )
        except errors.DeviceLoginError as error:
            yield self._about.red("certificates", error)
            yield from self._about.all_skipped(_STEPS[1:], "it must be known first whom to trust")
            return
        yield self._about.green("certificates", f"using {self._trusted()}")
        with http:
            yield from self._travel(http)

    def _look_at_proxy(self) -> models.Finding:
        self._proxy = proxies.proxy_for(self._name, self._port, self._environ)
        if self._proxy is not None:
            return self._about.green("proxy", f"{self._proxy.shown}, from {self._proxy.source}")
        given = proxies.variable(self._environ)
        return self._about.green("proxy", "none" if given is None else f"{given} is set, but not used for this host")

    def _trusted(self) -> str:
        """Return the words for whom the session trusts, and who said so."""
        source, path = certificates.source_of(self._target.ca_file, self._environ)
        # That of --ca-file, for which doctor has no option, is the profile's or DEVICELOGIN_CA_FILE.
        source = "the settings" if source == "--ca-file" else source
        return "the operating system's" if path is None else f"those of {path}, named by {source}"

    def _travel(self, http: http_session.HttpSession) -> Iterator[models.Finding]:
        error: errors.DeviceLoginError | None = None
        answer: http_session.JsonAnswer | None = None
        try:
            answer = providers.request_answer(http, self._target.url, is_oidc=self._target.is_oidc)
            self.asked_at, self.server_date = time.time(), answer.server_date
        except errors.DeviceLoginError as failure:
            error = failure
            self.clock_error = failure if failure.code == clock.WRONG else None
        steps = self._steps(http.way)
        for position, (name, reached, words) in enumerate(steps):
            if reached:
                yield self._about.green(name, words)
                continue
            yield self._where_it_ends(name, error)
            yield from self._about.all_skipped(_STEPS[position + 2 :], "the way there ends before")
            return
        if answer is None:
            yield self._where_it_ends("authority", error)
        else:
            body = answer.body
            yield self._about.tried("authority", lambda: self._look_at_document(body))

    def _steps(self, way: exchange.Way) -> tuple[tuple[str, bool, str], ...]:
        """Return each step before the answer: its name, whether it was taken, and the words for that."""
        issuer = certificates.describe(way.certificate).issuer
        vouching = "an issuer without a name" if issuer is None else f'"{issuer}"'
        here, opened, is_open = self._name, "answers", way.is_connected
        if self._proxy is not None:
            here, opened, is_open = f"the proxy {self._proxy.shown}", "lets us through", way.is_through
        return (
            ("name", bool(way.addresses), f"{here} has {_addresses(way.addresses)}"),
            ("connection", is_open, f"{here} {opened}"),
            ("TLS", way.protocol is not None, f"{way.protocol}, vouched for by {vouching}"),
        )

    def _where_it_ends(self, name: str, error: errors.DeviceLoginError | None) -> models.Finding:
        if error is None:
            # An exchange that went wrong without an error of ours.
            error = errors.InternalError(f"the check {name!r} cannot tell what happened", hint="report this line")
        if error is self.clock_error:
            return self._about.skipped(name, "the clock must be right first: its certificate is judged by it")
        return self._about.red(name, error)

    def _look_at_document(self, body: dict[str, object]) -> models.Finding:
        found = providers.check_document(body, self._target.url, is_oidc=self._target.is_oidc)
        found.check_hosts(self._target.hosts, endpoint=found.token_endpoint)
        if found.device_authorization_endpoint is None:
            raise errors.BadAnswerError(
                f"{found.origin} does not offer the device flow: it names no device_authorization_endpoint",
                hint="ask its operator to switch the device flow on (OAuth 2.0 Device Authorization Grant)",
            )
        # The issuer alone is as long as a line, and says little to whom nothing is wrong.
        return self._about.green("authority", "offers the device flow", details=(f"issuer {found.issuer}",))


def _addresses(addresses: tuple[str, ...]) -> str:
    distinct = list(dict.fromkeys(addresses))
    first = distinct[0] if distinct else "none"
    return f"the address {first}" if len(distinct) < 2 else f"{len(distinct)} addresses, {first} the first"
