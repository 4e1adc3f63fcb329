"""Decryption's figures: `python -m benchmarks.decryption [--json]`; exit code 1 where a goal is missed.

Files are made by the sops binary, items by our own sealing (byte for byte kubeseal's). Each figure is named with its
goal; times are wall clock on the machine that runs this.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyrage
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from controllers.sealed_secrets import keys as ring_module
from controllers.sealed_secrets.ciphertext import seal_item, split_item, unwrap
from controllers.sealed_secrets.keys import SealingKey, SealingKeys, certificate_for, fingerprint
from controllers.sealed_secrets.templates import render
from controllers.sealed_secrets.unseal import unseal
from controllers.sops.binary import find_sops
from controllers.sops.decryptor import Decryptor
from controllers.sops.keys import DataKeyCache, SopsKeys, parse_key_secret
from controllers.sops.local_keys import LocalKms


def figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "met": goal is None or value <= goal}


def timed(function: Callable[[], Any]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1000


def median(function: Callable[[], Any], rounds: int) -> float:
    function()
    return statistics.median(timed(function) for _ in range(rounds))


def encrypt(plain: bytes, flags: list[str], home: Path, env: dict[str, str] | None = None) -> bytes:
    argv = [find_sops(), "encrypt", *flags, "--input-type", "yaml", "--output-type", "yaml"]
    argv += ["--filename-override", "a.yaml"]
    base = {"PATH": os.defpath, "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(argv, input=plain, capture_output=True, check=True, cwd=home, env=base | (env or {})).stdout


def sops_figures(home: Path) -> list[dict[str, Any]]:
    identity = pyrage.x25519.Identity.generate()
    material = parse_key_secret({"a.agekey": str(identity).encode()})
    flags = ["--age", str(identity.to_public()), "--encrypted-regex", "^(data|stringData)$"]

    def secret(values: int) -> bytes:
        data = {f"key-{number}": f"value-{number}" for number in range(values)}
        return yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "stringData": data}).encode()

    distinct = [encrypt(secret(2), flags, home) for _ in range(20)]
    small, large = [distinct[number % 20] for number in range(500)], encrypt(secret(200), flags, home)

    def build() -> None:
        with SopsKeys(material) as keys:  # no cache: each file costs its own data key
            decryptor = Decryptor(keys)
            for data in small:
                decryptor.decrypt_file("a.yaml", data)

    one = Decryptor(SopsKeys(material))
    found = [
        figure("500 small age files", min(timed(build) for _ in range(3)) / 1000, "s", 1.5),
        figure("200-value YAML, median of 50", median(lambda: one.decrypt_file("a.yaml", large), 50), "ms", 40),
    ]  # fmt: skip
    env = {"PATH": os.defpath, "HOME": str(home), "SOPS_AGE_KEY": str(identity)}
    argv = [find_sops(), "decrypt", "--input-type", "yaml", "--output-type", "yaml"]
    for name, data in (("small", small[0]), ("200-value", large)):
        ms = median(lambda data=data: subprocess.run(argv, input=data, capture_output=True, env=env, check=True), 5)  # type: ignore[misc]
        found.append(figure(f"for comparison: the sops binary, {name} file", ms, "ms"))
    return found


async def kms_figures(home: Path) -> list[dict[str, Any]]:
    import boto3

    from controllers.standin.cloud.aws import AwsStandin

    aws = AwsStandin()
    await aws.start()
    try:
        os.environ.update(aws.env(), AWS_EC2_METADATA_DISABLED="true")
        arn = boto3.client("kms", **aws.client_arguments()).create_key()["KeyMetadata"]["Arn"]
        data = await asyncio.to_thread(encrypt, b"a: b\nc: d\n", ["--kms", arn], home, aws.env())
        keys = SopsKeys(parse_key_secret({}), kms=LocalKms(), cache=DataKeyCache())
        first = timed(lambda: Decryptor(keys).decrypt_file("a.yaml", data))
        cached = median(lambda: Decryptor(keys).decrypt_file("a.yaml", data), 50)
    finally:
        await aws.stop()
    return [
        figure("KMS file, data key cached, median of 50", cached, "ms", 2),
        figure("for comparison: KMS file, first call of a client (stand-in)", first, "ms"),
    ]


def sealing_key(number: int, bits: int) -> SealingKey:
    private_key = rsa.generate_private_key(65537, bits)
    now = datetime.now(UTC) - timedelta(days=30 * number)
    certificate = certificate_for(private_key, now)
    return SealingKey(f"key-{number}", fingerprint(private_key.public_key()), private_key, certificate, now)


def seal_figures() -> list[dict[str, Any]]:
    keys = [sealing_key(number, 2048) for number in range(61)]  # 4096 bits would take minutes to make
    oldest = keys[-1]
    label = b"payments/db"
    public_key = oldest.private_key.public_key()
    item = seal_item(public_key, label, b"value" * 10)
    manifest = {"metadata": {"name": "db", "namespace": "payments"}, "spec": {"encryptedData": {"a": item}}}
    operations = 0

    def counted(*arguments: Any) -> Any:
        nonlocal operations
        operations += 1
        return unwrap(*arguments)

    ring = SealingKeys(keys)
    with patch.object(ring_module, "unwrap", counted):
        first = timed(lambda: unseal(manifest, ring, render))
        tried, operations = operations, 0
        unseal(manifest, ring, render)
        known = operations
    whole = median(lambda: unseal(manifest, ring, render), 30)
    wrapped = split_item(item)[0]
    alone = median(lambda: unwrap(oldest.private_key, label, wrapped), 30)
    return [
        figure("private-key operations per item, learned, 61 keys", known, "operations", 1),
        figure("unseal beyond the RSA-2048 operation, learned", max(0.0, whole - alone), "ms", 1),
        figure("for comparison: RSA-2048 operation alone", alone, "ms"),
        figure(f"for comparison: first unseal, {tried} keys tried", first, "ms"),
        figure("seal of one item, RSA-2048", median(lambda: seal_item(public_key, label, b"x"), 30), "ms"),
    ]  # fmt: skip


def run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as home:
        return [*sops_figures(Path(home)), *asyncio.run(kms_figures(Path(home))), *seal_figures()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.decryption")
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    figures = run()
    if as_json:
        print(json.dumps(figures, indent=1))
    for each in [] if as_json else figures:
        goal = f"goal ≤ {each['goal']:g}" + ("" if each["met"] else "  MISSED") if each["goal"] is not None else ""
        print(f"{each['name']:62} {each['value']:10.3f} {each['unit']:10} {goal}")
    return 0 if all(each["met"] for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
