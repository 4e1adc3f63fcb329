"""A PKCS#12 that would hash for minutes is refused before it does."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from controllers.templating.errors import FunctionError
from controllers.templating.pem import pkcs12_key
from controllers.templating.pkcs12_cost import iterations


def _made(rounds: int) -> bytes:
    scheme = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(rounds).build(b"x")
    key = ec.generate_private_key(ec.SECP256R1())
    return pkcs12.serialize_key_and_certificates(b"k", key, None, None, scheme)


def test_counts_of_the_mac_and_of_each_cipher_are_found() -> None:
    assert iterations(_made(70_001)) - iterations(_made(70_000)) >= 1


def test_a_count_without_end_is_refused_at_once_and_a_usual_one_is_not() -> None:
    good = _made(70_001)
    assert "PRIVATE KEY" in pkcs12_key("x", good.decode("utf-8", "surrogateescape"))
    count = b"\x02\x03" + (70_001).to_bytes(3, "big")
    assert count in good
    evil = good.replace(count, b"\x02\x03\x7f\xff\xff")
    with pytest.raises(FunctionError, match="iterations"):
        pkcs12_key("x", evil.decode("utf-8", "surrogateescape"))
