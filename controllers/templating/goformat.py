"""Go's fmt verbs on the value model of `values`: what `printf`, `print` and an action's output look like.

Only what reaches a template: no pointers, no channels. Where a verb does not fit its operand Go writes the complaint
into the text (`%!d(string=x)`), and so do we: it is output that users depend on, not an error.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from .errors import FunctionError
from .values import NOTHING, NilList, NilStrings, Struct, Value, sorted_items, to_bytes, to_text, type_name

MAX_WIDTH = 1_000_000


def display(value: Value) -> str:
    """What `{{ value }}` prints (Go's %v)."""
    if value is None or value is NOTHING:
        return "<no value>"
    return _v(value, Flags())


def sprint(values: tuple[Value, ...]) -> str:
    """fmt.Sprint: a space between operands when neither is a string."""
    out = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            out.append(" ")
        out.append(_v(value, Flags()))
    return "".join(out)


def sprintln(values: tuple[Value, ...]) -> str:
    return " ".join(_v(value, Flags()) for value in values) + "\n"


@dataclass(slots=True)
class Flags:
    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    named: bool = False  # %+v: fields with their names, and no sign for numbers


def float_text(value: float, verb: str = "g", precision: int = -1) -> str:
    """strconv.FormatFloat(value, verb, precision, 64). `verb` is one of e E f F g G."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if verb in "fF":
        return _plain(value) if precision < 0 else f"{value:.{precision}f}"
    upper = verb.isupper()
    if verb in "eE":
        text = _exponential(value) if precision < 0 else f"{value:.{precision}e}"
    elif precision < 0:
        exponent = int(_exponential(value).partition("e")[2]) if value else 0
        text = _exponential(value) if exponent < -4 or exponent >= 6 else _plain(value)
    else:
        text = f"{value:.{precision or 1}g}"
    return text.upper() if upper else text


def float32_text(value: float) -> str:
    """strconv.FormatFloat(value, 'g', -1, 32): the shortest text that is the same 32-bit number."""
    if not math.isfinite(value):
        return float_text(value)
    try:
        single = struct.pack("f", value)
    except OverflowError:
        return "+Inf" if value > 0 else "-Inf"
    nearest = struct.unpack("f", single)[0]
    for precision in range(9):
        text = f"{nearest:.{precision}e}"
        if struct.pack("f", float(text)) == single:
            break
    return float_text(float(text))


def go_syntax(value: Value, *, untyped_keys: bool = False) -> str:
    """%#v. `untyped_keys`: maps are map[interface {}]interface {}, as go-yaml makes them."""
    text = _v(value, Flags(sharp=True))
    return text.replace("map[string]interface {}", "map[interface {}]interface {}") if untyped_keys else text


def _digits(value: float) -> tuple[str, str, int]:
    """(sign, shortest digits, decimal exponent of the first digit)."""
    mantissa, _, exponent = f"{value!r}".lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return sign, stripped.rstrip("0") or "0", point - 1 if stripped else 0


def _plain(value: float) -> str:
    sign, digits, exponent = _digits(value)
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}" if value else f"{sign}0"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def _exponential(value: float) -> str:
    sign, digits, exponent = _digits(value)
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def quote(text: str, *, ascii_only: bool = False) -> str:
    """strconv.Quote."""
    names = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    out = ['"']
    for char in to_text(to_bytes(text)):
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in names:
            out.append(names[char])
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif (char.isprintable() and not (ascii_only and code > 126)) and (char == " " or not char.isspace()):
            out.append(char)
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out) + '"'


def _v(value: Value, flags: Flags, verb: str = "v") -> str:
    """One operand under a verb that fits every kind (v), or an element of a collection under `verb`."""
    if value is None or value is NOTHING:
        return "interface {}(nil)" if flags.sharp and verb == "v" else "<nil>"
    if isinstance(value, Struct) and value.text is not None and verb in "vsqxX":
        return _string(value.text, "s" if verb == "v" else verb, flags)
    if isinstance(value, bool):
        return _pad("true" if value else "false", flags) if verb in "vt" else _bad(verb, value, flags)
    if isinstance(value, int):
        return _integer(value, "d" if verb == "v" else verb, flags)
    if isinstance(value, float):
        return _float(value, verb, flags)
    if isinstance(value, str):
        if verb == "v" and flags.sharp:
            return quote(value)
        return _string(value, "s" if verb == "v" else verb, flags)
    if isinstance(value, bytes) and verb in "sqxX":
        return _string(to_text(value), verb, flags)
    return _collection(value, flags, verb)


