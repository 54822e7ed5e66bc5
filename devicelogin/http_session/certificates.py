"""Whom we trust, and the words for a server whose certificate does not deserve it.

There is no way to switch verification off. A refused server is looked at once more without verification only to name who
answers in its place; what is learnt so changes the words of the error and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import ssl
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import truststore

from devicelogin import clock, errors, models, redaction
from devicelogin.http_session import answers, failures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devicelogin.http_session.proxies import Proxy

#: OpenSSL's numbers (x509_vfy.h), as `SSLCertVerificationError.verify_code` has them.
_NOT_YET_VALID, _EXPIRED, _WRONG_HOST, _WRONG_ADDRESS = 9, 10, 62, 64

_DAY = 86_400.0
_PROBE_SECONDS = 4.0


#: Where do the systems that truststore knows keep the certificates they trust?
_SYSTEM_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
)


@models.short_record
class Trust:
    """The context of every connection, and whether it holds the operating system's certificates or a file's."""

    context: ssl.SSLContext
    is_system: bool

    def is_empty(self) -> bool:
        """Tell whether the operating system trusts nobody: small images come without any certificates."""
        paths = ssl.get_default_verify_paths()
        if not self.is_system or not sys.platform.startswith("linux") or paths.cafile:
            return False
        has_hashed = bool(paths.capath and os.path.isdir(paths.capath) and os.listdir(paths.capath))
        return not has_hashed and not any(os.path.exists(path) for path in _SYSTEM_STORES)


def tls_context(ca_file: str | None, environ: Mapping[str, str]) -> Trust:
    """Return whom to trust: `ca_file`, else what REQUESTS_CA_BUNDLE or SSL_CERT_FILE names, else the system's store.

    Raises ConfigError where the named file holds no certificates.
    """
    source, path = source_of(ca_file, environ)
    context = (ssl if path else truststore).SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if path:
        _load(context, path, source)
    return Trust(context, is_system=not path)


def source_of(ca_file: str | None, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return who named the file of trusted certificates, and the file; None for the system's store."""
    sources = (
        ("--ca-file", ca_file),
        ("REQUESTS_CA_BUNDLE", environ.get("REQUESTS_CA_BUNDLE")),
        ("SSL_CERT_FILE", environ.get("SSL_CERT_FILE")),
    )
    return next((each for each in sources if each[1]), ("", None))


def _load(context: ssl.SSLContext, path: str, source: str) -> None:
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError:  # ssl.SSLError is one
        raise errors.ConfigError(
            f"{source} names {redaction.printable(path)}, which cannot be read as certificates",
            hint=f"look at it: openssl x509 -noout -subject -in {redaction.printable(path)}",
        ) from None


@models.short_record
class Impostor:
    """What a look at a refused server showed. Nothing of it is verified."""

    issuer: str | None = None
    not_before: float | None = None
    server_date: float | None = None


