"""`inhaul seal`, `unseal` and `reseal`, as a shell calls them: exit codes, what is printed, what is left as it was."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from controllers import cli
from controllers.sealed_secrets.ciphertext import Scope, seal_item
from controllers.sealed_secrets.files import reseal_text
from controllers.sealed_secrets.keys import KEY_LABEL, SealingKeys, generate_key, parse_certificate, parse_key
from controllers.sealed_secrets.seal import parse_backup

SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: payments
  uid: 1234
  labels: {app: checkout}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
type: Opaque
stringData:
  user: app
data:
  pass: cHciMQ==
"""
NOW = datetime.now(UTC)


def call(*words: str) -> int:
    return cli.main(list(words))


def backup(directory: Path, name: str, age_days: int) -> tuple[Path, Path]:
    key_pem, cert_pem = generate_key(NOW - timedelta(days=age_days), bits=2048)
    data = {"tls.key": base64.b64encode(key_pem).decode(), "tls.crt": base64.b64encode(cert_pem).decode()}
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": {KEY_LABEL: "active"}}, "data": data,
    }  # fmt: skip
    keys, cert = directory / f"{name}.yaml", directory / f"{name}.pem"
    keys.write_text(yaml.safe_dump({"kind": "List", "items": [secret]}))
    cert.write_bytes(cert_pem)
    (directory / f"{name}.key").write_bytes(key_pem)
    return keys, cert


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEALED_SECRETS_CERT", raising=False)
    return tmp_path