def _collection(value: Value, flags: Flags, verb: str) -> str:
    if isinstance(value, bytes | list | tuple):
        body = [_v(item, flags, verb) for item in value]
        if flags.sharp and verb == "v":
            if isinstance(value, NilList | NilStrings):
                return f"{type_name(value)}(nil)"
            return f"{type_name(value)}{{{', '.join(body)}}}"
        return f"[{' '.join(body)}]"
    if isinstance(value, dict):
        pairs = [f"{_v(key, flags, verb)}:{_v(item, flags, verb)}" for key, item in sorted_items(value)]
        if flags.sharp and verb == "v":
            return f"{type_name(value)}{{{', '.join(pairs)}}}"
        return f"map[{' '.join(pairs)}]"
    if isinstance(value, Struct):
        named = flags.named and verb == "v"
        parts = [
            f"{key}:{_v(item, flags, verb)}" if named else _v(item, flags, verb) for key, item in value.fields.items()
        ]
        return f"{{{' '.join(parts)}}}"
    raise FunctionError(f"can't print value of type {type_name(value)}")


def _bad(verb: str, value: Value, flags: Flags) -> str:
    return f"%!{verb}({type_name(value)}={_v(value, flags)})"


def _pad(text: str, flags: Flags, *, numeric: bool = False) -> str:
    if flags.width is None or len(text) >= flags.width:
        return text
    if flags.minus:
        return text.ljust(flags.width)
    if not flags.zero:
        return text.rjust(flags.width)
    if numeric and text[:1] in "+- " and text:
        return text[0] + text[1:].rjust(flags.width - 1, "0")
    return text.rjust(flags.width, "0")


