"""What a build is given: raw files, objects, entries of Secrets; the audit of each; plaintext by policy; drift."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from controllers.sops.creation_rules import drift, parse_rules, rule_for
from controllers.sops.decryptor import SKIP_ANNOTATION, Audit, Decryptor
from controllers.sops.errors import SopsError
from controllers.sops.formats import read
from controllers.sops.keys import DataKeyCache
from controllers.sops.metadata import MasterKey
from controllers.sops.plaintext_scan import PLAINTEXT_ANNOTATION, mode_of, plaintext_secrets

from .conftest import Age, Encrypt

PLAIN = b"apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  pass: hunter2\n  empty: ''\n"


def test_each_decryption_is_told_with_owner_revision_key_and_fields_and_no_value(age: Age, encrypt: Encrypt) -> None:
    audits: list[Audit] = []
    decryptor = Decryptor(age.keyring(), audit=audits.append, owner="flux/apps", revision="main@sha1:abc")
    data = encrypt(PLAIN, "yaml", "--encrypted-regex", "^stringData$")
    decryptor.decrypt_file("db.yaml", data)
    with pytest.raises(SopsError):
        decryptor.decrypt_file("bad.yaml", data.replace(b"name: db", b"name: dc"))
    good, bad = audits
    assert good.line() == (
        f"sops decrypted owner=flux/apps revision=main@sha1:abc subject=db.yaml format=yaml keys=age:{age.recipient}"
        " mac=verified fields=stringData.pass"
    )
    assert (bad.mac, bad.reason, bad.subject) == ("mismatch", "MacMismatch", "bad.yaml")
    assert decryptor.warnings == [
        "db.yaml: stringData.empty is empty at an encrypted position: the MAC does not cover it"
    ]


def test_an_encrypted_file_inside_a_secret_is_opened_in_the_form_that_its_key_names(age: Age, encrypt: Encrypt) -> None:
    entries = {
        "raw": encrypt(b"\x00\xff", "binary"), "app.env": encrypt(b"A=b\n", "dotenv"),
        "app.yaml": encrypt(b"a: b\n", "yaml"), ".dockerconfigjson": encrypt(b'{"auths": {}}', "json"),
    }  # fmt: skip
    data = {name: base64.b64encode(value).decode() for name, value in entries.items()}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {**data, "own": "eA=="}}
    opened = Decryptor(age.keyring()).decrypt_object(manifest)["data"]
    assert {name: base64.b64decode(value) for name, value in opened.items()} == {
        "raw": b"\x00\xff", "app.env": b"A=b\n", "app.yaml": b"a: b\n", ".dockerconfigjson": b'{\n\t"auths": {}\n}\n',
        "own": b"x",
    }  # fmt: skip


def test_an_object_may_ask_to_stay_encrypted(age: Age, encrypt: Encrypt) -> None:
    asking = PLAIN.replace(b"  name: db\n", f"  name: db\n  annotations: {{{SKIP_ANNOTATION}: Disabled}}\n".encode())
    data = encrypt(asking, "yaml", "--encrypted-regex", "^stringData$")
    assert Decryptor(age.keyring()).decrypt_file("db.yaml", data) == data


@pytest.mark.parametrize("keys", [True, False])
def test_plaintext_is_allowed_told_or_refused(age: Age, keys: bool) -> None:
    def decryptor(mode: str) -> Decryptor:
        return Decryptor(age.keyring() if keys else None, plaintext=mode)

    assert decryptor("allow").decrypt_file("db.yaml", PLAIN) == PLAIN
    warning = decryptor("warn")
    assert warning.decrypt_file("db.yaml", PLAIN) == PLAIN
    assert warning.warnings == ["db.yaml: Secret db is in plaintext: stringData.pass"]
    with pytest.raises(SopsError) as refused:
        decryptor("refuse").decrypt_file("db.yaml", PLAIN)
    assert refused.value.reason == "PlaintextSecret" and "hunter2" not in refused.value.message


@pytest.mark.parametrize(
    ("setting", "namespace", "own", "expected"),
    [
        ("allow", "", "", "allow"), ("allow", "refuse", "", "refuse"), ("refuse", "allow", "", "allow"),
        ("warn", "", "allow", "warn"), ("warn", "", "refuse", "refuse"), ("refuse", "warn", "allow", "warn"),
        ("warn", "typo", "typo", "warn"),
    ],
)  # fmt: skip
def test_a_namespace_decides_and_an_object_only_tightens(setting: str, namespace: str, own: str, expected: str) -> None:
    annotations = [{PLAINTEXT_ANNOTATION: text} if text else {} for text in (namespace, own)]
    assert mode_of(setting, *annotations) == expected


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\napiVersion: v1\ndata: {a: }\n", "kind: SecretStore\napiVersion: v1\ndata: {a: b}\n",
        "kind: Secret\napiVersion: v1\nsops: {mac: x}\ndata: {a: b}\n", "kind: Secret\n  bad: [", "[Secret]", "Secret",
        "kind: Secret\napiVersion: v1\nmetadata: [1]\ndata: [1]\n",
        "a: &a [Secret]\n" + "".join(f"b{n}: [{','.join(['*a'] * 50)}]\n" for n in range(300)),
    ],
)  # fmt: skip
def test_what_is_no_plaintext_secret_is_no_finding(text: str) -> None:
    assert plaintext_secrets("a.yaml", text.encode()) == []


def test_secrets_in_lists_are_found() -> None:
    text = "kind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: x}, data: {a: eA==}}\n"
    assert [str(each) for each in plaintext_secrets("a.yaml", text.encode())] == [
        "a.yaml: Secret x is in plaintext: data.a"
    ]


def test_the_first_rule_that_matches_a_path_is_compared(age: Age, encrypt: Encrypt) -> None:
    rules = parse_rules(
        f"creation_rules:\n- {{path_regex: prod/, age: age1other}}\n- {{age: '{age.recipient}'}}\n".encode()
    )
    metadata = read(encrypt(PLAIN, "yaml"), "yaml").metadata
    assert drift(rule_for(rules, "dev/a.yaml"), metadata) == []
    assert drift(rule_for(rules, "prod/a.yaml"), metadata) == [
        f"age {age.recipient} is not in .sops.yaml", "age age1other of .sops.yaml cannot open it",
    ]  # fmt: skip


def test_data_keys_are_forgotten_in_time_and_number() -> None:
    now = 0.0
    cache = DataKeyCache(size=2, ttl=10, clock=lambda: now)
    keys = [MasterKey("kms", f"arn{number}", "enc") for number in range(3)]
    for key in keys:
        cache.put(key, "me", b"k" * 32)
    assert len(cache) == 2 and cache.get(keys[0], "me") is None and cache.get(keys[2], "me") == b"k" * 32
    assert cache.get(keys[2], "you") is None
    other: Any = MasterKey("kms", "arn2", "enc", context=(("a", "b"),))
    assert cache.get(other, "me") is None
    now = 11.0
    assert cache.get(keys[2], "me") is None and len(cache) == 0