def test_sealing_and_unsealing_give_the_secret_back(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, cert = backup(shop, "key", 1)
    Path("secret.yaml").write_text(SECRET)
    assert call("seal", "-f", "secret.yaml", "--cert", str(cert), "-w", "sealed.yaml") == 0
    sealed = yaml.safe_load(Path("sealed.yaml").read_text())
    assert sealed["metadata"] == {"name": "db", "namespace": "payments"}
    template = sealed["spec"]["template"]["metadata"]
    assert template == {"name": "db", "namespace": "payments", "labels": {"app": "checkout"}}
    for source in (str(keys), str(shop / "key.key")):
        assert call("unseal", "-f", "sealed.yaml", "--keys", source, "-o", "json") == 0
        secret = json.loads(capsys.readouterr().out)
        assert {k: base64.b64decode(v) for k, v in secret["data"].items()} == {"user": b"app", "pass": b'pw"1'}
        assert secret["metadata"]["labels"] == {"app": "checkout"} and secret["type"] == "Opaque"


def test_a_cluster_wide_object_unseals_to_a_secret_without_a_namespace(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, cert = backup(shop, "key", 1)
    Path("secret.yaml").write_text(SECRET.replace("  namespace: payments\n", ""))
    assert call("seal", "-f", "secret.yaml", "--cert", str(cert), "--scope", "cluster-wide", "-w", "sealed.yaml") == 0
    assert call("unseal", "-f", "sealed.yaml", "--keys", str(keys)) == 0
    secret = yaml.safe_load(capsys.readouterr().out)
    assert "namespace" not in secret["metadata"] and base64.b64decode(secret["data"]["user"]) == b"app"


@pytest.mark.parametrize(
    ("change", "flags", "text"),
    [
        (("namespace: payments", ""), (), "no namespace"),
        (("", ""), ("-n", "other"), "its namespace is payments"),
        (("kind: Secret", "kind: ConfigMap"), (), "expected a Secret"),
        (("cHciMQ==", "a%b"), (), "data.pass: expected base64"),
    ],
)
def test_what_cannot_be_sealed_is_refused_in_one_line(
    shop: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], flags: tuple[str, ...], text: str
) -> None:
    _, cert = backup(shop, "key", 1)
    Path("secret.yaml").write_text(SECRET.replace(*change) if change[0] else SECRET)
    assert call("seal", "-f", "secret.yaml", "--cert", str(cert), *flags) == 1
    out = capsys.readouterr()
    assert text in out.err and out.err.count("\n") == 1 and out.out == ""


def test_an_expired_certificate_seals_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, cert_pem = generate_key(NOW - timedelta(days=4000), bits=2048)
    Path("old.pem").write_bytes(cert_pem)
    Path("secret.yaml").write_text(SECRET)
    assert call("seal", "-f", "secret.yaml", "--cert", "old.pem") == 1
    assert "expired" in capsys.readouterr().err


def test_a_raw_value_is_sealed_for_its_scope(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, cert = backup(shop, "key", 1)
    Path("value").write_bytes(b"x\x00y")
    assert call("seal", "--raw", "--from-file", "value", "--name", "db", "-n", "payments", "--cert", str(cert)) == 0
    found = SealingKeys(parse_backup(keys.read_bytes())).open(capsys.readouterr().out.strip(), b"payments/db")
    assert found is not None and found.plaintext == b"x\x00y"


FILE = """# the payments team's
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {{name: db, namespace: payments}}
spec:
  encryptedData:
    a: {a}   # rotated in May
    "b": "{b}"
    c: |
      {c}
  template:
    data: {{dsn: "{{{{ .a }}}}@db"}}   # kept
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: x}}
"""


def test_resealing_changes_the_items_on_older_keys_and_not_one_other_byte(shop: Path) -> None:
    old, new = (backup(shop, name, days)[0] for name, days in (("old", 60), ("new", 1)))
    rings = [SealingKeys(parse_backup(path.read_bytes())) for path in (old, new)]
    label = Scope.STRICT.label("payments", "db")
    items = {
        name: seal_item(ring.keys[0].private_key.public_key(), label, name.encode() * 3)
        for name, ring in zip("abc", (rings[0], rings[1], rings[0]), strict=True)
    }
    Path("deploy").mkdir()
    text = FILE.format(**items)
    Path("deploy/db.yaml").write_text(text)
    both = ("--keys", str(old), "--keys", str(new))
    assert call("reseal", "deploy", *both, "--check") == 1
    assert Path("deploy/db.yaml").read_text() == text
    assert call("reseal", "deploy", *both) == 0
    after = Path("deploy/db.yaml").read_text()
    found = next(yaml.safe_load_all(after))["spec"]["encryptedData"]
    opened = {name: rings[1].open(value, label) for name, value in found.items()}
    assert {name: each.plaintext for name, each in opened.items() if each} == {"a": b"aaa", "b": b"bbb", "c": b"ccc"}
    restored = after.replace(found["a"], items["a"]).replace(found["c"].strip(), items["c"])
    assert restored == text and found["b"] == items["b"]
    assert call("reseal", "deploy", *both, "--check") == 0
    ring = SealingKeys([*rings[0].keys, *rings[1].keys])
    assert reseal_text(after, ring, rings[1].keys[0]) == (after, 0)


def test_merging_keeps_the_file_but_for_the_merged_items(shop: Path) -> None:
    keys, cert = backup(shop, "key", 1)
    key = parse_certificate(cert.read_bytes()).public_key()
    label = Scope.STRICT.label("payments", "db")
    items = {name: seal_item(key, label, b"old") for name in "abc"}  # type: ignore[arg-type]
    Path("db.yaml").write_text(FILE.format(**items))
    Path("secret.yaml").write_text("kind: Secret\nmetadata: {name: other}\nstringData: {a: new}\n")
    assert call("seal", "-f", "secret.yaml", "--cert", str(cert), "--merge-into", "db.yaml") == 0
    after = Path("db.yaml").read_text()
    found = next(yaml.safe_load_all(after))["spec"]["encryptedData"]
    assert after.replace(found["a"], items["a"]) == FILE.format(**items)
    opened = SealingKeys(parse_backup(keys.read_bytes())).open(found["a"], label)
    assert opened is not None and opened.plaintext == b"new"


def test_a_backup_that_is_none_is_refused(shop: Path) -> None:
    for data in (
        b"",
        b"x: [",
        b"kind: Secret",
        b"-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----",
    ):
        Path("keys").write_bytes(data)
        assert call("unseal", "--keys", "keys", "-f", "keys") == 1


def test_a_retired_key_of_a_backup_opens_nothing(shop: Path) -> None:
    keys, _ = backup(shop, "key", 1)
    retired = keys.read_text().replace(": active", ": compromised")
    keys.write_text(retired)
    secret = yaml.safe_load(retired)["items"][0]
    assert parse_key(secret).state == "compromised"
    assert call("unseal", "--keys", str(keys), "-f", str(keys)) == 1


def test_reseal_without_keys_is_wrong_usage(shop: Path) -> None:
    assert call("reseal", "x") == 2
