"""Finalizers are put on and taken off exactly the object that was read."""

from __future__ import annotations

from controllers.api.resource import Manifest, Resource

from .kube import KubeClient, NotFound

FLUX = "finalizers.fluxcd.io"
"""The finalizer of Flux's kinds; ours is the same, so that either controller can end what the other began."""

_UPSTREAM = {
    ("image.toolkit.fluxcd.io", "ImageRepository"): FLUX,
    ("image.toolkit.fluxcd.io", "ImagePolicy"): FLUX,
    ("image.toolkit.fluxcd.io", "ImageUpdateAutomation"): FLUX,
    ("notification.toolkit.fluxcd.io", "Receiver"): FLUX,
    ("external-secrets.io", "SecretStore"): "secretstore.externalsecrets.io/finalizer",
    ("external-secrets.io", "ClusterSecretStore"): "secretstore.externalsecrets.io/finalizer",
    ("external-secrets.io", "PushSecret"): "pushsecret.externalsecrets.io/finalizer",
}
"""What upstream's controllers (Flux 2.9, External Secrets 2.9) put on objects of kinds on which we put none."""


async def release(kube: KubeClient, resource: Resource, manifest: Manifest | None) -> None:
    """Takes upstream's finalizer off an object that is being deleted: after a swap nobody else would. None: it is gone.

    Raises Conflict where the object changed since it was read.
    """
    if manifest is not None:
        await drop_finalizer(kube, resource, manifest, _UPSTREAM[resource.group, resource.kind])


async def add_finalizer(
    kube: KubeClient, resource: Resource, manifest: Manifest, finalizer: str = FLUX
) -> Manifest | None:
    """The object as it is then; None where nothing was written. Raises Conflict where it changed since it was read."""
    known = _finalizers(manifest)
    return None if finalizer in known else await _write(kube, resource, manifest, [*known, finalizer])


async def drop_finalizer(kube: KubeClient, resource: Resource, manifest: Manifest, finalizer: str = FLUX) -> None:
    """Raises Conflict where the object changed since it was read. One that is gone is fine."""
    known = _finalizers(manifest)
    if finalizer in known:
        await _write(kube, resource, manifest, [each for each in known if each != finalizer])


def _finalizers(manifest: Manifest) -> list[str]:
    return list(manifest["metadata"].get("finalizers") or ())


async def _write(kube: KubeClient, resource: Resource, manifest: Manifest, wanted: list[str]) -> Manifest | None:
    """A merge patch with uid and resourceVersion: a server-side apply would re-create a deleted object."""
    meta = manifest["metadata"]
    body = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "finalizers": wanted}}
    try:
        return await kube.patch(resource, meta["name"], meta.get("namespace") or "", body=body)
    except NotFound:
        return None