def _integer(value: int, verb: str, flags: Flags) -> str:
    if verb == "c":
        return _pad(chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd", flags)
    if verb == "q":
        char = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
        inner = quote(char)[1:-1].replace('\\"', '"')
        return _pad("'" + ("\\'" if char == "'" else inner) + "'", flags)
    if verb == "U":
        return _pad(f"U+{value:04X}" + (f" '{chr(value)}'" if flags.sharp else ""), flags)
    if verb not in "dbox" + "OX":
        return _bad(verb, value, flags)
    digits = format(abs(value), "o" if verb == "O" else verb)
    if flags.precision is not None:
        digits = "" if flags.precision == 0 and value == 0 else digits.rjust(flags.precision, "0")
    sign = "-" if value < 0 else "+" if flags.plus else " " if flags.space else ""
    prefix = "0o" if verb == "O" else ""
    if flags.sharp:
        prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X", "O": "0o"}.get(verb, "")
    if flags.zero and not flags.minus and flags.width is not None and flags.precision is None:
        digits = digits.rjust(flags.width - len(sign), "0")
        return sign + prefix + digits
    return _pad(sign + prefix + digits, _without_zero(flags))


def _without_zero(flags: Flags) -> Flags:
    return Flags(minus=flags.minus, width=flags.width)


def _float(value: float, verb: str, flags: Flags) -> str:
    if verb in "xX" and math.isfinite(value) and flags.precision is None:
        return _pad(_hexadecimal(value, verb), flags, numeric=True)
    if verb == "b" and math.isfinite(value):
        return _pad(_binary(value, flags), flags, numeric=True)
    if verb not in "veEfFgG":
        return _bad(verb, value, flags)
    default = -1 if verb in "vgG" else 6
    precision = default if flags.precision is None else flags.precision
    text = float_text(value, "g" if verb == "v" else verb, precision)
    if not text.startswith(("-", "+", "N")) and (flags.plus or flags.space):
        text = ("+" if flags.plus else " ") + text
    finite = not (math.isinf(value) or math.isnan(value))
    return _pad(text, flags if finite else _without_zero(flags), numeric=True)


def _binary(value: float, flags: Flags) -> str:
    """Go's %b of a float: a whole mantissa and a power of two."""
    mantissa, exponent = math.frexp(value)
    if value and exponent > -1022:
        whole, exponent = int(math.ldexp(abs(mantissa), 53)), exponent - 53
    else:  # zero, and numbers too small for a full mantissa
        whole, exponent = int(math.ldexp(abs(value), 1074)), -1074
    sign = "-" if math.copysign(1, value) < 0 else "+" if flags.plus else " " if flags.space else ""
    return f"{sign}{whole}p{exponent:+d}"


def _hexadecimal(value: float, verb: str) -> str:
    """Go's %x of a float: 5 → 0x1.4p+02."""
    mantissa, _, exponent = value.hex().partition("p")
    head, dot, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    text = f"{head}{dot if fraction else ''}{fraction}p{exponent[0]}{int(exponent[1:]):02d}"
    return text.upper() if verb == "X" else text


def _string(value: str, verb: str, flags: Flags) -> str:
    if verb in "xX":
        raw = to_bytes(value)[: flags.precision]
        pairs = [f"{byte:02{verb}}" for byte in raw]
        lead = f"0{verb}" if flags.sharp else ""
        text = (" " + lead).join(pairs) if flags.space else "".join(pairs)
        return _pad((lead if pairs else "") + text, flags)
    if verb not in "sq":
        return _bad(verb, value, flags)
    if flags.precision is not None:
        value = value[: flags.precision]
    if verb == "q":
        if flags.sharp and "`" not in value and value.isprintable():
            return _pad(f"`{value}`", flags)
        return _pad(quote(value, ascii_only=flags.plus), flags)
    return _pad(value, flags)


def sprintf(template: str, operands: tuple[Value, ...]) -> str:
    """fmt.Sprintf. Raises FunctionError for absurd widths only."""
    out: list[str] = []
    run = _Run(operands)
    at = 0
    while at < len(template):
        percent = template.find("%", at)
        if percent < 0:
            out.append(template[at:])
            break
        out.append(template[at:percent])
        text, at = run.verb(template, percent + 1)
        out.append(text)
    if not run.reordered and run.used < len(operands):
        extra = [
            "<nil>" if rest is None or rest is NOTHING else f"{type_name(rest)}={_v(rest, Flags())}"
            for rest in operands[run.used :]
        ]
        out.append(f"%!(EXTRA {', '.join(extra)})")
    return "".join(out)


class _Run:
    """The state of one Sprintf: which operand is next."""

    def __init__(self, operands: tuple[Value, ...]) -> None:
        self.operands = operands
        self.used = 0
        self.reordered = False
        self.bad_index = False

    def verb(self, template: str, at: int) -> tuple[str, int]:
        """(text of the verb that begins behind the percent sign, offset behind it)."""
        flags = Flags()
        names = {"-": "minus", "+": "plus", "#": "sharp", " ": "space", "0": "zero"}
        self.bad_index = False
        while at < len(template) and template[at] in names:
            setattr(flags, names[template[at]], True)
            at += 1
        at = self._index(template, at)
        complaint = ""
        star = template[at : at + 1] == "*"
        flags.width, at = self._count(template, at)
        if star and flags.width is None:
            complaint = "%!(BADWIDTH)"
        if flags.width is not None and flags.width < 0:
            flags.minus, flags.width = True, -flags.width
        if flags.minus:
            flags.zero = False
        if template[at : at + 1] == ".":
            at = self._index(template, at + 1)
            star = template[at : at + 1] == "*"
            precision, at = self._count(template, at)
            flags.precision = max(precision or 0, 0)
            if star and (precision is None or precision < 0):
                flags.precision = None
                complaint += "%!(BADPREC)" if precision is None else ""
        at = self._index(template, at)
        text, at = self._shown(template, at, flags)
        return complaint + text, at

    def _shown(self, template: str, at: int, flags: Flags) -> tuple[str, int]:
        """(text of the operand under the verb at `at`, offset behind the verb)."""
        if at >= len(template):
            return "%!(NOVERB)", at
        verb = template[at]
        at += 1
        if verb == "%":
            return "%", at
        if self.bad_index:
            return f"%!{verb}(BADINDEX)", at
        if self.used >= len(self.operands):
            return f"%!{verb}(MISSING)", at
        operand = self.operands[self.used]
        self.used += 1
        return _operand(operand, verb, flags), at

    def _index(self, template: str, at: int) -> int:
        """`[n]` picks the operand to use next."""
        if template[at : at + 1] != "[":
            return at
        self.reordered = True
        end = template.find("]", at)
        number = template[at + 1 : end]
        if end < 0 or not number.isdecimal() or not 1 <= int(number[:9]) <= len(self.operands):
            self.bad_index = True
            return at + 1 if end < 0 else end + 1
        self.used = int(number) - 1
        return end + 1

    def _count(self, template: str, at: int) -> tuple[int | None, int]:
        """A width or precision: digits, or `*` for an operand."""
        if template[at : at + 1] == "*":
            value = self.operands[self.used] if self.used < len(self.operands) else None
            self.used += 1
            if isinstance(value, bool) or not isinstance(value, int):
                return None, at + 1
            return _bounded(value), at + 1
        end = at
        while end < len(template) and template[end] in "0123456789":
            end += 1
        return (_bounded(int(template[at:end][:10])), end) if end > at else (None, at)


def _bounded(count: int) -> int:
    if abs(count) > MAX_WIDTH:
        raise FunctionError(f"width or precision above {MAX_WIDTH}")
    return count


def _operand(value: Value, verb: str, flags: Flags) -> str:
    if verb == "T":
        return _pad(type_name(value), flags)
    if value is None or value is NOTHING:
        return _pad("<nil>", flags) if verb == "v" else f"%!{verb}(<nil>)"
    if verb == "v" and flags.plus:
        flags.plus, flags.named = False, True
    return _v(value, flags, verb)
