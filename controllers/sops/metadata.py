"""The `sops` section of a file, typed. All of it is unauthenticated Git data: nothing in it is trusted further than the
key service and the tenant's policy let it go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import re2

from .errors import MetadataError

RULES = (
    "unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex",
    "unencrypted_comment_regex", "encrypted_comment_regex",
)  # fmt: skip
_KINDS = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp", "age")
_FIRST = ("age", "pgp")
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})")
_VERSION = re.compile(r"1\..*|v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.S)
_MAX_REGEX = 4096


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One entry of a key list: who can open the data key, and the data key as that key encrypted it."""

    kind: str
    """age, pgp, kms, gcp_kms, azure_kv, hc_vault or hckms."""
    identifier: str
    """Recipient, fingerprint, ARN or address: a label that can lie; shown, never trusted."""
    enc: str
    role: str = ""
    context: tuple[tuple[str, str], ...] = ()
    profile: str = ""
    fields: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says about itself."""

    groups: tuple[tuple[MasterKey, ...], ...]
    mac: str
    lastmodified: str
    """As the MAC's associated data has it: RFC 3339 in seconds, `+00:00` written as `Z`."""
    rule: str
    rule_value: str
    mac_only_encrypted: bool
    threshold: int
    version: str

    @property
    def keys(self) -> tuple[MasterKey, ...]:
        return tuple(key for group in self.groups for key in group)

    @property
    def needs_comments(self) -> bool:
        return self.rule.endswith("comment_regex")

    def selector(self) -> Callable[[tuple[str, ...]], bool]:
        """path → is this position encrypted?"""
        value = self.rule_value
        match self.rule:
            case "unencrypted_suffix":
                return lambda path: not any(part.endswith(value) for part in path)
            case "encrypted_suffix":
                return lambda path: any(part.endswith(value) for part in path)
            case "unencrypted_regex" | "encrypted_regex":
                search, wanted = _regex(self.rule, value).search, self.rule == "encrypted_regex"
                return lambda path: any(search(part) is not None for part in path) is wanted
        raise MetadataError("UnsupportedFormat", f"sops.{self.rule}: comment rules are not read by this reader")


