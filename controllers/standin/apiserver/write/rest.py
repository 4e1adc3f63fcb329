"""The rules of writing: what happens between a request's body and a stored object.

Every write goes one way: shape → unknown fields → what the server keeps → defaults → admission → validation →
generation → managedFields → store, or stop before the last step for a dry run. A write that changes nothing is not
stored, so it wakes no watch. All of it is synchronous: read, check and write are one step of the event loop.

Objects in `MemoryStorage` are in the type's storage version and are never changed in place; what a method returns is
in the version that was asked for.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

from controllers.api.resource import Manifest

from ..schema.cel import rule_causes
from ..schema.decode import decode_error
from ..schema.prune import apply_defaults, drop_empty, drop_forbidden_nulls, drop_nulls, null_empty, prune
from ..schema.validate import validate
from ..seams import Admission, KindInfo, Plugins
from ..ssa import managed
from ..status_errors import (
    Cause,
    StatusError,
    already_exists,
    bad_request,
    conflict,
    failed,
    forbidden,
    invalid,
    invalid_value,
    modified,
    not_found,
)
from ..storage import Item, MemoryStorage, copied
from ..types.builtin import TRAITS
from ..types.registry import Registry
from . import convert, meta, strategies
from .differences import keep, set_generation, unchanged
from .finalizers import removable
from .patch import json_patch, merge_patch
from .strategic import strategic_merge
from .target import NAMESPACES, Options, RequestTarget, check_name

TERMINATING = "because it is being terminated"


DeleteHook = Callable[[RequestTarget, Item], Manifest | None]


class Rest:
    """The rules, over one Memory and one Registry."""

    def __init__(
        self, memory: MemoryStorage, registry: Registry, plugins: Plugins, *, clock: Callable[[], datetime.datetime]
    ) -> None:
        self.memory = memory
        self.registry = registry
        self.plugins = plugins
        self.clock = clock
        self.prepare, self.check = strategies.tables()
        self.delete_hooks: dict[tuple[str, str], DeleteHook] = {}
        self.storage: Any = None
        """seams.Storage, for admission hooks."""

    # --- reading ---

    def item(self, target: RequestTarget) -> Item:
        """The stored object. Raises 404."""
        found = self.memory.get(target.type.table, target.key)
        if found is None:
            raise target.missing()
        return found

    def show(self, target: RequestTarget, obj: Manifest) -> Manifest:
        """A stored object in the version asked for."""
        if target.type.shares:
            return convert.to_events_v1(obj)
        version = target.served.info.api_version
        return obj if obj["apiVersion"] == version else {**obj, "apiVersion": version}

    # --- create ---

    def create(self, target: RequestTarget, body: Any, options: Options) -> Manifest:
        """Stores a new object. Raises 400, 403, 404 (namespace), 409, 422."""
        obj = self.incoming(target, body, options)
        return self.show(target, self.insert(target, obj, options, None))

    def insert(
        self, target: RequestTarget, obj: Manifest, options: Options, managers: list[Manifest] | None
    ) -> Manifest:
        kind, head = target.served.info, obj["metadata"]
        if head.get("resourceVersion"):
            raise failed("resourceVersion should not be set on objects to be created")
        if not head.get("name") and head.get("generateName"):
            head["name"] = self._free_name(target, head["generateName"])
        target = RequestTarget(target.type, target.served, target.namespace, str(head.get("name") or ""))
        tracked = kind.custom or TRAITS[target.type.key].generation
        for name in (*meta.KEPT, "resourceVersion"):
            if name != "generation" or tracked:
                head.pop(name, None)
        head["uid"] = str(uuid.uuid4())
        head["creationTimestamp"] = meta.now_text(self.clock())
        if tracked:
            head["generation"] = 1
        if target.served.status and not target.type.shares:
            obj.pop("status", None)
            if "status" in target.served.schema.required and not kind.custom:
                obj["status"] = {}
        self._namespace_open(target)
        said = obj.get("spec") or {}
        obj = self._finish(target, obj, None, options)
        if (item := self.memory.get(target.type.table, target.key)) is not None:
            refused = already_exists(target.type.group, target.type.plural, target.name)
            if item.object["metadata"].get("deletionTimestamp"):
                refused.message = f"object is being deleted: {refused.message}"
            if head.get("generateName"):
                refused.message += ", the server was not able to generate a unique name for the object"
                refused.retry_after = 1
            raise refused
        if managers is None:
            new = strategies.as_said(target.type.table, self.typed(target, obj), said)
            managers = managed.update(target.served.schema, None, new, self.by(target, options))
        obj["metadata"]["managedFields"] = managers
        meta.tidy(obj["metadata"])
        null_empty(target.served.schema, obj)
        if options.dry_run:
            return obj
        return self.memory.put(target.type.table, target.key, obj).object

    def _free_name(self, target: RequestTarget, base: str) -> str:
        for _ in range(8):
            name = meta.generated_name(base)
            if self.memory.get(target.type.table, meta.key(target.namespace, name)) is None:
                return name
        raise already_exists(target.type.group, target.type.plural, base)

    def _namespace_open(self, target: RequestTarget) -> None:
        if not target.type.accepting:
            why = "create not allowed while custom resource definition is terminating"
            raise StatusError(405, "MethodNotAllowed", why, target.type.group, target.type.plural)
        if not target.namespace:
            return
        namespace = self.memory.get(NAMESPACES, target.namespace)
        if namespace is None:
            raise not_found("", "namespaces", target.namespace)
        if namespace.object["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {target.namespace} {TERMINATING}"
            cause = Cause(
                "NamespaceTerminating", f"namespace {target.namespace} is being terminated", "metadata.namespace"
            )
            raise forbidden(target.type.group, target.type.plural, target.name, why, causes=(cause,))

    # --- shared steps ---

    def incoming(self, target: RequestTarget, body: Any, options: Options, *, applied: bool = False) -> Manifest:
        """A body as an object in the storage version, without unknown fields; `applied`: a configuration, whose nulls
        count. Raises 400.
        """
        kind, schema = target.served.info, target.served.schema
        obj = meta.check_body(kind, body, target.namespace)
        unknown = [f'unknown field "{path}"' for path in prune(schema, obj)]
        if kind.custom:
            unknown.sort()
        self._strictness(kind, [*(f'duplicate field "{name}"' for name in options.duplicates), *unknown], options)
        problem = decode_error(
            schema.properties["metadata"] if kind.custom else schema, self._decodable(kind.custom, obj)
        )
        if problem:
            raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {problem}')
        if kind.custom and not applied:
            apply_defaults(schema, obj)
            drop_forbidden_nulls(schema, obj)
        elif not applied:
            drop_nulls(schema, obj)
        if target.type.shares:
            obj = convert.to_core_v1(obj)
        obj["apiVersion"] = self.storage_version(target)
        return obj

    @staticmethod
    def _decodable(custom: bool, obj: Manifest) -> Any:
        return obj["metadata"] if custom else obj

    def storage_version(self, target: RequestTarget) -> str:
        return "v1" if target.type.shares else target.type.storage_api_version

    def typed(self, target: RequestTarget, obj: Manifest) -> Manifest:
        return convert.to_events_v1(obj) if target.type.shares else obj

    @staticmethod
    def _strictness(kind: KindInfo, problems: list[str], options: Options) -> None:
        if not problems or options.validation == "Ignore":
            return
        if options.validation == "Strict":
            why = f"strict decoding error: {', '.join(problems)}"
            raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}')
        options.warnings.extend(problems)

    def _finish(self, target: RequestTarget, obj: Manifest, old: Manifest | None, options: Options) -> Manifest:
        """Defaults, admission, validation. Raises what refuses."""
        kind, table = target.served.info, target.type.table
        if prepare := self.prepare.get(table):
            prepare(obj, old)
        apply_defaults(target.served.schema, obj)
        if kind.custom:
            drop_empty(target.served.schema.properties["metadata"], obj["metadata"])
        else:
            drop_empty(target.served.schema, obj)
        operation = "CREATE" if old is None else "UPDATE"
        for hook in self.plugins.admission:
            admission = Admission(
                operation,  # type: ignore[arg-type]
                options.user,
                kind,
                target.namespace,
                target.name,
                obj,
                old,
                target.subresource,
                options.dry_run,
            )
            obj = hook(admission, self.storage) or obj
        causes = meta.validate(kind, obj["metadata"])
        if old is not None:
            causes += meta.validate_update(obj["metadata"], old["metadata"])
        if kind.custom:
            found = validate(target.served.schema, obj)
            causes += found
            if target.served.schema.has_rules:
                causes += rule_causes(target.served.schema, obj, old, blocked=causes)
        elif check := self.check.get(table):
            causes += check(obj, old)
        if causes:
            raise invalid(target.type.group, kind.kind, target.name, causes)
        return obj

    def by(self, target: RequestTarget, options: Options) -> managed.Write:
        ignored = managed.ignored_fields(target.subresource, target.served.status)
        if target.type.key == NAMESPACES and not target.subresource:
            ignored = (*ignored, "f:spec")  # the server's own
        version = target.served.info.api_version
        time = meta.now_text(self.clock())
        return managed.Write(options.manager, version, time, target.subresource, ignored)

    # --- update ---

    def update(self, target: RequestTarget, body: Any, options: Options) -> Manifest:
        """PUT. Raises 400, 404, 409, 422."""
        if isinstance(body, dict):
            check_name(target, body)
        obj = self.incoming(target, body, options)
        obj["metadata"].setdefault("name", target.name)
        item = self.memory.get(target.type.table, target.key)
        if item is None and not target.type.custom and not target.subresource and TRAITS[target.type.key].upsert:
            if options.may_create:
                options.may_create()
            options.created = True
            return self.show(target, self.insert(target, obj, options, None))
        item = self.item(target)
        if target.served.info.custom and not obj["metadata"].get("resourceVersion"):
            cause = Cause(
                "FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"
            )
            raise invalid(target.type.group, target.type.plural, target.name, [cause])
        return self.show(target, self.commit(target, item, obj, options))

    def commit(
        self, target: RequestTarget, item: Item, obj: Manifest, options: Options, managers: list[Manifest] | None = None
    ) -> Manifest:
        """Stores `obj` (a copy of its own) over `item`, if anything is different."""
        old, head = item.object, obj["metadata"]
        self.preconditions(target, old, str(head.get("uid") or ""), str(head.get("resourceVersion") or ""))
        given_managers = head.get("managedFields")
        keep(target, obj, old)
        said = obj.get("spec") or {}
        obj = self._finish(target, obj, old, options)
        head = obj["metadata"]
        if managers is None:
            new = {**obj, "metadata": {**head, "managedFields": given_managers}}
            new = strategies.as_said(target.type.table, self.typed(target, new), said)
            managers = managed.update(target.served.schema, self.typed(target, old), new, self.by(target, options))
        head["managedFields"] = managers
        head["resourceVersion"] = old["metadata"].get("resourceVersion")
        set_generation(target, obj, old)
        meta.tidy(head)
        emptied = null_empty(target.served.schema, obj)
        if unchanged(obj, old):
            return self._maybe_remove(target, old, options)
        if options.dry_run:
            return obj
        if removable(target, obj):
            self.memory.remove(target.type.table, target.key, obj)
            return {**obj, **emptied}  # never stored, so as it was sent
        return self.memory.put(target.type.table, target.key, obj).object

    def _maybe_remove(self, target: RequestTarget, old: Manifest, options: Options) -> Manifest:
        if not options.dry_run and removable(target, old):
            self.memory.remove(target.type.table, target.key, old)
        return old

    def preconditions(
        self, target: RequestTarget, old: Manifest, uid: str, version: str, *, deleting: bool = False
    ) -> None:
        """Raises 409 where uid or resourceVersion (where given) are not the object's."""
        head = old["metadata"]
        about = target.served.info.kind if deleting else target.type.plural
        if uid and uid != head["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {head['uid']}"
            raise conflict(target.type.group, about, target.name, why)
        if deleting and version and version != head["resourceVersion"]:
            why = f"the object is of resourceVersion {head['resourceVersion']}, and not {version}"
            raise conflict(target.type.group, about, target.name, why)
        if version and not version.isdigit():
            raise failed(f'strconv.ParseUint: parsing "{version}": invalid syntax')
        if version and version != "0" and version != head["resourceVersion"]:
            raise modified(target.type.group, target.type.plural, target.name)

    # --- patch ---

    def patch(self, target: RequestTarget, kind: str, body: Any, options: Options) -> Manifest:
        """`kind` is merge, json or strategic. Raises 404, 409, 415, 422."""
        item = self.item(target)
        shown = self.show(target, item.object)
        if kind == "json":
            changed = json_patch(shown, body)
        elif kind == "merge":
            if not isinstance(body, dict):
                raise bad_request("a merge patch must be an object")
            changed = merge_patch(shown, body)
        else:
            changed = strategic_merge(target.served.schema, shown, body)
        changed = copied(changed)
        if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
            raise bad_request("the patched object has no metadata")
        head = changed["metadata"]
        if head.get("name") != target.name:
            why = f"the name of the object ({head.get('name')}) does not match the name on the URL ({target.name})"
            raise bad_request(why)
        if head.get("uid") != item.object["metadata"]["uid"]:
            cause = invalid_value("metadata.uid", head.get("uid"), "field is immutable")
            raise invalid(target.type.group, target.served.info.kind, target.name, [cause, cause])
        try:
            obj = self.incoming(target, changed, options)
        except StatusError as refused:
            if refused.code != 400 or "does not match" in refused.message:
                raise
            # The object would be shown here, with all it holds: we say only what is wrong with it.
            cause = Cause("FieldValueInvalid", f"Invalid value: {refused.message}", "patch")
            raise invalid("", "", "", [cause]) from None
        return self.show(target, self.commit(target, item, obj, options))
