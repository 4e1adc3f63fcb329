"""`toYaml` to the byte as sigs.k8s.io/yaml writes: by way of JSON, in yaml.v2's style.

Keys in Go's natural order, block style, lines folded at 80; a text that Go's reader would take for something else
stands in double quotes, one of several lines in a literal block. Other than upstream on purpose: NEL within a text
stays NEL (there it becomes a space), and a hexadecimal number beyond 64 bits is quoted (older versions do not).
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from functools import cmp_to_key
from typing import Any

import yaml

from .convert import parse_float
from .errors import FunctionError
from .goformat import float_text
from .values import NOTHING, NilList, NilStrings, Struct, Value, valid_text

WORDS = frozenset(("", "~", "null", "Null", "NULL", "y", "Y", "n", "N"))
TRUTHS = frozenset(("yes", "no", "true", "false", "on", "off", ".nan", ".inf", "+.inf", "-.inf"))
"""These also with a first capital, and in capitals."""
_REFUSED = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""What Go's writer cannot write, for it goes by way of JSON and reads that as YAML. Its result is then empty."""
_ESCAPED = re.compile("[\x85\U00010000-\U0010ffff]")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INTEGER = re.compile(r"[-+]?0([xX][0-9a-fA-F]+|[bB][01]+|[oO][0-7]+)")
_BETWEEN = re.compile("(?<=[0-9])_(?=[0-9])")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_CLOCK = r"([01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9]([.,][0-9]+)?"
TIME = re.compile(
    rf"(?P<day>[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}})([Tt]{_CLOCK}(Z|[-+][0-9]{{2}}:[0-9]{{2}})| {_CLOCK})?"
)


def _needs_quotes(text: str) -> bool:
    """Would Go's reader take the plain text for null, a boolean, a number, a time or a merge?"""
    if text in WORDS or (text.lower() in TRUTHS and cased(text)):
        return True
    if not text[:1].isascii() or text[:1] not in "+-.0123456789":
        return False
    number = without_underscores(text)
    is_float = FLOAT.fullmatch(number) and parse_float(number) is not None  # one that overflows is a text
    return bool(is_float or INTEGER.fullmatch(number) or _BASE_60.fullmatch(text) or _is_time(text))


def without_underscores(text: str) -> str:
    """A number as Go reads it: behind a leading point an underscore must stand between digits, elsewhere anywhere."""
    return _BETWEEN.sub("", text) if text[:1] == "." else text.replace("_", "")


def cased(text: str) -> bool:
    """Lower case, one first capital, or capitals: the three ways that Go's words are written."""
    word = text.lstrip("+-.")
    return text in (text.lower(), text.upper()) or word == word.capitalize() or text == ".NaN"


def _is_time(text: str) -> bool:
    found = TIME.fullmatch(text)
    try:
        return found is not None and bool(datetime.strptime(found["day"], "%Y-%m-%d"))  # the day alone
    except ValueError:
        return False


def _escaped(char: str) -> str:
    if char not in '"\\\x85\u2028\u2029\ufeff' and (" " <= char <= "~" or "\xa0" <= char <= "\ufffd"):
        return char
    code = ord(char)
    short = yaml.emitter.Emitter.ESCAPE_REPLACEMENTS.get(char)
    return (
        f"\\{short}"
        if short
        else f"\\x{code:02X}"
        if code < 256
        else f"\\{f'u{code:04X}' if code < 65536 else f'U{code:08X}'}"
    )


