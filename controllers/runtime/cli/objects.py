"""What these commands share beside `runtime.cli.command`: names of objects, and how long ago something was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Key, Manifest, Resource
from controllers.api.timestamps import timestamp_or_none
from controllers.runtime.cli.command import CommandError, Session
from controllers.runtime.kube import ApiError, KubeClient, NotFound

MANAGER = "inhaul-cli"
"""Field manager of what the CLI writes."""


def age(since: str, now: datetime | None = None) -> str:
    """`3m12s`, `2h5m`, `4d1h` since an RFC 3339 time; "" where it is none."""
    then = timestamp_or_none(since)
    if then is None:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - then).total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return "".join(f"{number}{unit}" for number, unit in parts[:2] if number or len(parts) == 1)


# Names of objects

_PREFERRED = ("", "apps", "batch", "kustomize.toolkit.fluxcd.io", "source.toolkit.fluxcd.io")
_ALIASES = {"ks": "kustomizations.kustomize.toolkit.fluxcd.io", "kustomization": KUSTOMIZATIONS.plural}


@dataclass(frozen=True, slots=True)
class Name:
    """An object as it is named on the command line."""

    kind: str
    key: Key


def parse_name(text: str, namespace: str, *, kind: str = "") -> Name:
    """`Kind/name`, `Kind/namespace/name`, or with `kind` a plain `name`. Raises CommandError."""
    parts = text.split("/")
    if kind and len(parts) == 1:
        parts = [kind, *parts]
    if len(parts) not in (2, 3) or not all(parts):
        raise CommandError(f"{text!r}: expected KIND/NAME or KIND/NAMESPACE/NAME")
    return Name(parts[0], Key(parts[1] if len(parts) == 3 else namespace, parts[-1]))


async def resource_of(kube: KubeClient, kind: str) -> Resource:
    """The type that a kind, plural, singular or short name (with or without `.group`) names, as kubectl does."""
    wanted = _ALIASES.get(kind.lower(), kind).lower()
    groups = await kube.request("GET", "/apis")
    versions = [("", "v1")]
    for group in groups.get("groups") or ():
        name = str(group["name"])
        versions.append((name, str((group.get("preferredVersion") or {}).get("version") or "")))
    versions.sort(key=lambda each: _PREFERRED.index(each[0]) if each[0] in _PREFERRED else len(_PREFERRED))
    for group, version in versions:
        prefix = wanted.removesuffix(f".{group}") if group else wanted
        if "." in prefix:
            continue
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            served = (await kube.request("GET", path)).get("resources") or ()
        except ApiError:
            continue  # an aggregated API that is down does not stop the others
        for each in served:
            if "/" not in each["name"] and prefix in _names(each):
                return Resource(group, version, each["name"], each["kind"], each.get("namespaced", True))
    raise CommandError(f"{kind}: the cluster does not serve this kind")


def _names(served: Manifest) -> set[str]:
    names = [served["name"], served["kind"], served.get("singularName") or "", *(served.get("shortNames") or ())]
    return {str(name).lower() for name in names if name}


async def find(kube: KubeClient, name: Name) -> tuple[Resource, Manifest | None]:
    """The object, None where there is none."""
    resource = await resource_of(kube, name.kind)
    try:
        return resource, await kube.get(resource, name.key.name, name.key.namespace if resource.namespaced else "")
    except NotFound:
        return resource, None


async def need(kube: KubeClient, name: Name) -> tuple[Resource, Manifest]:
    """The object. Raises CommandError where there is none."""
    resource, manifest = await find(kube, name)
    if manifest is None:
        raise CommandError(f"{resource.kind} {name.key} not found")
    return resource, manifest


async def kustomization(session: Session, text: str) -> Manifest:
    """A Kustomization by `name`, `namespace/name` or `Kustomization/…`."""
    parts = text.split("/")
    key = Key(parts[-2] if len(parts) > 1 and parts[-2].lower() not in _KS else session.namespace, parts[-1])
    try:
        return await session.kube.get(KUSTOMIZATIONS, key.name, key.namespace)
    except NotFound:
        raise CommandError(f"Kustomization {key} not found") from None


_KS = ("ks", "kustomization", "kustomizations")
