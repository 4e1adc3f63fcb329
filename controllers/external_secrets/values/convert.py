"""conversionStrategy: what becomes of characters that a Secret's key cannot have. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TypeVar

from .errors import EntryError

V = TypeVar("V")
MAX_KEY = 253
_ESCAPED = re.compile(r"_U([0-9a-fA-F]{4,5})_")


def convert_key(strategy: str, key: str) -> str:
    """Default: `_` for each foreign character; Unicode: `_U<hex>_`."""
    if strategy == "None":
        return key
    return "".join(char if _stays(char) else "_" if strategy != "Unicode" else f"_U{ord(char):04x}_" for char in key)


def _stays(char: str) -> bool:
    return char in "-._" or unicodedata.category(char)[0] in "LN"


def convert_keys(strategy: str, values: Mapping[str, V]) -> dict[str, V]:
    """All keys converted. Raises EntryError where two become one."""
    out: dict[str, V] = {}
    origin: dict[str, str] = {}
    for key, value in values.items():
        converted = convert_key(strategy, key)
        if converted in out:
            raise EntryError("Conversion", f"keys {origin[converted]} and {key} both convert to {converted}")
        out[converted] = value
        origin[converted] = key
    return out


def reverse_key(strategy: str, key: str) -> str:
    """ReverseUnicode: `_U005b_` back to the character; what is no escape stays."""
    if strategy != "ReverseUnicode":
        return key
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), key)


def check_keys(values: Mapping[str, V]) -> None:
    """Raises EntryError for the first key that upstream refuses in an entry: a letter or digit of any script passes
    here, for a template may use it under another name. What a Secret takes is checked of the rendered Secret."""
    for key in sorted(values):
        if len(key) > MAX_KEY:
            raise EntryError("Conversion", f"key {key[:60]}… has {len(key)} characters; expected at most {MAX_KEY}")
        if not key or not all(map(_stays, key)):
            raise EntryError(
                "Conversion", f"key {key} holds characters other than letters, digits, - _ and .; use rewrite to fix it"
            )
