"""What the sops binary encrypts, our reader opens to the same values; what was tampered with, it refuses."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from controllers.sops.decrypt import decrypt
from controllers.sops.errors import DecryptionError
from controllers.sops.formats import is_encrypted, read
from controllers.sops.limits import SopsLimits
from controllers.sops.metadata import MasterKey

from .conftest import Age, Encrypt

SECRET = b"""apiVersion: v1
kind: Secret
metadata:
  name: signing
  namespace: payments
stringData:
  key: s3cr3t-value
  port: "8080"
  multi: |
    line one
    line two
"""


def test_a_yaml_file_opens_to_the_values_that_were_encrypted(age: Age, encrypt: Encrypt) -> None:
    sealed = encrypt(SECRET, "yaml", "--encrypted-regex", "^(data|stringData)$")
    assert b"s3cr3t-value" not in sealed
    assert is_encrypted(sealed, "yaml")
    with age.keyring() as keys:
        opened = decrypt(read(sealed, "yaml"), keys)
    assert yaml.safe_load(opened.plaintext) == yaml.safe_load(SECRET)
    assert opened.report.fields == ["stringData.key", "stringData.port", "stringData.multi"]
    assert opened.key_ids == (f"age:{age.recipient}",)


@pytest.mark.parametrize(
    "scalar",
    ["1", "-7", "0x1F", "0o17", "1e3", "1.5", ".5", "1e-7", "123456789.125", "true", "False", "yes", "null", "~", "''",
     "2024-01-31", "2024-01-31T10:00:00Z", "12:30", "=", "1_000", "+1", "v1.2.3", "é😀", "'quoted'",
     "9223372036854775807",
     "1e21", "1e30", "0.000001", "08", "0777", "1.0", "[]", "{}"],
)  # fmt: skip
def test_scalars_are_read_as_go_reads_them_so_that_the_mac_holds(age: Age, encrypt: Encrypt, scalar: str) -> None:
    sealed = encrypt(f"value: {scalar}\nclear_unencrypted: {scalar}\nlist: [{scalar}, a]\n".encode(), "yaml")
    with age.keyring() as keys:
        opened = decrypt(read(sealed, "yaml"), keys)
    first = opened.documents[0]
    assert str(first["value"]) == str(first["list"][0])


def test_documents_of_a_stream_are_all_read_and_all_covered_by_the_mac(age: Age, encrypt: Encrypt) -> None:
    sealed = encrypt(b"a: 1\n---\nb: two\n---\nc: [x, y]\n", "yaml")
    with age.keyring() as keys:
        assert decrypt(read(sealed, "yaml"), keys).documents == [{"a": 1}, {"b": "two"}, {"c": ["x", "y"]}]
        short = sealed[: sealed.rindex(b"\n---\n")]
        with pytest.raises(DecryptionError) as refused:
            decrypt(read(short, "yaml"), keys)
    assert refused.value.reason == "MacMismatch"


def test_json_dotenv_ini_and_binary_files_come_back_as_they_were(age: Age, encrypt: Encrypt) -> None:
    plain = {
        "json": b'{"a": 1, "b": [true, null, "x"], "c": {"d": 2.5}}',
        "dotenv": b"# note\nUSER=admin\nEMPTY=\nURL=postgres://h/db?x=1\n",
        "ini": b"[db]\nuser = admin\npassword = hunter2\n",
        "binary": bytes(range(256)),
    }
    for form, content in plain.items():
        sealed = encrypt(content, form)
        assert is_encrypted(sealed, form)
        with age.keyring() as keys:
            opened = decrypt(read(sealed, form), keys).plaintext
        if form == "json":
            assert json.loads(opened) == json.loads(content)
        elif form == "ini":
            assert b"".join(opened.split()) == b"".join(content.split())
        else:
            assert opened == content, form


def test_a_changed_value_is_refused_and_the_message_names_the_path_not_the_value(age: Age, encrypt: Encrypt) -> None:
    sealed = encrypt(SECRET, "yaml", "--encrypted-regex", "^(data|stringData)$")
    tampered = sealed.replace(b"name: signing", b"name: other-name")
    with age.keyring() as keys, pytest.raises(DecryptionError) as refused:
        decrypt(read(tampered, "yaml"), keys)
    assert refused.value.reason == "MacMismatch"

    def flip(match: re.Match[bytes]) -> bytes:
        return match[1] + (b"B" if match[2] == b"A" else b"A")

    broken = re.sub(rb"(key: ENC\[AES256_GCM,data:.)(.)", flip, sealed, count=1)
    with age.keyring() as keys, pytest.raises(DecryptionError) as refused:
        decrypt(read(broken, "yaml"), keys)
    assert refused.value.reason == "ValueInvalid"
    assert "stringData:key" in refused.value.message
    assert "s3cr3t" not in str(refused.value)


def test_an_alias_bomb_is_refused_before_it_expands(age: Age) -> None:
    bomb = b"a: &a [x, x]\n" + b"".join(b"k%d: &k%d [*a, *a]\n" % (i, i) for i in range(50))
    with age.keyring() as keys, pytest.raises(DecryptionError) as refused:
        decrypt(read(bomb, "yaml"), keys)
    assert refused.value.reason == "AliasRefused"


def test_size_nodes_and_depth_are_limited_before_anything_is_decrypted(age: Age) -> None:
    with age.keyring() as keys:
        for data in (b"a: " + b"x" * 200, b"a: [" + b"1," * 200 + b"1]", b"a: " + b"[" * 60 + b"]" * 60):
            with pytest.raises(DecryptionError) as refused:
                decrypt(read(data, "yaml", SopsLimits(size=180, nodes=50, depth=20)), keys)
            assert refused.value.reason == "TooLarge"


def test_policy_is_asked_before_any_key_is_tried(age: Age, encrypt: Encrypt) -> None:
    asked: list[MasterKey] = []

    def refuse(key: MasterKey) -> str:
        asked.append(key)
        return "not a recipient of this tenant"

    sealed = encrypt(SECRET, "yaml")
    with age.keyring() as keys, pytest.raises(DecryptionError) as refused:
        decrypt(read(sealed, "yaml"), keys, policy=refuse)
    assert refused.value.reason == "NoDataKey"
    assert "not a recipient of this tenant" in refused.value.message
    assert [key.identifier for key in asked] == [age.recipient]


def test_a_file_for_another_identity_says_that_none_at_hand_opens_it(encrypt: Encrypt) -> None:
    import pyrage

    other = Age(str(pyrage.x25519.Identity.generate()), "")
    with other.keyring() as keys, pytest.raises(DecryptionError) as refused:
        decrypt(read(encrypt(SECRET, "yaml"), "yaml"), keys)
    assert refused.value.reason == "NoDataKey"
    assert "AGE-SECRET-KEY" not in str(refused.value)
