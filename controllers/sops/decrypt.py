"""The SOPS reader: encrypted bytes in, verified plaintext out, with a key service injected.

    the file as it was read → typed metadata → data key from the key groups → values → MAC → plaintext

Native for YAML, JSON, dotenv, INI and binary files. What needs more (comment rules, INI's odd forms, key services that
we do not speak) raises `NeedsBinaryError`; `controllers.sops.binary` then runs the sops binary, if there is one. A
failed MAC is final: there is no reading without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from .ciphertext import Timestamp
from .document import EncryptedFile
from .errors import DataKeyError, NeedsBinaryError, TreeError
from .formats import write
from .metadata import MasterKey, Metadata
from .shamir import combine
from .tree import Report, decrypt_documents

DATA_KEY_BYTES = 32


class KeyUnavailableError(Exception):
    """This key is not ours to use; the next one may be. The message names key and cause, no secret."""


class KeyService(Protocol):
    """Opens data keys. Blocking; called from a worker thread."""

    def open(self, key: MasterKey) -> bytes:
        """The data key (or Shamir part) that `key.enc` holds. Raises KeyUnavailableError."""

    def native(self, kind: str) -> bool:
        """Is a key of this kind opened here (True), or only by the sops binary?"""


KeyPolicy = Callable[[MasterKey], str]
"""Why a key may not be used ("" when it may): the tenant's policy, asked before any key service."""


@dataclass(frozen=True)
class Decrypted:
    """A file whose MAC was verified. `report` and `key_ids` are for the audit line."""

    form: str
    documents: list[Any] = field(repr=False)
    report: Report
    key_ids: tuple[str, ...]
    written: bytes | None = field(default=None, repr=False)
    """The plaintext where the sops binary wrote it; there are no documents then."""

    @cached_property
    def plaintext(self) -> bytes:
        """The plaintext in the file's own format. Raises RefusedSyntaxError where that format cannot hold it."""
        return self.written if self.written is not None else write(self.documents, self.form)


def allow_every_key(key: MasterKey) -> str:
    return ""


def decrypt(file: EncryptedFile, keys: KeyService, *, policy: KeyPolicy = allow_every_key) -> Decrypted:
    """Decrypts and verifies a whole file. Raises SopsError, its reason fit for a condition."""
    if file.needs_binary:
        raise NeedsBinaryError(file.needs_binary)
    metadata = file.metadata
    if metadata.needs_comments:
        raise NeedsBinaryError(f"sops.{metadata.rule}: rules on comments are read by the sops binary")
    data_key, used = data_key_of(metadata, keys, policy)
    documents, report = decrypt_documents(file, data_key)
    if file.form != "binary" and _holds_bytes(documents):
        raise TreeError("ValueInvalid", "a value's plaintext is not text; only binary files may hold bytes")
    return Decrypted(file.form, documents, report, used)


def decrypt_object(
    manifest: dict[str, Any], keys: KeyService, *, policy: KeyPolicy = allow_every_key
) -> tuple[dict[str, Any], Decrypted]:
    """An object that still carries its `sops` section (an inline patch, an API round trip), decrypted and verified."""
    body = {key: value for key, value in manifest.items() if key != "sops"}
    decrypted = decrypt(EncryptedFile("json", [body], manifest.get("sops")), keys, policy=policy)
    plain: dict[str, Any] = _jsonable(decrypted.documents[0])
    return plain, decrypted


def data_key_of(metadata: Metadata, keys: KeyService, policy: KeyPolicy) -> tuple[bytes, tuple[str, ...]]:
    """The data key and the keys that opened it, by the groups and threshold of the file."""
    parts, used, refusals = [], [], []
    wanted = max(metadata.threshold, 1) if len(metadata.groups) > 1 else 1
    foreign = False
    for group in metadata.groups:
        for key in group:
            if refused := policy(key):
                refusals.append(f"{key.kind} {_label(key)}: {refused}")
                continue
            if not keys.native(key.kind):
                foreign = True
                refusals.append(f"{key.kind} {_label(key)}: opened by the sops binary only")
                continue
            try:
                parts.append(keys.open(key))
            except KeyUnavailableError as why:
                refusals.append(f"{key.kind} {_label(key)}: {why}")
                continue
            used.append(f"{key.kind}:{key.identifier}")
            break
        if len(parts) == wanted:
            break
    if len(parts) < wanted:
        if foreign:
            raise NeedsBinaryError(
                "no key of a kind that is read natively opens the data key: " + "; ".join(refusals[:8])
            )
        raise DataKeyError("NoDataKey", "no key at hand opens the data key: " + "; ".join(refusals[:8]))
    data_key = combine(parts) if len(metadata.groups) > 1 else parts[0]
    if len(data_key) != DATA_KEY_BYTES:
        raise DataKeyError("NoDataKey", f"the data key has {len(data_key)} bytes; expected {DATA_KEY_BYTES}")
    return data_key, tuple(used)


def _label(key: MasterKey) -> str:
    return key.identifier if len(key.identifier) <= 120 else f"{key.identifier[:117]}…"


def _holds_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_bytes(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_bytes(inner) for inner in value)
    return isinstance(value, bytes)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)  # sops up to 3.13.1 encrypts every number of JSON as a float
    return value.text if isinstance(value, Timestamp) else value
