"""The values of one ExternalSecret: every entry of dataFrom and data resolved against what was fetched. Pure.

`plan` says which keys are wanted; `resolve` takes what came back (a value, or the reason why not) and makes the keys of
the Secret. Order: dataFrom in list order, later wins, then data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from controllers.api.base import Fields, InvalidSpecError, parse
from controllers.api.external_secrets import (
    DataEntry,
    DataFromEntry,
    ExternalSecretSpec,
    Find,
    GeneratorRef,
    RemoteRef,
    SecretStoreRef,
)
from controllers.api.resource import Manifest

from .convert import check_keys, convert_keys
from .decode import check_null_bytes, decode
from .errors import EntryError, MissingValueError, SpecError
from .extract import extract
from .remote_key import RemoteKey
from .rewrite import Renderer, Traced, traced
from .service import SecretService


class StoreRef(NamedTuple):
    """Which store an entry reads from."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class StoreView:
    """What the pure part needs to know of a store."""

    ref: StoreRef
    service: SecretService
    prefix: str = ""
    region: str = ""
    local: LocalValues | None = field(default=None, repr=False)
    """The values, where the store holds them itself."""


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


class LocalValues(Protocol):
    """Values that a store holds itself: they are read without any call."""

    def get(self, key: RemoteKey) -> Outcome: ...

    def find(self, find: Mapping[str, Any]) -> Mapping[str, Fetched]:
        """Name → value of all that match. Raises EntryError."""
        ...


Provenance = dict[str, Any]
"""Where a key came from: arn, version, stage; or generator. `also`: the same of further sources that were merged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of data, or one extract, find or generator of dataFrom. The last two have no `remote`."""

    where: str
    store: StoreRef
    remote: RemoteKey | None
    ref: RemoteRef | Find | None
    """How the value is read: property, decoding, conversion. A generator has none."""
    secret_key: str = ""
    rewrites: Sequence[Mapping[str, Any]] = ()
    generator: GeneratorRef | None = None
    service: SecretService | None = None

    @property
    def find(self) -> Mapping[str, Any] | None:
        """The find as the spec has it, None for every other entry."""
        return _as_written(self.ref) if isinstance(self.ref, Find) else None

    @property
    def property(self) -> str:
        """The path into the value, "" for the whole of it."""
        return self.ref.property if isinstance(self.ref, RemoteRef) else ""


@dataclass(slots=True)
class Resolved:
    """The keys that came out, where each came from, and what went wrong (in order)."""

    data: dict[str, bytes] = field(default_factory=dict, repr=False)
    provenance: dict[str, Provenance] = field(default_factory=dict)
    missing: list[tuple[str, EntryError]] = field(default_factory=list)
    failed: list[tuple[str, EntryError]] = field(default_factory=list)


def spec_or_empty(manifest: Manifest) -> ExternalSecretSpec:
    """The spec, for indexes and overviews. An invalid one refers to nothing: only an edit of the object can mend it."""
    try:
        return parse(ExternalSecretSpec, manifest)
    except InvalidSpecError:
        return ExternalSecretSpec()


def store_refs(spec: ExternalSecretSpec) -> list[StoreRef]:
    """Every store that a spec names, the default first."""
    default = _store_ref(spec.secret_store_ref)
    refs = [default] if default.name else []
    refs += [_entry_store(entry, default) for entry in spec.data_from]
    refs += [_entry_store(entry, default) for entry in spec.data]
    return list(dict.fromkeys(ref for ref in refs if ref.name))


def _store_ref(ref: SecretStoreRef) -> StoreRef:
    return StoreRef(ref.kind, ref.name or "")


def _entry_store(entry: DataEntry | DataFromEntry, default: StoreRef) -> StoreRef:
    own = entry.source_ref.store_ref if entry.source_ref is not None else None
    return _store_ref(own) if own is not None else default


def plan(spec: ExternalSecretSpec, stores: Mapping[StoreRef, StoreView]) -> list[Entry]:
    """All entries in the order in which they apply. Every store of `store_refs` is in `stores`. Raises SpecError."""
    default = _store_ref(spec.secret_store_ref)
    out = [_many(entry, f"spec.dataFrom[{at}]", default, stores) for at, entry in enumerate(spec.data_from)]
    for at, entry in enumerate(spec.data):
        ref = _entry_store(entry, default)
        view = _view(stores, ref, f"spec.data[{at}]")
        remote = _remote(entry.remote_ref, view)
        out.append(Entry(entry.secret_key, ref, remote, entry.remote_ref, entry.secret_key, service=view.service))
    return out


def _many(entry: DataFromEntry, where: str, default: StoreRef, stores: Mapping[StoreRef, StoreView]) -> Entry:
    """One entry of dataFrom: an extract, a find or a generator."""
    ref, rewrites = _entry_store(entry, default), [_as_written(step) for step in entry.rewrite]
    if entry.extract is not None:
        view = _view(stores, ref, where)
        return Entry(where, ref, _remote(entry.extract, view), entry.extract, "", rewrites, service=view.service)
    if entry.find is not None:
        _view(stores, ref, where)
        return Entry(where, ref, None, entry.find, "", rewrites)
    generator = entry.source_ref.generator_ref if entry.source_ref is not None else None
    if generator is None:
        raise SpecError(f"{where}: found none of extract, find and sourceRef.generatorRef, expected one of them")
    return Entry(where, ref, None, None, "", rewrites, generator)


def _as_written(model: Fields) -> dict[str, Any]:
    return model.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)


def _view(stores: Mapping[StoreRef, StoreView], ref: StoreRef, where: str) -> StoreView:
    if ref not in stores:
        raise SpecError(f"{where}: no store is named; set spec.secretStoreRef.name or sourceRef.storeRef.name")
    return stores[ref]


def _remote(ref: RemoteRef, store: StoreView) -> RemoteKey:
    tags = ref.metadata_policy == "Fetch"
    return store.service.remote_key(ref.key, version=ref.version, prefix=store.prefix, tags=tags)


def value_text(document: str | bytes | None, name: str, *, service: SecretService, key: str) -> str:
    """The text of one remote value under `property: name` ("" for the whole of it)."""
    if document is None:
        raise EntryError("ValueInvalid", service.without_value(key))
    text = document if isinstance(document, str) else document.decode("utf-8", "surrogateescape")
    return service.select(text, name, key=key) if name else text


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
    remote, service = entry.remote, entry.service
    # only finds and generators have neither, and their outcome is a mapping
    assert remote is not None and service is not None  # noqa: S101
    text = value_text(outcome.value, entry.property, service=service, key=remote.name)
    if entry.secret_key:
        raw = _decoded(entry, entry.secret_key, text.encode("utf-8", "surrogateescape"))
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
        strategy = entry.ref.conversion_strategy if entry.ref is not None else "Default"
        names = convert_keys(strategy, {name: name for name in values})
        shaped = {key: Traced(values[name], (name,)) for key, name in names.items() if key}
    return {key: Traced(_decoded(entry, key, each.value), each.origins) for key, each in shaped.items()}


def _decoded(entry: Entry, key: str, value: bytes) -> bytes:
    """The value in the entry's encoding. Raises EntryError."""
    if entry.ref is None:
        return value
    decoded = decode(entry.ref.decoding_strategy, value, key=key)
    check_null_bytes(entry.ref.null_byte_policy, decoded, key=key)
    return decoded


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
