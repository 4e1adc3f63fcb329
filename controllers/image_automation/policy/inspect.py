"""What is asked of an image in its registry: its platforms, its source revision, who signed it. An edge.

Everything is read by digest, so what was looked at is what the digest says, whoever moves a tag meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from controllers.api.plural import counted

from .cosign import covers, signature_tag, signatures

REVISION_LABELS = ("org.opencontainers.image.revision", "org.label-schema.vcs-ref")
MAX_PAYLOAD = 256 << 10
_MAX_REVISION = 200


class Images(Protocol):
    """One repository, by digest or tag. None: there is none; raises ReconcileError for any other failure."""

    async def manifest(self, reference: str) -> bytes | None: ...
    async def blob(self, digest: str, limit: int) -> bytes: ...


async def unsigned(images: Images, digest: str, verify: Callable[[bytes, bytes], bool]) -> str:
    """Why an image does not count as signed; "" where the key signed this digest. Raises ReconcileError."""
    manifest = await images.manifest(signature_tag(digest))
    if manifest is None:
        return "has no signature"
    found = signatures(manifest)
    for one in found:
        if one.size > MAX_PAYLOAD:
            continue
        payload = await images.blob(one.payload_digest, MAX_PAYLOAD)
        if verify(payload, one.signature) and covers(payload, digest):
            return ""
    return f"has {counted(len(found), 'signature')}, none of them by the key for this digest"


async def missing_platforms(images: Images, digest: str, wanted: Sequence[str]) -> list[str]:
    """Which of the wanted platforms an image has not. Raises ReconcileError."""
    document = _json(await images.manifest(digest))
    if isinstance(document.get("manifests"), list):
        found = [one.get("platform") or {} for one in document["manifests"] if isinstance(one, dict)]
    else:
        found = [await _config(images, document)]
    names = {name for one in found if isinstance(one, dict) for name in _names(one)}
    return [one for one in wanted if one not in names]


async def source_revision(images: Images, digest: str) -> str:
    """The revision of the source that an image's labels name; "" where none does. Raises ReconcileError."""
    document = _json(await images.manifest(digest))
    if isinstance(document.get("manifests"), list):
        inner = [one for one in document["manifests"] if isinstance(one, dict) and _real(one)]
        if not inner:
            return ""
        document = _json(await images.manifest(str(inner[0].get("digest") or "")))
    config = (await _config(images, document)).get("config")
    sources = [config.get("Labels") if isinstance(config, dict) else None, document.get("annotations")]
    for labels in sources:
        if not isinstance(labels, dict):
            continue
        for name in REVISION_LABELS:
            text = labels.get(name)
            if isinstance(text, str) and text.strip().isprintable() and 0 < len(text.strip()) <= _MAX_REVISION:
                return text.strip()
    return ""


async def _config(images: Images, manifest: dict[str, Any]) -> dict[str, Any]:
    config = manifest.get("config")
    digest = config.get("digest") if isinstance(config, dict) else None
    return _json(await images.blob(digest, MAX_PAYLOAD * 4)) if isinstance(digest, str) else {}


def _json(content: bytes | None) -> dict[str, Any]:
    try:
        document = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _real(entry: dict[str, Any]) -> bool:
    """Not an attestation, which indexes carry as `unknown/unknown`."""
    platform = entry.get("platform")
    return not isinstance(platform, dict) or platform.get("os") != "unknown"


def _names(platform: dict[str, Any]) -> list[str]:
    name = f"{platform.get('os')}/{platform.get('architecture')}"
    variant = platform.get("variant")
    return [name, f"{name}/{variant}"] if variant else [name]
