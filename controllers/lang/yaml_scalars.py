"""What go-yaml takes a plain scalar for: null, boolean, number, timestamp or text. Pure.

Two versions of the library matter. `V2` is behind sigs.k8s.io/yaml, with which Kubernetes, Flux and kustomize turn YAML
into JSON and write it; it reads YAML 1.1 booleans (`yes`, `off`, `y`). `V3` is what kustomize reads resource files
with; there these words are text. Numbers are the same in both: Go's own syntax (`0x`, `0o`, `0b`, a leading zero for
octal, underscores anywhere), then decimal floats. What Go cannot represent (an integer above 64 bits in another base, a
float above 1.8e308) is text, so that `5e48573`, the beginning of a commit, stays itself. `089` is no octal and
therefore the float 89.
"""

from __future__ import annotations

import math
import re
import struct
from datetime import date
from decimal import Decimal
from enum import Enum


class Version(Enum):
    V2 = 2
    V3 = 3


NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_WORDS = dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_WORDS_V2 = (
    _WORDS
    | dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True)
    | dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False)
)
_SPECIAL = (
    dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf)
    | dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf)
    | dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
)
_STARTS = frozenset("+-.0123456789")
_PREFIXED = re.compile(r"([-+]?)0(?:[xX]([0-9a-fA-F]+)|[oO]?([0-7]+)|[bB]([01]+))", re.ASCII)
_LATE_SIGN = re.compile(r"0(?:b([-+][01]+)|o([-+][0-7]+))", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])_(?=[0-9])")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)
_DAY = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
_CLOCK = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?"
_TIME = re.compile(rf"{_DAY}(?:[Tt]{_CLOCK}(Z|[-+][0-9]{{2}}:[0-9]{{2}})| +{_CLOCK})?", re.ASCII)
_INT_MIN, _INT_MAX, _UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1

Scalar = None | bool | int | float | str


def resolve(text: str, version: Version = Version.V2) -> Scalar:
    """The value of a plain scalar. A timestamp is its text (ask `is_timestamp`); infinities and NaN are floats."""
    if text in NULLS:
        return None
    words = _WORDS_V2 if version is Version.V2 else _WORDS
    if text in words:
        return words[text]
    if text[0] not in _STARTS:
        return text
    if text in _SPECIAL:
        return _SPECIAL[text]
    if text[0] == ".":
        return _finite(_BETWEEN_DIGITS.sub("", text), text)
    if is_timestamp(text):
        return text
    plain = text.replace("_", "")
    number = _integer(plain, version)
    return _finite(plain, text) if number is None else number


def _finite(plain: str, text: str) -> float | str:
    """The float of a decimal notation; the text where it is none, or overflows."""
    if not _FLOAT.fullmatch(plain):
        return text
    number = float(plain)
    return number if math.isfinite(number) else text


def _integer(plain: str, version: Version) -> int | None:
    """An integer that fits 64 bits, signed or unsigned; an unsigned one has no sign in front."""
    if _DECIMAL.fullmatch(plain):
        digits, base = plain, 10
    elif found := _PREFIXED.fullmatch(plain):
        body, base = (found[2], 16) if found[2] else (found[3], 8) if found[3] else (found[4], 2)
        digits = f"{found[1]}{body}"
    elif found := _LATE_SIGN.fullmatch(plain):
        # the library cuts `0b` off and lets Go read the rest, sign included; `0o` only in its version 3
        if found[1] is None and version is Version.V2:
            return None
        digits, base = (found[1], 2) if found[1] else (found[2], 8)
    else:
        return None
    if len(digits) > 66:
        return None  # above 64 bits in any base
    number = int(digits, base)
    most = _INT_MAX if digits[0] in "+-" else _UINT_MAX
    return number if _INT_MIN <= number <= most else None


def is_timestamp(text: str) -> bool:
    """Does go-yaml take a plain scalar for a point in time?"""
    found = _TIME.fullmatch(text) if text[4:5] == "-" else None
    if found is None:
        return False
    year, month, day, *clock = found.groups()
    hours = [int(each) for each in (*clock[:3], *clock[4:]) if each is not None]
    if hours and not (hours[0] < 24 and hours[1] < 60 and hours[2] < 60):
        return False
    if clock[3] not in (None, "Z") and not (int(clock[3][1:3]) <= 24 and int(clock[3][4:]) <= 60):
        return False
    try:
        date(int(year) or 2000, int(month), int(day))  # the year 0 is a leap year to Go
    except ValueError:
        return False
    return True


def needs_quotes(text: str) -> bool:
    """Would the writer quote a text because, plain, it would be read as something else (by either version)?"""
    if text == "<<" or not (isinstance(resolve(text), str) and isinstance(resolve(text, Version.V3), str)):
        return True
    return text[0] in "+-0123456789" and (is_timestamp(text) or _BASE_60.fullmatch(text) is not None)


def as_json(number: float) -> int | float:
    """A finite float as Go writes it into JSON and Kubernetes reads it: whole numbers below 1e21 are integers."""
    return int(Decimal(repr(number))) if number.is_integer() and abs(number) < 1e21 else number


def float_text(number: float) -> str:
    """A finite float as Go's writer prints it: the shortest digits that read back, an exponent from a million on."""
    return _general(repr(number))


def single_text(number: float) -> str:
    """The same for a float as a map key, which the library rounds to 32 bits; infinities and NaN have words."""
    try:
        single = struct.pack("f", number)
    except OverflowError:
        single = struct.pack("f", math.copysign(math.inf, number))
    rounded: float = struct.unpack("f", single)[0]
    if not math.isfinite(rounded):
        return ".nan" if math.isnan(rounded) else ".inf" if rounded > 0 else "-.inf"
    digits = (f"{rounded:.{size}e}" for size in range(9))
    return _general(next(text for text in digits if struct.pack("f", float(text)) == single))


def _general(text: str) -> str:
    """Go's format 'g' of a decimal notation."""
    sign, digits, exponent = Decimal(text).normalize().as_tuple()
    point = len(digits) + int(exponent)  # digits before the decimal point
    body, minus = "".join(map(str, digits)), "-" * sign
    if not any(digits):
        return f"{minus}0"
    if -4 < point <= 6:
        return f"{minus}{Decimal(f'{body}e{exponent}'):f}"
    fraction = f".{body[1:]}" if len(body) > 1 else ""
    return f"{minus}{body[0]}{fraction}e{'-' if point < 1 else '+'}{abs(point - 1):02d}"
