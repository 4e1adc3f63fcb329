"""`inhaul secrets explain`: one ExternalSecret, its keys, its next refresh, and why it is not Ready. Shows no value."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from controllers.api.base import parse
from controllers.api.core import SECRETS
from controllers.api.duration import format_duration
from controllers.api.external_secrets import CLUSTER_SECRET_STORES, EXTERNAL_SECRETS, SECRET_STORES, ExternalSecretSpec
from controllers.api.resource import Manifest
from controllers.api.timestamps import timestamp
from controllers.external_secrets.target.observed import target_key
from controllers.external_secrets.values.entries import StoreRef, store_refs
from controllers.external_secrets.values.errors import SpecError
from controllers.runtime.cli.command import (
    DIFFERENT,
    OK,
    CommandError,
    Session,
    cluster_flags,
    output_flag,
    serve,
    show,
    table,
)
from controllers.runtime.conditions import find as find_condition
from controllers.runtime.kube import Forbidden, KubeClient, NotFound

from .common import EXPECTED, views
from .explanation import Explanation, explain


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "explain", help="show where each key comes from, when it is refreshed next, and why it is not Ready"
    )
    parser.add_argument("name", help="of an ExternalSecret")
    cluster_flags(parser)
    output_flag(parser)
    parser.set_defaults(run=serve(_run, *EXPECTED))


async def _run(session: Session, given: argparse.Namespace) -> int:
    kube, namespace = session.kube, session.namespace
    try:
        manifest = await kube.get(EXTERNAL_SECRETS, given.name, namespace)
    except NotFound:
        raise CommandError(f"ExternalSecret {namespace}/{given.name} not found") from None
    stores = await live_stores(kube, manifest)
    secret, unseen = await _target(kube, manifest)
    try:
        found = explain(manifest, views(namespace, stores, stores.get), secret, now=datetime.now(UTC))
    except (CommandError, SpecError) as problem:
        raise CommandError(f"{problem}; {_ready_text(manifest)}") from None
    except ValueError as error:
        raise CommandError(f"ExternalSecret {namespace}/{given.name}: spec.refreshInterval: {error}") from None
    show(given, as_json(found, stores, unseen), lambda: as_text(found, stores, unseen))
    return OK if found.well else DIFFERENT


async def live_stores(kube: KubeClient, manifest: Manifest) -> dict[StoreRef, Manifest | None]:
    """The stores that an ExternalSecret names, None for one that does not exist."""
    out: dict[StoreRef, Manifest | None] = {}
    for ref in store_refs(parse(ExternalSecretSpec, manifest)):
        cluster = ref.kind == "ClusterSecretStore"
        resource = CLUSTER_SECRET_STORES if cluster else SECRET_STORES
        try:
            out[ref] = await kube.get(resource, ref.name, "" if cluster else manifest["metadata"]["namespace"])
        except NotFound:
            out[ref] = None
    return out


async def _target(kube: KubeClient, manifest: Manifest) -> tuple[Manifest | None, str]:
    """The target's metadata, and why it cannot be seen."""
    key = target_key(manifest)
    try:
        return await kube.get(SECRETS, key.name, key.namespace, metadata_only=True), ""
    except NotFound:
        return None, ""
    except Forbidden:
        return None, "no permission to read Secrets in this namespace: the origin of the target's keys is not shown"


def _ready_text(manifest: Manifest) -> str:
    ready = find_condition(manifest.get("status") or {}, "Ready") or {}
    return f"Ready={ready.get('status', 'Unknown')} {ready.get('reason', '')}: {ready.get('message', '')}".strip()


def _stores_json(stores: dict[StoreRef, Manifest | None]) -> list[dict[str, str]]:
    out = []
    for ref, manifest in stores.items():
        ready = find_condition((manifest or {}).get("status") or {}, "Ready") or {}
        state = str(ready.get("status") or "Unknown")
        aws = (((manifest or {}).get("spec") or {}).get("provider") or {}).get("aws") or {}
        where = f"{aws.get('service')} in {aws.get('region')}"
        name = f"{ref.kind} {ref.name}"
        out.append({"store": name, "reads": where, "ready": state, "message": str(ready.get("message") or "")})
    return out


def as_json(found: Explanation, stores: dict[StoreRef, Manifest | None], unseen: str) -> dict[str, Any]:
    return {
        "externalSecret": found.name,
        "ready": found.ready,
        "reason": found.reason,
        "message": found.message,
        "since": found.since,
        "cause": found.cause,
        "advice": found.advice,
        "target": {"secret": found.target, "state": unseen or found.target_state, "policies": found.policies},
        "stores": _stores_json(stores),
        "refresh": {
            "last": _time(found.last),
            "due": found.due.now,
            "why": found.due.reason,
            "next": _time(found.next),
        },
        "keys": [
            {
                "entry": key.entry,
                "what": key.what,
                "from": key.source,
                "asked": key.asked,
                "property": key.prop,
                "version": key.version_asked,
                "optional": key.optional,
                "made": [dict(each) for each in key.made],
            }
            for key in found.keys
        ],
    }


def as_text(found: Explanation, stores: dict[StoreRef, Manifest | None], unseen: str) -> str:
    since = f" since {found.since}" if found.since else ""
    lines = [f"ExternalSecret {found.name}: Ready={found.ready} {found.reason}{since}"]
    if not found.well:
        lines.append(f"  {found.message}")
        lines += [f"  {found.advice}"] if found.advice else []
    lines.append(f"target   Secret {found.target} ({found.policies}): {unseen or found.target_state}")
    for store in _stores_json(stores):
        detail = "" if store["ready"] == "True" else f": {store['message']}"
        lines.append(f"store    {store['store']} ({store['reads']}): Ready={store['ready']}{detail}")
    lines.append(f"refresh  last {_time(found.last) or 'never'}; {_next_text(found)}")
    head = ["KEY", "FROM", "PROPERTY", "ARN", "VERSION"]
    rows = [head]
    for key in found.keys:
        asked = f"{key.source.rpartition(' ')[2]}: {key.asked}" + (
            f" ({key.version_asked})" if key.version_asked else ""
        )
        name = key.entry + (" (optional)" if key.optional else "")
        if not key.made:
            rows.append([name, asked, key.prop, "not read yet" if not unseen else "not shown", ""])
        for each in key.made:
            shown = name if key.what == "key" else f"{each['key']} (of {name})"
            version = " ".join(str(each[part]) for part in ("version", "stage") if each.get(part))
            rows.append([shown, asked, key.prop, str(each.get("arn") or each.get("generator") or ""), version])
    return "\n".join([*lines, "", table(rows)])


def _next_text(found: Explanation) -> str:
    if found.due.now:
        return f"due now: {found.due.reason}"
    if found.next is None or found.due.wait is None:
        return f"not refreshed periodically: {found.due.reason}"
    return f"next {_time(found.next)}, in {format_duration(round(found.due.wait))} ({found.due.reason})"


def _time(moment: datetime | None) -> str:
    return timestamp(moment) if moment is not None else ""
