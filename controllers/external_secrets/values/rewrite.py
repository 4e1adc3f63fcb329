"""`dataFrom[].rewrite`: new names for keys, or values merged. Pure.

Beyond upstream: two keys that become one are an error (upstream keeps a random one), and integers beyond 53 bits keep
their digits in a merge (upstream goes through float64).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import re2

from controllers.templating.convert import json_string, to_json
from controllers.templating.goformat import float_text
from controllers.templating.sprig.regex import compile_re2, replace_all
from controllers.templating.values import to_bytes, valid_text

from .errors import EntryError


class Renderer(Protocol):
    """Renders one template on data; the controller's template rules are injected."""

    def __call__(self, text: str, data: dict[str, str]) -> str: ...


Values = dict[str, bytes]
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Traced:
    """A value, and the keys of the input that it was made of."""

    value: bytes = field(repr=False)
    origins: tuple[str, ...]


def rewrite(steps: Sequence[Mapping[str, Any]], values: Values, render: Renderer) -> Values:
    """The values after all steps, in order. A step is `{"regexp": …}`, `{"transform": …}` or `{"merge": …}`."""
    return {key: each.value for key, each in traced(steps, values, render).items()}


def traced(steps: Sequence[Mapping[str, Any]], values: Values, render: Renderer) -> dict[str, Traced]:
    """As `rewrite`, with where each value came from."""
    out = {key: Traced(value, (key,)) for key, value in values.items()}
    for step in steps:
        if step.get("regexp") is not None:
            out = rename(out, _regexp(step["regexp"]))
        elif step.get("transform") is not None:
            out = rename(out, _transform(str(step["transform"].get("template") or ""), render))
        elif step.get("merge") is not None:
            out = merge(step["merge"], out)
    out.pop("", None)
    return out


def rename(values: Mapping[str, V], new_name: Callable[[str], str]) -> dict[str, V]:
    """Each key renamed. Raises EntryError where two become one; what becomes empty is dropped after the last step,
    so of several no more than the last in order goes on."""
    out: dict[str, V] = {}
    origin: dict[str, str] = {}
    for key in sorted(values):
        name = new_name(key)
        if name and name in out:
            raise EntryError("Rewrite", f"rewrite makes {name} of both {origin[name]} and {key}")
        out[name] = values[key]
        origin[name] = key
    return out


def _transform(template: str, render: Renderer) -> Callable[[str], str]:
    return lambda key: render(template, {"value": key})


def _regexp(spec: Mapping[str, Any]) -> Callable[[str], str]:
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


def merge(spec: Mapping[str, Any], values: Mapping[str, Traced]) -> dict[str, Traced]:
    """Values read as JSON objects and merged: keys without priority first in sorted order, then by priority."""
    priority = list(spec.get("priority") or ())
    strict = (spec.get("priorityPolicy") or "Strict") == "Strict"
    absent = [key for key in priority if key not in values]
    if absent and strict:
        raise EntryError("Rewrite", f"merge.priority names key {absent[0]}, which is not in the input")
    ordered = [key for key in sorted(values) if key not in priority] + [key for key in priority if key in values]
    conflicts = (spec.get("conflictPolicy") or "Error") == "Error"
    merged: dict[str, Any] = {}
    origins: dict[str, tuple[str, ...]] = {}
    for key in ordered:
        for name, value in _object(key, values[key].value).items():
            if conflicts and name in merged:
                raise EntryError("Rewrite", f"merge finds field {name} more than once; key {key} holds it too")
            merged[name], origins[name] = value, values[key].origins
    if (spec.get("strategy") or "Extract") == "JSON":
        into = spec.get("into") or ""
        if not into:
            raise EntryError("Rewrite", "merge.into is required with merge.strategy JSON")
        every = tuple(dict.fromkeys(origin for key in ordered for origin in values[key].origins))
        return {**values, into: Traced(_text(merged, html=False).encode(), every)}
    return {name: Traced(_scalar(value), origins[name]) for name, value in merged.items()}


def _object(key: str, value: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(value.decode("utf-8", "surrogateescape"), parse_int=_Integer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise EntryError("ValueInvalid", f"value of key {key} is not JSON; merge expects an object") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise EntryError("ValueInvalid", f"value of key {key} is JSON but not an object")
    return loaded


def _refuse(name: str) -> None:
    raise ValueError(name)


_SAFE = 1 << 53


class _Integer(float):
    """A number without fraction and exponent. Beyond 53 bits it keeps its digits."""

    __slots__ = ("digits",)
    digits: str

    def __new__(cls, text: str) -> _Integer:
        number = super().__new__(cls, text)
        number.digits = text if abs(number) >= _SAFE else ""
        return number


def _text(value: Any, *, html: bool) -> str:
    """Go's compact JSON: keys sorted, numbers as Go writes them, `<>&` escaped where `html`."""
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda member: to_bytes(valid_text(member[0])))
        return "{" + ",".join(f"{json_string(k, escape_html=html)}:{_text(v, html=html)}" for k, v in members) + "}"
    if isinstance(value, list):
        return f"[{','.join(_text(item, html=html) for item in value)}]"
    if isinstance(value, _Integer) and value.digits:
        return value.digits
    return to_json(value, escape_html=html)


def _scalar(value: Any) -> bytes:
    """A JSON value as the bytes that a Secret gets."""
    if value is None:
        return b""
    if isinstance(value, str):
        return to_bytes(valid_text(value))
    if isinstance(value, _Integer) and value.digits:
        return value.digits.encode()
    if isinstance(value, float):
        return float_text(value, "f").encode()
    return _text(value, html=True).encode()


def byte_value(value: Any) -> bytes:
    """A JSON value as the bytes that a Secret gets."""
    return _scalar(value)
