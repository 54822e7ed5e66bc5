"""The keys that sign ID tokens, their publication, and tokens that are signed wrongly on purpose."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from devicelogin.emulator import directory

if TYPE_CHECKING:
    from devicelogin.emulator.behaviour import IdTokenFault


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """An RSA key with the self-signed certificate that Entra publishes beside it."""

    private: rsa.RSAPrivateKey
    certificate: bytes

    @property
    def key_id(self) -> str:
        """The `kid`: as with Entra, the certificate's thumbprint."""
        return encoded(hashlib.sha1(self.certificate, usedforsecurity=False).digest())

    def published(self) -> dict[str, Any]:
        """Return the public key as a JSON web key."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.key_id,
            "x5t": self.key_id,
            "n": encoded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": encoded(numbers.e.to_bytes(3, "big")),
            "x5c": [base64.b64encode(self.certificate).decode()],
        }


class SigningKeys:
    """The keys in use. The newest signs; the older ones stay published until they are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Number 0 is the key of personal accounts.
        self._published = [1]
        self._newest = 1

    def rotate(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on."""
        with self._lock:
            self._newest += 1
            self._published = [*(self._published if keep_old else []), self._newest]

    def document(self, origin: str, *, is_oidc: bool) -> dict[str, Any]:
        """Return the JWKS. Entra names with each key the issuer that may use it."""
        with self._lock:
            numbers = list(self._published)
        if is_oidc:
            return {"keys": [_key(number).published() | {"alg": "RS256"} for number in numbers]}
        shared = [_key(number).published() | {"issuer": f"{origin}/{{tenantid}}/v2.0"} for number in numbers]
        personal = _key(0).published() | {"issuer": f"{origin}/{directory.PERSONAL_TENANT_ID}/v2.0"}
        return {"keys": [*shared, personal]}

    def sign(self, claims: dict[str, Any], *, personal: bool, fault: IdTokenFault | None) -> str:
        """Return `claims` as a signed JSON web token, or signed in the wrong way that `fault` names."""
        with self._lock:
            key = _key(0 if personal else self._newest)
        header = {"typ": "JWT", "alg": "RS256", "kid": key.key_id}
        if fault == "alg_none":
            return f"{_part({'typ': 'JWT', 'alg': 'none'})}.{_part(claims)}."
        if fault == "unknown_kid":
            header["kid"] = encoded(b"nobody published this")
        if fault == "hs256_public_key":
            header["alg"] = "HS256"
        signed = f"{_part(header)}.{_part(claims)}"
        if fault == "hs256_public_key":
            # SECURITY: what a verifier accepts that lets the token choose the algorithm (RFC 8725 section 2.1).
            public = key.private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            signature = hmac.digest(public, signed.encode(), "sha256")
        else:
            signature = key.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        if fault == "bad_signature":
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        return f"{signed}.{encoded(signature)}"


def encoded(content: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _part(data: dict[str, Any]) -> str:
    return encoded(json.dumps(data, separators=(",", ":")).encode())


@functools.cache
def _key(number: int) -> SigningKey:
    """Return the key of this number; made once in a process, because making one takes a quarter of a second."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "devicelogin emulator signing")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2120, 1, 1, tzinfo=dt.UTC))
        .sign(private, hashes.SHA256())
    )
    return SigningKey(private, certificate.public_bytes(serialization.Encoding.DER))
