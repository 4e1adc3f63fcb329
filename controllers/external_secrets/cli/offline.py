"""An ExternalSecret rendered from values in a file: the controller's own planning, resolving and templating, no call.

The values file is a YAML map: the name of the secret or parameter, as AWS has it (the store's prefix and all, or the
ARN that the remoteRef gives), to its value. A scalar is taken as it is written (`on`, `1.10`); a map or list is written
as JSON, for that is what such secrets hold. A version other than the current one is named as messages name it:
`db (AWSPREVIOUS)`. A second document, where there is one, is a map of names to tags.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.api.base import parse
from controllers.api.external_secrets import ExternalSecretSpec, Template
from controllers.api.resource import Manifest
from controllers.external_secrets.refresh import forgive, template_refs, template_text
from controllers.external_secrets.target import desired as targeting
from controllers.external_secrets.target.desired import DesiredSecret
from controllers.external_secrets.target.template import Engine, Rendered, TemplateSource, render
from controllers.external_secrets.values.entries import (
    Entry,
    Fetched,
    LocalValues,
    Outcome,
    Resolved,
    StoreRef,
    StoreView,
    plan,
    resolve,
)
from controllers.external_secrets.values.errors import EntryError, MissingValueError, TargetTemplateError
from controllers.external_secrets.values.find import Matcher
from controllers.external_secrets.values.validate import validate
from controllers.runtime.cli.command import CommandError

from .common import load_yaml

Lookup = Callable[[str, str], Manifest | None]
"""(kind, name) → the ConfigMap or Secret in the ExternalSecret's namespace that templateFrom reads."""


@dataclass(frozen=True, slots=True)
class Values:
    """What stands at AWS, as a file says."""

    values: Mapping[str, bytes] = field(repr=False)
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def outcome(self, entry: Entry, view: StoreView | None) -> Outcome | dict[str, Fetched]:
        """What a fetch would have brought for one entry."""
        if view is not None and view.local is not None:
            return _of_store(view.local, entry)
        if entry.remote is not None:
            key = entry.remote
            if key.tags:
                found = self.tags.get(key.name)
                return (
                    MissingValueError(f"key {key.shown}: the values file has no tags of it")
                    if found is None
                    else _of_tags(found)
                )
            if key.shown in self.values:
                return Fetched(self.values[key.shown], name=key.name)
            return MissingValueError(f"key {key.shown}: not in the values file")
        if entry.find is None or view is None:
            return EntryError("UnsupportedField", "generators make values and cannot be rendered offline")
        try:
            matches = Matcher(entry.find, prefix=view.prefix)
        except EntryError as error:
            return error
        plain = {name: value for name, value in self.values.items() if not name.endswith(")")}
        return {
            name: Fetched(value, name=name) for name, value in plain.items() if matches(name, self.tags.get(name, {}))
        }


def _of_store(local: LocalValues, entry: Entry) -> Outcome | dict[str, Fetched]:
    """A value that the store's manifest holds."""
    if entry.remote is not None:
        return local.get(entry.remote)
    if entry.find is None:
        return EntryError("UnsupportedField", "generators make values and cannot be rendered offline")
    try:
        return dict(local.find(entry.find))
    except EntryError as error:
        return error


