"""The keys of one Kustomization: a decryption Secret's entries, and a key service over them.

Entries as Flux names them: `*.agekey` (age identities, one a line), `*.asc` (PGP private keys, opened by gpg in a
private 0700 home), `sops.aws-kms`, `sops.vault-token`, `sops.azure-kv`, `sops.gcp-kms` (credentials). Unknown entries
are ignored, a bad one fails with its name. Data keys are cached by (encrypted key, context, identity), bounded and for
a while.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import posixpath
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyrage
import yaml

from controllers.runtime.sensitive import Sensitive

from .decrypt import KeyUnavailableError
from .errors import SopsError
from .gpg import GpgHome
from .metadata import MasterKey

_ARMOR = re.compile(r"-----BEGIN AGE ENCRYPTED FILE-----\s*([A-Za-z0-9+/=\s]+?)\s*-----END AGE ENCRYPTED FILE-----")
_MAX_ENC = 64 << 10
_BY_TOOL = ("hc_vault", "azure_kv", "gcp_kms", "hckms")


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Static AWS credentials from `sops.aws-kms`."""

    access_key_id: str
    secret_access_key: Sensitive
    session_token: Sensitive | None


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """What a decryption Secret holds, parsed."""

    age: tuple[Sensitive, ...] = ()
    """Identities, one each: native kinds and those that only the sops binary reads."""
    pgp: tuple[Sensitive, ...] = ()
    aws: AwsKeys | None = None
    tool_env: Mapping[str, Sensitive] = field(default_factory=dict)
    """Further credentials for the sops binary, by environment variable."""

    def fingerprint(self) -> str:
        """A digest that differs when the material does: part of every cache key."""
        digest = hashlib.sha256()
        parts = [*self.age, *self.pgp, *(value for _, value in sorted(self.tool_env.items()))]
        if self.aws:
            parts += [
                Sensitive(self.aws.access_key_id),
                self.aws.secret_access_key,
                self.aws.session_token or Sensitive(""),
            ]
        for part in parts:
            digest.update(hashlib.sha256(part.reveal()).digest())
        return digest.hexdigest()


def parse_key_secret(data: Mapping[str, bytes]) -> KeyMaterial:
    """A Secret's data → key material. Raises SopsError(KeyInvalid) naming the wrong entry, never its content."""
    age: list[Sensitive] = []
    pgp: list[Sensitive] = []
    aws: AwsKeys | None = None
    env: dict[str, Sensitive] = {}
    for name, value in sorted(data.items()):
        match posixpath.splitext(name)[1], name:
            case ".agekey", _:
                age += _age_identities(name, value)
            case ".asc", _:
                pgp.append(_pgp_key(name, value))
            case _, "sops.aws-kms":
                aws = _aws(name, value)
            case _, "sops.vault-token":
                env["VAULT_TOKEN"] = Sensitive(value.strip())
            case _, "sops.azure-kv":
                env |= _azure(name, value)
            case _, "sops.gcp-kms":
                env["GOOGLE_CREDENTIALS"] = Sensitive(value)
    return KeyMaterial(tuple(age), tuple(pgp), aws, env)


def _invalid(name: str, expected: str) -> SopsError:
    return SopsError("KeyInvalid", f"decryption Secret, key {name!r}: expected {expected}")


def _age_identities(name: str, value: bytes) -> list[Sensitive]:
    found = []
    try:
        lines = value.decode().splitlines()
    except UnicodeDecodeError:
        raise _invalid(name, "age identities as text") from None
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not line.startswith(("AGE-SECRET-KEY-", "AGE-PLUGIN-")):
            raise _invalid(name, f"an age identity on line {number}")
        if line.startswith("AGE-SECRET-KEY-1"):
            try:
                pyrage.x25519.Identity.from_str(line)
            except Exception:
                raise _invalid(name, f"a valid age identity on line {number}") from None
        found.append(Sensitive(line))
    return found


def _pgp_key(name: str, value: bytes) -> Sensitive:
    if b"-----BEGIN PGP" not in value:
        raise _invalid(name, "an armored PGP private key")
    return Sensitive(value)


