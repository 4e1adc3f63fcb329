"""Edge: Secrets and ConfigMaps that a Kustomization names, read as the tenant: variables, and keys for decryption."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from controllers.api.core import CONFIGMAPS, SECRETS, secret_data
from controllers.api.kustomize import Decryption as DecryptionSpec
from controllers.api.kustomize import KustomizationSpec
from controllers.api.resource import Key, Manifest
from controllers.runtime.kube import ApiError, Forbidden, KubeClient, NotFound
from controllers.runtime.result import NotReady
from controllers.sops.decrypt import KeyPolicy, allow_every_key
from controllers.sops.decryptor import Audit, Decryptor
from controllers.sops.errors import DecryptionError
from controllers.sops.keys import DataKeyCache, KmsOpener, SopsKeys, parse_key_secret

from . import postbuild
from .render import Decrypt, Variables


@dataclass
class Keys:
    """Opens one Kustomization's keys; `fingerprint` tells whether they changed."""

    decrypt: Decrypt | None = None
    fingerprint: str = ""
    close: Callable[[], None] = field(default=lambda: None)
    warnings: list[str] = field(default_factory=list)
    """Filled by the render: what a person should look at."""


async def variables(kube: KubeClient, namespace: str, spec: KustomizationSpec) -> Variables:
    """The values of postBuild. Raises NotReady (BuildFailed) where a source is missing, forbidden or not text."""
    post = spec.post_build
    if post is None or not postbuild.is_enabled(post.substitute, bool(post.substitute_from), post.substitute_strategy):
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


async def _no_keys() -> dict[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class Decryption:
    """What the process gives to every decryption; the keys themselves come from the tenant's Secret."""

    kms: Callable[[str, str], KmsOpener | None] = lambda namespace, account: None
    """The key service of AWS, for a namespace and a service account of it ("": the default)."""
    policy: Callable[[str], KeyPolicy] = lambda namespace: allow_every_key
    audit: Callable[[Audit], None] = lambda _: None
    cache: DataKeyCache = field(default_factory=DataKeyCache)
    shared_keys: Callable[[], Awaitable[dict[str, bytes]]] = _no_keys
    """Keys of a Kustomization that names no Secret."""
    plaintext: Callable[[str, Mapping[str, str]], str] = lambda namespace, annotations: "allow"
    """What is done about plaintext Secrets: allow, warn or refuse; by namespace and the object's annotations."""


async def keys(
    kube: KubeClient, key: Key, manifest: Manifest, spec: KustomizationSpec, revision: str, given: Decryption
) -> Keys:
    """What decrypts; nothing without `spec.decryption`. Raises NotReady. Close it after the render."""
    mode = given.plaintext(key.namespace, manifest["metadata"].get("annotations") or {})
    if spec.decryption is None:
        if mode == "allow":
            return Keys()
        guard = Decryptor(None, plaintext=mode)
        return Keys(guard, mode, warnings=guard.warnings)
    account = spec.decryption.service_account_name
    data = await _key_data(kube, key.namespace, spec.decryption, given)
    try:
        keyring = SopsKeys(parse_key_secret(data), kms=given.kms(key.namespace, account), cache=given.cache)
    except DecryptionError as error:
        raise NotReady("BuildFailed", f"spec.decryption.secretRef: {error}") from None
    digest = hashlib.sha256(f"{mode}\0{account}\0".encode())
    for name in sorted(data):
        digest.update(f"{name}={len(data[name])}:".encode() + data[name])
    decryptor = Decryptor(
        keyring, policy=given.policy(key.namespace), audit=given.audit, owner=str(key), revision=revision,
        plaintext=mode,
    )  # fmt: skip
    return Keys(decryptor, digest.hexdigest(), keyring.close, decryptor.warnings)


async def _key_data(
    kube: KubeClient, namespace: str, decryption: DecryptionSpec, given: Decryption
) -> Mapping[str, bytes]:
    """The key Secret's entries: the Kustomization's own, or else the process's; they are never merged."""
    if decryption.secret_ref is None:
        try:
            return await given.shared_keys()
        except ApiError as error:
            raise NotReady("BuildFailed", f"the shared age Secret cannot be read: {error.message}") from None
    name, where = decryption.secret_ref.name, "spec.decryption.secretRef"
    manifest = await _read(kube, "Secret", namespace, name, where)
    try:
        return secret_data(manifest or {})
    except ValueError as error:
        raise NotReady("BuildFailed", f"{where}: Secret {name}: {error}") from None
