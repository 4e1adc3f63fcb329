"""Sprig's functions on lists, maps, defaults and types."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

from ..convert import from_json, integer, text_of, to_json
from ..errors import FunctionError
from ..registry import Function, bounded_count, functions
from ..values import NilList, StringList, Value, kind_name, truth, type_name


def empty(value: Value) -> bool:
    return not truth(value)


def default(fallback: Value, *given: Value) -> Value:
    return fallback if not given or empty(given[0]) else given[0]


def listed(value: Value, name: str) -> list[Value]:
    if not isinstance(value, list | tuple):
        raise FunctionError(f"Cannot {name} on type {kind_name(value)}")
    return list(value)


def slice_(value: Value, *bounds: Value) -> Value:
    items = value if isinstance(value, StringList) else listed(value, "slice")
    if not items:
        return None
    start = integer(bounds[0]) if bounds else 0
    end = integer(bounds[1]) if len(bounds) > 1 else len(items)
    if not 0 <= start <= end <= len(items):
        raise FunctionError("slice bounds out of range")
    return StringList(items[start:end]) if isinstance(items, StringList) else items[start:end]


def rest(value: Value) -> list[Value]:
    return listed(value, "find rest")[1:] or ([] if value else NilList())


def initial(value: Value) -> list[Value]:
    return listed(value, "find initial")[:-1] or ([] if value else NilList())


def concat(*lists: Value) -> list[Value]:
    return [item for value in lists for item in listed(value, "concat")] or NilList()


def uniq(value: Value) -> list[Value]:
    out: list[Value] = []
    items = listed(value, "find uniq")
    if len(items) > 2000:
        raise FunctionError("uniq of more than 2000 items")
    for item in items:
        if not any(_same(item, seen) for seen in out):
            out.append(item)
    return out


def _same(first: Value, second: Value) -> bool:
    """reflect.DeepEqual: types count."""
    return type_name(first) == type_name(second) and bool(first == second)


def chunk(size: int, value: Value) -> list[Value]:
    items = listed(value, "chunk")
    if size < 1:
        raise FunctionError("chunk size must be positive")
    return [items[at : at + size] for at in range(0, len(items), size)]


def dictionary(*pairs: Value) -> dict[str, Value]:
    keys = [text_of(key) for key in pairs[::2]]
    return dict(itertools.zip_longest(keys, pairs[1::2], fillvalue=""))


def dig(*arguments: Value) -> Value:
    """`dig "a" "b" default map`."""
    if len(arguments) < 3:
        raise FunctionError("dig needs at least three arguments")
    *path, fallback, node = arguments
    for position, key in enumerate(path):
        if not isinstance(node, dict) or not isinstance(key, str):
            raise FunctionError(f"dig expected a map and a string key at step {position + 1}")
        if key not in node:
            return fallback
        node = node[key]
    return node


def merge(target: dict[str, Value], *sources: dict[str, Value], overwrite: bool = False) -> dict[str, Value]:
    for source in sources:
        _merge_into(target, source, overwrite, 0)
    return target


def _merge_into(target: dict[str, Value], source: dict[str, Value], overwrite: bool, depth: int) -> None:
    if depth > 100:
        raise FunctionError("nested too deeply")
    for key, value in source.items():
        if isinstance(target.get(key), dict) and isinstance(value, dict):
            _merge_into(target[key], value, overwrite, depth + 1)
        elif key not in target or (overwrite and not empty(value)) or (not overwrite and empty(target[key])):
            target[key] = value


def set_(target: dict[str, Value], key: str, value: Value) -> dict[str, Value]:
    target[key] = value
    return target


def unset(target: dict[str, Value], key: str) -> dict[str, Value]:
    target.pop(key, None)
    return target


def _quiet_json(text: str) -> Value:
    try:
        return from_json(text)
    except ValueError:
        return None


def _must_json(text: str) -> Value:
    try:
        return from_json(text)
    except ValueError as error:
        raise FunctionError(str(error)) from None


def without(value: Value, *omitted: Value) -> list[Value]:
    return [item for item in listed(value, "without") if not any(_same(item, omit) for omit in omitted)]


def has(needle: Value, value: Value) -> bool:
    return value is not None and any(_same(needle, item) for item in listed(value, "find has"))


def push(value: Value, item: Value) -> list[Value]:
    bounded_count(len(listed(value, "push")) + 1)
    return [*listed(value, "push"), item]


def _both(name: str, letters: str, call: Callable[..., Value]) -> dict[str, tuple[str, Callable[..., Value]]]:
    """A function under its own name and as `mustX`: ours both fail with an error and never panic."""
    return {name: (letters, call), f"must{name[0].upper()}{name[1:]}": (letters, call)}


COLLECTIONS: dict[str, Function] = functions(
    {
        "default": ("aa*", default),
        "empty": ("a", empty),
        "coalesce": ("a*", lambda *values: next((value for value in values if truth(value)), None)),
        "all": ("a*", lambda *values: all(map(truth, values))),
        "any": ("a*", lambda *values: any(map(truth, values))),
        "ternary": ("aab", lambda yes, no, test: yes if test else no),
        "deepCopy": ("a", copy.deepcopy),
        "mustDeepCopy": ("a", copy.deepcopy),
        "fromJson": ("s", _quiet_json),
        "mustFromJson": ("s", _must_json),
        "toJson": ("a", to_json),
        "mustToJson": ("a", to_json),
        "toPrettyJson": ("a", lambda value: to_json(value, indent="  ")),
        "mustToPrettyJson": ("a", lambda value: to_json(value, indent="  ")),
        "toRawJson": ("a", lambda value: to_json(value, escape_html=False)),
        "mustToRawJson": ("a", lambda value: to_json(value, escape_html=False)),
        "typeOf": ("a", type_name),
        "typeIs": ("sa", lambda name, value: name == type_name(value)),
        "typeIsLike": ("sa", lambda name, value: type_name(value) in (name, f"*{name}")),
        "kindOf": ("a", kind_name),
        "kindIs": ("sa", lambda name, value: name == kind_name(value)),
        "deepEqual": ("aa", _same),
        "list": ("a*", lambda *values: list(values)),
        "tuple": ("a*", lambda *values: list(values)),
        "dict": ("a*", dictionary),
        "get": ("ms", lambda mapping, key: (mapping or {}).get(key, "")),
        "set": ("msa", set_),
        "unset": ("ms", unset),
        "hasKey": ("ms", lambda mapping, key: key in (mapping or {})),
        "pluck": ("sm*", lambda key, *mappings: [mapping[key] for mapping in mappings if key in mapping]),
        "keys": ("m*", lambda *mappings: StringList(key for mapping in mappings for key in sorted(mapping))),
        "values": ("m", lambda mapping: [mapping[key] for key in sorted(mapping)]),
        "pick": ("ms*", lambda mapping, *keys: {key: mapping[key] for key in keys if key in mapping}),
        "omit": ("ms*", lambda mapping, *keys: {k: value for k, value in mapping.items() if k not in keys}),
        **_both("merge", "mm*", merge),
        **_both("mergeOverwrite", "mm*", lambda target, *rest: merge(target, *rest, overwrite=True)),
        "dig": ("a*", dig),
        "concat": ("a*", concat),
        **_both("append", "aa", push),
        **_both("push", "aa", push),
        **_both("prepend", "aa", lambda value, item: [item, *listed(value, "prepend")]),
        **_both("first", "a", lambda value: next(iter(listed(value, "find first")), None)),
        **_both("last", "a", lambda value: next(reversed(listed(value, "find last")), None)),
        **_both("rest", "a", rest),
        **_both("initial", "a", initial),
        **_both("reverse", "a", lambda value: listed(value, "find reverse")[::-1]),
        **_both("uniq", "a", uniq),
        **_both("compact", "a", lambda value: [item for item in listed(value, "compact") if truth(item)]),
        **_both("without", "aa*", without),
        **_both("has", "aa", has),
        **_both("slice", "aa*", slice_),
        **_both("chunk", "ia", chunk),
    }
)
