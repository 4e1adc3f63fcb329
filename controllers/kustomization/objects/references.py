"""What a Kustomization names: its source, its dependencies, the ConfigMaps and Secrets it reads. Pure."""

from __future__ import annotations

from controllers.api.resource import Key, Manifest


def dependencies_of(manifest: Manifest) -> list[Key]:
    """Keys that a Kustomization waits for."""
    namespace = str(manifest["metadata"].get("namespace") or "")
    wanted = (manifest.get("spec") or {}).get("dependsOn") or ()
    return [Key(each.get("namespace") or namespace, str(each.get("name"))) for each in wanted]


def source_of(manifest: Manifest) -> tuple[str, Key]:
    """(kind, key) of a Kustomization's source."""
    ref = (manifest.get("spec") or {}).get("sourceRef") or {}
    namespace = str(manifest["metadata"].get("namespace") or "")
    return str(ref.get("kind")), Key(ref.get("namespace") or namespace, str(ref.get("name")))


def configs_of(manifest: Manifest) -> list[str]:
    """`Kind/namespace/name` of every ConfigMap and Secret whose change concerns a Kustomization."""
    spec, namespace = manifest.get("spec") or {}, str(manifest["metadata"].get("namespace") or "")
    refs = (spec.get("postBuild") or {}).get("substituteFrom") or ()
    found = [f"{ref.get('kind')}/{namespace}/{ref.get('name')}" for ref in refs]
    if name := ((spec.get("decryption") or {}).get("secretRef") or {}).get("name"):
        found.append(f"Secret/{namespace}/{name}")
    return found