def _yaml_map(name: str, value: bytes) -> dict[str, str]:
    with suppress(yaml.YAMLError, UnicodeDecodeError, ValueError):
        text = value.decode("utf-16") if value[:2] in (b"\xff\xfe", b"\xfe\xff") else value.decode("utf-8-sig")
        parsed = yaml.load(text, Loader=yaml.CSafeLoader)
        if isinstance(parsed, dict):
            return {str(key): str(item) for key, item in parsed.items() if item is not None}
    raise _invalid(name, "a YAML mapping")


def _aws(name: str, value: bytes) -> AwsKeys:
    fields = _yaml_map(name, value)
    if not fields.get("aws_access_key_id") or not fields.get("aws_secret_access_key"):
        raise _invalid(name, "aws_access_key_id and aws_secret_access_key")
    token = fields.get("aws_session_token")
    return AwsKeys(
        fields["aws_access_key_id"], Sensitive(fields["aws_secret_access_key"]), Sensitive(token) if token else None
    )


def _azure(name: str, value: bytes) -> dict[str, Sensitive]:
    fields = _yaml_map(name, value)
    if {"appId", "password", "tenant"} <= fields.keys():
        fields = {"tenantId": fields["tenant"], "clientId": fields["appId"], "clientSecret": fields["password"]}
    known = {
        "tenantId": "AZURE_TENANT_ID", "clientId": "AZURE_CLIENT_ID", "clientSecret": "AZURE_CLIENT_SECRET",
        "clientCertificate": "AZURE_CLIENT_CERTIFICATE", "clientCertificatePassword":
        "AZURE_CLIENT_CERTIFICATE_PASSWORD", "authorityHost": "AZURE_AUTHORITY_HOST",
    }  # fmt: skip
    secret = "clientSecret" in fields or "clientCertificate" in fields
    if not (secret and {"tenantId", "clientId"} <= fields.keys()) and not ({"clientId"} == fields.keys()):
        raise _invalid(name, "tenantId, clientId and clientSecret or clientCertificate; or clientId alone")
    return {known[key]: Sensitive(item) for key, item in fields.items() if key in known}


class KmsOpener(Protocol):
    """AWS KMS as this process may use it: injected, for the identity is the Kustomization's."""

    @property
    def identity(self) -> str:
        """Who asks: part of the cache key. Raises KeyUnavailableError."""

    def with_keys(self, keys: AwsKeys) -> KmsOpener:
        """The same with static credentials, which win."""

    def tool_environment(self, arn: str) -> dict[str, str]:
        """Credentials for the sops binary. Raises KeyUnavailableError."""

    def decrypt(self, *, arn: str, ciphertext: bytes, context: Mapping[str, str], role: str) -> bytes:
        """Raises KeyUnavailableError with the cause."""


class DataKeyCache:
    """(encrypted key, context, identity) → data key: bounded, forgotten after `ttl` seconds. Lost at any restart."""

    def __init__(self, *, size: int = 1024, ttl: float = 600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._ttl, self._clock = size, ttl, clock
        self._entries: OrderedDict[tuple[str, str], tuple[float, Sensitive]] = OrderedDict()
        self._lock = threading.Lock()  # builds run on threads

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: MasterKey, identity: str) -> bytes | None:
        with self._lock:
            self._expire()
            entry = self._entries.get(self._name(key, identity))
        return entry[1].reveal() if entry is not None else None

    def put(self, key: MasterKey, identity: str, data_key: bytes) -> None:
        name = self._name(key, identity)
        with self._lock:
            self._entries.pop(name, None)
            self._entries[name] = (self._clock() + self._ttl, Sensitive(data_key))
            self._expire()

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def _expire(self) -> None:
        """Entries lie in the order of their end: the first that is alive ends the search."""
        now = self._clock()
        while self._entries:
            name, (end, _) = next(iter(self._entries.items()))
            if end > now and len(self._entries) <= self._size:
                return
            del self._entries[name]

    @staticmethod
    def _name(key: MasterKey, identity: str) -> tuple[str, str]:
        text = "\0".join((key.kind, key.identifier, key.role, repr(key.context), key.enc))
        return hashlib.sha256(text.encode()).hexdigest(), identity


