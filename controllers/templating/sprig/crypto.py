"""Sprig's functions that make keys, certificates and ciphertext. Randomness and time are injected.

Making keys takes milliseconds to seconds, so each function has a cost, and a rendering only so much of it (`Budget`).
What is read here is key material: errors never quote it. RSA, EC and Ed25519 keys are drawn by OpenSSL itself, not from
the injected source; serial numbers and IVs are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import bcrypt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.x509.oid import ExtendedKeyUsageOID

from ..errors import FunctionError
from ..pem import Block, blocks
from ..registry import Function, functions
from ..values import NOTHING, Struct, Value, to_bytes, to_text, type_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    from ..chance import Chance

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey
_KEYS = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, dsa.DSAPrivateKey)
_Digest = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
_CERTIFICATE = "sprig.certificate"
_COST_RSA_2048, _COST_RSA_4096, _COST_DSA, _COST_BCRYPT = 12, 80, 120, 8
_FAR = datetime(9999, 12, 31, tzinfo=UTC)
_SIGN: dict[int, _Digest] = {384: hashes.SHA384(), 521: hashes.SHA512()}


# --- passwords


def hashed(password: str) -> str:
    """bcrypt at cost 10. Raises FunctionError beyond its 72 bytes."""
    raw = to_bytes(password)
    if len(raw) > 72:
        raise FunctionError("bcrypt: password length exceeds 72 bytes")
    return bcrypt.hashpw(raw, bcrypt.gensalt(10, prefix=b"2a")).decode()


def _htpasswd(user: str, password: str, *algorithm: str) -> str:
    """A line of an htpasswd file: bcrypt, or `sha` as the third argument that External Secrets' copy of sprig has."""
    if ":" in user:
        return "invalid username: the name holds a colon"
    if algorithm[:1] == ("sha",):
        digest = hashlib.sha1(to_bytes(password), usedforsecurity=False).digest()
        return f"{user}:{{SHA}}{base64.b64encode(digest).decode()}"
    return f"{user}:{hashed(password)}"


# --- keys


def _new_key(kind: str) -> str:
    return _encode_key(_drawn(kind))


def _drawn(kind: str) -> Key:
    match kind:
        case "" | "rsa":
            return rsa.generate_private_key(65537, 4096)
        case "dsa":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the algorithm is old, and asked for
                return dsa.generate_private_key(2048)
        case "ecdsa":
            return ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    raise FunctionError("unknown type of key; expected rsa, dsa, ecdsa or ed25519")


def _cost_of_key(kind: str) -> int:
    return {"": _COST_RSA_4096, "rsa": _COST_RSA_4096, "dsa": _COST_DSA}.get(kind, 1)


def _encode_key(key: Key) -> str:
    """PKCS#1, SEC 1 or OpenSSL's DSA form; Ed25519 as PKCS#8."""
    old = not isinstance(key, ed25519.Ed25519PrivateKey)
    form = serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def read_key(text: str) -> Key:
    """The first PEM block, which must be a private key without a password. Raises FunctionError."""
    block = _first_block(text, "no PEM data in input")
    if block.label != "PRIVATE KEY" and not block.label.endswith(" PRIVATE KEY"):
        raise FunctionError("no private key data in the PEM block")
    try:
        key = serialization.load_pem_private_key(block.encode().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise FunctionError("parsing private key from PEM: not a key of RSA, EC, DSA or Ed25519") from None
    if not isinstance(key, _KEYS):
        raise FunctionError("parsing private key from PEM: not a key of RSA, EC, DSA or Ed25519")
    return key


def _first_block(text: str, complaint: str) -> Block:
    found, _ = blocks(text)
    if not found:
        raise FunctionError(complaint)
    return found[0]


# --- certificates


@dataclass(frozen=True, slots=True)
class Maker:
    """Certificates as sprig makes them: an RSA key of 2048 bits unless one is given, server and client usage."""

    chance: Chance

    def authority(self, name: str, days: int, key: str = "") -> Struct:
        own = self._key(key)
        return self._made(name, (), (), days, own, issuer=None, signing=own, authority=True)

    def self_signed(self, name: str, ips: Value, names: Value, days: int, key: str = "") -> Struct:
        own = self._key(key)
        return self._made(name, _texts(ips, "ip"), _texts(names, "alternate dns name"), days, own, None, own)

    def signed(self, name: str, ips: Value, names: Value, days: int, authority: Value, key: str = "") -> Struct:
        issuer, signing = _authority(authority)
        addresses, hosts = _texts(ips, "ip"), _texts(names, "alternate dns name")
        return self._made(name, addresses, hosts, days, self._key(key), issuer, signing)

    @staticmethod
    def _key(text: str) -> Key:
        return read_key(text) if text else rsa.generate_private_key(65537, 2048)

    def _made(
        self,
        name: str,
        ips: Sequence[str],
        names: Sequence[str],
        days: int,
        key: Key,
        issuer: x509.Certificate | None,
        signing: Key,
        authority: bool = False,
    ) -> Struct:
        now = self.chance.now().astimezone(UTC).replace(microsecond=0)
        if not 0 <= days <= (_FAR - now).days:
            raise FunctionError(f"days of validity: found {days}, expected 0 to the year 9999")
        try:
            subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])
            builder = (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(subject if issuer is None else issuer.subject)
                .public_key(key.public_key())
                .serial_number(1 + int.from_bytes(self.chance.random(16), "big"))
                .not_valid_before(now)
                .not_valid_after(now + timedelta(days=days))
            )
            for extension, critical in _extensions(key, ips, names, issuer, authority):
                builder = builder.add_extension(extension, critical)
            made = builder.sign(cast("CertificateIssuerPrivateKeyTypes", signing), _digest(signing))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise FunctionError("error creating certificate: a name or key does not fit into one") from None
        return _pair(made.public_bytes(serialization.Encoding.PEM).decode(), _encode_key(key))


