"""External Secrets' template functions on certificates and keys: PEM, PKCS#12, JWK, RSA decryption.

These order and convert; they verify nothing (no signature, no date, no trust). Errors never quote their input: it is
key material.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from .errors import FunctionError
from .pkcs12_cost import MAX_ITERATIONS, iterations
from .registry import Function, functions
from .values import Value, to_bytes, to_text

_BEGIN = re.compile(rb"(?:\A|(?<=\n))-----BEGIN ([^\r\n]*?)-----[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One PEM block: its label and DER bytes."""

    label: str
    der: bytes

    def encode(self) -> str:
        body = base64.b64encode(self.der).decode()
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        return f"-----BEGIN {self.label}-----\n{lines}\n-----END {self.label}-----\n"


def blocks(text: str) -> tuple[list[Block], bytes]:
    """(blocks in order, what is left behind the last one). Damaged blocks are stepped over, as Go's pem.Decode does."""
    raw = to_bytes(text)
    start = raw.find(b"-----BEGIN")
    raw = raw[start:] if start > 0 else raw
    found: list[Block] = []
    at = 0
    while begin := _BEGIN.search(raw, at):
        label = begin[1]
        end = re.compile(rb"-----END " + re.escape(label) + rb"-----[ \t]*(?:\r?\n|\Z)").search(raw, begin.end())
        der = _body(raw[begin.end() : end.start()]) if end else None
        if end is None or der is None:
            at = begin.end()
            continue
        found.append(Block(label.decode("utf-8", "replace"), der))
        at = end.end()
    return found, raw[at:]


def _body(raw: bytes) -> bytes | None:
    lines = raw.splitlines()
    while lines and b":" in lines[0]:
        lines = lines[1:]
    try:
        return base64.b64decode(b"".join(line.strip() for line in lines), validate=True)
    except (binascii.Error, ValueError):
        return None


def filter_pem(label: str, text: str) -> str:
    """All blocks of one type. An error where there is text and no block of it at all."""
    found, rest = blocks(text)
    chosen = [block for block in found if block.label.lower() == label.lower()]
    if not chosen and rest:
        raise FunctionError("error filtering pem: found junk")
    return "".join(block.encode() for block in chosen)


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise FunctionError("failed to parse certificate") from None


def _certificate_pem(certificate: x509.Certificate) -> str:
    return Block("CERTIFICATE", certificate.public_bytes(serialization.Encoding.DER)).encode()


def _key_ids(certificate: x509.Certificate) -> tuple[bytes | None, bytes | None]:
    """(authority key id, subject key id)."""
    authority = subject = None
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        authority = None
    try:
        subject = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, ValueError):
        subject = None
    return authority, subject


