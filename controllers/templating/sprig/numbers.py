"""Sprig's arithmetic. Numbers in texts are read as Go's strconv reads them; what is no number counts as 0.

Integers are int64 and wrap around; the functions on floats that end in `f` (addf, divf …) go through decimal numbers,
as sprig's do, so that 0.1 + 0.2 is 0.3. A quotient has 16 decimal places.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from ..convert import atoi, integer, parse_int, real, wrap64
from ..errors import FunctionError
from ..goformat import sprint
from ..registry import Function, bounded_count, functions
from ..values import Int64, Value

_PLACES = 10**16
_MAX_TERMS = 100
"""Of a product: each factor can lengthen the exact number by a thousand digits."""


def octal(value: Value) -> Int64:
    """`toDecimal`: the octal number that the value's text is."""
    number = parse_int(sprint((value,)), 8)
    return Int64(0 if number is None or not -(1 << 63) <= number < 1 << 63 else number)


def until_step(start: int, stop: int, step: int) -> list[int]:
    if (stop < start and step >= 0) or (stop >= start and step <= 0):
        return []
    bounded_count(len(range(start, stop, step)))
    return list(range(start, stop, step))


def seq(*values: int) -> str:
    """`seq [start [step]] stop`, the numbers joined by spaces."""
    match values:
        case (stop,):
            start, step, end = 1, (-1 if stop < 1 else 1), stop + (-1 if stop < 1 else 1)
        case (start, stop):
            step = -1 if stop < start else 1
            end = stop + step
        case (start, step, stop):
            if stop < start and step > 0:
                return ""
            end = stop + (-1 if stop < start else 1)
        case _:
            return ""
    return " ".join(map(str, until_step(start, end, step)))


def _nonzero(divisor: Value) -> int:
    number = integer(divisor)
    if number == 0:
        raise FunctionError("runtime error: integer divide by zero")
    return number


def quotient(dividend: Value, divisor: Value) -> Int64:
    """Rounded towards zero."""
    first, second = integer(dividend), _nonzero(divisor)
    return wrap64(abs(first) // abs(second) * (1 if (first < 0) == (second < 0) else -1))


def remainder(dividend: Value, divisor: Value) -> Int64:
    """With the sign of the dividend."""
    first, second = integer(dividend), _nonzero(divisor)
    return wrap64(abs(first) % abs(second) * (-1 if first < 0 else 1))


def product(*values: Value) -> Int64:
    total = Int64(1)
    for value in values:
        total = wrap64(total * integer(value))
    return total


def _largest(*values: Value) -> Int64:
    return Int64(max(map(integer, values)))


def _smallest(*values: Value) -> Int64:
    return Int64(min(map(integer, values)))


def _extreme(choose: Callable[[float, float], float]) -> Callable[..., float]:
    """math.Max and math.Min: NaN wins over every finite number."""

    def run(*values: Value) -> float:
        numbers = [real(value) for value in values]
        best = choose(math.inf, -math.inf)
        if best not in numbers and any(map(math.isnan, numbers)):
            return math.nan
        total = numbers[0]
        for number in numbers[1:]:
            total = choose(total, number)
        return total

    return run


def _larger(first: float, second: float) -> float:
    if first == second == 0:
        return first if math.copysign(1, first) > 0 else second
    return max(first, second)


def _smaller(first: float, second: float) -> float:
    if first == second == 0:
        return first if math.copysign(1, first) < 0 else second
    return min(first, second)


def _whole(rounding: Callable[[float], int]) -> Callable[[Value], float]:
    """Keeps what has no fraction as it is: -0, infinity, NaN."""

    def run(value: Value) -> float:
        number = real(value)
        return math.copysign(float(rounding(number)), number) if math.isfinite(number) else number

    return run


def round_(value: Value, places: int, *up_from: float) -> float:
    threshold = up_from[0] if up_from else 0.5
    try:
        factor = math.pow(10, places)
    except OverflowError:
        factor = math.inf
    digit = factor * real(value)
    if not math.isfinite(digit):
        return digit / factor if factor else math.nan
    fraction, _ = math.modf(digit)
    whole = math.ceil(digit) if fraction >= threshold else math.floor(digit)
    rounded = math.copysign(float(whole), digit) if whole == 0 else float(whole)
    if factor == 0:
        return math.nan if rounded == 0 else math.copysign(math.inf, rounded)
    return rounded / factor


def _exact(value: Value) -> Fraction:
    number = real(value)
    if not math.isfinite(number):
        raise FunctionError("cannot create a decimal from a number that is not finite")
    return Fraction(repr(number))


def _divide(first: Fraction, second: Fraction) -> Fraction:
    if second == 0:
        raise FunctionError("decimal division by 0")
    scaled = abs(first / second) * _PLACES
    units = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)  # half away from zero
    return Fraction(units, _PLACES) * (1 if (first < 0) == (second < 0) else -1)


def _decimal(operation: Callable[[Fraction, Fraction], Fraction]) -> Callable[..., float]:
    def run(first: Value, *others: Value) -> float:
        bounded_count(len(others) * (100_000 // _MAX_TERMS), "decimal number")
        total = _exact(first)
        for other in others:
            total = operation(total, _exact(other))
        try:
            return float(total)
        except OverflowError:
            return math.inf if total > 0 else -math.inf

    return run


_add = _decimal(lambda x, y: x + y)
NUMBERS: dict[str, Function] = functions(
    {
        "atoi": ("s", atoi),
        "int64": ("a", integer),
        "int": ("a", lambda value: int(integer(value))),
        "float64": ("a", real),
        "toDecimal": ("a", octal),
        "seq": ("i*", seq),
        "until": ("i", lambda count: until_step(0, count, -1 if count < 0 else 1)),
        "untilStep": ("iii", until_step),
        "add1": ("a", lambda value: wrap64(integer(value) + 1)),
        "add": ("a*", lambda *values: wrap64(sum(map(integer, values)))),
        "sub": ("aa", lambda first, second: wrap64(integer(first) - integer(second))),
        "div": ("aa", quotient),
        "mod": ("aa", remainder),
        "mul": ("aa*", product),
        "max": ("aa*", _largest),
        "biggest": ("aa*", _largest),
        "min": ("aa*", _smallest),
        "maxf": ("aa*", _extreme(_larger)),
        "minf": ("aa*", _extreme(_smaller)),
        "add1f": ("a", lambda value: _add(value, 1)),
        "addf": ("a*", lambda *values: _add(0.0, *values)),
        "subf": ("aa*", _decimal(lambda x, y: x - y)),
        "mulf": ("aa*", _decimal(lambda x, y: x * y)),
        "divf": ("aa*", _decimal(_divide)),
        "ceil": ("a", _whole(math.ceil)),
        "floor": ("a", _whole(math.floor)),
        "round": ("aif*", round_),
    }
)
