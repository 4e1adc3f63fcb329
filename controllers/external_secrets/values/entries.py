"""The values of one ExternalSecret: every entry of dataFrom and data resolved against what was fetched. Pure.

`plan` says which keys are wanted; `resolve` takes what came back (a value, or the reason why not) and makes the keys of
the Secret. Order: dataFrom in list order, later wins, then data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .convert import check_keys, convert_keys
from .decode import check_null_bytes, decode
from .errors import EntryError, MissingValueError, SpecError
from .extract import extract, select
from .remote_key import RemoteKey, Service, remote_key
from .rewrite import Renderer, Traced, traced


class StoreRef(NamedTuple):
    """Which store an entry reads from."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class StoreView:
    """What the pure part needs to know of a store."""

    ref: StoreRef
    service: Service
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One value at the provider, or one that a generator made. `value` None: neither string nor binary."""

    value: bytes | None = field(repr=False)
    arn: str = ""
    version: str = ""
    stage: str = ""
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    generator: str = ""


Outcome = Fetched | EntryError
Provenance = dict[str, Any]
"""Where a key came from: arn, version, stage; or generator. `also`: the same of further sources that were merged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of data, or one extract, find or generator of dataFrom. The last two have no `remote`."""

    where: str
    store: StoreRef
    remote: RemoteKey | None
    spec: Mapping[str, Any]
    secret_key: str = ""
    rewrites: Sequence[Mapping[str, Any]] = ()
    find: Mapping[str, Any] | None = None
    generator: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Resolved:
    """The keys that came out, where each came from, and what went wrong (in order)."""

    data: dict[str, bytes] = field(default_factory=dict, repr=False)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    missing: list[tuple[str, EntryError]] = field(default_factory=list)
    failed: list[tuple[str, EntryError]] = field(default_factory=list)


def store_refs(spec: Mapping[str, Any]) -> list[StoreRef]:
    """Every store that a spec names, the default first."""
    default = _ref(spec.get("secretStoreRef"))
    refs = [default] if default.name else []
    refs += [_entry_ref(entry, default) for entry in [*(spec.get("dataFrom") or []), *(spec.get("data") or [])]]
    return list(dict.fromkeys(ref for ref in refs if ref.name))


def _ref(raw: Mapping[str, Any] | None) -> StoreRef:
    raw = raw or {}
    return StoreRef(raw.get("kind") or "SecretStore", raw.get("name") or "")


def _entry_ref(entry: Mapping[str, Any], default: StoreRef) -> StoreRef:
    own = (entry.get("sourceRef") or {}).get("storeRef")
    return _ref(own) if own else default


def plan(spec: Mapping[str, Any], stores: Mapping[StoreRef, StoreView]) -> list[Entry]:
    """All entries in the order in which they apply. Every store of `store_refs` is in `stores`. Raises SpecError."""
    default = _ref(spec.get("secretStoreRef"))
    out: list[Entry] = []
    for at, entry in enumerate(spec.get("dataFrom") or []):
        where = f"spec.dataFrom[{at}]"
        ref = _entry_ref(entry, default)
        rewrites = entry.get("rewrite") or ()
        if entry.get("extract") is not None:
            view = _view(stores, ref, where)
            out.append(Entry(where, ref, _remote(entry["extract"], view), entry["extract"], "", rewrites))
        elif entry.get("find") is not None:
            _view(stores, ref, where)
            out.append(Entry(where, ref, None, entry["find"], "", rewrites, entry["find"]))
        else:
            generator = (entry.get("sourceRef") or {}).get("generatorRef") or {}
            out.append(Entry(where, ref, None, {}, "", rewrites, generator=generator))
    for at, entry in enumerate(spec.get("data") or []):
        ref, remote = _entry_ref(entry, default), entry.get("remoteRef") or {}
        key = entry.get("secretKey") or ""
        out.append(Entry(key, ref, _remote(remote, _view(stores, ref, f"spec.data[{at}]")), remote, key))
    return out


def _view(stores: Mapping[StoreRef, StoreView], ref: StoreRef, where: str) -> StoreView:
    if ref not in stores:
        raise SpecError(f"{where}: no store is named; set spec.secretStoreRef.name or sourceRef.storeRef.name")
    return stores[ref]


def _remote(raw: Mapping[str, Any], store: StoreView) -> RemoteKey:
    return remote_key(
        store.service,
        str(raw.get("key") or ""),
        version=str(raw.get("version") or ""),
        prefix=store.prefix,
        tags=raw.get("metadataPolicy") == "Fetch",
    )


def value_text(document: str | bytes | None, name: str, *, service: Service, key: str) -> str:
    """The text of one remote value under `property: name` ("" for the whole of it)."""
    if document is None:
        what = "parameter value is nil" if service == "ParameterStore" else "no secret string nor binary"
        raise EntryError("ValueInvalid", f"{what} for key {key}")
    text = document if isinstance(document, str) else document.decode("utf-8", "surrogateescape")
    return select(text, name, key=key) if name else text


def resolve(
    entries: Sequence[Entry],
    outcomes: Mapping[int, Outcome | Mapping[str, Fetched]],
    *,
    render: Renderer,
) -> Resolved:
    """The values of all entries. `outcomes` is by position in `entries`; a find's is name → value."""
    out = Resolved()
    for at, entry in enumerate(entries):
        try:
            values, sources = _values(entry, outcomes[at], render)
        except MissingValueError as error:
            out.missing.append((entry.where, error))
        except EntryError as error:
            out.failed.append((entry.where, error))
        else:
            out.data.update(values)
            out.provenance.update(sources)
    try:
        check_keys(out.data)
    except EntryError as error:
        out.failed.append(("keys", error))
    return out


