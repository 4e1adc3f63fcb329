"""One schema for built-in and custom types: what a value may be, and how two writers' values merge.

`Node` is a structural schema compiled once per type. Built-in types come from a table (`loader.py`), custom ones from
the `openAPIV3Schema` of their CRD (`compile.py`). Pruning, defaulting, validation and server-side apply all walk it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MISSING: Final = object()
"""No default: None is a value."""


@dataclass(slots=True, eq=False)
class Node:
    """The schema of one value. Recursive types refer to themselves, so nodes compare by identity.

    `type` is object, array, string, integer, number, boolean, or "" for anything. `constraints` holds the value
    checks of JSON Schema as the CRD has them; the fields beside it are what is asked for often.
    """

    type: str = ""
    name: str = ""
    properties: dict[str, Node] = field(default_factory=dict)
    values: Node | None = None
    items: Node | None = None
    list_type: str = "atomic"
    keys: tuple[str, ...] = ()
    atomic: bool = False
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    nullable: bool = False
    default: Any = MISSING
    required: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    """Lists, maps and pointers of a built-in type that are encoded as null where they hold nothing."""
    dropped: frozenset[str] = frozenset()
    """Scalars of a built-in type that are left out where they are zero."""
    constraints: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Mapping[str, Any], ...] = ()
    has_defaults: bool = False
    has_rules: bool = False
    deduced: bool = False
    """Nothing is known about the value: maps merge by key, lists are replaced."""

    def child(self, name: str) -> Node:
        """The schema of a field of an object; what is not declared is `ANYTHING`."""
        found = self.properties.get(name)
        if found is not None:
            return found
        return self.values or ANYTHING

    def item(self) -> Node:
        """The schema of an item of a list."""
        return self.items or ANYTHING


ANYTHING = Node(preserve=True, deduced=True, nullable=True)
STRING = Node("string")
METADATA_FIELDS = ("apiVersion", "kind", "metadata")
