"""The published attacks on SOPS readers: refused at once, with little memory, and no request leaves."""

from __future__ import annotations

import base64
import contextlib
import random
import resource
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controllers.api.tenancy import Decision, Policy, Request, allowed, policy_of
from controllers.runtime.sandbox import no_core_dumps
from controllers.sealed_secrets.endpoints import Rates, parse_sealed
from controllers.sealed_secrets.files import documents_of
from controllers.sealed_secrets.keys import SealingKeys
from controllers.sealed_secrets.templates import render
from controllers.sealed_secrets.unseal import check, unseal
from controllers.sops.decryptor import Audit, Decryptor
from controllers.sops.errors import DecryptionError, SopsError
from controllers.sops.formats import FORMATS
from controllers.sops.keys import SopsKeys, parse_key_secret
from controllers.sops.policy import key_policy

from .conftest import Age, Encrypt

PLAIN = b"kind: Secret\nstringData:\n  pass: hunter2\n"
SECTION = b"sops:\n  lastmodified: '2026-01-01T00:00:00Z'\n  version: 3.9.0\n  mac: ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]\n"  # noqa: E501
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 9)) for letter in range(98, 106)
)


class Book:
    """TenantPolicies by the product's own rule."""

    def __init__(self, *policies: Policy) -> None:
        self.policies = policies

    def allowed(self, namespace: str, request: Request) -> Decision:
        return allowed(self.policies, namespace=namespace, namespace_labels={}, request=request)


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """An address of the attacker, and what it was sent."""
    seen: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(5)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                seen.append(connection.recv(4096))
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.getsockname()[1]}", seen
    server.close()


@contextlib.contextmanager
def cheap(*, seconds: float = 0.1, mebibytes: int = 64) -> Iterator[None]:
    tracemalloc.start()
    start = time.perf_counter()
    try:
        yield
        took = time.perf_counter() - start
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert took < seconds and peak < mebibytes << 20, (took, peak)


def refuse(data: bytes, keys: SopsKeys, *policies: Policy, form: str = "yaml") -> SopsError:
    audits: list[Audit] = []
    decryptor = Decryptor(keys, policy=key_policy(Book(*policies), "team-a"), audit=audits.append)
    with cheap(), pytest.raises(SopsError) as refused:
        decryptor.decrypt_file(f"a.{form}", data)
    assert audits[-1].reason == refused.value.reason and audits[-1].mac != "verified"
    return refused.value


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    assert refuse(BOMB + SECTION, SopsKeys(parse_key_secret({}))).reason == "AliasRefused"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_vault_of_the_attackers_gets_no_token(scheme: str) -> None:
    with listener() as (address, seen):
        keys = SopsKeys(parse_key_secret({"sops.vault-token": b"hvs.TENANT"}))
        vault = (
            f"  hc_vault:\n  - {{vault_address: '{scheme}://{address}', engine_path: sops, key_name: k,"
            " enc: 'vault:v1:AA==', created_at: '2026-01-01T00:00:00Z'}\n"
        ).encode()
        for policies in ((), (policy_of({"metadata": {"name": "p"}, "spec": {"namespaceSelector": {}}}),)):
            error = refuse(b"a: b\n" + SECTION + vault, keys, *policies)
            assert error.reason == "NoDataKey" or error.reason == "KeyRefused"
            assert "hc_vault" in error.message
        assert seen == []


def test_a_key_and_role_of_another_team_are_refused_unasked() -> None:
    class NoKms:
        identity = "controller"

        def with_keys(self, keys: Any) -> NoKms:
            return self

        def tool_environment(self, arn: str) -> dict[str, str]:
            raise AssertionError("asked for credentials")

        def decrypt(self, **_: Any) -> bytes:
            raise AssertionError("asked KMS")

    key = "arn:aws:kms:eu-west-1:123456789012:key/mine"
    role = "arn:aws:iam::123456789012:role/platform"
    grant = policy_of({"metadata": {"name": "p"}, "spec": {"namespaceSelector": {}, "kmsARNs": [key]}})
    section = f"  kms:\n  - {{arn: '{key}', role: '{role}', enc: AA==, created_at: '2026-01-01T00:00:00Z'}}\n"
    error = refuse(b"a: b\n" + SECTION + section.encode(), SopsKeys(parse_key_secret({}), kms=NoKms()), grant)
    assert f"does not grant role {role}" in error.message


