"""Shamir's secret sharing over GF(2^8) with the AES polynomial, as Vault and SOPS have it: a share is the 32 bytes of
the polynomial's values and one byte of its x. Combining only; too few shares give a wrong key, which no value opens
under."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import DataKeyError


def _tables() -> tuple[list[int], list[int]]:
    exp, log, value = [0] * 510, [0] * 256, 1
    for power in range(255):
        exp[power] = exp[power + 255] = value
        log[value] = power
        value ^= (value << 1) ^ (0x11B if value & 0x80 else 0)
        value &= 0xFF if value < 0x100 else 0x1FF
    return exp, log


_EXP, _LOG = _tables()


def _multiply(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _divide(a: int, b: int) -> int:
    return _EXP[_LOG[a] - _LOG[b] + 255] if a else 0


def combine(shares: Sequence[bytes]) -> bytes:
    """The secret from at least two shares of one length, all with different x."""
    if len(shares) < 2:
        raise DataKeyError("ShamirFailed", f"{len(shares)} key group opened; expected two or more")
    if len({len(share) for share in shares}) != 1 or len(shares[0]) < 2:
        raise DataKeyError("ShamirFailed", "the parts of the data key differ in length")
    xs = [share[-1] for share in shares]
    if len(set(xs)) != len(xs):
        raise DataKeyError("ShamirFailed", "two key groups hold the same part of the data key")
    weights = [_weight(index, xs) for index in range(len(xs))]
    secret = bytearray(len(shares[0]) - 1)
    for weight, share in zip(weights, shares, strict=True):
        for at in range(len(secret)):
            secret[at] ^= _multiply(share[at], weight)
    return bytes(secret)


def _weight(index: int, xs: Sequence[int]) -> int:
    """The Lagrange coefficient of one share at x = 0."""
    weight = 1
    for other, x in enumerate(xs):
        if other != index:
            weight = _multiply(weight, _divide(x, x ^ xs[index]))
    return weight
