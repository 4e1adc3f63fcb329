"""`inhaul get` and `inhaul tree`: what is failing, worst first; and what hangs on a Kustomization."""

from __future__ import annotations

import argparse
from typing import Any

from controllers.api.bitnami import SEALED_SECRETS
from controllers.api.external_secrets import EXTERNAL_SECRETS
from controllers.api.image import IMAGE_POLICIES, IMAGE_REPOSITORIES, IMAGE_UPDATE_AUTOMATIONS
from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.resource import Manifest
from controllers.api.source import GIT_REPOSITORIES
from controllers.kustomization.health.cause import one_line
from controllers.kustomization.health.kstatus import State
from controllers.kustomization.objects import inventory
from controllers.kustomization.objects.labels import describe
from controllers.runtime.cli.command import (
    OK,
    CommandError,
    Commands,
    Session,
    cluster_flags,
    output_flag,
    serve,
    show,
    table,
)
from controllers.runtime.cli.objects import age, kustomization
from controllers.runtime.conditions import find
from controllers.runtime.kube import NotFound
from controllers.sources.source import artifact_of

from . import owners
from .holds import holds

KINDS = (KUSTOMIZATIONS, GIT_REPOSITORIES, IMAGE_REPOSITORIES, IMAGE_POLICIES, IMAGE_UPDATE_AUTOMATIONS,
         EXTERNAL_SECRETS, SEALED_SECRETS)  # fmt: skip
_GROUPS = {"all": KINDS, "ks": KINDS[:1], "sources": KINDS[1:2], "images": KINDS[2:5], "secrets": KINDS[5:]}


def add(commands: Commands) -> None:
    parser = commands.add_parser("get")
    parser.add_argument("kinds", nargs="*", help="kinds, or ks, sources, images, secrets, all (default: ks sources)")
    output_flag(parser)
    cluster_flags(parser)
    parser.set_defaults(run=serve(_get))
    parser = commands.add_parser("tree")
    parser.add_argument("kustomization")
    output_flag(parser)
    cluster_flags(parser)
    parser.set_defaults(run=serve(_tree))


def row(manifest: Manifest, kind: str) -> dict[str, Any]:
    """What `get` tells of one object."""
    status = manifest.get("status") or {}
    ready = find(status, "Ready") or find(status, "Synced") or {}
    meta = manifest["metadata"]
    revision = status.get("lastAppliedRevision") or artifact_of(manifest).get("revision") or ""
    return {
        "kind": kind, "namespace": meta.get("namespace") or "", "name": meta["name"],
        "ready": str(ready.get("status") or "Unknown"), "reason": str(ready.get("reason") or ""),
        "since": str(ready.get("lastTransitionTime") or ""), "revision": str(revision),
        "held": holds(manifest), "message": one_line(str(ready.get("message") or "")),
    }  # fmt: skip


def worst_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """False, Unknown, held, True; the longest-standing first among equals."""
    rank = {"False": 0, "Unknown": 1, "True": 3}
    return sorted(rows, key=lambda each: (min(rank.get(each["ready"], 1), 2 if each["held"] else 3), each["since"],
                                          each["kind"], each["namespace"], each["name"]))  # fmt: skip


async def _get(session: Session, given: argparse.Namespace) -> int:
    names = {kind.plural: (kind,) for kind in KINDS} | {kind.kind.lower(): (kind,) for kind in KINDS} | _GROUPS
    rows = []
    for word in given.kinds or ("ks", "sources"):
        if word.lower() not in names:
            raise CommandError(f"{word}: expected one or more of {', '.join(sorted(names))}")
        for kind in names[word.lower()]:
            try:
                found = await session.kube.list(kind, given.namespace)
            except NotFound:
                continue  # this kind is not installed
            rows += [row(each, kind.kind) for each in found.items]
    rows = worst_first(rows)
    head = ("NAMESPACE", "OBJECT", "READY", "REASON", "SINCE", "REVISION", "HELD", "MESSAGE")
    cells = [(each["namespace"], f"{each['kind']}/{each['name']}", each["ready"], each["reason"], age(each["since"]),
              each["revision"][:40], "; ".join(each["held"])[:60] or "-", each["message"][:120])
             for each in rows]  # fmt: skip
    show(given, rows, lambda: table([head, *cells]) if cells else "nothing found")
    return OK


async def _tree(session: Session, given: argparse.Namespace) -> int:
    manifest = await kustomization(session, given.kustomization)
    value = await _branch(session, manifest, set())
    source = await owners.source(session.kube, manifest)
    value["source"] = row(source, str(source["kind"])) if source else None
    told = value["source"]
    head = [f"{told['kind']}/{told['namespace']}/{told['name']} {told['revision']}"] if told else ["source not found"]
    show(given, value, lambda: "\n".join([*head, *_lines(value, 1)]))
    return OK


async def _branch(session: Session, manifest: Manifest, seen: set[str]) -> dict[str, Any]:
    name = describe({"kind": "Kustomization", **manifest})
    seen.add(name)
    entries = inventory.read(manifest.get("status"))
    observed = await owners.health(session.kube, entries)
    children: list[dict[str, Any]] = []
    for entry, one in zip(entries, observed, strict=True):
        if entry.kind == "Kustomization" and one.subject not in seen and one.status.state is not State.NOT_FOUND:
            below = await session.kube.get(KUSTOMIZATIONS, entry.name, entry.namespace)
            children.append(await _branch(session, below, seen))
            continue
        message = "" if one.status.state is State.CURRENT else one_line(one.status.message)
        children.append({"object": one.subject, "health": str(one.status.state), "message": message})
    told = row(manifest, "Kustomization")
    return {"object": name, "health": told["reason"] or told["ready"], "message": "", "children": children,
            "revision": told["revision"], "held": told["held"]}  # fmt: skip


def _lines(value: dict[str, Any], depth: int) -> list[str]:
    message = f": {value['message']}" if value["message"] else ""
    line = f"{'  ' * depth}{value['object']} {value['health']}{message}"
    held = [f"{'  ' * depth}  held: {each}" for each in value.get("held") or ()]
    return [line, *held, *(text for each in value.get("children") or () for text in _lines(each, depth + 1))]
