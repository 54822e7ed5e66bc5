"""The words for a server whose certificate is refused; the refusals are OpenSSL's own."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from devicelogin import errors
from devicelogin.http_session import certificates

if TYPE_CHECKING:
    from pathlib import Path

HOST = "login.microsoftonline.com"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def _certificate(name: str, start: dt.timedelta, end: dt.timedelta) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _refusal(tmp_path: Path, certificate: bytes, key: bytes, *, trusted: bool) -> ssl.SSLCertVerificationError:
    """Shake hands in memory and return why the client refused."""
    (tmp_path / "both.pem").write_bytes(certificate + key)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tmp_path / "both.pem")
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusted:
        client_side.load_verify_locations(cadata=certificate.decode())
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(down, up, server_hostname=HOST)
    server = server_side.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as refused:
                return refused
    pytest.fail("the certificate was accepted")


def test_an_unknown_authority_is_named_and_may_be_trusted_with_ca_file(tmp_path: Path) -> None:
    """76; the issuer's name is what tells a person whose box sits in between."""
    refusal = _refusal(tmp_path, *_certificate(HOST, -DAY, DAY), trusted=False)
    error = certificates.explain(refusal, HOST, certificates.Impostor("ACME Proxy CA"), now=NOW.timestamp())
    assert isinstance(error, errors.BadAnswerError)
    assert HOST in error.message
    assert "ACME Proxy CA" in error.message
    assert "--ca-file FILE" in str(error.hint)


def test_a_certificate_of_another_host_is_a_bad_answer(tmp_path: Path) -> None:
    """76, and --ca-file is not offered: it would not help."""
    refusal = _refusal(tmp_path, *_certificate("portal.example", -DAY, DAY), trusted=True)
    error = certificates.explain(refusal, HOST, certificates.Impostor(), now=NOW.timestamp())
    assert isinstance(error, errors.BadAnswerError)
    assert "another host" in error.message
    assert "--ca-file" not in str(error.hint)


@pytest.mark.parametrize(
    ("start", "end", "says", "server_says", "is_clock"),
    [
        (-9 * DAY, -DAY, NOW, None, False),
        (-9 * DAY, -DAY, NOW, NOW + DAY / 2, False),
        (-9 * DAY, -DAY, NOW, NOW - 5 * DAY, True),
        (-9 * DAY, -DAY, NOW, NOW + 5 * DAY, True),
        (DAY, 9 * DAY, NOW, None, True),
        (DAY, 9 * DAY, NOW, NOW + 2 * DAY, True),
        (DAY, 9 * DAY, NOW, NOW, False),
        (DAY / 2, 9 * DAY, NOW, NOW + DAY, True),
        (DAY, 9 * DAY, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), None, True),
        (-9 * DAY, -DAY, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), None, True),
    ],
)
def test_a_wrong_clock_is_told_from_a_certificate_out_of_date(
    tmp_path: Path,
    start: dt.timedelta,
    end: dt.timedelta,
    says: dt.datetime,
    server_says: dt.datetime | None,
    is_clock: bool,
) -> None:
    """75 and the clock's date where the clock must be wrong, else 76 (fault catalogue B07, H01)."""
    certificate, key = _certificate(HOST, start, end)
    refusal = _refusal(tmp_path, certificate, key, trusted=True)
    not_before = (NOW + start).timestamp()
    date = None if server_says is None else server_says.timestamp()
    seen = certificates.Impostor(None, not_before, date)
    error = certificates.explain(refusal, HOST, seen, now=says.timestamp())
    assert error.exit_code == (75 if is_clock else 76)
    assert (f"this machine's clock says {says:%Y-%m-%d}" in error.message) == is_clock


def test_tls_1_2_is_the_least(tmp_path: Path) -> None:
    """Whichever way the trusted certificates are found."""
    certificate, _ = _certificate(HOST, -DAY, DAY)
    (tmp_path / "ca.pem").write_bytes(certificate)
    for ca_file in (None, str(tmp_path / "ca.pem")):
        context = certificates.tls_context(ca_file, {}).context
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname


@pytest.mark.parametrize("source", ["--ca-file", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_certificates_that_cannot_be_read_are_a_configuration_error(
    tmp_path: Path, source: str, content: bytes | None
) -> None:
    """78, naming where the path came from; the system's store is not used in its place."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.ConfigError) as caught:
        if source == "--ca-file":
            certificates.tls_context(str(path), {})
        else:
            certificates.tls_context(None, {source: str(path)})
    assert source in caught.value.message
    assert str(path) in caught.value.message


def test_a_machine_without_any_trusted_certificates_is_told_to_install_them(tmp_path: Path) -> None:
    """78: small images have none, and nobody intercepts anything."""
    refusal = _refusal(tmp_path, *_certificate(HOST, -DAY, DAY), trusted=False)
    error = certificates.explain(refusal, HOST, certificates.Impostor("A"), now=NOW.timestamp(), is_store_empty=True)
    assert isinstance(error, errors.ConfigError)
    assert "ca-certificates" in str(error.hint)


def test_a_named_file_is_never_taken_for_an_empty_system_store(tmp_path: Path) -> None:
    """Whoever named a file is not told to install a package."""
    certificate, _ = _certificate(HOST, -DAY, DAY)
    (tmp_path / "ca.pem").write_bytes(certificate)
    assert not certificates.tls_context(str(tmp_path / "ca.pem"), {}).is_empty()
