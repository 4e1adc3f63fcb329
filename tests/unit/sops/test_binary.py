"""What is left to the sops binary: which files, with which environment, and what becomes of its failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.runtime.sandbox import powers
from controllers.sops.binary import decrypt_any, find_sops, run_sops
from controllers.sops.errors import SopsError
from controllers.sops.formats import read
from controllers.sops.keys import SopsKeys, parse_key_secret

from .conftest import Age, Encrypt

INI = b"[one]\nplain_clear = 'quoted # text'\nvalue = secret\n"


def test_an_odd_ini_file_is_read_by_the_binary_with_age_keys_alone(age: Age, encrypt: Encrypt) -> None:
    data = encrypt(INI, "ini", "--unencrypted-suffix", "_clear")
    odd = data.replace(b"ENC[", b"`ENC[", 1).replace(b"type:str]", b"type:str]`", 1)
    keys = SopsKeys(parse_key_secret({"a.agekey": age.identity.encode(), "sops.vault-token": b"hvs.TOKEN"}))
    assert b"secret" in decrypt_any(read(odd, "ini"), keys).plaintext
    with pytest.raises(SopsError, match="age and PGP keys only"):
        decrypt_any(read(odd.replace(b"[sops]", b"[sops]\nhc_vault__list_0__map_key_name = a", 1), "ini"), keys)


class Script:
    """An executable that stands for the binary."""

    def __init__(self, directory: Path, body: str) -> None:
        self.path = directory / "sops"
        self.path.write_text(f"#!/bin/sh\n{body}\n")
        self.path.chmod(0o700)


@pytest.fixture
def commented(age: Age, encrypt: Encrypt) -> bytes:
    data = encrypt(b"a: b\n", "yaml", "--encrypted-regex", "^a$")
    return data.replace(b"encrypted_regex: ^a$", b"encrypted_comment_regex: x")


def test_the_child_knows_the_tenants_keys_of_the_files_kinds_and_nothing_of_ours(
    tmp_path: Path, age: Age, commented: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    monkeypatch.setenv("VAULT_TOKEN", "ours")
    script = Script(tmp_path, "cat > /dev/null; env")
    keys = SopsKeys(parse_key_secret({"a.agekey": age.identity.encode(), "sops.vault-token": b"hvs.TENANT"}))
    shown = decrypt_any(read(commented, "yaml"), keys, binary=str(script.path)).plaintext.decode()
    env = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert env["SOPS_AGE_KEY"] == age.identity and env["SOPS_HC_VAULT_ALLOWLIST"] == "none"
    assert "ours" not in env.values() and "VAULT_TOKEN" not in env
    assert not Path(env["HOME"]).exists()


def test_what_the_binary_prints_on_failure_enters_no_message(tmp_path: Path, age: Age, commented: bytes) -> None:
    script = Script(tmp_path, "echo 'Input string hunter2' >&2; exit 25")
    with pytest.raises(SopsError) as refused:
        decrypt_any(read(commented, "yaml"), age.keyring(), binary=str(script.path))
    assert refused.value.reason == "ValueInvalid" and "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "reason"), [(51, "MacMismatch"), (128, "NoDataKey"), (2, "ToolFailed"), (77, "ToolFailed")]
)
def test_exit_codes_become_reasons(tmp_path: Path, code: int, reason: str) -> None:
    with pytest.raises(SopsError) as refused:
        run_sops(str(Script(tmp_path, f"exit {code}").path), b"", "yaml", {})
    assert refused.value.reason == reason


def test_without_the_binary_the_cause_is_named(age: Age, commented: bytes) -> None:
    with pytest.raises(SopsError) as refused:
        decrypt_any(read(commented, "yaml"), age.keyring(), binary="")
    assert refused.value.reason == "ToolMissing" and "encrypted_comment_regex" in refused.value.message
    assert find_sops("/explicit") == "/explicit"


def test_a_policy_is_asked_for_every_key_before_the_binary_runs(tmp_path: Path, age: Age, commented: bytes) -> None:
    script = Script(tmp_path, "exit 51")

    def refuse(key: Any) -> str:
        return "not here"

    with pytest.raises(SopsError, match="not here"):
        decrypt_any(read(commented, "yaml"), age.keyring(), policy=refuse, binary=str(script.path))
    with pytest.raises(SopsError, match="MAC"):
        decrypt_any(read(commented, "yaml"), age.keyring(), binary=str(script.path))


@pytest.mark.skipif(not powers().landlock, reason="this kernel has no Landlock")
def test_the_child_reads_no_file_of_ours(tmp_path: Path, age: Age, commented: bytes) -> None:
    """A service account's token stands for all that the controller may read and the binary may not."""
    (tmp_path / "token").write_text("ours")
    script = Script(tmp_path, f"cat > /dev/null; cat {tmp_path / 'token'} || echo refused")
    assert decrypt_any(read(commented, "yaml"), age.keyring(), binary=str(script.path)).plaintext == b"refused\n"
