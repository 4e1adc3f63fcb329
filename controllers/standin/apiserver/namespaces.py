"""The life of a namespace: active, terminating while its contents go, gone; and what each new one is given."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable

from controllers.api.resource import Manifest

from .seams import Admission, Controller, KindInfo, Storage
from .status_errors import Cause, StatusError, forbidden

log = logging.getLogger(__name__)

_FINALIZER = "kubernetes"
_LASTING = ("default", "kube-public", "kube-system")


def admit(admission: Admission, storage: Storage) -> Manifest | None:
    """An AdmissionHook: nothing is created in a namespace that is going."""
    if admission.operation == "DELETE" and (admission.kind.group, admission.kind.plural) == ("", "namespaces"):
        if admission.name in _LASTING:
            raise forbidden("", "namespaces", admission.name, "this namespace may not be deleted")
        return None
    if admission.operation != "CREATE" or not admission.namespace or not admission.kind.namespaced:
        return None
    namespace = _find(storage, admission.namespace)
    if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
        return None
    name = admission.namespace
    why = f"unable to create new content in namespace {name} because it is being terminated"
    text = f"namespace {name} is being terminated"
    cause = Cause("NamespaceTerminating", text, "metadata.namespace")
    raise forbidden(admission.kind.group, admission.kind.plural, admission.name, why, causes=(cause,))


def _find(storage: Storage, name: str) -> Manifest | None:
    kind = storage.kind("", "namespaces")
    return storage.find(kind, name) if kind else None


async def lifecycle(storage: Storage) -> None:
    """A seams.Controller: empties terminating namespaces and lets them go."""
    kind = storage.kind("", "namespaces")
    if kind is None:
        return
    going: dict[str, asyncio.Task[None]] = {}
    async for change in storage.watch(kind):
        meta = change.object["metadata"]
        name = meta["name"]
        if change.type == "DELETED":
            continue
        if meta.get("deletionTimestamp") and (name not in going or going[name].done()):
            going[name] = asyncio.create_task(_empty(storage, kind, name))


async def _empty(storage: Storage, kind: KindInfo, name: str) -> None:
    """Deletes everything in the namespace, waits for finalizers, then takes the namespace's own off."""
    pause = 0.01
    while True:
        namespace = storage.find(kind, name)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return
        if _sweep(storage, name) == 0:
            break
        await asyncio.sleep(pause)
        pause = min(0.5, pause * 2)
    namespace = storage.find(kind, name)
    if namespace is None:
        return
    changed = copy.deepcopy(namespace)
    kept = [item for item in (changed.get("spec") or {}).get("finalizers") or [] if item != _FINALIZER]
    changed.setdefault("spec", {})["finalizers"] = kept
    try:
        storage.update(kind, changed, subresource="finalize")
    except StatusError as error:
        if error.code not in (404, 409):
            log.warning("namespace %s: %s", name, error)


def _sweep(storage: Storage, namespace: str) -> int:
    """Deletes what is there; how many objects were found."""
    found = 0
    for kind in storage.kinds():
        if not kind.namespaced:
            continue
        for obj in storage.list(kind, namespace):
            found += 1
            if obj["metadata"].get("deletionTimestamp"):
                continue
            try:
                storage.delete(kind, obj["metadata"]["name"], namespace, propagation="Background")
            except StatusError as error:
                if error.code != 404:
                    log.warning("namespace %s: %s %s: %s", namespace, kind.kind, obj["metadata"]["name"], error)
    return found


def furnish(ca_pem: Callable[[], str]) -> Controller:
    """A seams.Controller that gives each namespace its ServiceAccount `default` and ConfigMap `kube-root-ca.crt`."""

    async def run(storage: Storage) -> None:
        namespaces = storage.kind("", "namespaces")
        accounts, configs = storage.kind("", "serviceaccounts"), storage.kind("", "configmaps")
        if namespaces is None or accounts is None or configs is None:
            return
        async for change in storage.watch(namespaces):
            meta = change.object["metadata"]
            if change.type == "DELETED" or meta.get("deletionTimestamp"):
                continue
            name = meta["name"]
            _ensure(storage, accounts, name, {"metadata": {"name": "default"}})
            config: Manifest = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ca_pem()}}
            _ensure(storage, configs, name, config)

    return run


def _ensure(storage: Storage, kind: KindInfo, namespace: str, body: Manifest) -> None:
    if storage.find(kind, body["metadata"]["name"], namespace) is not None:
        return
    try:
        storage.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **body}, namespace)
    except StatusError as error:
        if error.code not in (403, 404, 409):
            log.warning("namespace %s: %s", namespace, error)