def _of_tags(tags: Mapping[str, str]) -> Fetched:
    return Fetched(json.dumps(dict(tags), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def read_values(where: str, text: str) -> Values:
    """Raises CommandError."""
    documents, as_written = load_yaml(where, text) or [{}], load_yaml(where, text, texts=True) or [{}]
    if len(documents) > 2 or not all(isinstance(each, dict) or each is None for each in documents):
        raise CommandError(f"{where}: expected a map of names to values, and at most a second one of names to tags")
    names, tags = as_written[0] or {}, (as_written[1] if len(as_written) > 1 else None) or {}
    if bad := next((name for name, of in tags.items() if not isinstance(of, dict)), None):
        raise CommandError(f"{where}: tags of {bad}: expected a map")
    typed = {str(name): value for name, value in (documents[0] or {}).items()}
    return Values(
        {
            name: _json(typed.get(name, value)) if isinstance(value, dict | list) else str(value).encode()
            for name, value in names.items()
        },
        {name: {str(key): str(value) for key, value in of.items()} for name, of in tags.items()},
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode()


@dataclass(frozen=True, slots=True)
class OfflineResult:
    """What an ExternalSecret comes to. `wanted` None: no Secret, and `why` says why."""

    wanted: DesiredSecret | None
    resolved: Resolved
    rendered: Rendered = field(default_factory=Rendered, repr=False)
    why: str = ""


def make(
    manifest: Manifest, views: Mapping[StoreRef, StoreView], values: Values, lookup: Lookup, engine: Engine
) -> OfflineResult:
    """The target of an ExternalSecret with these values. Raises InvalidSpecError, SpecError, TargetTemplateError."""
    spec = parse(ExternalSecretSpec, manifest)
    validate(spec)
    entries = plan(spec, views)
    outcomes = {at: values.outcome(entry, views.get(entry.store)) for at, entry in enumerate(entries)}
    resolved = resolve(entries, outcomes, render=engine.text)
    forgive(resolved, manifest)
    return made_of(manifest, resolved, lookup, engine)


def made_of(manifest: Manifest, resolved: Resolved, lookup: Lookup, engine: Engine) -> OfflineResult:
    """From resolved keys to the Secret: deletion policy, templates, metadata. Raises TargetTemplateError."""
    target = parse(ExternalSecretSpec, manifest).target
    policy = target.deletion_policy
    problems = resolved.failed or resolved.missing
    outcome = targeting.after_missing(policy, missing=len(resolved.missing), found=len(resolved.data))
    if resolved.failed or outcome == "fail":
        where, error = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return OfflineResult(None, resolved, why=f"{where}: {error.error_class}: {error.message}{more}")
    if outcome in ("delete", "keep"):
        return OfflineResult(
            None, resolved, why=f"nothing was found: the Secret would be {'deleted' if outcome == 'delete' else 'kept'}"
        )
    if target.creation_policy == "None":
        return OfflineResult(None, resolved, why="creationPolicy None: nothing is written")
    sources = template_sources(target.template, lookup)
    rendered = render(target.template, resolved.data, sources, engine=engine)
    provenance = {key: source for key, source in resolved.provenance.items() if source}
    meta = {"uid": "", **manifest["metadata"]}
    wanted = targeting.desired_secret({**manifest, "metadata": meta}, rendered, provenance)
    return OfflineResult(wanted, resolved, rendered)


def template_sources(template: Template | None, lookup: Lookup) -> list[TemplateSource]:
    """What templateFrom names, read by `lookup`. Raises TargetTemplateError."""
    out = []
    for at, item in enumerate(template.template_from if template is not None else ()):
        where = f"spec.target.template.templateFrom[{at}]"
        target, decoding = item.target or "Data", item.values_decoding_strategy
        if item.literal is not None:
            out.append(TemplateSource({"literal": item.literal}, "KeysAndValues", target, decoding))
            continue
        for resource, ref in template_refs(item):
            found = lookup(resource.kind, ref.name)
            if found is None:
                raise TargetTemplateError(f"{where}: {resource.kind} {ref.name} does not exist")
            found = with_data(found)
            for each in ref.items:
                text = template_text(found, each.key, f"{where}: {resource.kind} {ref.name}")
                out.append(TemplateSource({each.key: text}, each.template_as, target, decoding))
    return out


def with_data(manifest: Manifest) -> Manifest:
    """A Secret of a file as the API server would have it: stringData becomes data."""
    if manifest.get("kind") != "Secret" or not manifest.get("stringData"):
        return manifest
    texts = {key: base64.b64encode(str(text).encode()).decode() for key, text in manifest["stringData"].items()}
    return {**manifest, "data": {**(manifest.get("data") or {}), **texts}}


def named_templates(manifest: Manifest) -> list[tuple[str, str]]:
    """(kind, name) of what templateFrom names."""
    template = parse(ExternalSecretSpec, manifest).target.template
    items = template.template_from if template is not None else ()
    return [(resource.kind, ref.name) for item in items for resource, ref in template_refs(item)]