def test_a_tampered_file_names_its_path_and_no_value(age: Age, encrypt: Encrypt) -> None:
    data = encrypt(PLAIN, "yaml", "--encrypted-regex", "^stringData$").replace(b"Secret", b"Sacret")
    error = refuse(data, age.keyring())
    assert error.reason == "MacMismatch" and error.message.startswith("a.yaml: ") and "hunter2" not in error.message


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"a: " + b"[" * n + SECTION, lambda n: b"a:\n" + b"- x\n" * n + SECTION,
        lambda n: b"a: '" + b"x" * n * 20 + b"'\n" + SECTION, lambda n: b"---\n" * n + SECTION,
        lambda n: b"a: 1" + b"0" * n + b"\n" + SECTION, lambda n: SECTION * n,
    ],
)  # fmt: skip
def test_deep_long_and_many_are_refused_within_time(make: Callable[[int], bytes]) -> None:
    with contextlib.suppress(SopsError), cheap(seconds=10, mebibytes=256):
        Decryptor(SopsKeys(parse_key_secret({}))).decrypt_file("a.yaml", make(20_000))


def test_damage_anywhere_ends_in_our_own_error_with_bounded_memory(age: Age, encrypt: Encrypt) -> None:
    rng, keys = random.Random(7), age.keyring()
    samples = [
        (encrypt(PLAIN, "yaml"), "yaml"), (encrypt(b'{"a": [1, "b"]}', "json"), "json"),
        (encrypt(b"A=b\nC=d\n", "dotenv"), "dotenv"), (encrypt(b"[a]\nb = c\n", "ini"), "ini"),
        (encrypt(bytes(range(64)), "binary"), "binary"),
    ]  # fmt: skip
    with cheap(seconds=20):
        for _ in range(400):
            data, form = rng.choice(samples)
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(changed))
                changed[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(4))
            with contextlib.suppress(DecryptionError):
                Decryptor(keys, binary="").decrypt_file("f", bytes(changed), rng.choice((form, form, *FORMATS)))


def test_any_sealed_object_ends_in_a_result_or_our_own_error() -> None:
    rng, ring = random.Random(11), SealingKeys([])
    pieces = (b'{"kind": "SealedSecret", "metadata": {"name": "a"}, "spec": {"encryptedData": {"a": ', b'"AA=="', b"1",
              b"null", b"[]", b"}}}", b', "template": ', b"kind: SealedSecret\n", b"metadata: {name: a}\n",
              b"spec: {encryptedData: {a: AgA=}}\n", b"&a", b"*a", b"\xff", b"---\n", b"spec: []\n")  # fmt: skip
    for _ in range(2_000):
        data = b"".join(rng.choice(pieces) for _ in range(rng.randrange(6)))
        with contextlib.suppress(ValueError, DecryptionError):
            check(parse_sealed(data), ring)
        with contextlib.suppress(DecryptionError, UnicodeDecodeError):
            documents_of(data.decode())


@pytest.mark.parametrize(
    "text",
    [
        "{{ range $i := until 100000000 }}x{{ end }}", '{{ repeat 1000000000 "x" }}',
        '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}', "{{ .a | repeat 99999999 }}",
        "{{" * 5000, '{{ env "HOME" }}', '{{ getHostByName "x" }}',
    ],
)  # fmt: skip
def test_a_template_is_bounded_and_reaches_nothing_outside(text: str) -> None:
    manifest = {"metadata": {"name": "a", "namespace": "b"}, "spec": {"template": {"data": {"k": text}}}}
    with cheap(seconds=5, mebibytes=128), pytest.raises(DecryptionError) as refused:
        unseal(manifest, SealingKeys([]), render)
    assert refused.value.reason == "TemplateInvalid"


def test_callers_that_name_themselves_anew_meet_the_doors_own_rate_and_bounded_memory() -> None:
    now = 0.0
    rates = Rates(2.0, clock=lambda: now)
    passed = sum(rates.take("/v1/verify", f"caller {number}") for number in range(50_000))
    assert passed <= 41
    assert sys.getsizeof(rates._buckets) < 4 << 20
    now = 10.0
    assert rates.take("/v1/verify", "somebody else")


def test_no_core_is_dumped_that_would_hold_keys() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    no_core_dumps()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0), before


def test_a_value_of_a_key_secret_never_shows() -> None:
    with pytest.raises(SopsError) as refused:
        parse_key_secret({"a.agekey": b"AGE-SECRET-KEY-1HUNTER2"})
    assert "HUNTER2" not in str(refused.value)
    entry = base64.b64encode(b"hunter2").decode()
    assert entry not in repr(parse_key_secret({"sops.vault-token": entry.encode()}))
