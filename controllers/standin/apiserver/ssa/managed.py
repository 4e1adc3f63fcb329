"""Who owns which field: `metadata.managedFields`, kept at every write, and server-side apply.

Each entry is one writer: a manager's name, Apply or Update, the version it wrote in, the subresource. A write other
than an apply takes what it changed from everyone and notes it under its own name. An apply names all the fields it
wants: those of others that it would change are conflicts (unless forced), those it named last time and names no more
are removed where nobody else owns them. The pure parts are in `typed.py` and `fieldset.py`; the clock is passed in.

A change of version is taken as a change of apiVersion alone: types here are served in several versions without
conversion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controllers.api.resource import Manifest

from ..schema.node import Node
from ..status_errors import Cause, StatusError, bad_request
from .fieldset import FieldSet, Path, from_fields_v1, show, to_fields_v1
from .typed import Comparison, compare, field_set, members, merge, remove, same, with_named_parents

MAX_UPDATE_MANAGERS = 10
BEFORE_FIRST_APPLY = "before-first-apply"
OLD_UPDATES = "ancient-changes"
_UNOWNED_WORDS = "name namespace creationTimestamp selfLink uid clusterName generation managedFields resourceVersion"
_UNOWNED = frozenset(_UNOWNED_WORDS.split())


@dataclass(frozen=True, slots=True)
class Writer:
    """What makes two entries of managedFields one. `api_version` is "" for appliers: they stay who they are."""

    manager: str
    operation: str
    api_version: str = ""
    subresource: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """In which order writers of one moment stand."""
        return (self.manager, self.operation, self.api_version, self.subresource)

    def __str__(self) -> str:
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


@dataclass(frozen=True, slots=True)
class Owned:
    """One writer's fields, the version they were written in, and when."""

    fields: FieldSet
    api_version: str
    time: str = ""


Managers = dict[Writer, Owned]


class ConflictsError(Exception):
    """Fields of others that an apply would change."""

    def __init__(self, conflicts: Mapping[Writer, FieldSet]) -> None:
        super().__init__("conflicts")
        self.fields: FieldSet = frozenset(path for paths in conflicts.values() for path in paths)
        pairs = [
            (writer, path) for writer in sorted(conflicts, key=lambda w: w.key) for path in sorted(conflicts[writer])
        ]
        self.pairs = pairs

    def status(self, group: str, plural: str, name: str) -> StatusError:
        """409 with one cause per field."""
        pairs = self.pairs
        if len(pairs) == 1:
            text = f"Apply failed with 1 conflict: conflict with {pairs[0][0]}: {show(pairs[0][1])}"
        else:
            lines: list[str] = []
            last: Writer | None = None
            for writer, path in pairs:
                if writer != last:
                    lines.append(f"conflicts with {writer}:")
                    last = writer
                lines.append(f"- {show(path)}")
            text = f"Apply failed with {len(pairs)} conflicts: " + "\n".join(lines)
        causes = tuple(Cause("FieldManagerConflict", f"conflict with {writer}", show(path)) for writer, path in pairs)
        return StatusError(409, "Conflict", text, causes=causes)


# --- the entries ------------------------------------------------------------------------------------------------------


def read(entries: Any) -> Managers:
    """managedFields as an object carries them. Raises StatusError 400 for what cannot be one."""
    found: Managers = {}
    for entry in entries or []:
        if not isinstance(entry, dict):
            raise bad_request("metadata.managedFields: every entry must be an object")
        operation = entry.get("operation") or ""
        if operation not in ("Apply", "Update"):
            raise bad_request(f'metadata.managedFields: operation must be Apply or Update, found "{operation}"')
        version = str(entry.get("apiVersion") or "")
        writer = Writer(
            str(entry.get("manager") or ""),
            operation,
            "" if operation == "Apply" else version,
            str(entry.get("subresource") or ""),
        )
        found[writer] = Owned(from_fields_v1(entry.get("fieldsV1")), version, str(entry.get("time") or ""))
    return found


