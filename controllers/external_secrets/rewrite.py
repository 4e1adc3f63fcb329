"""`dataFrom[].rewrite`: new names for keys, or values merged. Pure.

Beyond upstream: two keys that become one are an error (upstream keeps a random one), and integers of any size survive a
merge (upstream goes through float64).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

import re2

from .errors import EntryError


class Renderer(Protocol):
    """Renders one template on data; the controller's template rules are injected."""

    def __call__(self, text: str, data: dict[str, str]) -> str: ...


Values = dict[str, bytes]


def rewrite(steps: list[dict[str, Any]], values: Values, render: Renderer) -> Values:
    """The values after all steps, in order. A step is `{"regexp": …}`, `{"transform": …}` or `{"merge": …}`."""
    for step in steps:
        if step.get("regexp") is not None:
            values = rename(values, _regexp(step["regexp"]))
        elif step.get("transform") is not None:
            values = rename(values, _transform(str(step["transform"].get("template") or ""), render))
        elif step.get("merge") is not None:
            values = merge(step["merge"], values)
    return values


def rename(values: Values, new_name: Callable[[str], str]) -> Values:
    """Each key renamed; keys that become empty are dropped."""
    out: Values = {}
    origin: dict[str, str] = {}
    for key in sorted(values):
        name = new_name(key)
        if name == "":
            continue
        if name in out:
            raise EntryError("Rewrite", f"rewrite makes {name} of both {origin[name]} and {key}")
        out[name] = values[key]
        origin[name] = key
    return out


def _transform(template: str, render: Renderer) -> Callable[[str], str]:
    return lambda key: render(template, {"value": key})


def _regexp(spec: dict[str, Any]) -> Callable[[str], str]:
    from controllers.templating.sprig_misc import compile_re2, replace_all

    try:
        pattern = compile_re2(str(spec.get("source") or ""))
    except Exception as error:  # the engine's own error type, whatever it is
        raise EntryError("Rewrite", "rewrite.regexp.source is not a regular expression") from error
    target = str(spec.get("target") or "")

    def new_name(key: str) -> str:
        try:
            return replace_all(pattern, key, target)
        except re2.error:
            raise EntryError("Rewrite", f"rewrite.regexp cannot be applied to key {key}") from None

    return new_name


def merge(spec: dict[str, Any], values: Values) -> Values:
    """Values read as JSON objects and merged: keys without priority first in sorted order, then by priority."""
    priority = list(spec.get("priority") or ())
    strict = (spec.get("priorityPolicy") or "Strict") == "Strict"
    absent = [key for key in priority if key not in values]
    if absent and strict:
        raise EntryError("Rewrite", f"merge.priority names key {absent[0]}, which is not in the input")
    ordered = [key for key in sorted(values) if key not in priority] + [key for key in priority if key in values]
    conflicts = (spec.get("conflictPolicy") or "Error") == "Error"
    merged: dict[str, Any] = {}
    for key in ordered:
        for field, value in _object(key, values[key]).items():
            if conflicts and field in merged:
                raise EntryError("Rewrite", f"merge finds field {field} more than once; key {key} holds it too")
            merged[field] = value
    if (spec.get("strategy") or "Extract") == "JSON":
        into = spec.get("into") or ""
        if not into:
            raise EntryError("Rewrite", "merge.into is required with merge.strategy JSON")
        return {**values, into: _text(merged).encode()}
    return {field: _scalar(value) for field, value in merged.items()}


def _object(key: str, value: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(value, parse_float=_Number, parse_int=_Number)
    except (ValueError, RecursionError):
        raise EntryError("ValueInvalid", f"value of key {key} is not JSON; merge expects an object") from None
    if not isinstance(loaded, dict):
        raise EntryError("ValueInvalid", f"value of key {key} is JSON but not an object")
    return loaded


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _text(value: Any) -> str:
    """Go's compact JSON: keys sorted; numbers as they were written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_text(key)}:{_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    return json_text(value)


def json_text(value: Any) -> str:
    """A JSON scalar as Go's encoding/json writes it."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _scalar(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return _text(value).encode("utf-8", "replace")


def byte_value(value: Any) -> bytes:
    """A JSON value as the bytes that a Secret gets."""
    if isinstance(value, float):
        from .numbers import plain_number

        return plain_number(value).encode()
    return _scalar(value)
