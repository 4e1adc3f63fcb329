"""What a registry keeps: blobs, manifests by digest, tags by name. In memory; digests are really computed.

Errors carry the distribution specification's codes. A manifest may only name blobs (or, in an index, manifests) that
are there; deleting a manifest deletes the tags on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MAX_MANIFEST = 4 << 20
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


class RegistryError(Exception):
    """An answer of the specification: HTTP status, code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True)
class StoredManifest:
    digest: str
    media_type: str
    content: bytes
    subject: str = ""  # digest of the manifest it refers to
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    def descriptor(self) -> dict[str, Any]:
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        return {**found, "annotations": self.annotations} if self.annotations else found


@dataclass(slots=True)
class Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, StoredManifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)

    def manifest(self, reference: str) -> StoredManifest:
        digest = reference if DIGEST.fullmatch(reference) else self.tags.get(reference, "")
        try:
            return self.manifests[digest]
        except KeyError:
            raise RegistryError(404, "MANIFEST_UNKNOWN", f"manifest {reference} unknown") from None

    def put_manifest(self, reference: str, content: bytes, media_type: str) -> StoredManifest:
        digest = digest_of(content)
        by_digest = reference.startswith("sha256:")
        if by_digest and reference != digest:
            raise RegistryError(400, "DIGEST_INVALID", "the digest of the content is not the one in the path")
        if not by_digest and not TAG.fullmatch(reference):
            raise RegistryError(400, "MANIFEST_INVALID", "the reference is neither a tag nor a digest")
        manifest = self._parse(content, media_type, digest)
        self.manifests[digest] = manifest
        if not by_digest:
            self.tags[reference] = digest
        return manifest

    def _parse(self, content: bytes, media_type: str, digest: str) -> StoredManifest:
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or body.get("schemaVersion") != 2:
            raise RegistryError(400, "MANIFEST_INVALID", "expected a JSON object with schemaVersion 2")
        media_type = media_type or str(body.get("mediaType", ""))
        if media_type in INDEXES:
            known: Any = self.manifests
            wanted = body.get("manifests")
        else:
            known = self.blobs
            layers = body.get("layers")
            wanted = [body.get("config"), *layers] if isinstance(layers, list) else None
        if not isinstance(wanted, list) or not all(isinstance(item, dict) for item in wanted):
            raise RegistryError(400, "MANIFEST_INVALID", "expected config and layers, or manifests")
        for item in wanted:
            if item.get("digest") not in known:
                raise RegistryError(400, "MANIFEST_BLOB_UNKNOWN", "the manifest names content that is not here")
        subject, config, annotations = body.get("subject"), body.get("config"), body.get("annotations")
        artifact = body.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "")
        return StoredManifest(
            digest,
            media_type,
            content,
            str(subject.get("digest", "")) if isinstance(subject, dict) else "",
            str(artifact or ""),
            {str(k): str(v) for k, v in annotations.items()} if isinstance(annotations, dict) else {},
        )

    def delete_manifest(self, reference: str) -> None:
        """By tag: only the tag goes; by digest: the manifest and every tag on it."""
        manifest = self.manifest(reference)
        if reference in self.tags:
            del self.tags[reference]
            return
        del self.manifests[manifest.digest]
        for tag in [tag for tag, digest in self.tags.items() if digest == manifest.digest]:
            del self.tags[tag]

    def referrers(self, digest: str, artifact_type: str = "") -> list[dict[str, Any]]:
        found = [manifest for manifest in self.manifests.values() if manifest.subject == digest]
        return [m.descriptor() for m in found if not artifact_type or m.artifact_type == artifact_type]

    def tag_page(self, last: str, limit: int | None) -> tuple[list[str], bool]:
        """(tags after `last` in lexical order, at most `limit`; whether there are more)."""
        names = sorted(tag for tag in self.tags if tag > last)
        return (names, False) if limit is None else (names[:limit], len(names) > limit)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