def _values(
    entry: Entry, outcome: Outcome | Mapping[str, Fetched], render: Renderer
) -> tuple[dict[str, bytes], dict[str, Provenance]]:
    if isinstance(outcome, EntryError):
        raise outcome
    if isinstance(outcome, Mapping):
        found = {name: fetched.value for name, fetched in outcome.items() if fetched.value is not None}
        shaped = _shape(entry, found, render)
        sources = {key: _sources([outcome[name] for name in each.origins]) for key, each in shaped.items()}
        return {key: each.value for key, each in shaped.items()}, sources
    remote = entry.remote
    assert remote is not None  # noqa: S101  # only finds and generators have none, and their outcome is a mapping
    text = value_text(outcome.value, str(entry.spec.get("property") or ""), service=remote.service, key=remote.name)
    if entry.secret_key:
        raw = text.encode("utf-8", "surrogateescape")
        raw = decode(str(entry.spec.get("decodingStrategy") or "None"), raw, key=entry.secret_key)
        check_null_bytes(str(entry.spec.get("nullBytePolicy") or "Ignore"), raw, key=entry.secret_key)
        return {entry.secret_key: raw}, {entry.secret_key: _sources([outcome])}
    members = {key: value.encode("utf-8", "surrogateescape") for key, value in extract(text, key=remote.name).items()}
    values = {key: each.value for key, each in _shape(entry, members, render).items()}
    return values, {key: _sources([outcome]) for key in values}


def _shape(entry: Entry, values: dict[str, bytes], render: Renderer) -> dict[str, Traced]:
    """Rewrite or convert the keys, decode the values. What a generator makes is rewritten at most."""
    if entry.rewrites or entry.generator is not None:
        shaped = traced(entry.rewrites, values, render)
        check_keys(shaped)
    else:
        names = convert_keys(str(entry.spec.get("conversionStrategy") or "Default"), {name: name for name in values})
        shaped = {key: Traced(values[name], (name,)) for key, name in names.items()}
    strategy = str(entry.spec.get("decodingStrategy") or "None")
    policy = str(entry.spec.get("nullBytePolicy") or "Ignore")
    out: dict[str, Traced] = {}
    for key, each in shaped.items():
        value = decode(strategy, each.value, key=key)
        check_null_bytes(policy, value, key=key)
        out[key] = Traced(value, each.origins)
    return out


def _sources(fetched: Sequence[Fetched]) -> Provenance:
    """Where a value came from, for the provenance annotation."""
    each = [
        {name: text for name in ("arn", "version", "stage", "generator") if (text := getattr(item, name))}
        for item in fetched
    ]
    first, *more = [source for source in each if source] or [{}]
    return {**first, "also": more} if more else dict(first)


def failure_text(resolved: Resolved, problems: Sequence[tuple[str, EntryError]]) -> tuple[str, str]:
    """(class, message) of the first problem, and how many more there are."""
    where, first = problems[0]
    more = len(problems) - 1
    tail = f" (and {more} more)" if more else ""
    return first.error_class, f"{where}: {first.error_class}: {first.message}{tail}"
