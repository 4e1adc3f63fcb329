"""Objects as YAML text in the form that Go's printers give: sorted keys, block style, long texts unwrapped.

The form matters because postBuild substitution works on this text: an expression must stand unfolded on its line, and a
text of several lines must be a literal block, in which nothing is escaped.
"""

from __future__ import annotations

from typing import Any

import yaml

from .yaml_load import resolve


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    if "\n" in value:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    if value in ("y", "Y", "n", "N", "<<", "=") or _reads_otherwise(value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", value)


def _reads_otherwise(value: str) -> bool:
    """Would our reader take the plain text for another type?"""
    try:
        return not isinstance(resolve(value), str)
    except ValueError:
        return True


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    """One document."""
    text: str = yaml.dump(value, Dumper=_Dumper, width=2**30, allow_unicode=True, default_flow_style=False)
    return text


def dump_all(values: list[Any]) -> str:
    """Several documents, separated by `---`."""
    return "---\n".join(dump(value) for value in values)
