"""`inhaul reconcile`, `suspend`, `resume`: upstream's own switches, so `flux` and `inhaul` may be mixed freely.

`suspend` keeps who, why and until when in annotations; nothing resumes by itself at that time, `get` and `why` show it.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
from datetime import UTC, datetime, timedelta
from typing import Any

from controllers.api.duration import parse_duration
from controllers.api.resource import Manifest, Resource
from controllers.api.timestamps import parse_timestamp, timestamp
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
)
from controllers.runtime.cli.objects import MANAGER, need, parse_name
from controllers.runtime.conditions import find
from controllers.runtime.kube import ApiError
from controllers.runtime.store import REQUESTED_AT

from . import owners
from .holds import OWNER, REASON, UNTIL

_SWITCHED = ".toolkit.fluxcd.io"
_LOOK = 0.2
"""Seconds between two looks while waiting."""


def add(commands: Commands) -> None:
    reconcile = _parser(commands, "reconcile", _reconcile)
    reconcile.add_argument("--with-source", action="store_true", help="reconcile the source of the Kustomization first")
    reconcile.add_argument("--no-wait", action="store_true", help="return without waiting")
    reconcile.add_argument("--timeout", type=float, default=300.0, help="how long to wait, in seconds (default 300)")
    suspend = _parser(commands, "suspend", _suspend)
    suspend.add_argument("--reason", default="", help="the reason, shown by inhaul get and why")
    suspend.add_argument("--owner", default="", help="who suspends it (default: your user name at the API server)")
    suspend.add_argument(
        "--until",
        default="",
        help="when to review it: an RFC 3339 time or a duration such as 2h; not resumed automatically",
    )
    _parser(commands, "resume", _resume)


def _parser(commands: Commands, name: str, work: Any) -> argparse.ArgumentParser:
    parser = commands.add_parser(name)
    parser.add_argument("object", metavar="KIND/NAME", help="or KIND/NAMESPACE/NAME")
    output_flag(parser)
    cluster_flags(parser)
    parser.set_defaults(run=serve(work))
    return parser


async def _switched(session: Session, name: str) -> tuple[Resource, Manifest]:
    """An object whose kind has these switches. Raises CommandError for another: a patch would do nothing, or harm."""
    resource, manifest = await need(session.kube, parse_name(name, session.namespace))
    if not resource.group.endswith(_SWITCHED):
        raise CommandError(f"{describe(manifest)}: found {resource.api_version}, expected a kind of *{_SWITCHED}")
    return resource, manifest


async def _annotate(
    session: Session, resource: Resource, manifest: Manifest, marks: dict[str, str | None], **spec: Any
) -> Manifest:
    """A merge patch of exactly this object: the uid stands in it."""
    meta = manifest["metadata"]
    body: dict[str, Any] = {"metadata": {"uid": meta["uid"], "annotations": marks}}
    if spec:
        body["spec"] = spec
    place = meta.get("namespace") or ""
    return await session.kube.patch(resource, meta["name"], place, body=body, field_manager=MANAGER)


async def request(session: Session, resource: Resource, manifest: Manifest) -> str:
    """Sets `requestedAt`; its value."""
    stamp = datetime.now(UTC).isoformat()
    await _annotate(session, resource, manifest, {REQUESTED_AT: stamp})
    return stamp


async def _reconcile(session: Session, given: argparse.Namespace) -> int:
    resource, manifest = await _switched(session, given.object)
    if (manifest.get("spec") or {}).get("suspend") is True:
        raise CommandError(f"{describe(manifest)} is suspended; resume it first")
    if given.with_source and (source := await owners.source(session.kube, manifest)) is not None:
        kind = await session.kube.resource_for(source["apiVersion"], source["kind"])
        stamp = await request(session, kind, source)
        if not given.no_wait:
            await _handled(session, kind, source, stamp, given.timeout)
    stamp = await request(session, resource, manifest)
    if given.no_wait:
        show(given, {"object": describe(manifest), "requestedAt": stamp}, lambda: f"{describe(manifest)} asked")
        return OK
    done = await _handled(session, resource, manifest, stamp, given.timeout)
    ready = find(done.get("status"), "Ready") or {}
    value = {"object": describe(manifest), "requestedAt": stamp, "ready": ready.get("status"),
             "message": ready.get("message")}  # fmt: skip
    show(given, value, lambda: f"{describe(manifest)} {ready.get('reason')}: {ready.get('message')}")
    return OK if ready.get("status") == "True" else DIFFERENT


async def _handled(session: Session, resource: Resource, manifest: Manifest, stamp: str, timeout: float) -> Manifest:
    """The object once its controller answered the request. Raises CommandError after `timeout` seconds."""
    meta = manifest["metadata"]
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while loop.time() < deadline:
        now = await session.kube.get(resource, meta["name"], meta.get("namespace") or "")
        ready = find(now.get("status"), "Ready") or {}
        if (now.get("status") or {}).get("lastHandledReconcileAt") == stamp and ready.get("status") != "Unknown":
            return now
        await asyncio.sleep(_LOOK)
    raise CommandError(f"{describe(manifest)}: not reconciled within {timeout:g} s; is its controller running?")


async def _suspend(session: Session, given: argparse.Namespace) -> int:
    resource, manifest = await _switched(session, given.object)
    marks: dict[str, str | None] = {
        REASON: given.reason or None, OWNER: given.owner or await _me(session), UNTIL: until(given.until) or None,
    }  # fmt: skip
    await _annotate(session, resource, manifest, marks, suspend=True)
    value = {"object": describe(manifest), "suspended": True, "reason": given.reason, "owner": marks[OWNER],
             "until": marks[UNTIL]}  # fmt: skip
    show(given, value, lambda: f"{describe(manifest)} suspended by {marks[OWNER]}")
    return OK


def until(text: str, now: datetime | None = None) -> str:
    """RFC 3339 of a time or of a duration from now. Raises CommandError."""
    if not text:
        return ""
    try:
        return timestamp((now or datetime.now(UTC)) + timedelta(seconds=parse_duration(text)))
    except ValueError:
        pass
    try:
        return timestamp(parse_timestamp(text))
    except ValueError:
        raise CommandError(f"--until {text!r}: expected an RFC 3339 time or a duration such as 2h") from None


async def _me(session: Session) -> str:
    """Who the API server says we are; the login name where it does not say."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await session.kube.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
    except ApiError:
        return getpass.getuser()
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or getpass.getuser())


async def _resume(session: Session, given: argparse.Namespace) -> int:
    resource, manifest = await _switched(session, given.object)
    marks: dict[str, str | None] = {REASON: None, OWNER: None, UNTIL: None}
    await _annotate(session, resource, manifest, marks, suspend=False)
    show(given, {"object": describe(manifest), "suspended": False}, lambda: f"{describe(manifest)} resumed")
    return OK
