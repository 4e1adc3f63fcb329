"""Differences between what is and what would be, told without a value. Pure.

Of an ExternalSecret both sides are shown, for it holds pointers alone. Of a Secret the names of keys are, and of labels
and annotations only the names where templates make them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controllers.api.base import parse
from controllers.api.external_secrets import ExternalSecretSpec, Template
from controllers.api.resource import Manifest

from .desired import CREATED_BY, DATA_HASH, MANAGED, METADATA_HASH, PROVENANCE, DesiredSecret, data_diff, type_of

_MINE = (MANAGED, DATA_HASH, CREATED_BY, PROVENANCE, METADATA_HASH, "secrets.inhaul.dev/generated")
_MAX_SHOWN = 200
_WORDS = {
    "added": "would be added",
    "removed": "would be removed",
    "updated": "would change",
    "emptied": "would be empty",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `real` False: a remark."""

    what: str
    path: str
    text: str
    real: bool = True

    def __str__(self) -> str:
        return f"{self.what}{f' {self.path}' if self.path else ''}: {self.text}"

    def as_json(self) -> dict[str, Any]:
        return {"object": self.what, "path": self.path, "text": self.text, "difference": self.real}


def of_objects(live: Manifest, wanted: Manifest) -> list[Difference]:
    """spec whole; labels and annotations as far as the file names them."""
    out: list[Difference] = []
    _fields("spec", live.get("spec") or {}, wanted.get("spec") or {}, out)
    for part in ("labels", "annotations"):
        new = (wanted.get("metadata") or {}).get(part) or {}
        old = {key: text for key, text in (live["metadata"].get(part) or {}).items() if key in new}
        _fields(f"metadata.{part}", old, new, out)
    return out


def _fields(path: str, old: Any, new: Any, out: list[Difference]) -> None:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            _fields(f"{path}.{key}", old.get(key), new.get(key), out)
    elif isinstance(old, list) and isinstance(new, list):
        for at in range(max(len(old), len(new))):
            before, after = (each[at] if at < len(each) else None for each in (old, new))
            _fields(f"{path}[{at}]", before, after, out)
    else:
        out.append(Difference("ExternalSecret", path, f"{_shown(old)} -> {_shown(new)}"))


def _shown(value: Any) -> str:
    if value is None:
        return "(absent)"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def of_secrets(
    manifest: Manifest, live: Manifest | None, wanted: DesiredSecret, data: Mapping[str, bytes]
) -> list[Difference]:
    """The Secret that would be written beside the one that is. `data`: the live one's, decoded."""
    what = f"Secret {wanted.name}"
    if live is None:
        return [Difference(what, "", f"would be created with {', '.join(sorted(wanted.data)) or 'no key'}")]
    changes = data_diff(data, wanted.data)
    if _shares(manifest):
        changes.pop("removed", None)  # keys of others stay
    out = [Difference(what, f"data.{key}", _WORDS[kind]) for kind, keys in changes.items() for key in keys]
    out += _type_differs(what, live, wanted.type)
    for part, new in (("labels", wanted.labels), ("annotations", wanted.annotations)):
        old = live["metadata"].get(part) or {}
        names = [key for key in sorted(set(new) - set(_MINE)) if old.get(key) != new[key]]
        words = {True: "would change", False: "would be added"}
        out += [Difference(what, f"metadata.{part}.{key}", words[key in old]) for key in names]
    return out


def _type_differs(what: str, live: Manifest, wanted: str) -> list[Difference]:
    if not wanted or wanted == type_of(live):
        return []
    return [Difference(what, "type", f"{type_of(live)}, the spec asks for {wanted}: refused, since it is immutable")]


def of_shapes(manifest: Manifest, live: Manifest | None) -> list[Difference]:
    """What can be told without values: names of keys, where no entry but AWS says them, and the type."""
    spec = parse(ExternalSecretSpec, manifest)
    target = spec.target
    what = f"Secret {target.name or manifest['metadata']['name']}"
    if live is None:
        return [Difference(what, "", "would be created")] if target.creation_policy != "Merge" else []
    keys, all_known = named_keys(spec)
    have = set(live.get("data") or {})
    out = [Difference(what, f"data.{key}", "would be added") for key in sorted(keys - have)]
    if all_known and not _shares(manifest):
        out += [Difference(what, f"data.{key}", "would be removed") for key in sorted(have - keys)]
    out += _type_differs(what, live, target.template.type if target.template is not None else "")
    return [*out, Difference(what, "", "values are not compared; give --with or --fetch", real=False)]


def named_keys(spec: ExternalSecretSpec) -> tuple[set[str], bool]:
    """Keys of the Secret that the spec names, and whether these are all."""
    template = spec.target.template or Template()
    through = template.merge_policy == "Merge" or not (template.data or template.template_from)
    keys = set(template.data)
    if through:
        keys |= {entry.secret_key for entry in spec.data}
    return keys, not template.template_from and not (through and spec.data_from)


def _shares(manifest: Manifest) -> bool:
    return parse(ExternalSecretSpec, manifest).target.creation_policy in ("Merge", "CreateOrMerge")
