"""The envelope of one SealedSecret item, byte for byte as kubeseal writes it.

    BE16(len(c)) || c || AES-256-GCM(session key, nonce = 12 zero bytes, plaintext)
    c = RSA-OAEP(SHA-256, MGF1-SHA-256, label) of a fresh 32-byte session key

The label binds the scope: `namespace/name` (strict), `namespace` (namespace-wide) or nothing (cluster-wide). It does
not bind the item's key, the set of items or the template. The zero nonce is sound: a session key seals one plaintext.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controllers.sops.errors import SealedError

ANNOTATION = "sealedsecrets.bitnami.com/"
CLUSTER_WIDE = f"{ANNOTATION}cluster-wide"
NAMESPACE_WIDE = f"{ANNOTATION}namespace-wide"
_NONCE = bytes(12)
_SESSION_KEY_BYTES = 32
_MAX_ITEM = 2 << 20


class Scope(Enum):
    """Where a SealedSecret may be unsealed."""

    STRICT = "strict"
    NAMESPACE_WIDE = "namespace-wide"
    CLUSTER_WIDE = "cluster-wide"

    def label(self, namespace: str, name: str) -> bytes:
        match self:
            case Scope.STRICT:
                return f"{namespace}/{name}".encode()
            case Scope.NAMESPACE_WIDE:
                return namespace.encode()
        return b""

    def annotations(self) -> dict[str, str]:
        """The annotations that say this scope."""
        return {} if self is Scope.STRICT else {f"{ANNOTATION}{self.value}": "true"}


def scope_of(annotations: Mapping[str, str] | None) -> Scope:
    """The scope that an object's own annotations say; cluster-wide wins. A template's annotations are not asked."""
    found = annotations or {}
    if found.get(CLUSTER_WIDE) == "true":
        return Scope.CLUSTER_WIDE
    if found.get(NAMESPACE_WIDE) == "true":
        return Scope.NAMESPACE_WIDE
    return Scope.STRICT


def _oaep(label: bytes) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=label)


def seal_item(public_key: rsa.RSAPublicKey, label: bytes, plaintext: bytes) -> str:
    """One sealed item, base64."""
    session_key = os.urandom(_SESSION_KEY_BYTES)
    wrapped = public_key.encrypt(session_key, _oaep(label))
    sealed = AESGCM(session_key).encrypt(_NONCE, plaintext, None)
    return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + sealed).decode()


def split_item(text: str) -> tuple[bytes, bytes]:
    """(wrapped session key, ciphertext). Raises SealedError(Corrupt)."""
    if len(text) > _MAX_ITEM:
        raise SealedError("TooLarge", f"the item has {len(text)} characters; at most {_MAX_ITEM} are read")
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise SealedError("Corrupt", "the item is not base64") from None
    length = int.from_bytes(raw[:2], "big")
    if length == 0 or len(raw) < 2 + length + 16:
        raise SealedError("Corrupt", "the item is shorter than its own header says: it was cut off")
    return raw[2 : 2 + length], raw[2 + length :]


def unwrap(private_key: rsa.RSAPrivateKey, label: bytes, wrapped: bytes) -> bytes | None:
    """The session key, or None where this key and label did not wrap it. One private-key operation."""
    if len(wrapped) * 8 != (private_key.key_size + 7) // 8 * 8:
        return None
    try:
        session_key = private_key.decrypt(wrapped, _oaep(label))
    except ValueError:
        return None
    return session_key if len(session_key) in (16, 24, 32) else None


def open_item(session_key: bytes, ciphertext: bytes) -> bytes:
    """The plaintext. Raises SealedError(Corrupt) where the ciphertext is not the one that was sealed."""
    try:
        return AESGCM(session_key).decrypt(_NONCE, ciphertext, None)
    except InvalidTag:
        raise SealedError("Corrupt", "the item was changed after it was sealed") from None
