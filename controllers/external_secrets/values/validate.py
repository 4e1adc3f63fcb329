"""What upstream's admission webhook refuses, and what cannot be served; as conditions here. Pure."""

from __future__ import annotations

from controllers.api.external_secrets import DataFromEntry, ExternalSecretSpec, ExternalSecretTarget

from .errors import SpecError


def validate(spec: ExternalSecretSpec) -> None:
    """Raises SpecError for the first contradiction in an ExternalSecret's spec."""
    _policies(spec.target)
    if not spec.data and not spec.data_from:
        raise SpecError("either data or dataFrom should be specified")
    for entry in spec.data_from:
        _source(entry)
    if spec.target.deletion_policy == "Retain":
        _distinct([entry.secret_key for entry in spec.data])


def _policies(target: ExternalSecretTarget) -> None:
    creation, deletion = target.creation_policy, target.deletion_policy
    if deletion == "Delete" and creation in ("Merge", "None", "CreateOrMerge"):
        raise SpecError(
            "deletionPolicy=Delete must not be used when the controller doesn't own the secret. "
            "Please set creationPolicy=Owner"
        )
    if deletion == "Merge" and creation == "None":
        raise SpecError(
            "deletionPolicy=Merge must not be used with creationPolicy=None. There is no Secret to merge with"
        )


def _source(entry: DataFromEntry) -> None:
    source = entry.source_ref
    generator = source is not None and source.generator_ref is not None
    chosen = [entry.extract is not None, entry.find is not None, generator]
    if sum(chosen) > 1:
        raise SpecError("extract, find, or generatorRef cannot be set at the same time")
    if any(chosen):
        return
    if source is None:
        raise SpecError("either extract, find, or sourceRef must be set to dataFrom")
    if source.store_ref is None:
        raise SpecError("generatorRef or storeRef must be set when using sourceRef in dataFrom")
    raise SpecError("extract or find must be set to dataFrom with sourceRef.storeRef")


def _distinct(keys: list[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key and key in seen:
            raise SpecError(f"duplicate secretKey found: {key}")
        seen.add(key)