def _regex(rule: str, text: str) -> Any:
    if len(text) > _MAX_REGEX:
        raise MetadataError("MetadataInvalid", f"sops.{rule}: longer than {_MAX_REGEX} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(text, options)
    except re2.error:
        raise MetadataError("MetadataInvalid", f"sops.{rule}: not a valid RE2 regular expression") from None


def parse_metadata(raw: object) -> Metadata:
    """The section as a mapping of plain values. Unknown keys are ignored, as sops does."""
    if not isinstance(raw, Mapping):
        raise MetadataError("MetadataInvalid", f"sops: expected a mapping, found {_kind(raw)}")
    set_rules = [rule for rule in RULES if raw.get(rule)]
    if len(set_rules) > 1:
        raise MetadataError("ConflictingRules", f"sops: only one rule may be set, found {', '.join(set_rules)}")
    rule = set_rules[0] if set_rules else "unencrypted_suffix"
    if not _VERSION.fullmatch(_text(raw, "version")):
        raise MetadataError("MetadataInvalid", "sops.version: expected a version like 3.9.0")
    groups = _groups(raw)
    if not any(groups):
        raise MetadataError("MetadataInvalid", "sops: no key is listed")
    threshold = raw.get("shamir_threshold") or 0
    if not re.fullmatch(r"[0-9]{1,3}", str(threshold)):
        raise MetadataError("MetadataInvalid", "sops.shamir_threshold: expected a number")
    return Metadata(
        groups=groups,
        mac=_text(raw, "mac"),
        lastmodified=_lastmodified(raw.get("lastmodified")),
        rule=rule,
        rule_value=_text(raw, rule) if set_rules else "_unencrypted",
        mac_only_encrypted=str(raw.get("mac_only_encrypted") or "false").lower() in ("true", "t", "1"),
        threshold=int(str(threshold)) or len(groups),
        version=_text(raw, "version"),
    )


def _groups(raw: Mapping[str, Any]) -> tuple[tuple[MasterKey, ...], ...]:
    listed = raw.get("key_groups") or [raw]
    if not isinstance(listed, list) or len(listed) > 64:
        raise MetadataError("MetadataInvalid", "sops.key_groups: expected a list of at most 64 groups")
    groups = []
    for index, group in enumerate(listed):
        if not isinstance(group, Mapping):
            raise MetadataError(
                "MetadataInvalid", f"sops.key_groups[{index}]: expected a mapping, found {_kind(group)}"
            )
        keys = [key for kind in _KINDS for key in _keys(kind, group.get(kind))]
        groups.append(
            tuple(sorted(keys, key=lambda key: _FIRST.index(key.kind) if key.kind in _FIRST else len(_FIRST)))
        )
    return tuple(groups)


def _keys(kind: str, entries: object) -> list[MasterKey]:
    if entries is None:
        return []
    if not isinstance(entries, list) or len(entries) > 256:
        raise MetadataError("MetadataInvalid", f"sops.{kind}: expected a list of at most 256 keys")
    keys = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise MetadataError("MetadataInvalid", f"sops.{kind}[{index}]: expected a mapping, found {_kind(entry)}")
        fields = {name: str(value) for name, value in entry.items() if isinstance(value, str | int | bool)}
        context = entry.get("context")
        pairs = sorted((str(k), str(v)) for k, v in context.items()) if isinstance(context, Mapping) else ()
        keys.append(
            MasterKey(
                kind=kind,
                identifier=_identifier(kind, fields),
                enc=fields.get("enc", ""),
                role=fields.get("role", ""),
                context=tuple(pairs),
                profile=fields.get("aws_profile", ""),
                fields=fields,
            )
        )
    return keys


def _identifier(kind: str, fields: Mapping[str, str]) -> str:
    match kind:
        case "azure_kv":
            return f"{fields.get('vault_url', '')}/keys/{fields.get('name', '')}"
        case "hc_vault":
            address = fields.get("vault_address", "").rstrip("/")
            return f"{address}/{fields.get('engine_path', '')}/{fields.get('key_name', '')}"
    name = {"age": "recipient", "pgp": "fp", "kms": "arn", "gcp_kms": "resource_id", "hckms": "key_id"}[kind]
    return fields.get(name, "")


def _lastmodified(raw: object) -> str:
    text = raw if isinstance(raw, str) else ""
    match = _RFC3339.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    except ValueError:
        raise MetadataError("MetadataInvalid", "sops.lastmodified: expected a time like 2026-01-31T12:00:00Z") from None
    zone = "Z" if match[3] in ("Z", "+00:00", "-00:00") else match[3]
    return match[1] + zone


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if isinstance(value, Mapping | list):
        raise MetadataError("MetadataInvalid", f"sops.{name}: expected a text, found {_kind(value)}")
    return str(value)


def _kind(value: object) -> str:
    return {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing"}.get(type(value), "a scalar")


def unflatten(flat: Mapping[str, str]) -> dict[str, Any]:
    """`age__list_0__map_recipient` → {"age": [{"recipient": …}]}: the section as dotenv and INI files write it."""
    root: dict[str, Any] = {}
    for key, value in flat.items():
        steps: list[str | int] = []
        for part in re.split(r"__(?=list_\d|map_)", key):
            if match := re.fullmatch(r"list_(\d{1,3})", part):
                steps.append(int(match[1]))
            else:
                steps.append(part.removeprefix("map_") if steps else part)
        _put(root, steps, value)
    return {name: _lists(value) for name, value in root.items()}


def _put(node: dict[Any, Any], steps: list[str | int], value: str) -> None:
    for step in steps[:-1]:
        inner = node.setdefault(step, {})
        if not isinstance(inner, dict):
            raise MetadataError("MetadataInvalid", f"sops: {step} is both a text and a section")
        node = inner
    node[steps[-1]] = value


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(key, int) for key in node):
        return [_lists(node[key]) for key in sorted(node)]
    return {str(key): _lists(value) for key, value in node.items()}
