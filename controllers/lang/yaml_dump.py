"""Objects as YAML text in the form that Go's printers give: sorted keys, block style, long texts unwrapped.

The form matters because postBuild substitution works on this text: an expression must stand unfolded on its line, and a
text of several lines must be a literal block, in which nothing is escaped.
"""

from __future__ import annotations

import math
from typing import Any

import yaml

from .yaml_scalars import as_json, float_text, needs_quotes


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _scalar(dumper: _Dumper, text: str, style: str | None = None) -> yaml.ScalarNode:
    """Every scalar is written as a text whose quotes are chosen here: PyYAML's own resolver has no say (see below)."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return _scalar(dumper, value, "|" if "\n" in value else '"' if needs_quotes(value) else None)


def _float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    if not math.isfinite(value):
        raise ValueError("infinity and NaN are not representable in JSON")
    whole = as_json(value)
    return _scalar(
        dumper, str(whole) if isinstance(whole, int) and -(1 << 63) <= whole < 1 << 64 else float_text(value)
    )


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _float)
_Dumper.add_representer(int, lambda dumper, value: _scalar(dumper, str(value)))
_Dumper.add_representer(bool, lambda dumper, value: _scalar(dumper, "true" if value else "false"))
_Dumper.add_representer(type(None), lambda dumper, _: _scalar(dumper, "null"))
_Dumper.yaml_implicit_resolvers = {}


def dump(value: Any) -> str:
    """One document."""
    text: str = yaml.dump(value, Dumper=_Dumper, width=2**30, allow_unicode=True, default_flow_style=False)
    return text


def dump_all(values: list[Any]) -> str:
    """Several documents, separated by `---`."""
    return "---\n".join(dump(value) for value in values)
