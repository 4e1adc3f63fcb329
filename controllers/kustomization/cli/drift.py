"""`inhaul drift list|show|release`: fields that humans edited and that are held for them (docs/drift.md)."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime

from controllers.api.kustomize import KUSTOMIZATIONS
from controllers.api.meta import annotations_of
from controllers.api.resource import Manifest
from controllers.kustomization.drift.annotations import (
    IN_SYNC,
    RELEASE,
    InvalidAnnotationError,
    Release,
    RetainedField,
    read_held,
    read_releases,
    write_releases,
)
from controllers.kustomization.objects.labels import describe
from controllers.runtime.cli.command import (
    DIFFERENT,
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
from controllers.runtime.cli.objects import MANAGER, age, kustomization
from controllers.runtime.conditions import find
from controllers.runtime.store import REQUESTED_AT


def add(commands: Commands) -> None:
    drift = commands.add_parser("drift")
    actions = drift.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, text, work in (
        ("list", "list Kustomizations with retained drift; exit code 1 if there are any", _list),
        ("show", "show the retained fields of a Kustomization; exit code 1 if there are any", _show),
        ("release", "release retained fields: apply Git's values again", _release),
    ):
        parser = actions.add_parser(name, help=text)
        if name != "list":
            parser.add_argument("kustomization", help="NAME or NAMESPACE/NAME")
        if name == "release":
            parser.add_argument("--object", default="", metavar="KIND/NAMESPACE/NAME", help="only of this object")
            parser.add_argument("--path", default="", help="only this field, a JSON pointer (and what is below it)")
        output_flag(parser)
        cluster_flags(parser)
        parser.set_defaults(run=serve(work))


def _held(manifest: Manifest) -> list[RetainedField]:
    try:
        return read_held(annotations_of(manifest))
    except InvalidAnnotationError as error:
        raise CommandError(f"{describe(manifest)}: {error}") from None


async def _list(session: Session, given: argparse.Namespace) -> int:
    rows = []
    for manifest in (await session.kube.list(KUSTOMIZATIONS, given.namespace)).items:
        condition = find(manifest.get("status"), IN_SYNC) or {}
        held = _held(manifest)
        if held or condition.get("status") == "False":
            meta = manifest["metadata"]
            rows.append({"namespace": meta["namespace"], "name": meta["name"], "held": len(held),
                         "since": str(condition.get("lastTransitionTime") or min((e.since for e in held), default="")),
                         "message": str(condition.get("message") or "")})  # fmt: skip
    head = ("NAMESPACE", "NAME", "HELD", "SINCE", "MESSAGE")
    cells = [(each["namespace"], each["name"], str(each["held"]), age(each["since"]), each["message"]) for each in rows]
    show(given, rows, lambda: table([head, *cells]) if cells else "no drift")
    return DIFFERENT if rows else OK


async def _show(session: Session, given: argparse.Namespace) -> int:
    held = _held(await kustomization(session, given.kustomization))
    head = ("OBJECT", "FIELD", "GIT", "LIVE", "BY", "SINCE")
    cells = [(each.subject, each.path, each.wanted, each.live,
              ", ".join(part for part in (each.manager, each.operation, each.time) if part), age(each.since))
             for each in held]  # fmt: skip
    value = [{**asdict(each), "subject": each.subject} for each in held]
    show(given, value, lambda: table([head, *cells]) if cells else "no fields are retained")
    return DIFFERENT if held else OK


async def _release(session: Session, given: argparse.Namespace) -> int:
    manifest = await kustomization(session, given.kustomization)
    held, marks = _held(manifest), annotations_of(manifest)
    chosen = [each for each in held if given.object in ("", each.subject)]
    asked = {Release(each.object, given.path) for each in chosen} if given.object else {Release("*", given.path)}
    freed = [each for each in chosen if any(one.covers(each) for one in asked)]
    if not freed:
        raise CommandError(f"{describe(manifest)}: no retained field matches; see inhaul drift show")
    try:
        before = read_releases(marks)
    except InvalidAnnotationError:
        before = []  # an unreadable request asks for nothing; ours replaces it
    meta = manifest["metadata"]
    annotations = {RELEASE: write_releases([*before, *asked]), REQUESTED_AT: datetime.now(UTC).isoformat()}
    body = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "annotations": annotations}}
    await session.kube.patch(KUSTOMIZATIONS, meta["name"], meta["namespace"], body=body, field_manager=MANAGER)
    lines = [f"{each.subject} {each.path} goes back to {each.wanted}" for each in freed]
    show(given, [asdict(each) for each in freed], lambda: "\n".join(lines))
    return OK