def write(managers: Managers) -> list[Manifest]:
    """managedFields for an object, in the order of the Go server."""
    entries = []
    for writer, owned in managers.items():
        entry: Manifest = {"manager": writer.manager, "operation": writer.operation, "apiVersion": owned.api_version}
        if owned.time:
            entry["time"] = owned.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = to_fields_v1(owned.fields)
        if writer.subresource:
            entry["subresource"] = writer.subresource
        entries.append(entry)
    entries.sort(
        key=lambda e: (e["operation"], e.get("time", ""), e["manager"], e["apiVersion"], e.get("subresource", ""))
    )
    return entries


def _starting(live: Manifest | None, new: Manifest, subresource: str) -> Managers | None:
    """The entries a write starts from; None where nothing is tracked, an empty dict for a reset (`[{}]`)."""
    before = ((live or {}).get("metadata") or {}).get("managedFields")
    given = (new.get("metadata") or {}).get("managedFields")
    if given == [] and not subresource:
        return None
    if subresource or not given:
        return _lenient(before) if before or live is None else None
    if given == [{}]:
        return None
    try:
        return read(given)
    except StatusError:
        return _lenient(before)


def _lenient(entries: Any) -> Managers:
    try:
        return read(entries)
    except StatusError:
        return {}


def owned_part(obj: Manifest) -> Manifest:
    """The object without what nobody can own."""
    body = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata")}
    meta = {name: value for name, value in (obj.get("metadata") or {}).items() if name not in _UNOWNED}
    body["metadata"] = meta
    return body


def _filter(paths: Iterable[Path], ignored: tuple[str, ...]) -> FieldSet:
    return frozenset(path for path in paths if path and path[0] not in ignored)


def ignored_fields(subresource: str, status_split: bool) -> tuple[str, ...]:
    """The top-level fields that a write through this door does not touch, and so does not own."""
    if subresource == "status":
        return ("f:spec", "f:metadata", "f:data")
    return ("f:status",) if status_split else ()


# --- writes that are no applies ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes: the manager's name, the version, the subresource, the time (RFC 3339), and which fields do not
    count.
    """

    manager: str
    api_version: str
    time: str
    subresource: str = ""
    ignored: tuple[str, ...] = ()

    def stamp(self, before: Owned | None) -> str:
        """The time of the writer's entry. Writes of a scale, which is only a view, leave none of their own."""
        if self.subresource == "scale":
            return before.time if before else ""
        return self.time


def update(node: Node, live: Manifest | None, new: Manifest, by: Write) -> list[Manifest]:
    """managedFields after a create (`live` is None), update or patch turned `live` into `new`."""
    managers = _starting(live, new, by.subresource)
    if managers is None:
        return []
    change = compare(node, owned_part(live) if live else {"metadata": {}, **_blank(node)}, owned_part(new))
    gained = _filter(change.added | change.modified, by.ignored)
    removed = _filter(change.removed, by.ignored)
    if live is not None and not gained and not removed:
        return write(managers)
    writer = Writer(by.manager, "Update", by.api_version, by.subresource)
    touched = gained | removed
    left = {who: Owned(owned.fields - touched, owned.api_version, owned.time) for who, owned in managers.items()}
    if gained:
        before = left.get(writer)
        fields = gained | before.fields if before else gained
        left[writer] = Owned(fields, by.api_version, by.stamp(before))
    left = {who: owned for who, owned in left.items() if owned.fields}
    return write(_capped(left))


def _blank(node: Node) -> Manifest:
    """What an object of a built-in type holds before anything is said: what Go always encodes."""
    if not node.name:
        return {}
    known = {name: node.properties[name] for name in node.required if name in node.properties}
    return {**dict.fromkeys(node.always), **{name: _blank(child) for name, child in known.items()}}


def _capped(managers: Managers) -> Managers:
    """Joins the oldest updaters, by version, where there are too many."""
    updates = sorted((who for who in managers if who.operation == "Update"), key=lambda w: (managers[w].time, w.key))
    surplus = len(updates) - MAX_UPDATE_MANAGERS
    if surplus <= 0:
        return managers
    kept = dict(managers)
    first: dict[str, Writer] = {}
    for who in updates:
        if surplus <= 0:
            break
        version = kept[who].api_version
        if version not in first:
            first[version] = who
            continue
        joined = Writer(OLD_UPDATES, "Update", version)
        if joined not in kept:
            kept[joined] = kept.pop(first[version])
        owned = kept.pop(who)
        kept[joined] = Owned(owned.fields | kept[joined].fields, version, owned.time)
        surplus -= 1
    return kept


