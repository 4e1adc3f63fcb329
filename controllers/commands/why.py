"""`inhaul trace` and `inhaul why`: where an object comes from, and why it is not well."""

from __future__ import annotations

import argparse
from typing import Any

from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Key, Manifest
from controllers.kustomization.health.cause import NEXT, Cause, Why, one_line
from controllers.kustomization.health.kstatus import State
from controllers.kustomization.objects import inventory
from controllers.kustomization.objects.labels import describe
from controllers.kustomization.objects.references import dependencies_of
from controllers.runtime.cli.command import DIFFERENT, OK, Commands, Session, cluster_flags, output_flag, serve, show
from controllers.runtime.cli.objects import age, need, parse_name
from controllers.runtime.conditions import find
from controllers.runtime.kube import NotFound

from . import owners
from .holds import holds, is_drifted

_DEEPEST = 10


def add(commands: Commands) -> None:
    for name, work in (("trace", _trace), ("why", _why)):
        parser = commands.add_parser(name)
        parser.add_argument("object", metavar="KIND/NAME", help="or KIND/NAMESPACE/NAME")
        output_flag(parser)
        cluster_flags(parser)
        parser.set_defaults(run=serve(work))


async def _trace(session: Session, given: argparse.Namespace) -> int:
    _, manifest = await need(session.kube, parse_name(given.object, session.namespace))
    found = await owners.trace(session.kube, manifest)
    owner, commit = found.kustomization, found.commit if found.kustomization else {}
    value: dict[str, Any] = {
        "object": describe(manifest), "owners": [describe(each) for each in found.chain[1:]],
        "kustomization": describe(owner) if owner else None,
        "inInventory": found.in_inventory if owner else False, "applied": found.revision,
        "commit": commit, "source": describe(found.source) if found.source else None,
    }  # fmt: skip
    show(given, value, lambda: "\n".join(_trace_lines(value)))
    return OK if owner else DIFFERENT


def _trace_lines(value: dict[str, Any]) -> list[str]:
    lines = [f"object         {value['object']}", *(f"owned by       {each}" for each in value["owners"])]
    if not value["kustomization"]:
        return [*lines, "kustomization  none: neither the object nor its owners carry the labels of a Kustomization"]
    note = "" if value["inInventory"] else " (labelled, but not in its inventory)"
    lines += [f"kustomization  {value['kustomization']}{note}", f"applied        {value['applied'] or '-'}"]
    lines += [f"{name:<14} {text}" for name, text in value["commit"].items()]
    return [*lines, f"source         {value['source'] or 'not found'}"]


async def _why(session: Session, given: argparse.Namespace) -> int:
    _, manifest = await need(session.kube, parse_name(given.object, session.namespace))
    path, cause = await _root(session, manifest, [describe(manifest)])
    found = await owners.trace(session.kube, manifest)
    owner = manifest if manifest["kind"] == "Kustomization" else found.kustomization
    if manifest["kind"] == "Kustomization":
        found = owners.Trace((manifest,), manifest, await owners.source(session.kube, manifest))
    held = list(dict.fromkeys([*holds(manifest), *(holds(owner) if owner else [])]))
    drifted = owner is not None and is_drifted(owner, manifest)
    value: dict[str, Any] = {
        "object": describe(manifest), "well": cause is None, "cause": cause.text if cause else "",
        "kind": str(cause.kind) if cause else "", "told_by": cause.subject if cause else "",
        "path": path, "since": cause.since if cause else "", "kustomization": describe(owner) if owner else None,
        "commit": found.commit if owner else {}, "held": held, "drifted": drifted,
        "next": _next(cause, manifest, owner if drifted else None),
    }  # fmt: skip
    show(given, value, lambda: "\n".join(_why_lines(value)))
    return DIFFERENT if cause else OK


def _next(cause: Cause | None, manifest: Manifest, holder: Manifest | None) -> str:
    """`holder`: the Kustomization that holds fields for whoever changed them."""
    if (manifest.get("spec") or {}).get("suspend") is True and manifest["kind"] == "Kustomization":
        return f"it is suspended: inhaul resume {describe(manifest)}"
    if cause is None and holder is not None:
        meta = holder["metadata"]
        return f"commit the change to Git, or revert it: inhaul drift release {meta['name']} -n {meta['namespace']}"
    return cause.next_step if cause else ""


def _why_lines(value: dict[str, Any]) -> list[str]:
    if value["well"]:
        wrong = "differs from Git: a manual change is retained" if value["drifted"] else "nothing is wrong"
        lines = [f"{value['object']}: {wrong}"]
    else:
        by = f" [{value['told_by']}]" if value["told_by"] != value["object"] else ""
        lines = [f"{value['object']}: {value['cause']}{by}"]
        if value["since"]:
            lines.append(f"  since   {value['since']} ({age(value['since'])})")
    if len(value["path"]) > 1:
        lines.append(f"  path    {' -> '.join(value['path'])}")
    if commit := value["commit"]:
        by = f" by {commit['author']}" if commit.get("author") else ""
        subject = f": {commit['subject']}" if commit.get("subject") else ""
        lines.append(f"  commit  {commit.get('revision', '?')}{by}{subject} ({value['kustomization']})")
    lines += [f"  held    {each}" for each in value["held"]]
    return [*lines, *([f"  next    {value['next']}"] if value["next"] else [])]


async def _root(session: Session, manifest: Manifest, path: list[str]) -> tuple[list[str], Cause | None]:
    """Follows a Kustomization to its dependency, source or unhealthy object, which tells the cause."""
    if manifest["kind"] != "Kustomization" or len(path) > _DEEPEST:
        return path, await owners.cause_of(session.kube, manifest)
    ready = find(manifest.get("status"), "Ready") or {}
    if ready.get("status") == "True":
        return path, None
    below = await _below(session, manifest, str(ready.get("reason") or ""), path)
    if below is not None:
        deeper, cause = await _root(session, below, [*path, describe(below)])
        if cause is not None:
            return deeper, cause
    text = f"{ready.get('reason') or 'not reconciled yet'}: {ready.get('message') or 'no status'}"
    kind = Why.DENIED if "is forbidden" in text or ready.get("reason") == "AccessDenied" else Why.CONDITION
    since = str(ready.get("lastTransitionTime") or "")
    return path, Cause(kind, one_line(text), describe(manifest), since) if kind in NEXT else None


async def _below(session: Session, manifest: Manifest, reason: str, path: list[str]) -> Manifest | None:
    """The object that a Kustomization's own condition is about."""
    if reason == "DependencyNotReady":
        for key in dependencies_of(manifest):
            found = await _ks(session, key)
            state = (find((found or {}).get("status"), "Ready") or {}).get("status")
            if found is not None and state != "True" and describe(found) not in path:
                return found
    if reason == "ArtifactFailed":
        return await owners.source(session.kube, manifest)
    if reason in ("HealthCheckFailed", "Progressing"):
        entries = inventory.read(manifest.get("status"))
        observed = await owners.health(session.kube, entries)
        rank = {State.FAILED: 0, State.IN_PROGRESS: 1}
        bad = [(rank[one.status.state], index) for index, one in enumerate(observed) if one.status.state in rank]
        if bad:
            entry = entries[min(bad)[1]]
            resource = await session.kube.resource_for(entry.api_version, entry.kind)
            return await session.kube.get(resource, entry.name, entry.namespace)
    return None


async def _ks(session: Session, key: Key) -> Manifest | None:
    try:
        return await session.kube.get(KUSTOMIZATIONS, key.name, key.namespace)
    except NotFound:
        return None
