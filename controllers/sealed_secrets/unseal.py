"""SealedSecret → the Secret that should be. Pure: manifest, ring and template engine in, wanted Secret out.

All items must open, or nothing is wanted: a half-filled Secret would roll out a half-configured workload. Why an item
does not open is found by trying the other labels: moved, renamed or with another scope.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.api.plural import counted
from controllers.api.resource import Manifest
from controllers.sops.errors import SealedError

from .ciphertext import ANNOTATION, Scope, scope_of, seal_item
from .keys import SealingKey, SealingKeys

MANAGED = f"{ANNOTATION}managed"
PATCH = f"{ANNOTATION}patch"
SKIP_OWNER = f"{ANNOTATION}skip-set-owner-references"

Render = Callable[[str, str, Mapping[str, str]], str]
"""(item key, template text, data) → text. Raises ValueError with a message that holds no value."""


@dataclass(frozen=True, slots=True)
class Unsealed:
    """The wanted Secret and the fingerprints of the keys that opened its items, by item."""

    secret: Manifest = field(repr=False)
    keys: Mapping[str, str]


def unseal(sealed: Manifest, ring: SealingKeys, render: Render, *, accept_v1_data: bool = True) -> Unsealed:
    """Raises SealedError whose message names each item that failed and why."""
    meta = sealed["metadata"]
    spec = sealed.get("spec") or {}
    template = spec.get("template") or {}
    items = spec.get("encryptedData") or {}
    label = scope_of(meta.get("annotations")).label(meta.get("namespace", ""), meta["name"])
    if not items and not template.get("data") and spec.get("data"):
        if not accept_v1_data:
            raise SealedError("DeprecatedData", "spec.data: the deprecated one-blob form is not accepted here")
        return _unseal_v1(sealed, ring, label)
    opened, keys = _open_items(sealed, items, ring, label)
    data = {**opened, **_render(template.get("data") or {}, opened, render)}
    return Unsealed(_secret(sealed, template, data), keys)


def check(sealed: Manifest, ring: SealingKeys) -> Mapping[str, str]:
    """Do all items open? The fingerprints of the keys, by item. Raises SealedError as `unseal` does."""
    meta, spec = sealed["metadata"], sealed.get("spec") or {}
    label = scope_of(meta.get("annotations")).label(meta.get("namespace", ""), meta["name"])
    items = spec.get("encryptedData") or {}
    if not items and isinstance(spec.get("data"), str):
        return _unseal_v1(sealed, ring, label).keys
    return _open_items(sealed, items, ring, label)[1]


def _open_items(
    sealed: Manifest, items: Mapping[str, Any], ring: SealingKeys, label: bytes
) -> tuple[dict[str, bytes], dict[str, str]]:
    opened: dict[str, bytes] = {}
    keys: dict[str, str] = {}
    problems: list[tuple[str, str, str]] = []
    for name, text in sorted(items.items()):
        try:
            if not isinstance(text, str):
                raise SealedError("Corrupt", "expected a text")
            found = ring.open(text, label)
            if found is None:
                raise diagnose(sealed, text, ring)
        except SealedError as error:
            problems.append((error.reason, name, error.message))
            continue
        opened[name], keys[name] = found.plaintext, found.key.fingerprint
    if problems:
        shown = "; ".join(f"encryptedData.{name}: {message}" for _, name, message in problems[:3])
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise SealedError(problems[0][0], f"no key could decrypt secret ({shown}{more})")
    return opened, keys


def diagnose(sealed: Manifest, text: str, ring: SealingKeys) -> SealedError:
    """Why no key opens an item under its own label, found by trying what it may have been sealed for."""
    if not ring.keys:
        return SealedError("NoKey", "there is no active sealing key")
    meta = sealed["metadata"]
    namespace, name = meta.get("namespace", ""), meta["name"]
    own = scope_of(meta.get("annotations"))
    template = ((sealed.get("spec") or {}).get("template") or {}).get("metadata") or {}
    tries: list[tuple[bytes, str]] = [
        (scope.label(namespace, name), f"it is sealed with scope {scope.value}, the object says {own.value}")
        for scope in Scope
        if scope is not own
    ]
    other = (template.get("namespace") or namespace, template.get("name") or name)
    if other != (namespace, name):
        tries.append(
            (Scope.STRICT.label(*other), f"it is sealed for {'/'.join(other)}, the object is {namespace}/{name}")
        )
        tries.append(
            (Scope.NAMESPACE_WIDE.label(*other), f"it is sealed for namespace {other[0]}, the object is in {namespace}")
        )
    for label, why in tries:
        try:
            if ring.open(text, label) is not None:
                return SealedError("WrongScope", why)
        except SealedError:
            continue
    if (retired := ring.retired_key_of(text, own.label(namespace, name))) is not None:
        return SealedError(
            "RetiredKey",
            f"it is sealed with key {retired.name}, which is labelled {retired.state!r} and is not used: re-encrypt it",
        )
    count = len(ring.keys)
    return SealedError(
        "NoKey",
        f"none of {counted(count, 'active key')} opens it: sealed for another name, namespace or cluster, "
        "or with a key that is gone",
    )


def _render(templates: Mapping[str, Any], items: Mapping[str, bytes], render: Render) -> dict[str, bytes]:
    if not templates:
        return {}
    data = {name: value.decode("utf-8", "surrogateescape") for name, value in items.items()}
    rendered, problems = {}, []
    for name, text in sorted(templates.items()):
        try:
            rendered[name] = render(name, str(text), data).encode("utf-8", "surrogateescape")
        except ValueError as error:
            problems.append(f"template.data.{name}: {error}")
    if problems:
        raise SealedError("TemplateInvalid", "; ".join(problems[:3]))
    return rendered


def _secret(sealed: Manifest, template: Mapping[str, Any], data: Mapping[str, bytes]) -> Manifest:
    meta, own = template.get("metadata") or {}, sealed["metadata"]
    metadata: Manifest = {"name": own["name"]}
    if own.get("namespace"):
        metadata["namespace"] = own["namespace"]  # a cluster-wide object in a file may name none
    for part in ("labels", "annotations", "finalizers"):
        if meta.get(part):
            metadata[part] = meta[part]
    if (meta.get("annotations") or {}).get(SKIP_OWNER) != "true" and own.get("uid"):
        metadata["ownerReferences"] = [owner_reference(sealed)]
    secret: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    if template.get("type"):
        secret["type"] = template["type"]
    if template.get("immutable") is not None:
        secret["immutable"] = template["immutable"]
    secret["data"] = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return secret


def owner_reference(sealed: Manifest) -> Manifest:
    own = sealed["metadata"]
    return {
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "name": own["name"], "uid": own["uid"],
        "controller": True,
    }  # fmt: skip


def _unseal_v1(sealed: Manifest, ring: SealingKeys, label: bytes) -> Unsealed:
    """spec.data: one item that holds a whole Secret as JSON. Its name and namespace are not believed."""
    text = sealed["spec"]["data"]
    found = ring.open(text, label)
    if found is None:
        raise diagnose(sealed, text, ring)
    try:
        inner = json.loads(found.plaintext)
        data = {str(name): base64.b64decode(value) for name, value in (inner.get("data") or {}).items()}
    except (ValueError, AttributeError, TypeError):
        raise SealedError("Corrupt", "spec.data: the unsealed blob is not a Secret in JSON") from None
    template = {"metadata": inner.get("metadata") or {}, "type": inner.get("type")}
    return Unsealed(_secret(sealed, template, data), {"data": found.key.fingerprint})


def reseal(sealed: Manifest, ring: SealingKeys, key: SealingKey) -> Manifest:
    """The SealedSecret with every item sealed anew under `key`; scope, template and all else as they were.

    Items that `key` opens already stay byte for byte: a re-seal of what is current is no change.
    """
    meta = sealed["metadata"]
    label = scope_of(meta.get("annotations")).label(meta.get("namespace", ""), meta["name"])
    items: dict[str, str] = {}
    if not (sealed.get("spec") or {}).get("encryptedData") and (sealed.get("spec") or {}).get("data"):
        raise SealedError("DeprecatedData", "spec.data: the deprecated one-blob form cannot be re-encrypted; use items")
    for name, text in ((sealed.get("spec") or {}).get("encryptedData") or {}).items():
        if not isinstance(text, str):
            raise SealedError("Corrupt", f"encryptedData.{name}: expected a text")
        try:
            found = ring.open(text, label)
        except SealedError as error:
            raise SealedError(error.reason, f"encryptedData.{name}: {error.message}") from None
        if found is None:
            raise SealedError("NoKey", f"encryptedData.{name}: {diagnose(sealed, text, ring).message}")
        current = found.key.fingerprint == key.fingerprint
        items[name] = text if current else seal_item(key.private_key.public_key(), label, found.plaintext)
    return {**sealed, "spec": {**sealed["spec"], "encryptedData": items}}
