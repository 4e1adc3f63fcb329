"""The Password generator: random passwords by the generator's spec. Pure: randomness is an argument.

The defaults and bounds are upstream's: 24 characters, a quarter digits, a quarter symbols, no character twice unless
`allowRepeat`. What cannot be fulfilled is said before anything is drawn.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from controllers.api.generators import PasswordSpec
from controllers.external_secrets.values.errors import EntryError

LOWER = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
SYMBOLS = '~!@#$%^&*()_+`-={}|[]\\:"<>?,./'
MAX_LENGTH, MAX_KEYS = 65_536, 256

Below = Callable[[int], int]
"""A uniformly random number of [0, n), from the operating system's randomness."""


def passwords(spec: PasswordSpec, below: Below) -> dict[str, bytes]:
    """Key → password, each drawn by itself. Raises EntryError."""
    keys = spec.secret_keys or ("password",)
    if len(keys) > MAX_KEYS:
        raise EntryError("Generator", f"secretKeys: {len(keys)} keys; expected at most {MAX_KEYS}")
    if len(set(keys)) != len(keys):
        raise EntryError("Generator", "secretKeys: a key is named twice")
    return {key: encode(spec.encoding, password(spec, below).encode()) for key in keys}


def password(spec: PasswordSpec, below: Below) -> str:
    """One password. Raises EntryError where the spec asks for what cannot be."""
    digits = spec.length // 4 if spec.digits is None else spec.digits
    symbols = spec.length // 4 if spec.symbols is None else spec.symbols
    alphabet = spec.symbol_characters if spec.symbol_characters is not None else SYMBOLS
    letters = spec.length - digits - symbols
    if not 0 < spec.length <= MAX_LENGTH:
        raise EntryError("Generator", f"length: {spec.length}; expected 1 to {MAX_LENGTH}")
    if min(digits, symbols, letters) < 0:
        raise EntryError("Generator", f"{digits} digits and {symbols} symbols do not fit into length {spec.length}")
    wanted = (
        ("letters", letters, LOWER if spec.no_upper else LOWER + LOWER.upper()),
        ("digits", digits, DIGITS),
        ("symbols", symbols, "".join(dict.fromkeys(alphabet))),
    )
    drawn: list[str] = []
    for name, count, characters in wanted:
        if count and (not characters or (count > len(characters) and not spec.allow_repeat)):
            message = f"{count} {name} of {len(characters)} without repeating; lower the number or set allowRepeat"
            raise EntryError("Generator", message)
        drawn += _draw(count, characters, below, repeat=spec.allow_repeat)
    return "".join(_shuffled(drawn, below))


def _draw(count: int, characters: str, below: Below, *, repeat: bool) -> list[str]:
    if repeat:
        return [characters[below(len(characters))] for _ in range(count)]
    return _shuffled(list(characters), below)[:count]


def _shuffled(items: list[str], below: Below) -> list[str]:
    """Fisher and Yates: each order is as likely as any other."""
    for at in range(len(items) - 1, 0, -1):
        other = below(at + 1)
        items[at], items[other] = items[other], items[at]
    return items


def encode(encoding: str, value: bytes) -> bytes:
    """The password's bytes as `encoding` asks."""
    match encoding:
        case "base64":
            return base64.b64encode(value)
        case "base64url":
            return base64.urlsafe_b64encode(value)
        case "base32":
            return base64.b32encode(value)
        case "hex":
            return value.hex().encode()
    return value
