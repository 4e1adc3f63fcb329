"""Signatures of images in cosign's format: simple signing, kept as the image `sha256-<digest>.sig`. Pure.

A signature is worth what it covers: the payload must name the very digest that will be written, and the bytes that were
verified are the bytes that are read. A tag is never verified, for it may mean another image a moment later.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SIGNATURE = "dev.cosignproject.cosign/signature"
_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_TYPE = "cosign container image signature"
MAX_SIGNATURES = 32


class InvalidKeyError(ValueError):
    """A public key that cannot verify."""


@dataclass(frozen=True, slots=True)
class Signed:
    """One entry of a signature image."""

    payload_digest: str
    size: int
    signature: bytes


def signature_tag(digest: str) -> str:
    """`sha256:ab…` → `sha256-ab….sig`."""
    return f"{digest.replace(':', '-', 1)}.sig"


def load_key(content: bytes) -> ec.EllipticCurvePublicKey:
    """PEM or DER of an ECDSA P-256 public key. Raises BadKey."""
    try:
        pem = content.lstrip().startswith(b"-----")
        key = serialization.load_pem_public_key(content) if pem else serialization.load_der_public_key(content)
    except Exception:  # whatever a parser makes of foreign bytes, it is no key
        raise InvalidKeyError("found no public key, expected ECDSA P-256 in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidKeyError("found another kind of key, expected ECDSA P-256")
    return key


def signatures(manifest: bytes) -> list[Signed]:
    """The entries of a signature image's manifest; what is no entry is left out."""
    try:
        layers = json.loads(manifest).get("layers") or []
    except (ValueError, AttributeError, RecursionError):
        return []
    found: list[Signed] = []
    for layer in layers if isinstance(layers, list) else []:
        one = _entry(layer)
        if one is not None:
            found.append(one)
    return found[:MAX_SIGNATURES]


def _entry(layer: Any) -> Signed | None:
    if not isinstance(layer, dict) or layer.get("mediaType") != _PAYLOAD:
        return None
    text = (layer.get("annotations") or {}).get(SIGNATURE)
    digest, size = layer.get("digest"), layer.get("size")
    if not isinstance(text, str) or not isinstance(digest, str) or not isinstance(size, int):
        return None
    try:
        return Signed(digest, size, base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


def covers(payload: bytes, digest: str) -> bool:
    """Whether a payload is cosign's and names this digest."""
    try:
        critical = json.loads(payload)["critical"]
        return bool(critical["type"] == _TYPE and critical["image"]["docker-manifest-digest"] == digest)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def verifier(content: bytes) -> Callable[[bytes, bytes], bool]:
    """A function (payload, signature) → whether the key signed it. Raises BadKey."""
    key = load_key(content)

    def verify(payload: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    return verify
