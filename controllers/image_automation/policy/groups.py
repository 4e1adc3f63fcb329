"""Which groups of an RE2 expression bear which name. Pure.

RE2 and Go's regexp let several groups have one name (`^(?:a(?P<n>\\d+)|b(?P<n>\\d+))$`), and Go's Expand takes the
first of them that took part in the match. The binding for Python tells only the first of a name, so the names are read
from the expression itself; where that does not agree with what the binding tells, the binding is believed.
"""

from __future__ import annotations

import re
from typing import Any

_GROUP = re.compile(
    r"""
      \\Q(?s:.*?)(?:\\E|\Z)                      # quoted text
    | \\.                                        # an escape
    | \[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]    # a class
    | \((?:\?P?<(?P<name>\w+)>|(?P<other>\?))?   # a group: named, special, or capturing without a name
    """,
    re.VERBOSE | re.DOTALL,
)


def named_groups(pattern: Any) -> dict[str, tuple[int, ...]]:
    """Name → its groups' numbers, ascending. `pattern`: a compiled RE2 expression."""
    found: dict[str, list[int]] = {}
    number = 0
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    for match in _GROUP.finditer(text):
        if not match[0].startswith("(") or match["other"]:
            continue
        number += 1
        if match["name"]:
            found.setdefault(match["name"], []).append(number)
    told = dict(pattern.groupindex)
    if number == pattern.groups and told == {name: numbers[0] for name, numbers in found.items()}:
        return {name: tuple(numbers) for name, numbers in found.items()}
    return {name: (number,) for name, number in told.items()}
