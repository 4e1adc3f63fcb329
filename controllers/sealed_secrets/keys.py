"""The sealing keys of a cluster: key Secrets parsed, ordered, and tried in the order most likely to hit.

Upstream's names are picked up unchanged: type kubernetes.io/tls, label
sealedsecrets.bitnami.com/sealed-secrets-key=active (any other value, as `compromised`, means unused for sealing and
unsealing). Which key opened which ciphertext is learned, so that a known item costs exactly one private-key operation;
the index is a cache and may be lost.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from controllers.api.resource import Manifest
from controllers.api.timestamps import parse_timestamp
from controllers.sops.errors import SealedError

from .ciphertext import open_item, split_item, unwrap

KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
ACTIVE = "active"
KEY_PREFIX = "sealed-secrets-key"
TLS_TYPE = "kubernetes.io/tls"
VALIDITY = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One sealing key. Times are UTC; `created` is the key Secret's creation time."""

    name: str
    fingerprint: str
    """`SHA256:…` of the public key as ssh writes it."""
    private_key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate = field(repr=False)
    created: datetime
    state: str = ACTIVE
    """The value of the key Secret's label."""

    @property
    def not_before(self) -> datetime:
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        return self.certificate.not_valid_after_utc

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(public_key: rsa.RSAPublicKey) -> str:
    wire = public_key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).split()[1]
    digest = hashlib.sha256(base64.b64decode(wire)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def parse_key(secret: Manifest) -> SealingKey:
    """A key Secret → key. Raises SealedError(KeyInvalid) naming the Secret and its field, never its content."""
    meta = secret.get("metadata", {})
    name = meta.get("name", "")
    data = secret.get("data") or {}
    try:
        certificate = parse_certificate(base64.b64decode(data["tls.crt"]))
    except (KeyError, SealedError, binascii.Error, ValueError):
        raise SealedError("KeyInvalid", f"Secret {name}: tls.crt is not a PEM certificate") from None
    try:
        private_key = serialization.load_pem_private_key(base64.b64decode(data["tls.key"]), password=None)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise SealedError("KeyInvalid", f"Secret {name}: tls.key is not a PEM private key") from None
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise SealedError("KeyInvalid", f"Secret {name}: tls.key is not an RSA key")
    public_key = certificate.public_key()
    if (
        not isinstance(public_key, rsa.RSAPublicKey)
        or public_key.public_numbers() != private_key.public_key().public_numbers()
    ):
        raise SealedError("KeyInvalid", f"Secret {name}: tls.crt is not the certificate of tls.key")
    created = (
        parse_timestamp(meta["creationTimestamp"])
        if meta.get("creationTimestamp")
        else certificate.not_valid_before_utc
    )
    state = str((meta.get("labels") or {}).get(KEY_LABEL) or ACTIVE)
    return SealingKey(name, fingerprint(public_key), private_key, certificate, created.astimezone(UTC), state)


def parse_certificate(pem: bytes) -> x509.Certificate:
    """The first certificate of a PEM file with an RSA key. Raises SealedError(KeyInvalid)."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise SealedError("KeyInvalid", "expected a PEM certificate") from None
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
        raise SealedError("KeyInvalid", "expected a certificate of an RSA key")
    return certificate


def is_active(secret: Manifest) -> bool:
    """Does the label say that this key Secret is in use? Without one: is it the first form's, by its name?"""
    meta = secret.get("metadata", {})
    labels = meta.get("labels") or {}
    return bool(labels.get(KEY_LABEL) == ACTIVE or (KEY_LABEL not in labels and meta.get("name") == KEY_PREFIX))


def generate_key(
    now: datetime, *, bits: int = 4096, validity: timedelta = VALIDITY, common_name: str = ""
) -> tuple[bytes, bytes]:
    """(tls.key as PKCS#1 PEM, tls.crt as PEM): a new sealing key with a self-signed certificate."""
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    certificate = certificate_for(private_key, now, validity=validity, common_name=common_name)
    key_pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


_ANY_TIME = datetime(2020, 1, 1, tzinfo=UTC)


def certificate_for(
    private_key: rsa.RSAPrivateKey, now: datetime = _ANY_TIME, *, validity: timedelta = VALIDITY, common_name: str = ""
) -> x509.Certificate:
    """A self-signed certificate of a sealing key; without `now` it only stands in for one that is not at hand."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private_key, hashes.SHA256())
    )


def newest(keys: Iterable[SealingKey], *, by: str = "CertNotBefore") -> SealingKey | None:
    """The key to seal with: newest by certificate (or by `SecretCreationTimestamp`), ties by name."""
    by_creation = by == "SecretCreationTimestamp"
    return max(keys, key=lambda key: (key.created if by_creation else key.not_before, key.name), default=None)


@dataclass(frozen=True, slots=True)
class Opened:
    """An item that was unsealed, and the key that did it."""

    plaintext: bytes = field(repr=False)
    key: SealingKey


class SealingKeys:
    """The active keys, newest first, with what was learned of ciphertexts."""

    def __init__(
        self, keys: Iterable[SealingKey], *, learned: Learned | None = None, retired: Iterable[SealingKey] = ()
    ) -> None:
        self.keys = tuple(sorted(keys, key=lambda key: (key.not_before, key.name), reverse=True))
        self.retired = tuple(retired)
        """Keys whose label is not `active` (as `compromised`): they open nothing, and only name the cause."""
        self._learned = learned if learned is not None else Learned()

    def open(self, text: str, label: bytes) -> Opened | None:
        """The item under this label, or None where no key opens it. Raises SealedError(Corrupt) for broken items."""
        wrapped, ciphertext = split_item(text)
        known = self._learned.get(wrapped, label)
        for key in sorted(self.keys, key=lambda key: key.fingerprint != known) if known else self.keys:
            session_key = unwrap(key.private_key, label, wrapped)
            if session_key is not None:
                self._learned.put(wrapped, label, key.fingerprint)
                return Opened(open_item(session_key, ciphertext), key)
        return None

    def retired_key_of(self, text: str, label: bytes) -> SealingKey | None:
        """The retired key that sealed an item, for a diagnosis; what is in it stays closed."""
        wrapped, _ = split_item(text)
        return next((key for key in self.retired if unwrap(key.private_key, label, wrapped) is not None), None)


class Learned:
    """Which key opened which wrapped session key. Bounded; holds digests only."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, str] = OrderedDict()

    def get(self, wrapped: bytes, label: bytes) -> str | None:
        return self._entries.get(hashlib.sha256(label + b"\0" + wrapped).digest())

    def put(self, wrapped: bytes, label: bytes, key: str) -> None:
        self._entries[hashlib.sha256(label + b"\0" + wrapped).digest()] = key
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
