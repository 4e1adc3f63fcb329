"""Compiles the `openAPIV3Schema` of a CRD's version into a `Node`.

What a CRD may say is checked in `write/crd.py`; here unknown keywords are ignored, as they have no effect on values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .loader import table
from .node import ANYTHING, MISSING, Node

_CONSTRAINTS_WORDS = (
    "enum pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength "
    "minItems maxItems uniqueItems minProperties maxProperties allOf anyOf oneOf not"
)
CONSTRAINTS = frozenset(_CONSTRAINTS_WORDS.split())
MAX_DEPTH = 128


def compile_schema(schema: Mapping[str, Any]) -> Node:
    """The schema of whole objects: apiVersion, kind and metadata are those of every Kubernetes object."""
    node = _compile(schema, 0)
    if not schema:
        node = Node("object", preserve=True, deduced=True)
    node.type = "object"
    _embed(node)
    return node


def _embed(node: Node) -> None:
    node.properties = {
        **node.properties,
        "apiVersion": Node("string"),
        "kind": Node("string"),
        "metadata": table()["meta.v1.ObjectMeta"],
    }
    node.required = tuple(name for name in node.required if name not in ("apiVersion", "kind", "metadata"))


def _compile(schema: Mapping[str, Any], depth: int) -> Node:
    if depth > MAX_DEPTH:
        return ANYTHING
    additional = schema.get("additionalProperties")
    items = schema.get("items")
    node = Node(
        type=str(schema.get("type") or ""),
        properties={name: _compile(sub, depth + 1) for name, sub in (schema.get("properties") or {}).items()},
        values=_compile(additional, depth + 1) if isinstance(additional, Mapping) else ANYTHING if additional else None,
        items=_compile(items, depth + 1) if isinstance(items, Mapping) else None,
        list_type=str(schema.get("x-kubernetes-list-type") or "atomic"),
        keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        atomic=schema.get("x-kubernetes-map-type") == "atomic",
        preserve=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(schema.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(schema.get("x-kubernetes-int-or-string")),
        nullable=bool(schema.get("nullable")),
        default=schema.get("default", MISSING),
        required=tuple(schema.get("required") or ()),
        constraints={key: value for key, value in schema.items() if key in CONSTRAINTS},
        rules=tuple(schema.get("x-kubernetes-validations") or ()),
    )
    if node.embedded:
        required = node.required
        _embed(node)
        node.required = required
    children = [*node.properties.values(), *(child for child in (node.values, node.items) if child is not None)]
    node.has_defaults = node.default is not MISSING or any(child.has_defaults for child in children)
    node.has_rules = bool(node.rules) or any(child.has_rules for child in children)
    node.deduced = node.preserve and not node.properties and node.values is None and node.items is None
    return node


def compile_branch(schema: Mapping[str, Any]) -> Node:
    """A schema inside allOf, anyOf, oneOf or not: value checks only."""
    return _compile(schema, 0)
