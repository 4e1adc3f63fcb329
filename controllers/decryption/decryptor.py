"""Decryption as a build needs it: raw files first, then what objects still carry, with an audit of each.

    decrypt_file      a file of the source tree, before the build mutates it: the MAC holds over the raw bytes
    decrypt_object    an object after the build: its own `sops` section (inline patches), or whole encrypted files in
    the
                      `data` and `stringData` of a Secret

Blocking; called from a worker thread. Nothing encrypted leaves silently: what cannot be opened raises.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controllers.api.resource import Manifest

from .errors import SopsError
from .keyring import Keyring
from .limits import Limits
from .reader import Decrypted, KeyPolicy, allow_every_key, decrypt_object
from .stores import format_for_path, is_encrypted, read, write
from .tool import decrypt_any

SKIP_ANNOTATION = "kustomize.toolkit.fluxcd.io/decrypt"
_DETECT = ("yaml", "dotenv", "ini", "json")


@dataclass(frozen=True, slots=True)
class Audit:
    """One decryption, for the audit line: what, with which keys, which fields. Never a value."""

    subject: str
    form: str
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    empty_fields: tuple[str, ...]


class Decryptor:
    """One build's decryption: keys, policy and where the audit goes."""

    def __init__(
        self, keys: Keyring, *, policy: KeyPolicy = allow_every_key, audit: Callable[[Audit], None] = lambda _: None,
        limits: Limits | None = None, sops: str | None = None,
    ) -> None:  # fmt: skip
        self._keys, self._policy, self._audit, self._limits, self._sops = keys, policy, audit, limits or Limits(), sops

    def decrypt_file(self, path: str, data: bytes, form: str = "", *, mark: str = "") -> bytes:
        """The file's plaintext, or the same bytes where it is none that is encrypted. `form` "" means: by the name."""
        form = form or format_for_path(path)
        if not is_encrypted(data, form) or (form in ("yaml", "json") and self._skipped(data, form)):
            return data
        decrypted = self._file(path, data, form)
        if mark and decrypted.documents and form in ("yaml", "json"):
            return write([_marked(document, mark) for document in decrypted.documents], form)
        return decrypted.plaintext

    def _skipped(self, data: bytes, form: str) -> bool:
        """Does an object in the file ask to be left encrypted? A file that does not parse is refused when decrypted."""
        try:
            documents = read(data, form, self._limits).documents
        except SopsError:
            return False
        return any(_is_skipped(document) for document in documents)

    def decrypt_object(self, manifest: Manifest) -> Manifest:
        """The object in plaintext. Raises SopsError whose message names the object and field."""
        meta = manifest.get("metadata") or {}
        if _is_skipped(manifest):
            return manifest
        subject = f"{manifest.get('kind', '')}/{meta.get('namespace', '')}/{meta.get('name', '')}"
        if is_encrypted_object(manifest):
            try:
                plain, decrypted = decrypt_object(manifest, self._keys, policy=self._policy)
            except SopsError as error:
                raise SopsError(error.reason, f"{subject}: {error.message}") from None
            self._report(subject, "json", decrypted)
            return plain
        if manifest.get("kind") == "Secret" and manifest.get("apiVersion") == "v1":
            return self._secret(manifest, subject)
        return manifest

    def _secret(self, manifest: Manifest, subject: str) -> Manifest:
        changed = dict(manifest)
        for part in ("data", "stringData"):
            entries = manifest.get(part)
            if isinstance(entries, dict):
                changed[part] = {name: self._entry(subject, part, name, value) for name, value in entries.items()}
        return changed

    def _entry(self, subject: str, part: str, name: str, value: Any) -> Any:
        """An entry that holds a whole encrypted file, decrypted and written in the format that its key names."""
        if not isinstance(value, str):
            return value
        try:
            raw = base64.b64decode(value, validate=True) if part == "data" else value.encode()
        except (binascii.Error, ValueError):
            return value
        found = next((form for form in _DETECT if is_encrypted(raw, form)), None)
        if found is None:
            return value
        wanted = format_for_path(name)
        if found == "json" and wanted == "binary":
            found = "binary"
        decrypted = self._file(f"{subject} {part}.{name}", raw, found)
        plain = decrypted.plaintext
        if wanted not in (found, "binary") and decrypted.documents:
            plain = write(decrypted.documents, wanted)
        return base64.b64encode(plain).decode() if part == "data" else plain.decode()

    def _file(self, subject: str, data: bytes, form: str) -> Decrypted:
        try:
            decrypted = decrypt_any(data, form, self._keys, policy=self._policy, limits=self._limits, sops=self._sops)
        except SopsError as error:
            raise SopsError(error.reason, f"{subject}: {error.message}") from None
        self._report(subject, form, decrypted)
        return decrypted

    def _report(self, subject: str, form: str, decrypted: Decrypted) -> None:
        report = decrypted.report
        self._audit(Audit(subject, form, decrypted.key_ids, tuple(report.fields), tuple(report.empty_fields)))


def _is_skipped(document: Any) -> bool:
    meta = document.get("metadata") if isinstance(document, dict) else None
    annotations = meta.get("annotations") if isinstance(meta, dict) else None
    return isinstance(annotations, dict) and str(annotations.get(SKIP_ANNOTATION, "")).lower() == "disabled"


def _marked(document: Any, mark: str) -> Any:
    """A Kubernetes object with one more annotation; anything else as it is."""
    if not isinstance(document, dict) or not document.get("kind"):
        return document
    meta = document.get("metadata") or {}
    annotations = meta.get("annotations") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(annotations or {}, dict):
        return document
    return {**document, "metadata": {**meta, "annotations": {**(annotations or {}), mark: "true"}}}


def is_encrypted_object(manifest: Manifest) -> bool:
    """Does the object carry a `sops` section with a MAC?"""
    section = manifest.get("sops")
    return isinstance(section, dict) and bool(section.get("mac"))