class _Dumper(yaml.SafeDumper):
    """Indents nothing under a list's dash, as Go's writer does, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def choose_scalar_style(self) -> Any:
        """A literal block that cannot stand where it would is in double quotes."""
        style = super().choose_scalar_style()
        literal = isinstance(self.event, yaml.ScalarEvent) and self.event.style == "|"
        return '"' if literal and style == "'" else style

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        """Folds at a space, as Go's writer does: the space becomes the line's end; one more needs a backslash."""
        self.write_indicator('"', True)
        last = len(text) - 1
        spaces = False
        for at, char in enumerate(text):
            if char == " " and split and not spaces and 0 < at < last and self.column > self.best_width:
                self.write_indent()
                self._put("\\" if text[at + 1] == " " else "")
            else:
                self._put(_escaped(char))
            spaces = char == " "
        self.write_indicator('"', False)

    def _put(self, data: str) -> None:
        self.column += len(data)
        self.stream.write(data)

    def check_simple_key(self) -> bool:
        """An empty key needs no question mark."""
        empty = isinstance(self.event, yaml.ScalarEvent) and not self.event.value
        return empty or super().check_simple_key()


def _plain_text(dumper: yaml.SafeDumper, text: str, style: str | None = None) -> yaml.ScalarNode:
    """Whatever it is, it is written as a text whose quotes we choose: no implicit tag has a say (see below)."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if _REFUSED.search(text):
        raise ValueError("control characters are not allowed")
    if _ESCAPED.search(text) or ("\n" not in text and _needs_quotes(text)):
        return _plain_text(dumper, text, '"')
    return _plain_text(dumper, text, "|" if "\n" in text else None)


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    """By way of JSON, where a whole number has no point."""
    if not math.isfinite(value):
        raise ValueError("not a JSON number")
    digits = float_text(value, "f")
    whole = value.is_integer() and -(2**63) <= int(digits) < 2**64
    return _plain_text(dumper, str(int(digits)) if whole else float_text(value, "g"))


def _mapping(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", sorted(value.items(), key=cmp_to_key(_key_order)))


def _key_order(a: tuple[str, Any], b: tuple[str, Any]) -> int:
    return 0 if a[0] == b[0] else -1 if _less(a[0], b[0]) else 1


def _less(a: str, b: str) -> bool:
    """Go's natural order: numbers within a text by their value, letters behind all else."""
    at = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), None)
    if at is None:
        return len(a) < len(b)
    letters = a[at].isalpha(), b[at].isalpha()
    if all(letters):
        return a[at] < b[at]
    if any(letters):
        return letters[1]
    lead = 0
    if "0" in (a[at], b[at]):
        digits = a[:at][len(a[:at].rstrip("0123456789")) :]
        lead = int(bool(digits.strip("0")))
    first, second = _digits(a, at), _digits(b, at)
    values = [int(f"{lead}{run}") if run else lead for run in (first, second)]
    if values[0] != values[1]:
        return values[0] < values[1]
    return len(first) < len(second) if len(first) != len(second) else a[at] < b[at]


def _digits(text: str, at: int) -> str:
    rest = text[at : at + 18]  # more would overflow Go's int64
    return rest[: len(rest) - len(rest.lstrip("0123456789"))]


_Dumper.add_representer(str, _text)
_Dumper.add_representer(int, lambda dumper, number: _plain_text(dumper, str(number)))
_Dumper.add_representer(bool, lambda dumper, truth: _plain_text(dumper, "true" if truth else "false"))
_Dumper.add_representer(type(None), lambda dumper, _: _plain_text(dumper, "null"))
_Dumper.add_representer(float, _float)
_Dumper.add_representer(dict, _mapping)
_Dumper.yaml_implicit_resolvers = {}


def to_yaml(value: Value) -> str:
    """Block style without the last newline; what cannot be written is "", as upstream does."""
    try:
        text = yaml.dump(_plain(value, 0), Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=80)
    except (yaml.YAMLError, ValueError, RecursionError):
        return ""
    if text.endswith("\n...\n"):  # an end mark that Go does not write
        text = text.removesuffix("...\n")
    return text.removesuffix("\n")


def _plain(value: Value, depth: int) -> Any:
    if depth > 100:
        raise FunctionError("nested too deeply")
    if isinstance(value, Struct):
        value = value.fields if value.marshal is None else value.marshal
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, NilList | NilStrings):
        return None
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, str):
        return valid_text(value)  # JSON has no other texts
    return None if value is NOTHING else value
