"""`fromYaml` as sigs.k8s.io/yaml has it: YAML by way of JSON. Writing is in `goyaml_write`.

Reading: 1.1 booleans as Go's reader takes them (`yes`, `y`, `on` and their kin), numbers are
float64, keys are strings, aliases are refused beyond a bound.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from .errors import FunctionError
from .goformat import float_text
from .goyaml_write import FLOAT, INTEGER, TIME, cased, to_yaml, without_underscores
from .registry import Function, functions
from .values import Value, to_text

MAX_NODES = 50_000
_MAX_NUMBER = 400
"""Digits; beyond, a number is no float64."""
_PLAIN, _MERGE = "tag:inhaul.dev,2026:plain", "tag:yaml.org,2002:merge"
_OCTAL = re.compile(r"[-+]?0[0-7]+")


class _Loader(yaml.SafeLoader):
    """Bounds the nodes after alias expansion; keeps dates as text, as Kubernetes' readers do."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases and more than 50000 nodes are refused")
        return super().compose_node(parent, index)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """A plain text without a tag is left to `_resolved`."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _MERGE if value == "<<" else _PLAIN
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Keys are texts at once: to Python, 1 and true are the same key."""
        self.flatten_mapping(node)
        return {
            _key(self.construct_object(key, deep=True)): self.construct_object(value, deep=deep)
            for key, value in node.value
        }


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> Any:
    return _resolved(str(loader.construct_scalar(node)))


_Loader.add_constructor(_PLAIN, _scalar)
_Loader.add_constructor(_MERGE, _scalar)


def _resolved(text: str) -> Any:
    """What yaml.v2 takes a plain text for. Times stay texts, as they do for all who read into interface{}."""
    word = text.lower()
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if cased(text) and word in ("y", "yes", "true", "on", "n", "no", "false", "off"):
        return word in ("y", "yes", "true", "on")
    if cased(text) and word in (".nan", ".inf", "+.inf", "-.inf"):
        return float(word.replace(".", ""))
    if text[0] not in "+-.0123456789" or TIME.fullmatch(text):
        return text
    plain = without_underscores(text)
    if INTEGER.fullmatch(plain):
        return int(plain, 0)
    if _OCTAL.fullmatch(plain):
        return int(plain, 8)
    if not FLOAT.fullmatch(plain) or len(plain) > _MAX_NUMBER:
        return text
    if plain.lstrip("+-").isdigit():
        return int(plain)
    return number if math.isfinite(number := float(plain)) else text


def load(text: str) -> Any:
    """One YAML document. Raises FunctionError that quotes nothing of it."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader with bounds
    except (yaml.YAMLError, ValueError, RecursionError):
        raise FunctionError("invalid YAML") from None


def from_yaml(text: str) -> dict[str, Value]:
    """A map; what is none yields {"Error": …}, for templates that look for it."""
    try:
        loaded = load(text)
    except FunctionError as error:
        return {"Error": str(error)}
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        return {"Error": "YAML document is not a map"}
    try:
        converted = _as_json(loaded)
    except (ValueError, OverflowError):
        return {"Error": "invalid YAML: a number that JSON has not"}
    return converted if isinstance(converted, dict) else {}


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, bytes):
        return to_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(number := float(value)):
            raise ValueError("not a JSON number")
        return number
    return value


def _key(key: Any) -> str:
    if isinstance(key, dict | list):
        raise yaml.YAMLError("a key must be a scalar")
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float):
        return float_text(key)
    return "null" if key is None else str(key)


YAML: dict[str, Function] = functions({"toYaml": ("a", to_yaml), "fromYaml": ("s", from_yaml)})
