"""Server-side apply as a write: what an applied configuration may be, and what becomes of the merged object.

The merge and its owners are `ssa/`; the rules of every write, which the merged object goes through, are `rest.py`.
"""

from __future__ import annotations

from typing import Any

from controllers.api.resource import Manifest

from ..schema.prune import drop_nulls, prune
from ..ssa import managed
from ..ssa.typed import InvalidListError, misfit
from ..status_errors import StatusError, bad_request, conflict, failed
from ..storage import copied
from . import convert
from .differences import last_applied
from .rest import Rest
from .target import Options, RequestTarget, check_name


def apply(rest: Rest, target: RequestTarget, body: Any, options: Options) -> tuple[Manifest, bool]:
    """Server-side apply; whether it created. Raises 400, 403, 404, 409 (conflicts), 422."""
    if isinstance(body, dict) and isinstance(body.get("metadata"), dict):
        if body["metadata"].get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        check_name(target, body)
    if not isinstance(body, dict) or not body.get("apiVersion") or not body.get("kind"):
        raise bad_request("the applied configuration must have apiVersion and kind")
    _all_declared(target, body)
    uid = (body.get("metadata") or {}).get("uid")
    config = rest.incoming(target, body, options, applied=True)
    item = rest.memory.get(target.type.table, target.key)
    if item is None:
        if target.subresource:
            raise target.missing()
        if uid:
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(target.type.group, target.type.plural, target.name, why)
        config["metadata"].pop("resourceVersion", None)
        if options.may_create:
            options.may_create()
    live = rest.typed(target, item.object) if item else None
    applied = _merge(rest, target, live, rest.typed(target, config), body, options)
    obj = copied(applied.object)
    if not target.served.info.custom:
        drop_nulls(target.served.schema, obj)
    if target.type.shares:
        obj = convert.to_core_v1(obj)
    obj["apiVersion"] = rest.storage_version(target)
    if item is None:
        return rest.show(target, rest.insert(target, obj, options, applied.managed_fields)), True
    head = obj["metadata"]
    head["resourceVersion"] = config["metadata"].get("resourceVersion")
    head["uid"] = config["metadata"].get("uid") or item.object["metadata"]["uid"]
    return rest.show(target, rest.commit(target, item, obj, options, applied.managed_fields)), False


def _all_declared(target: RequestTarget, body: Manifest) -> None:
    """An applied configuration may not hold fields that the schema lacks: nobody could own them."""
    for path in prune(target.served.schema, copied(body)):
        raise _untyped(target, body, f".{path}: field not declared in schema")
    if problem := misfit(target.served.schema, body):
        raise _untyped(target, body, problem)


def _untyped(target: RequestTarget, body: Manifest, problem: str) -> StatusError:
    head = body["metadata"] if isinstance(body.get("metadata"), dict) else {}
    about = f"{head.get('namespace') or ''}/{target.name}; {target.type.group}/{target.served.info.version}"
    return failed(f"failed to create typed patch object ({about}, Kind={target.served.info.kind}): {problem}")


def _merge(
    rest: Rest, target: RequestTarget, live: Manifest | None, config: Manifest, given: Manifest, options: Options
) -> managed.Applied:
    schema, by = target.served.schema, rest.by(target, options)
    try:
        try:
            return managed.apply(schema, live, config, by, force=options.force)
        except managed.ConflictsError as conflicts:
            if options.manager == "kubectl" and conflicts.fields <= last_applied(target, live):
                return managed.apply(schema, live, config, by, force=True)
            raise conflicts.status(target.type.group, target.type.plural, target.name) from None
    except InvalidListError as problem:
        raise _untyped(target, given, str(problem)) from None
