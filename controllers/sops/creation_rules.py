"""`.sops.yaml`: which rule and which keys a path should have, and where a file differs from it. Pure.

The rule in a file's own section is not authenticated: whoever edits it decides what the next `sops edit` leaves in
plaintext. Comparing it with the repository's rules, and the recipients with those listed there, shows such a drift and
also the ordinary one: a key that was added or removed in `.sops.yaml` and never brought to the files (`updatekeys`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import re2
import yaml

from .errors import MetadataError
from .limits import SopsLimits
from .metadata import RULES, Metadata
from .yaml_tree import load_documents

CONFIG = ".sops.yaml"
_KEYS = {"age": "age", "kms": "kms", "pgp": "pgp"}


@dataclass(frozen=True, slots=True)
class CreationRule:
    """One entry: where it holds (RE2, searched in the path relative to the file), the rule, the keys by kind."""

    path_regex: str
    rule: str
    rule_value: str
    keys: frozenset[tuple[str, str]]


def parse_rules(data: bytes) -> tuple[CreationRule, ...]:
    """Raises MetadataError, RefusedSyntaxError."""
    try:
        root = load_documents(data, SopsLimits(size=1 << 20))[0]
    except yaml.YAMLError:
        raise MetadataError("MetadataInvalid", f"{CONFIG}: not valid YAML") from None
    listed = root.get("creation_rules")
    if listed is None:
        return ()
    if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
        raise MetadataError("MetadataInvalid", f"{CONFIG}: creation_rules: expected a list of mappings")
    return tuple(_rule(item) for item in listed[:1000])


def _rule(item: Mapping[str, Any]) -> CreationRule:
    named = next((name for name in RULES if item.get(name)), "unencrypted_suffix")
    groups = item.get("key_groups")
    sources = [group for group in groups if isinstance(group, Mapping)] if isinstance(groups, list) else [item]
    keys = {(kind, key) for source in sources for kind in _KEYS for key in _names(kind, source.get(kind))}
    return CreationRule(
        str(item.get("path_regex") or ""), named, str(item.get(named) or "_unencrypted"), frozenset(keys)
    )  # fmt: skip


def _names(kind: str, value: Any) -> Iterable[str]:
    """Keys come as one text with commas, as a list of texts, or (kms) as mappings with an `arn`."""
    items = value if isinstance(value, list) else str(value).split(",") if value else []
    for item in items:
        text = str(item.get("arn", "") if isinstance(item, Mapping) else item).strip()
        if kind == "kms":
            text = text.partition("+arn:aws")[0]
        if text:
            yield text


def rule_for(rules: Iterable[CreationRule], path: str) -> CreationRule | None:
    """The first rule whose expression is found in the path; sops decides so too."""
    for rule in rules:
        if not rule.path_regex:
            return rule
        options = re2.Options()
        options.log_errors = False
        try:
            if re2.compile(rule.path_regex, options).search(path):
                return rule
        except re2.error:
            continue
    return None


def drift(rule: CreationRule | None, metadata: Metadata) -> list[str]:
    """Where a file differs from the repository's rule, in words; nothing where no rule covers it."""
    if rule is None:
        return []
    found = []
    if (rule.rule, rule.rule_value) != (metadata.rule, metadata.rule_value):
        found.append(
            f"its rule is {metadata.rule}: {metadata.rule_value!r}, {CONFIG} says {rule.rule}: {rule.rule_value!r}"
        )
    if rule.keys:
        present = {(key.kind, key.identifier) for key in metadata.keys if key.kind in _KEYS}
        found += [f"{kind} {name} is not in {CONFIG}" for kind, name in sorted(present - rule.keys)]
        found += [f"{kind} {name} of {CONFIG} cannot open it" for kind, name in sorted(rule.keys - present)]
    return found


def relative(path: str, config: str) -> str:
    """`path` as a rule of the file `config` sees it."""
    return posixpath.relpath(path, posixpath.dirname(config) or ".")