# --- server-side apply ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Applied:
    """The object after an apply, and its managedFields."""

    object: Manifest
    managed_fields: list[Manifest]


def apply(node: Node, live: Manifest | None, config: Manifest, by: Write, *, force: bool) -> Applied:
    """Merges an applied configuration. Raises Conflicts, InvalidListError."""
    before = live or {"metadata": {}}
    managers = _lenient((before.get("metadata") or {}).get("managedFields"))
    if not managers and live is not None:
        change = compare(node, {"metadata": {}, **_blank(node)}, owned_part(live))
        fields = _filter(change.added | change.modified, by.ignored)
        version = str(live.get("apiVersion", ""))
        if fields:
            managers[Writer(BEFORE_FIRST_APPLY, "Update", version, by.subresource)] = Owned(fields, version, by.time)
    writer = Writer(by.manager, "Apply", "", by.subresource)
    wanted = owned_part(config)
    if not wanted["metadata"]:
        del wanted["metadata"]
    names = _filter(field_set(node, wanted), by.ignored)
    names = frozenset(path for path in names if path != ("f:metadata",))
    old = managers.get(writer)
    current = owned_part(before)
    merged = merge(node, current, wanted)
    holders = {**managers, writer: Owned(names, by.api_version)}
    given_up = old is not None and not old.fields <= names
    pruned = _prune(node, merged, old.fields, holders) if old and given_up else merged
    change = compare(node, current, pruned)
    left = _settle(holders, writer, change, by.ignored, force=force)
    time = old.time if old else ""
    if live is None or not same(current, pruned):
        time = by.time
    if names:
        left[writer] = Owned(names, by.api_version, time)
    else:
        left.pop(writer, None)
    return Applied(_rejoin(before, config, pruned), write({who: owned for who, owned in left.items() if owned.fields}))


def _settle(
    managers: Managers, writer: Writer, change: Comparison, ignored: tuple[str, ...], *, force: bool
) -> Managers:
    """The other managers after the change. Raises Conflicts for what they own and it would change, unless forced."""
    touched = _filter(change.modified | change.added, ignored)
    conflicts = {who: owned.fields & touched for who, owned in managers.items() if who != writer}
    conflicts = {who: paths for who, paths in conflicts.items() if paths}
    if conflicts and not force:
        raise ConflictsError(conflicts)
    lost = touched | _filter(change.removed, ignored)
    return {
        who: owned if who == writer else Owned(owned.fields - lost, owned.api_version, owned.time)
        for who, owned in managers.items()
    }


def _prune(node: Node, merged: Any, last: FieldSet, managers: Managers) -> Any:
    """Removes what the applier named before and nobody names now."""
    if not last:
        return merged
    last_all = with_named_parents(node, last)
    everything = with_named_parents(node, members(node, merged))
    bare = remove(node, merged, last_all)
    owned = frozenset(path for who in managers.values() for path in who.fields)
    kept = with_named_parents(node, members(node, bare)) | with_named_parents(node, owned)
    restored = remove(node, merged, everything - kept)
    left = with_named_parents(node, members(node, restored))
    result = remove(node, merged, (everything - left) & last_all) or {}
    return {**result, "metadata": result.get("metadata") or {}}


def _rejoin(live: Manifest, config: Manifest, body: Manifest) -> Manifest:
    """The merged part together with what nobody owns."""
    joined = {"apiVersion": config.get("apiVersion"), "kind": config.get("kind")}
    joined.update(body)
    meta = {name: value for name, value in (live.get("metadata") or {}).items() if name in _UNOWNED}
    given = {n: v for n, v in (config.get("metadata") or {}).items() if n in _UNOWNED and n != "managedFields"}
    joined["metadata"] = {**meta, **given, **(body.get("metadata") or {})}
    return joined
