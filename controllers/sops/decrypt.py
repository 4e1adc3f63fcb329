"""The SOPS reader: encrypted bytes in, verified plaintext out, with a key service injected.

    read the file → typed metadata → data key from the key groups → values → MAC → plaintext

Native for YAML, JSON, dotenv, INI and binary files. What needs more (comment rules, INI's odd forms, key services that
we do not speak) raises `NeedsBinaryError`; `controllers.sops.binary` then runs the sops binary, if there is one. A
failed MAC is final: there is no reading without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from .ciphertext import Timestamp
from .errors import DataKeyError, NeedsBinaryError, TreeError
from .formats import Encrypted, read, write
from .limits import SopsLimits
from .metadata import MasterKey, Metadata, parse_metadata
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


@dataclass(frozen=True, slots=True)
class Decrypted:
    """A decrypted file. `plaintext` is in the file's own format; `report` and `key_ids` are for the audit line."""

    plaintext: bytes = field(repr=False)
    documents: list[Any] = field(repr=False)
    report: Report
    key_ids: tuple[str, ...]
    metadata: Metadata


def allow_every_key(key: MasterKey) -> str:
    return ""


def decrypt(
    data: bytes, form: str, keys: KeyService, *, policy: KeyPolicy = allow_every_key, limits: SopsLimits | None = None
) -> Decrypted:
    """Decrypts and verifies a whole file of the format. Raises SopsError, its reason fit for a condition."""
    encrypted = read(data, form, limits or SopsLimits())
    return decrypt_read(encrypted, keys, policy=policy)


def decrypt_read(encrypted: Encrypted, keys: KeyService, *, policy: KeyPolicy = allow_every_key) -> Decrypted:
    metadata = parse_metadata(encrypted.section)
    if metadata.needs_comments:
        raise NeedsBinaryError(f"sops.{metadata.rule}: rules on comments are read by the sops binary")
    data_key, used = data_key_of(metadata, keys, policy)
    selector = (lambda path: True) if encrypted.form == "binary" else None
    documents, report = decrypt_documents(encrypted.documents, metadata, data_key, selector=selector)
    if encrypted.form != "binary" and _holds_bytes(documents):
        raise TreeError("ValueInvalid", "a value's plaintext is not text; only binary files may hold bytes")
    return Decrypted(write(documents, encrypted.form), documents, report, used, metadata)


def decrypt_object(
    manifest: dict[str, Any], keys: KeyService, *, policy: KeyPolicy = allow_every_key
) -> tuple[dict[str, Any], Decrypted]:
    """An object that still carries its `sops` section (an inline patch, an API round trip), decrypted and verified."""
    section = manifest.get("sops")
    body = {key: value for key, value in manifest.items() if key != "sops"}
    decrypted = decrypt_read(Encrypted("json", [body], section), keys, policy=policy)
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
    return value.text if isinstance(value, Timestamp) else value
