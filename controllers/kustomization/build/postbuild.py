"""postBuild over built objects: which variables there are, and each object's text with them filled in. Pure.

Precedence: inline variables, then later sources before earlier ones. A value loses its line breaks, as upstream has it.
An object with the label or annotation `kustomize.toolkit.fluxcd.io/substitute: disabled` stays as it is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping

from controllers.api.meta import annotations_of
from controllers.api.resource import Manifest
from controllers.kustomization.objects.labels import describe, labels_of
from controllers.kustomization.objects.normalize import normalize
from controllers.lang.envsubst import SubstitutionError, is_name, substitute
from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import InvalidYamlError, load

SUBSTITUTE = "kustomize.toolkit.fluxcd.io/substitute"


class InvalidSubstitutionError(ValueError):
    """An object whose text cannot be substituted. `object` is `Kind/namespace/name`; no value is shown."""

    def __init__(self, described: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{described}: variable substitution failed: {problem}{hint}")
        self.object = described


def variables(inline: Mapping[str, str] | None, sources: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """All variables; `sources` in the order of `substituteFrom`. Raises ValueError for a name that none can have."""
    merged: dict[str, str] = {}
    for source in (*sources, inline or {}):
        merged |= {name: str(value).replace("\n", "") for name, value in source.items()}
    for name in merged:
        if not is_name(name):
            raise ValueError(f"variable {name!r}: expected a letter or _, then letters, digits and _")
    return merged


def source_values(manifest: Manifest) -> dict[str, str]:
    """The values that a ConfigMap or Secret gives. Raises ValueError (without the value) where one is not text."""
    values = {str(key): str(value) for key, value in (manifest.get("data") or {}).items()}
    if manifest.get("kind") != "Secret":
        return values
    decoded: dict[str, str] = {}
    for key, value in values.items():
        try:
            decoded[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError(f"data.{key}: expected base64 of UTF-8 text") from None
    return decoded | {str(key): str(value) for key, value in (manifest.get("stringData") or {}).items()}


def is_enabled(inline: Mapping[str, str] | None, sources_named: bool, strategy: str = "") -> bool:
    """Without any variable the step is left out, unless the strategy is Always."""
    return strategy == "Always" or bool(inline) or sources_named


def substitute_object(manifest: Manifest, values: Mapping[str, str], *, strict: bool = True) -> Manifest:
    """One object with its expressions evaluated. Raises InvalidSubstitutionError."""
    if "disabled" in (labels_of(manifest).get(SUBSTITUTE), annotations_of(manifest).get(SUBSTITUTE)):
        return manifest
    before = dump(manifest)
    if "$" not in before:
        return manifest
    described = describe(manifest)
    try:
        after = substitute(before, values, strict=strict)
    except SubstitutionError as error:
        hint = f"; to leave this object's text alone annotate it {SUBSTITUTE}: disabled"
        raise InvalidSubstitutionError(described, str(error), hint=hint) from None
    if after == before:
        return manifest
    try:
        result = load(after)
    except InvalidYamlError as error:
        raise InvalidSubstitutionError(described, f"the result is not YAML: {error}") from None
    if not isinstance(result, dict):
        raise InvalidSubstitutionError(described, "the result is not an object")
    return result


def substitute_objects(
    manifests: Iterable[Manifest], values: Mapping[str, str], *, strict: bool = True
) -> list[Manifest]:
    """All objects, normalised. Raises InvalidSubstitutionError for the first that fails."""
    return [normalize(substitute_object(manifest, values, strict=strict)) for manifest in manifests]
