"""Fields that the schemas accept and keep, but that no controller here acts on yet.

A field that is silently ignored is worse than one that is refused: a controller asks `unsupported(manifest)` first and
answers with `Ready=False` and these paths. The table gets shorter with every feature; delete the line that you serve.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .resource import Manifest

_EXTERNAL_SECRET = (
    "target.manifest",
    "data[].sourceRef.generatorRef",
)

UNSUPPORTED: dict[str, tuple[str, ...]] = {
    # which providers of a store are served, external_secrets.providers.registry answers
    "ExternalSecret": tuple(f"spec.{path}" for path in _EXTERNAL_SECRET),
    "PushSecret": ("spec",),
    "ClusterPushSecret": ("spec",),
    "ImageRepository": ("spec.provider=azure|gcp", "spec.proxySecretRef"),
    "GitRepository": ("spec.provider=aws|azure",),
    "Kustomization": (
        "spec.sourceRef.kind=OCIRepository|Bucket|ExternalArtifact",
        "spec.kubeConfig",
    ),
    "Receiver": ("spec.type=gcr|cdevents|generic-oidc", "spec.oidcProviders"),
}
"""By kind. `a.b`: a field; `a[]`: each item; `!a|b`: every field but these; `=x|y`: only with one of these values."""


def unsupported(manifest: Manifest) -> list[str]:
    """Paths of the fields that are set and not served, in the table's order: `spec.data[0].sourceRef.generatorRef`."""
    found: list[str] = []
    for entry in UNSUPPORTED.get(str(manifest.get("kind", "")), ()):
        path, equals, values = entry.partition("=")
        for where, value in _at(manifest, path.split("."), ""):
            if equals and value in values.split("|"):
                found.append(f"{where}={value}")
            elif not equals and _is_set(value):
                found.append(where)
    return found


def _is_set(value: Any) -> bool:
    """An empty object can mean something (`fake: {}`); an empty list or text and false mean what absence means."""
    return isinstance(value, dict) or bool(value)


def _at(value: Any, path: list[str], where: str) -> Iterator[tuple[str, Any]]:
    if not path:
        yield where, value
        return
    if not isinstance(value, dict):
        return
    step, rest = path[0], path[1:]
    if step.startswith("!"):
        served = step[1:].split("|")
        for key in value:
            if key not in served:
                yield from _at(value[key], rest, f"{where}.{key}")
        return
    name = step.removesuffix("[]")
    here = f"{where}.{name}" if where else name
    if name not in value:
        return
    if name == step:
        yield from _at(value[name], rest, here)
    elif isinstance(value[name], list):
        for index, item in enumerate(value[name]):
            yield from _at(item, rest, f"{here}[{index}]")
