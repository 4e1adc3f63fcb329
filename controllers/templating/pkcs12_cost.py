"""What opening a PKCS#12 would cost, told by its ASN.1 before anything is derived from a password.

A file says itself how often a password is hashed, up to 2**31 times: minutes on a thread that templates share. Counts
stand in MacData, PBKDF2 and PKCS#12's own schemes alike as an INTEGER right behind the OCTET STRING of the salt. Those
that only show after decryption are not seen here.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_ITERATIONS = 2_000_000
"""Over all counts of a file: OpenSSL and Java write 2,048 to 10,000 each, OWASP advises 600,000; this is seconds."""
_MAX_DEPTH = 8
_INTEGER, _OCTETS, _END, _CONSTRUCTED = 0x02, 0x04, 0x00, 0x20


def iterations(der: bytes) -> int:
    """The sum of all counts that show."""
    return sum(_counts(der, 0))


def _counts(data: bytes, depth: int) -> Iterator[int]:
    """One pass: constructed values are entered, so that definite and indefinite lengths read alike."""
    at, after_octets = 0, False
    while at + 2 <= len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length > 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        elif length == 0x80:
            length = 0
        if tag & _CONSTRUCTED:
            after_octets = False
            continue
        body, at = data[at : at + length], at + length
        if tag == _INTEGER and after_octets:
            yield int.from_bytes(body, "big")
        if tag == _OCTETS and depth < _MAX_DEPTH:
            yield from _counts(body, depth + 1)
        after_octets = tag == _OCTETS or (tag == _END and after_octets)
