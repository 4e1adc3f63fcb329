"""A secret value on its way from the edge that reads it to the edge that writes it.

`repr`, `str`, format, pickling into logs: all show a mark and never the value. Take the value out with `reveal()` only
in the function that hands it to the outside (an API body, a child's standard input).
"""

from __future__ import annotations

import hmac

MASK = "**redacted**"


class Sensitive:
    """Bytes that print as a mask. Compares in constant time; hashes by identity of the value, so it can key a cache."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        return self._value

    def reveal_text(self) -> str:
        """The value as UTF-8 text. The error of a value that is none names no byte of it."""
        try:
            return self._value.decode()
        except UnicodeDecodeError:
            raise ValueError("value is not UTF-8 text") from None

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sensitive) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Sensitive value cannot be pickled")
