"""What upstream's admission webhook refuses, and what cannot be served; as conditions here. Pure."""

from __future__ import annotations

from typing import Any

from .errors import SpecError


def validate(spec: dict[str, Any]) -> None:
    """Raises SpecError for the first contradiction in an ExternalSecret's spec."""
    target = spec.get("target") or {}
    _policies(target.get("deletionPolicy") or "Retain", target.get("creationPolicy") or "Owner")
    data, data_from = spec.get("data") or [], spec.get("dataFrom") or []
    if not data and not data_from:
        raise SpecError("either data or dataFrom should be specified")
    for entry in data_from:
        _source(entry)
    if (target.get("deletionPolicy") or "Retain") == "Retain":
        _distinct([entry.get("secretKey", "") for entry in data if isinstance(entry, dict)])


def _policies(deletion: str, creation: str) -> None:
    if deletion == "Delete" and creation in ("Merge", "None", "CreateOrMerge"):
        raise SpecError(
            "deletionPolicy=Delete must not be used when the controller doesn't own the secret. "
            "Please set creationPolicy=Owner"
        )
    if deletion == "Merge" and creation == "None":
        raise SpecError(
            "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with"
        )


def _source(entry: dict[str, Any]) -> None:
    source = entry.get("sourceRef")
    generator = source is not None and source.get("generatorRef") is not None
    chosen = [entry.get("extract") is not None, entry.get("find") is not None, generator]
    if sum(chosen) > 1:
        raise SpecError("extract, find, or generatorRef cannot be set at the same time")
    if any(chosen):
        return
    if source is None:
        raise SpecError("either extract, find, or sourceRef must be set to dataFrom")
    if source.get("storeRef") is None:
        raise SpecError("generatorRef or storeRef must be set when using sourceRef in dataFrom")
    raise SpecError("extract or find must be set to dataFrom with sourceRef.storeRef")


def _distinct(keys: list[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key and key in seen:
            raise SpecError(f"duplicate secretKey found: {key}")
        seen.add(key)
