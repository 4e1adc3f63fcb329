"""Counts in messages: "1 object", "2 objects". Pure.

English has few nouns that need more than an "s" in our messages; those are given by the caller.
"""

from __future__ import annotations

_ES = ("s", "x", "z", "ch", "sh")


def counted(count: int, noun: str, plural: str = "") -> str:
    """The count and its noun: `counted(1, "entry")` is "1 entry", `counted(2, "entry")` "2 entries".

    `noun` is the singular and may be several words; its last word takes the ending, unless `plural` is given.
    """
    return f"{count} {noun if count == 1 else plural or _plural(noun)}"


def are(count: int) -> str:
    """The verb that agrees with a count: "is" or "are"."""
    return "is" if count == 1 else "are"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(_ES) else f"{noun}s"