def order_chain(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """Leaf, intermediates, root, linked by key ids. Raises FunctionError where they are not one chain."""
    ids = [_key_ids(certificate) for certificate in certificates]
    parent: dict[int, int] = {}
    for child in range(len(ids)):
        for other in range(len(ids)):
            if child != other and (ids[child][0] or b"") == (ids[other][1] or b""):
                parent[child] = other
                break
    leaves = [at for at in range(len(ids)) if at not in parent.values()]
    if len(leaves) > 1:
        raise FunctionError("found multiple leaf or disjunct certificates")
    if not leaves:
        raise FunctionError("no leaf certificate found")
    chain: list[x509.Certificate] = []
    at = leaves[0]
    while len(chain) <= len(ids):
        chain.append(certificates[at])
        if at not in parent:
            return chain
        at = parent[at]
    raise FunctionError("constructing chain resulted in cycle")


def _is_root(certificate: x509.Certificate) -> bool:
    authority, subject = _key_ids(certificate)
    return authority is None or authority == subject


def filter_chain(kind: str, text: str) -> str:
    """`leaf`, `intermediate` or `root` of an unordered chain; "" where there is none."""
    found, _ = blocks(text)
    chain = order_chain([_certificate(block.der) for block in found])
    if kind == "leaf":
        return "" if _is_root(chain[0]) else _certificate_pem(chain[0])
    if kind == "root":
        return _certificate_pem(chain[-1]) if _is_root(chain[-1]) else ""
    if kind != "intermediate":
        return ""
    out = []
    for certificate in chain[1:]:
        if _is_root(certificate):
            break
        out.append(_certificate_pem(certificate))
    return "".join(out)


def sans(text: str) -> list[Value]:
    """DNS names, addresses, e-mail addresses and URIs of the first certificate."""
    found, _ = blocks(text)
    if not found:
        raise FunctionError("failed to decode PEM block")
    try:
        names = _certificate(found[0].der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except ValueError:
        raise FunctionError("failed to parse certificate") from None
    kinds: tuple[Any, ...] = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return [str(value) for kind in kinds for value in names.get_values_for_type(kind)]


def _load_pkcs12(password: str, text: str, error: str) -> pkcs12.PKCS12KeyAndCertificates:
    if iterations(to_bytes(text)) > MAX_ITERATIONS:
        raise FunctionError(f"{error}: it asks for more than {MAX_ITERATIONS} iterations")
    last = (to_bytes(password), None) if password == "" else (to_bytes(password),)
    for attempt in last:
        try:
            return pkcs12.load_pkcs12(to_bytes(text), attempt)
        except (ValueError, TypeError, NotImplementedError):
            continue
    raise FunctionError(error)


def pkcs12_key(password: str, text: str) -> str:
    loaded = _load_pkcs12(password, text, "unable to decode pkcs12 with password")
    if loaded.key is None:
        raise FunctionError("unable to decode pkcs12 with password: no private key in it")
    return _private_pem(loaded.key)


def _private_pem(key: Any) -> str:
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Block("PRIVATE KEY", der).encode()


def pkcs12_certificates(password: str, text: str) -> str:
    loaded = _load_pkcs12(password, text, "unable to decode pkcs12 certificate with password")
    if loaded.cert is None:
        raise FunctionError("unable to decode pkcs12 certificate with password: no certificate in it")
    certificates = [loaded.cert.certificate, *(extra.certificate for extra in loaded.additional_certs)]
    with contextlib.suppress(FunctionError):  # disjunct certificates stay in the order of the file
        certificates = order_chain(certificates)
    return "".join(map(_certificate_pem, certificates))


def _private_key(text: str) -> Any:
    found, _ = blocks(text)
    if not found:
        raise FunctionError("failed to decode PEM block")
    try:
        return serialization.load_der_private_key(found[0].der, None)
    except (ValueError, TypeError):
        raise FunctionError("unable to parse private key type") from None


def _encryption(password: str) -> serialization.KeySerializationEncryption:
    return serialization.BestAvailableEncryption(to_bytes(password)) if password else serialization.NoEncryption()


def to_pkcs12(certificate: str, key: str, password: str, *, chain: bool) -> str:
    found, _ = blocks(certificate)
    if not found:
        raise FunctionError("failed to decode PEM block of the certificate")
    loaded = [_certificate(block.der) for block in (found if chain else found[:1])]
    try:
        raw = pkcs12.serialize_key_and_certificates(
            None, _private_key(key), loaded[0], loaded[1:] or None, _encryption(password)
        )
    except (ValueError, TypeError):
        raise FunctionError("unable to encode pkcs12: key and certificate do not fit") from None
    return base64.b64encode(raw).decode()


def to_truststore(text: str, password: str) -> str:
    found, _ = blocks(text)
    certificates = [pkcs12.PKCS12Certificate(_certificate(block.der), None) for block in found]
    if not certificates:
        raise FunctionError("failed to decode PEM block")
    return base64.b64encode(pkcs12.serialize_java_truststore(certificates, _encryption(password))).decode()


def _number(jwk: dict[str, Any], name: str) -> int:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise FunctionError(f"JWK has no {name}")
    return int.from_bytes(_unpadded(value), "big")


def _unpadded(value: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        raise FunctionError("JWK holds invalid base64url") from None


_CURVES: dict[str, Callable[[], ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
}


def _jwk(text: str) -> tuple[dict[str, Any], Any]:
    """(the JWK, its public key)."""
    try:
        jwk = json.loads(text)
    except (ValueError, RecursionError):
        raise FunctionError("JWK is not JSON") from None
    if not isinstance(jwk, dict):
        raise FunctionError("JWK is not a JSON object")
    try:
        if jwk.get("kty") == "RSA":
            return jwk, rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
        if jwk.get("kty") == "EC" and jwk.get("crv") in _CURVES:
            curve = _CURVES[jwk["crv"]]()
            return jwk, ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), curve).public_key()
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            return jwk, ed25519.Ed25519PublicKey.from_public_bytes(_unpadded(str(jwk.get("x", ""))))
    except ValueError:
        raise FunctionError("JWK holds no valid key") from None
    raise FunctionError("JWK type not supported; expected RSA, EC (P-256, P-384, P-521) or OKP Ed25519")


def jwk_public(text: str) -> str:
    _, key = _jwk(text)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Block("PUBLIC KEY", der).encode()


def jwk_private(text: str) -> str:
    jwk, public = _jwk(text)
    try:
        if jwk["kty"] == "RSA":
            d, n, e = _number(jwk, "d"), public.public_numbers().n, public.public_numbers().e
            p, q = (_number(jwk, "p"), _number(jwk, "q")) if "p" in jwk else rsa.rsa_recover_prime_factors(n, e, d)
            numbers = rsa.RSAPrivateNumbers(
                p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public.public_numbers()
            )
            return _private_pem(numbers.private_key())
        if jwk["kty"] == "EC":
            return _private_pem(
                ec.EllipticCurvePrivateNumbers(_number(jwk, "d"), public.public_numbers()).private_key()
            )
        return _private_pem(ed25519.Ed25519PrivateKey.from_private_bytes(_unpadded(str(jwk.get("d", "")))))
    except ValueError:
        raise FunctionError("JWK holds no valid private key") from None


def rsa_decrypt(scheme: str, digest: str, ciphertext: str, key: str) -> str:
    if scheme == "None":
        return ciphertext
    if scheme != "RSA-OAEP":
        raise FunctionError("decryption scheme is not supported; expected None or RSA-OAEP")
    private = _private_key(key)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise FunctionError("could not parse RSA private key")
    kinds: dict[str, type[hashes.HashAlgorithm]] = {"SHA1": hashes.SHA1, "SHA512": hashes.SHA512}
    algorithm = kinds.get(digest, hashes.SHA256)()
    try:
        return to_text(private.decrypt(to_bytes(ciphertext), padding.OAEP(padding.MGF1(algorithm), algorithm, None)))
    except ValueError:
        raise FunctionError("error decrypting data with RSA") from None


PEM: dict[str, Function] = functions(
    {
        "pkcs12key": ("s", lambda text: pkcs12_key("", text)),
        "pkcs12keyPass": ("ss", pkcs12_key),
        "pkcs12cert": ("s", lambda text: pkcs12_certificates("", text)),
        "pkcs12certPass": ("ss", pkcs12_certificates),
        "filterPEM": ("ss", filter_pem),
        "filterCertChain": ("ss", filter_chain),
        "certSANs": ("s", sans),
        "jwkPublicKeyPem": ("s", jwk_public),
        "jwkPrivateKeyPem": ("s", jwk_private),
        "rsaDecrypt": ("ssss", rsa_decrypt),
    }
) | functions(
    {  # PKCS#12 is salted: the same input gives other bytes each time
        "pemToPkcs12": ("ss", lambda cert, key: to_pkcs12(cert, key, "", chain=False)),
        "pemToPkcs12Pass": ("sss", lambda cert, key, password: to_pkcs12(cert, key, password, chain=False)),
        "fullPemToPkcs12": ("ss", lambda cert, key: to_pkcs12(cert, key, "", chain=True)),
        "fullPemToPkcs12Pass": ("sss", lambda cert, key, password: to_pkcs12(cert, key, password, chain=True)),
        "pemTruststoreToPKCS12": ("s", lambda text: to_truststore(text, "")),
        "pemTruststoreToPKCS12Pass": ("ss", to_truststore),
    },
    deterministic=False,
)