class SopsKeys:
    """A KeyService over key material; close it (or use `with`) to remove the gpg home."""

    def __init__(
        self, material: KeyMaterial, *, kms: KmsOpener | None = None, cache: DataKeyCache | None = None,
        directory: Path | None = None,
    ) -> None:  # fmt: skip
        self._material, self._cache, self._directory = material, cache, directory
        self._kms = kms.with_keys(material.aws) if kms is not None and material.aws is not None else kms
        self._fingerprint = material.fingerprint()
        self.last_identity = ""
        """Whose credentials opened the last data key, for the audit line."""
        self._gpg: GpgHome | None = None
        self._age = [
            pyrage.x25519.Identity.from_str(item.reveal_text())
            for item in material.age
            if item.reveal().startswith(b"AGE-SECRET-KEY-1")
        ]

    def __enter__(self) -> SopsKeys:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._gpg is not None:
            self._gpg.close()
            self._gpg = None

    def native(self, kind: str) -> bool:
        if kind == "age":
            return len(self._age) == len(self._material.age)
        return kind in ("pgp", "kms")

    def open(self, key: MasterKey) -> bytes:
        if len(key.enc) > _MAX_ENC:
            raise KeyUnavailableError(f"the encrypted data key is longer than {_MAX_ENC} characters")
        self.last_identity = self.identity(key)
        identity = f"{self._fingerprint}/{self.last_identity}"
        if self._cache is not None and (known := self._cache.get(key, identity)):
            return known
        match key.kind:
            case "age":
                opened = self._open_age(key)
            case "pgp":
                opened = self._open_pgp(key)
            case "kms":
                opened = self._open_kms(key)
            case _:
                raise KeyUnavailableError("opened by the sops binary only")
        if self._cache is not None:
            self._cache.put(key, identity, opened)
        return opened

    def identity(self, key: MasterKey) -> str:
        """Whose credentials open it, beside the material. Raises KeyUnavailableError."""
        return self._kms.identity if self._kms is not None and key.kind == "kms" else ""

    def _open_age(self, key: MasterKey) -> bytes:
        if not self._age:
            raise KeyUnavailableError("no age identity at hand")
        match = _ARMOR.fullmatch(key.enc.strip())
        try:
            if match is None:
                raise ValueError
            return bytes(pyrage.decrypt(base64.b64decode("".join(match[1].split()), validate=True), self._age))
        except (binascii.Error, ValueError):
            raise KeyUnavailableError("the encrypted data key is not an armored age file") from None
        except pyrage.DecryptError:
            raise KeyUnavailableError(f"none of {len(self._age)} identities at hand opens it") from None

    def _open_pgp(self, key: MasterKey) -> bytes:
        if not self._material.pgp:
            raise KeyUnavailableError("no PGP key at hand")
        if self._gpg is None:
            self._gpg = GpgHome(self._material.pgp, directory=self._directory)
        return self._gpg.decrypt(key.enc)

    def _open_kms(self, key: MasterKey) -> bytes:
        if self._kms is None:
            raise KeyUnavailableError("no AWS identity for KMS at hand")
        try:
            ciphertext = base64.b64decode(key.enc, validate=True)
        except (binascii.Error, ValueError):
            raise KeyUnavailableError("the encrypted data key is not base64") from None
        return self._kms.decrypt(arn=key.identifier, ciphertext=ciphertext, context=dict(key.context), role=key.role)

    def tool_environment(self, kinds: Collection[str], kms_arn: str = "") -> dict[str, str]:
        """What the sops binary may know of this material: credentials of the kinds that the file names, no others."""
        env: dict[str, str] = {}
        if any(kind in _BY_TOOL for kind in kinds):
            env |= {name: value.reveal_text() for name, value in self._material.tool_env.items()}
        if self._material.age:
            env["SOPS_AGE_KEY"] = "\n".join(item.reveal_text() for item in self._material.age)
        if "kms" in kinds and self._kms is not None:
            with suppress(KeyUnavailableError):
                env |= self._kms.tool_environment(kms_arn)
        if self._material.pgp:
            if self._gpg is None:
                self._gpg = GpgHome(self._material.pgp, directory=self._directory)
            env["GNUPGHOME"] = os.fspath(self._gpg.home)
        return env
