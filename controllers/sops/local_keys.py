"""Keys of the person at the command line: age identities and PGP keys from files, KMS by the SDK's own credentials.

The variables are sops's: SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, and its file in the configuration directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from .decrypt import KeyUnavailableError
from .errors import SopsError
from .keys import AwsKeys, DataKeyCache, SopsKeys, parse_key_secret
from .kms import region_of


class LocalKms:
    """A `KmsOpener` with whatever credentials the SDK finds."""

    identity = "local"

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], Any] = {}

    def with_keys(self, keys: AwsKeys) -> LocalKms:
        return self

    def decrypt(self, *, arn: str, ciphertext: bytes, context: Mapping[str, str], role: str) -> bytes:
        region = region_of(arn)
        try:
            if (region, role) not in self._clients:
                self._clients[region, role] = self._client(region, role)
            answer = self._clients[region, role].decrypt(
                CiphertextBlob=ciphertext, KeyId=arn, EncryptionContext=dict(context)
            )
        except (BotoCoreError, ClientError) as error:
            raise KeyUnavailableError(str(error).splitlines()[0][:300]) from None
        return bytes(answer["Plaintext"])

    def _client(self, region: str, role: str) -> Any:
        if not role:
            return boto3.client("kms", region_name=region)
        answer = boto3.client("sts", region_name=region).assume_role(RoleArn=role, RoleSessionName="inhaul-cli")
        found = answer["Credentials"]
        return boto3.client(
            "kms", region_name=region, aws_access_key_id=found["AccessKeyId"],
            aws_secret_access_key=found["SecretAccessKey"], aws_session_token=found["SessionToken"],
        )  # fmt: skip

    def tool_environment(self, arn: str) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def local_keyring(age_files: Iterable[str], pgp_files: Iterable[str], *, environ: Mapping[str, str]) -> SopsKeys:
    """Raises SopsError, OSError for a file that was named and cannot be read."""
    data: dict[str, bytes] = {}
    for number, name in enumerate(age_files):
        data[f"{number}-{Path(name).name}.agekey"] = Path(name).read_bytes()
    for number, name in enumerate(pgp_files):
        data[f"{number}-{Path(name).name}.asc"] = Path(name).read_bytes()
    if not data:
        if text := environ.get("SOPS_AGE_KEY"):
            data["SOPS_AGE_KEY.agekey"] = text.encode()
        home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/nonexistent")) / ".config")
        named = environ.get("SOPS_AGE_KEY_FILE") or str(home / "sops" / "age" / "keys.txt")
        if Path(named).is_file():
            data["keys.agekey"] = Path(named).read_bytes()
    try:
        return SopsKeys(parse_key_secret(data), kms=LocalKms(), cache=DataKeyCache())
    except SopsError as error:
        raise SopsError(error.reason, error.message.replace("decryption Secret, key", "key file")) from None
