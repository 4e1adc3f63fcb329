"""Numbers as Go reads and writes them."""

from __future__ import annotations

import math
import re

_INTEGRAL = re.compile(r"-?[0-9]+\Z")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")


def integral(raw: str) -> bool:
    """Is the text an integer literal?"""
    return _INTEGRAL.match(raw) is not None


def number_of(raw: str) -> float:
    """strconv.ParseFloat; what is no number is 0."""
    lowered = raw.lower().lstrip("+-")
    if lowered in ("nan", "inf", "infinity"):
        return float(raw)
    return float(raw) if _FLOAT.match(raw) else 0.0


def plain_number(value: float) -> str:
    """strconv.FormatFloat(value, 'f', -1, 64): the shortest digits, never an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa.removesuffix(".0")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    shift = int(exponent)
    digits = whole + fraction
    if shift < 0:
        return f"{sign}0.{'0' * (-shift - len(whole))}{digits}"
    return sign + digits.ljust(len(whole) + shift, "0")
