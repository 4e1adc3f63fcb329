"""The envelope of one SOPS value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, AES-256-GCM bound to the value's path.

The type label is not authenticated: it decides only how the plaintext is read, and each reading is checked. The whole
text must be the envelope; sops itself ignores what follows the closing bracket.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import TreeError

_ENVELOPE = re.compile(
    r"ENC\[AES256_GCM,data:([A-Za-z0-9+/=]+),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z0-9]+)\]"
)
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
_INT = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|[Ii]nf|NaN)")


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A time: as the file writes it, and as RFC 3339 with nanoseconds (what the MAC covers)."""

    text: str = field(repr=False)
    rfc3339: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment line without its mark. It may have been encrypted, so repr leaves it out."""

    text: str = field(repr=False)


Leaf = str | int | float | bool | bytes | Timestamp | Comment


def is_envelope(text: str) -> bool:
    return _ENVELOPE.fullmatch(text) is not None


def open_bytes(text: str, key: bytes, aad: str) -> tuple[bytes, str]:
    """Plaintext and type of an envelope. `aad` is the value's path (`a:b:`). Errors name the path, never the text."""
    where = aad.rstrip(":") or "value"
    match = _ENVELOPE.fullmatch(text)
    if match is None:
        raise TreeError("NotEncrypted", f"{where}: expected an encrypted value, found other text")
    try:
        data, iv, tag = (base64.b64decode(part, validate=True) for part in match.groups()[:3])
    except (binascii.Error, ValueError):
        raise TreeError("ValueInvalid", f"{where}: the envelope is not valid base64") from None
    try:
        plain = AESGCM(key).decrypt(iv, data + tag, aad.encode())
    except (InvalidTag, ValueError):
        raise TreeError(
            "ValueInvalid",
            f"{where}: the value does not decrypt here: changed, moved, or encrypted with another data key",
        ) from None
    return plain, match[4]


def open_value(text: str, key: bytes, aad: str) -> Leaf:
    """The typed plaintext of an envelope."""
    plain, kind = open_bytes(text, key, aad)
    if kind == "bytes":
        return plain
    try:
        return _typed(plain.decode(), kind)
    except UnicodeDecodeError:
        if kind == "str":
            return plain  # binary files: any bytes; the store decides whether it can hold them
        raise TreeError("ValueInvalid", f"{aad.rstrip(':')}: the plaintext is not text, as type {kind} asks") from None
    except ValueError:
        raise TreeError("ValueInvalid", f"{aad.rstrip(':')}: the plaintext is not of the type {kind!r}") from None


def _typed(text: str, kind: str) -> Leaf:
    match kind:
        case "str":
            return text
        case "int" if _INT.fullmatch(text) and -(2**63) <= int(text) < 2**63:
            return int(text)
        case "float" if _FLOAT.fullmatch(text):
            return float(text)
        case "bool" if text in ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"):
            return text[0] in "1tT"
        case "time" if _RFC3339.fullmatch(text):
            datetime.fromisoformat(text[:19])
            return Timestamp(text, text)
        case "comment":
            return Comment(text)
    raise ValueError(kind)


def go_float(value: float) -> str:
    """A float as Go's FormatFloat(f, 'f', -1, 64) writes it: shortest digits, never an exponent."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    digits = repr(value)
    if "e" in digits:
        mantissa, _, exponent = digits.partition("e")
        digits = _shift(mantissa, int(exponent))
    return digits.removesuffix(".0")


def go_json_float(value: float) -> str:
    """A float as Go's JSON writes it, a whole number without a point. Raises ValueError for NaN and infinity."""
    if value - value != 0:
        raise ValueError("JSON has no NaN and no infinity")
    if value and not 1e-6 <= abs(value) < 1e21:
        mantissa, exponent = _scientific(value)
        return f"{mantissa}e{exponent:+d}"
    return go_float(value)


def go_yaml_float(value: float) -> str:
    """A float as go-yaml writes it: an exponent from 1e+06 on and below 1e-04."""
    if value - value != 0:
        return ".nan" if value != value else (".inf" if value > 0 else "-.inf")
    mantissa, exponent = _scientific(value)
    return go_float(value) if -4 <= exponent < 6 else f"{mantissa}e{exponent:+03d}"


def _scientific(value: float) -> tuple[str, int]:
    """The shortest digits as a mantissa with one digit before the point, and the exponent."""
    digits = go_float(abs(value))
    whole, _, fraction = digits.partition(".")
    significant = (whole + fraction).lstrip("0")
    exponent = len(whole) - 1 if whole != "0" else len(fraction.lstrip("0")) - len(fraction) - 1
    significant = significant.rstrip("0") or "0"
    sign = "-" if value < 0 else ""
    return sign + significant[0] + (f".{significant[1:]}" if significant[1:] else ""), exponent if value else 0


def _shift(mantissa: str, exponent: int) -> str:
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits, point = whole + fraction, len(whole) + exponent
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}".rstrip("0").rstrip(".") if digits.strip("0") else f"{sign}0"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}".rstrip("0").rstrip(".")


def mac_bytes(value: Leaf) -> bytes:
    """What a leaf adds to the MAC."""
    match value:
        case bool():
            return b"True" if value else b"False"
        case int():
            return str(value).encode()
        case float():
            return go_float(value).encode()
        case str():
            return value.encode("utf-8", "surrogatepass")
        case bytes():
            return value
        case Timestamp():
            return value.rfc3339.encode()
        case Comment():
            return b""
