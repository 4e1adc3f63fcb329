"""Any bytes at all: our own error type or a result, never another exception."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.sealed_secrets.ciphertext import split_item
from controllers.sops.ciphertext import open_value
from controllers.sops.decrypt import decrypt
from controllers.sops.errors import DecryptionError
from controllers.sops.formats import FORMATS, is_encrypted, read
from controllers.sops.keys import KeyMaterial, SopsKeys, parse_key_secret

_PIECES = st.sampled_from(
    [b"sops:", b"  mac: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]", b"\n", b"a: ", b"- ", b"{", b"}", b"[",
     b"]", b'"sops"', b":", b'{"data": "x", "sops": {"age": [{"enc": "', b"sops_mac=ENC[", b"[sops]\n",
     b"sops_age__list_0__map_enc=",
     b"\xff", b"\x00", b"!!binary ", b"&a", b"*a", b"age:",
     b"  lastmodified: '2024-01-01T00:00:00Z'\n", b"---\n", b"1e999"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=30).map(b"".join)), st.sampled_from(FORMATS))
@settings(max_examples=400, deadline=None)
def test_the_reader_ends_in_a_result_or_in_its_own_error(data: bytes, form: str) -> None:
    is_encrypted(data, form)
    with contextlib.suppress(DecryptionError):
        decrypt(read(data, form), SopsKeys(KeyMaterial()))


@given(st.text(max_size=200), st.binary(min_size=32, max_size=32))
@settings(max_examples=200, deadline=None)
def test_an_envelope_that_is_none_is_refused(text: str, key: bytes) -> None:
    for candidate in (text, f"ENC[AES256_GCM,data:{text},iv:AAAA,tag:AAAA,type:str]"):
        with contextlib.suppress(DecryptionError):
            open_value(candidate, key, "a:")
            raise AssertionError("opened what nobody encrypted")


@given(st.text(max_size=400))
@settings(max_examples=200, deadline=None)
def test_a_sealed_item_that_is_none_is_refused(text: str) -> None:
    with contextlib.suppress(DecryptionError):
        split_item(text)


@given(
    st.dictionaries(
        st.sampled_from(["a.agekey", "b.asc", "sops.aws-kms", "sops.azure-kv", "other"]), st.binary(max_size=80)
    )
)
@settings(max_examples=200, deadline=None)
def test_a_key_secret_of_any_bytes_is_parsed_or_refused_by_name(data: dict[str, bytes]) -> None:
    try:
        parse_key_secret(data)
    except DecryptionError as error:
        assert any(name in error.message for name in data)
