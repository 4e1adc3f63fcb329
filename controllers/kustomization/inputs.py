"""Edge: Secrets and ConfigMaps that a Kustomization names, read as the tenant: variables, and keys for decryption."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from controllers.api.core import CONFIGMAPS, SECRETS
from controllers.api.kustomize import KustomizationSpec
from controllers.api.resource import Manifest
from controllers.decryption.decryptor import Audit, Decryptor
from controllers.decryption.errors import DecryptionError
from controllers.decryption.keyring import DataKeyCache, Keyring, KmsOpener, parse_key_secret
from controllers.decryption.reader import KeyPolicy, allow_every_key
from controllers.runtime.kube import ApiError, Forbidden, KubeClient, NotFound
from controllers.runtime.result import NotReady

from . import postbuild
from .render import Decrypt, Variables


@dataclass
class Keys:
    """Opens one Kustomization's keys; `fingerprint` tells whether they changed."""

    decrypt: Decrypt | None = None
    fingerprint: str = ""
    close: Callable[[], None] = field(default=lambda: None)


async def variables(kube: KubeClient, namespace: str, spec: KustomizationSpec) -> Variables:
    """The values of postBuild. Raises NotReady (BuildFailed) where a source is missing, refused or no text."""
    post = spec.post_build
    if post is None or not postbuild.is_wanted(post.substitute, bool(post.substitute_from), post.substitute_strategy):
        return Variables()
    sources, secret = [], False
    for index, ref in enumerate(post.substitute_from):
        where = f"spec.postBuild.substituteFrom[{index}]"
        manifest = await _read(kube, ref.kind, namespace, ref.name, where, optional=ref.optional)
        if manifest is None:
            continue
        try:
            sources.append(postbuild.source_values(manifest))
        except ValueError as error:
            raise NotReady("BuildFailed", f"{where}: {ref.kind} {ref.name}: {error}") from None
        secret = secret or ref.kind == "Secret"
    try:
        return Variables(True, postbuild.variables(post.substitute, sources), from_secret=secret)
    except ValueError as error:
        raise NotReady("BuildFailed", f"spec.postBuild: {error}") from None


async def _read(
    kube: KubeClient, kind: str, namespace: str, name: str, where: str, *, optional: bool = False
) -> Manifest | None:
    try:
        return await kube.get(SECRETS if kind == "Secret" else CONFIGMAPS, name, namespace)
    except NotFound:
        if optional:
            return None
        raise NotReady("BuildFailed", f"{where}: {kind} {namespace}/{name} not found") from None
    except Forbidden as error:
        raise NotReady(
            "BuildFailed", f"{where}: the service account may not read {kind} {namespace}/{name}: {error.message}"
        ) from None
    except ApiError as error:
        raise NotReady("BuildFailed", f"{where}: {kind} {namespace}/{name}: {error.message}") from None


@dataclass(frozen=True, slots=True)
class Decryption:
    """What the process gives to every decryption; the keys themselves come from the tenant's Secret."""

    kms: Callable[[str, KustomizationSpec], KmsOpener | None] = lambda namespace, spec: None
    """The key service of AWS for a namespace."""
    policy: Callable[[str], KeyPolicy] = lambda namespace: allow_every_key
    audit: Callable[[Audit], None] = lambda _: None
    cache: DataKeyCache = field(default_factory=DataKeyCache)


async def keys(kube: KubeClient, namespace: str, spec: KustomizationSpec, given: Decryption) -> Keys:
    """What decrypts; nothing without `spec.decryption`. Raises NotReady. Close it after the render."""
    if spec.decryption is None:
        return Keys()
    data: dict[str, bytes] = {}
    if spec.decryption.secret_ref is not None:
        name, where = spec.decryption.secret_ref.name, "spec.decryption.secretRef"
        manifest = await _read(kube, "Secret", namespace, name, where)
        try:
            data = secret_bytes(manifest or {})
        except ValueError as error:
            raise NotReady("BuildFailed", f"{where}: Secret {name}: {error}") from None
    try:
        keyring = Keyring(parse_key_secret(data), kms=given.kms(namespace, spec), cache=given.cache)
    except DecryptionError as error:
        raise NotReady("BuildFailed", f"spec.decryption.secretRef: {error}") from None
    digest = hashlib.sha256()
    for name in sorted(data):
        digest.update(f"{name}={len(data[name])}:".encode() + data[name])
    decryptor = Decryptor(keyring, policy=given.policy(namespace), audit=given.audit)
    return Keys(decryptor, digest.hexdigest(), keyring.close)


def secret_bytes(manifest: Manifest) -> dict[str, bytes]:
    """A Secret's data, decoded. Raises ValueError naming the key."""
    found = {}
    for name, value in (manifest.get("data") or {}).items():
        try:
            found[str(name)] = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise ValueError(f"data.{name}: expected base64") from None
    return found
