"""`inhaul sops` and `inhaul guard`, as a shell calls them: exit codes, what is printed, what is not."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from controllers import cli

from .conftest import Age, Encrypt

SOPS_SECRET = b"apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  pass: hunter2\n"
PLAIN = """apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {user: app}
data: {pass: cHciMQ==}
"""


def call(*words: str) -> int:
    return cli.main(list(words))


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, with no key of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_verify_names_what_was_changed_and_prints_no_value(
    workdir: Path, age: Age, encrypt: Encrypt, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("key.txt").write_text(age.identity + "\n")
    good = encrypt(SOPS_SECRET, "yaml", "--encrypted-regex", "^(data|stringData)$")
    Path("good.yaml").write_bytes(good)
    Path(".sops.yaml").write_text(f"creation_rules:\n- encrypted_regex: ^(data|stringData)$\n  age: {age.recipient}\n")
    assert call("sops", "verify", ".", "--age-key-file", "key.txt") == 0
    out = capsys.readouterr().out
    assert out.startswith("verified ./good.yaml  age:age1") and "warning" not in out
    Path("bad.yaml").write_bytes(good.replace(b"name: db", b"name: dc"))
    Path(".sops.yaml").write_text("creation_rules:\n- encrypted_regex: ^data$\n  age: age1other\n")
    assert call("sops", "verify", ".", "--age-key-file", "key.txt", "--json") == 1
    text = capsys.readouterr().out
    rows = {row["path"]: row for row in json.loads(text)}
    assert rows["./bad.yaml"]["reason"] == "MacMismatch" and len(rows["./good.yaml"]["warnings"]) == 3
    assert "hunter2" not in text


def test_keys_tells_files_and_ages_without_any_key(
    workdir: Path, age: Age, encrypt: Encrypt, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.yaml").write_bytes(encrypt(SOPS_SECRET, "yaml"))
    Path("b.env").write_bytes(encrypt(b"A=b\n", "dotenv"))
    assert call("sops", "keys", ".", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["path"], row["key"], row["age_days"]) for row in rows] == [
        ("./a.yaml", f"age {age.recipient}", 0), ("./b.env", f"age {age.recipient}", 0),
    ]  # fmt: skip


def test_decrypt_prints_what_verifies_and_nothing_else(
    workdir: Path,
    age: Age,
    encrypt: Encrypt,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOPS_AGE_KEY", age.identity)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    good = encrypt(SOPS_SECRET, "yaml", "--encrypted-regex", "^stringData$")
    Path("good.yaml").write_bytes(good)
    Path("bad.yaml").write_bytes(good.replace(b"name: db", b"name: dc"))
    assert call("sops", "decrypt", "good.yaml") == 0
    sys.stdout.flush()
    assert written.getvalue() == SOPS_SECRET
    assert call("sops", "decrypt", "bad.yaml") == 1
    assert written.getvalue() == SOPS_SECRET


def test_guard_finds_plaintext_and_passes_over_what_is_none(
    workdir: Path, encrypt: Encrypt, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("enc.yaml").write_bytes(encrypt(SOPS_SECRET, "yaml", "--encrypted-regex", "^stringData$"))
    Path("ref.yaml").write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {a: '${A}', b: ''}\n")
    Path("cm.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Secret}\ndata: {a: b}\n")
    Path("broken.yaml").write_text("kind: Secret\n  x: [")
    assert call("guard", ".") == 0
    Path("plain.yaml").write_text(PLAIN)
    Path("kustomization.yaml").write_text("secretGenerator:\n- name: g\n  literals: [token=hunter2]\n")
    assert call("guard", ".") == 1
    out = capsys.readouterr().out
    assert "./plain.yaml: Secret db is in plaintext: data.pass, stringData.user" in out
    assert "secretGenerator g is in plaintext: literals[token]" in out
    assert "hunter2" not in out and "cHciMQ" not in out


def test_wrong_usage_and_absent_files_have_their_exit_codes(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("sops") == 2
    assert call("guard", "absent") == 1
    assert "absent: no such file" in capsys.readouterr().err
    assert call("sops", "verify", "--help") == 0
