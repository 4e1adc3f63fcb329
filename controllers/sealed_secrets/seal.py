"""Secret → SealedSecret, as kubeseal does it. Pure but for the randomness of an envelope.

What the server writes into a Secret stays out, everything else of its metadata becomes the template's. The scope is the
one asked for, or else the one that the Secret's own annotations say.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from controllers.api.resource import Manifest
from controllers.sops.errors import SealedError

from .ciphertext import CLUSTER_WIDE, NAMESPACE_WIDE, Scope, scope_of, seal_item
from .keys import KEY_LABEL, SealingKey, certificate_for, is_active, parse_certificate, parse_key
from .keys import fingerprint as fingerprint_of

_SERVER_FIELDS = (
    "creationTimestamp", "resourceVersion", "uid", "generation", "selfLink", "managedFields", "ownerReferences",
    "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def public_key_of(pem: bytes, now: datetime) -> rsa.RSAPublicKey:
    """The key of a certificate to seal with. Raises SealedError where it is none or has expired."""
    certificate: x509.Certificate = parse_certificate(pem)
    if certificate.not_valid_after_utc < now:
        raise SealedError("KeyInvalid", f"the certificate expired at {certificate.not_valid_after_utc:%Y-%m-%d}")
    public_key = certificate.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise SealedError("KeyInvalid", "expected a certificate of an RSA key")
    return public_key


def seal_secret(
    secret: Mapping[str, Any], key: rsa.RSAPublicKey, *, scope: Scope | None = None, namespace: str = "",
    allow_empty: bool = False,
) -> Manifest:  # fmt: skip
    """The SealedSecret of a Secret. Raises SealedError naming what is missing."""
    meta = dict(secret.get("metadata") or {})
    name, own = str(meta.get("name") or ""), str(meta.get("namespace") or "")
    if secret.get("kind") != "Secret" or not name:
        raise SealedError("Invalid", f"expected a Secret with a name, found {secret.get('kind') or 'nothing'}")
    if own and namespace and own != namespace:
        raise SealedError("Invalid", f"Secret {name}: its namespace is {own}, asked for was {namespace}")
    namespace = own or namespace
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k != _LAST_APPLIED}
    scope = scope or scope_of(annotations)
    if not namespace and scope is not Scope.CLUSTER_WIDE:
        raise SealedError("Invalid", f"Secret {name}: no namespace; scope {scope.value} needs one")
    values = secret_values(secret)
    if not values and not allow_empty:
        raise SealedError("Invalid", f"Secret {name}: no data")
    scoped = {k: v for k, v in annotations.items() if k not in (CLUSTER_WIDE, NAMESPACE_WIDE)} | scope.annotations()
    template_meta = {k: v for k, v in meta.items() if k not in _SERVER_FIELDS and k != "annotations"}
    template: Manifest = {"metadata": template_meta | ({"annotations": scoped} if scoped else {})}
    template |= {part: secret[part] for part in ("type", "immutable") if secret.get(part) is not None}
    label = scope.label(namespace, name)
    metadata: Manifest = {"name": name} | ({"namespace": namespace} if namespace else {})
    if scope.annotations():
        metadata["annotations"] = scope.annotations()
    return {
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": metadata,
        "spec": {
            "encryptedData": {item: seal_item(key, label, value) for item, value in values.items()},
            "template": template,
        },
    }  # fmt: skip


def secret_values(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """`data` decoded, `stringData` over it. Raises SealedError naming the key."""
    found: dict[str, bytes] = {}
    for name, value in (secret.get("data") or {}).items():
        try:
            found[str(name)] = base64.b64decode("".join(str(value or "").split()), validate=True)
        except (binascii.Error, ValueError):
            raise SealedError("Invalid", f"data.{name}: expected base64") from None
    return found | {str(name): str(value).encode() for name, value in (secret.get("stringData") or {}).items()}


def parse_backup(data: bytes) -> list[SealingKey]:
    """The keys of a backup: key Secrets (one, several, a List) as YAML or JSON, or a PEM private key.

    Raises SealedError.
    """
    if data.lstrip().startswith(b"-----BEGIN"):
        return [_bare_key(data)]
    try:
        documents = list(yaml.load_all(data.decode(), Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        raise SealedError("KeyInvalid", "expected key Secrets as YAML or JSON, or a PEM private key") from None
    listed = [item for each in documents if isinstance(each, dict) for item in each.get("items", [each]) or []]
    secrets = [each for each in listed if isinstance(each, dict) and each.get("kind") == "Secret"]
    keys = [parse_key(secret) for secret in secrets if is_active(secret) or KEY_LABEL not in _labels(secret)]
    if not keys:
        raise SealedError("KeyInvalid", "the backup holds no active sealing key")
    return keys


def _labels(secret: Mapping[str, Any]) -> Mapping[str, Any]:
    return (secret.get("metadata") or {}).get("labels") or {}


def _bare_key(pem: bytes) -> SealingKey:
    try:
        private_key = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, ValueError):
        raise SealedError("KeyInvalid", "expected a PEM private key without a passphrase") from None
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise SealedError("KeyInvalid", "expected an RSA key")
    certificate = certificate_for(private_key)
    return SealingKey(
        "private key", fingerprint_of(private_key.public_key()), private_key, certificate,
        certificate.not_valid_before_utc,
    )  # fmt: skip
