"""The hashes that stand on objects, to the byte as upstream computes them. Pure.

Upstream hashes Go's `%+v` of a value with SHA3-224. Ours must agree: an object that upstream wrote is right as it is
after a swap, and the other way round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

FIELD_MANAGER_PREFIX = "externalsecrets.external-secrets.io/"
MAX_FIELD_MANAGER = 63


def sha3(text: bytes) -> str:
    return hashlib.sha3_224(text).hexdigest()


def go_text(value: Any) -> bytes:
    """Go's `%+v`: maps with sorted keys, bytes as a list of numbers."""
    if value is None:
        return b"<nil>"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, bytes):
        return b"[" + b" ".join(b"%d" % byte for byte in value) + b"]"
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, Mapping):
        pairs = sorted((go_text(key), go_text(item)) for key, item in value.items())
        return b"map[" + b" ".join(key + b":" + item for key, item in pairs) + b"]"
    if isinstance(value, list | tuple):
        return b"[" + b" ".join(map(go_text, value)) + b"]"
    return str(value).encode()


def object_hash(value: Any) -> str:
    return sha3(go_text(value))


def data_hash(data: Mapping[str, bytes]) -> str:
    """The annotation `reconcile.external-secrets.io/data-hash` of a Secret with these data."""
    return object_hash(dict(data))


def created_by(namespace: str, name: str) -> str:
    """The label `reconcile.external-secrets.io/created-by`."""
    return object_hash(f"{namespace}/{name}")


def synced_resource_version(generation: int, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """status.syncedResourceVersion: changes with the spec, and with any label or annotation."""
    meta = {"annotations": dict(annotations), "labels": dict(labels)}
    text = b"{annotations:" + go_text(meta["annotations"]) + b" labels:" + go_text(meta["labels"]) + b"}"
    return f"{generation}-{sha3(text)}"


def field_manager(name: str) -> str:
    """The field manager under which an ExternalSecret's Secret is written."""
    manager = FIELD_MANAGER_PREFIX + name
    return manager if len(manager) <= MAX_FIELD_MANAGER else f"{FIELD_MANAGER_PREFIX}sha3/{object_hash(name)}"
