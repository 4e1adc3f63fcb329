"""`toYaml` and `fromYaml` as sigs.k8s.io/yaml has them: YAML by way of JSON.

Reading: 1.1 booleans as Go's reader takes them (`yes` is text... but `y`, `on` and their kin are booleans), numbers are
float64, keys are strings, aliases are refused beyond a bound. Writing: keys sorted, block style, two spaces.
"""

from __future__ import annotations

from typing import Any

import yaml

from .errors import FunctionError
from .registry import Function, functions
from .values import Struct, Value, to_text

MAX_NODES = 50_000


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


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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
    converted = _as_json(loaded)
    return converted if isinstance(converted, dict) else {}


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, bytes):
        return to_text(value)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


class _Dumper(yaml.SafeDumper):
    """Indents nothing under a list's dash, as Go's writer does, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(value: Value) -> str:
    """Block style without the last newline; what cannot be written is "", as upstream does."""
    try:
        text = yaml.dump(_plain(value, 0), Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=2**31)
    except (yaml.YAMLError, ValueError, RecursionError):
        return ""
    return text.removesuffix("\n...\n").removesuffix("\n")


def _plain(value: Value, depth: int) -> Any:
    if depth > 100:
        raise FunctionError("nested too deeply")
    if isinstance(value, Struct):
        value = value.fields
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


YAML: dict[str, Function] = functions({"toYaml": ("a", to_yaml), "fromYaml": ("s", from_yaml)})
