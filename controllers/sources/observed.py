"""What a GitRepository's spec asks for, beside what its status says is there. Pure.

Whether an artifact must be made again although the commit is the same, and whether a commit must be verified (again).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any


def content_changed(manifest: Mapping[str, Any], artifacts: Sequence[Mapping[str, Any]] = ()) -> bool:
    """Must the content be selected anew although the commit did not move? `artifacts` are those of `spec.include`
    now."""
    spec, status = manifest.get("spec") or {}, manifest.get("status") or {}
    return (
        (spec.get("ignore") or "") != (status.get("observedIgnore") or "")
        or bool(spec.get("recurseSubmodules")) != bool(status.get("observedRecurseSubmodules"))
        or _clean(spec.get("sparseCheckout")) != _clean(status.get("observedSparseCheckout"))
        or (spec.get("include") or []) != (status.get("observedInclude") or [])
        or _identities(artifacts) != _identities(status.get("includedArtifacts") or [])
    )


def requires_verification(manifest: Mapping[str, Any]) -> bool:
    """Was less verified than is asked for now? True also where nothing was verified yet."""
    verify = (manifest.get("spec") or {}).get("verify")
    if not verify:
        return False
    done = (manifest.get("status") or {}).get("sourceVerificationMode") or ""
    return not _parts(verify.get("mode") or "HEAD") <= _parts(done)


def _parts(mode: str) -> set[str]:
    text = mode.lower()
    return {part for part in ("tag", "head") if part in text.split("and") or text == part}


def _clean(paths: Sequence[str] | None) -> list[str]:
    return [posixpath.normpath(path).lstrip("/") for path in paths or ()]


def _identities(artifacts: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    return [(artifact.get("revision"), artifact.get("digest")) for artifact in artifacts]