def refusal_in(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """Return the refused certificate among the causes of `error`."""
    found = (each for each in failures.causes(error) if isinstance(each, ssl.SSLCertVerificationError))
    return next(found, None)


def explain(
    refusal: ssl.SSLCertVerificationError, host: str, seen: Impostor, *, now: float, is_store_empty: bool = False
) -> errors.DeviceLoginError:
    """Return the error for a refused certificate: the clock's fault (TryLaterError) or the server's (BadAnswerError).

    `now` is what this machine's clock says, in seconds since 1970. `is_store_empty`: nobody is trusted (ConfigError).
    """
    if refusal.verify_code in (_NOT_YET_VALID, _EXPIRED):
        return _explain_dates(refusal.verify_code, host, seen, now)
    if refusal.verify_code in (_WRONG_HOST, _WRONG_ADDRESS):
        return errors.BadAnswerError(
            f"the certificate shown for {host} belongs to another host: a captive portal or a proxy?",
            hint=_look(host),
            detail=_issued_by(seen),
        )
    if is_store_empty:
        return errors.ConfigError(
            f"cannot verify {host}: this machine has no list of trusted certificates",
            hint="install it: sudo apt-get install ca-certificates",
            code="no_trust_store",
        )
    issuer = "" if seen.issuer is None else f' (issuer "{seen.issuer}")'
    return errors.BadAnswerError(
        f"the certificate of {host} comes from an authority that this machine does not trust{issuer}",
        hint="if that authority is your company's, name its certificate: --ca-file FILE",
        detail=redaction.printable(refusal.verify_message, limit=100),
        code="unknown_ca",
    )


def _explain_dates(code: int, host: str, seen: Impostor, now: float) -> errors.DeviceLoginError:
    words = "is not valid yet" if code == _NOT_YET_VALID else "has expired"
    if not clock.is_plausible(now) or _is_clock_wrong(code, now, seen):
        return errors.TryLaterError(
            f"cannot trust {host}: this machine's clock says {datetime.fromtimestamp(now, UTC):%Y-%m-%d}",
            hint="set the clock, or let the command wait until the network has set it: --wait-for-clock 120",
            detail=f"by that clock its certificate {words}",
            code=clock.WRONG,
        )
    return errors.BadAnswerError(f"the certificate of {host} {words}", hint=_look(host), detail=_issued_by(seen))


def _issued_by(seen: Impostor) -> str | None:
    return None if seen.issuer is None else f'issuer "{seen.issuer}"'


def _is_clock_wrong(code: int, now: float, seen: Impostor) -> bool:
    """Tell whether the clock is to blame, as far as can be known: by what the server, unverified, says of the time."""
    if seen.server_date is None:
        # Nobody puts a certificate into service before it is valid.
        return code == _NOT_YET_VALID and seen.not_before is not None and seen.not_before > now
    if code == _NOT_YET_VALID and seen.not_before is not None and now < seen.not_before <= seen.server_date:
        return True
    return abs(seen.server_date - now) > _DAY


def _look(host: str) -> str:
    address = host if host.rpartition(":")[2].isdecimal() else f"{host}:443"
    return f"look at it: openssl s_client -connect {address} </dev/null"


def look_at(host: str, port: int, proxy: Proxy | None) -> Impostor:
    """Return what the server at `host` shows of itself. Blocks some seconds at worst; raises nothing.

    SECURITY: the one connection without verification. It carries `HEAD /` and nothing of ours.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = _connection(host, port, proxy, context)
    try:
        connection.connect()
        certificate = connection.sock.getpeercert(binary_form=True)
        date = None
        with contextlib.suppress(Exception):
            connection.request("HEAD", "/")
            date = answers.read_date(connection.getresponse().getheader("Date"))
        return describe(certificate, date)
    except Exception:
        # Whatever goes wrong here: the refusal itself is known and gets its words.
        return Impostor()
    finally:
        connection.close()


def _connection(host: str, port: int, proxy: Proxy | None, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    if proxy is None:
        return http.client.HTTPSConnection(host, port, timeout=_PROBE_SECONDS, context=context)
    parts = urlsplit(proxy.url)
    through = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 80, timeout=_PROBE_SECONDS, context=context
    )
    headers = {}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair.encode("latin-1", "replace")).decode()
    through.set_tunnel(host, port, headers)
    return through


def describe(certificate: bytes | None, date: float | None = None) -> Impostor:
    """Return what a certificate in DER says of its issuer and its beginning; `date` is what its server said of the time."""
    # Imported here: heavy, and only needed once something is wrong.
    from cryptography import x509

    if certificate is None:
        return Impostor(server_date=date)
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = [
            str(name.value)
            for wanted in (x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME)
            for name in parsed.issuer.get_attributes_for_oid(wanted)
        ]
        return Impostor(
            redaction.printable(names[0], limit=100) if names else None,
            parsed.not_valid_before_utc.timestamp(),
            date,
        )
    except ValueError:
        return Impostor(server_date=date)