def _extensions(
    key: Key, ips: Sequence[str], names: Sequence[str], issuer: x509.Certificate | None, authority: bool
) -> list[tuple[x509.ExtensionType, bool]]:
    usage = x509.KeyUsage(
        digital_signature=True, key_encipherment=True, key_cert_sign=authority, content_commitment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    found: list[tuple[x509.ExtensionType, bool]] = [
        (usage, True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.BasicConstraints(ca=authority, path_length=None), True),
    ]
    if authority:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    if issuer is not None:
        try:
            known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            found.append((x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known), False))
        except x509.ExtensionNotFound:
            pass
    others: list[x509.GeneralName] = [x509.DNSName(one) for one in names]
    others += [x509.IPAddress(_address(one)) for one in ips]
    if others:
        found.append((x509.SubjectAlternativeName(others), False))
    return found


def _digest(key: Key) -> _Digest | None:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _SIGN.get(key.curve.key_size, hashes.SHA256())
    return hashes.SHA256()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise FunctionError("error parsing ip: expected an IPv4 or IPv6 address") from None


def _texts(values: Value, what: str) -> tuple[str, ...]:
    """A list of texts; nil is none."""
    found = () if values is None or values is NOTHING else tuple(values)
    for value in found:
        if not isinstance(value, str):
            raise FunctionError(f"error processing {what}: found {type_name(value)}, expected a string")
    return found


def _authority(value: Value) -> tuple[x509.Certificate, Key]:
    if not isinstance(value, Struct) or value.type_name != _CERTIFICATE:
        raise FunctionError(f"wrong type for value; expected {_CERTIFICATE}; got {type_name(value)}")
    block = _first_block(value.fields["Cert"], "unable to decode certificate")
    return _certificate(block), read_key(value.fields["Key"])


def _certificate(block: Block) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(block.der)
    except ValueError:
        raise FunctionError("error parsing certificate: the block holds none") from None


def _pair(certificate: str, key: str) -> Struct:
    return Struct({"Cert": certificate, "Key": key}, type_name=_CERTIFICATE)


def _custom(certificate: str, key: str) -> Struct:
    """A pair of base64 texts, checked: `.Cert` and `.Key` as genSignedCert takes them."""
    texts = []
    for name, text in (("certificate", certificate), ("private key", key)):
        try:
            texts.append(to_text(base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)))
        except (binascii.Error, ValueError):
            raise FunctionError(f"unable to decode base64 {name}") from None
    _certificate(_first_block(texts[0], "unable to decode certificate"))
    read_key(texts[1])
    return _pair(*texts)


# --- AES


def _aes(password: str, iv: bytes) -> Cipher[modes.CBC]:
    """AES-256-CBC; the key is the password's first 32 bytes, filled up with zeros: sprig's way, and no better."""
    return Cipher(algorithms.AES(to_bytes(password)[:32].ljust(32, b"\0")), modes.CBC(iv))


def _encrypt(chance: Chance, password: str, text: str) -> str:
    if not text:
        return ""
    plain, iv = to_bytes(text), chance.random(16)
    padding = 16 - len(plain) % 16
    encryptor = _aes(password, iv).encryptor()
    sealed = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(iv + sealed).decode()


def _decrypt(password: str, text: str) -> str:
    if not text:
        return ""
    try:
        raw = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise FunctionError("illegal base64 data") from None
    if len(raw) < 32 or len(raw) % 16:
        raise FunctionError("not a text that encryptAES made: an IV and whole blocks of 16 bytes")
    decryptor = _aes(password, raw[:16]).decryptor()
    plain = decryptor.update(raw[16:]) + decryptor.finalize()
    if plain[-1] > len(plain):
        raise FunctionError("decryption failed: wrong password or damaged text")
    return to_text(plain[: len(plain) - plain[-1]])


CRYPTO: dict[str, Function] = functions({"decryptAES": ("ss", _decrypt), "buildCustomCert": ("ss", _custom)})


def crypto_functions(chance: Chance) -> dict[str, Function]:
    """Those whose result is another each time."""
    make = Maker(chance)
    cheap = functions({"encryptAES": ("ss", lambda password, text: _encrypt(chance, password, text))})
    hashes_ = functions({"bcrypt": ("s", hashed), "htpasswd": ("sss*", _htpasswd)}, cost=_COST_BCRYPT)
    keys = functions({"genPrivateKey": ("s", _new_key)}, cost=_cost_of_key)
    certificates = functions(
        {
            "genCA": ("si", make.authority),
            "genSelfSignedCert": ("sLLi", make.self_signed),
            "genSignedCert": ("sLLia", make.signed),
        },
        cost=_COST_RSA_2048,
    )
    given = functions(
        {
            "genCAWithKey": ("sis", make.authority),
            "genSelfSignedCertWithKey": ("sLLis", make.self_signed),
            "genSignedCertWithKey": ("sLLias", make.signed),
        },
        cost=2,
    )
    every = {**cheap, **hashes_, **keys, **certificates, **given}
    return {name: replace(function, deterministic=False) for name, function in every.items()}
