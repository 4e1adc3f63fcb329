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

from .binary import decrypt_any
from .decrypt import Decrypted, KeyPolicy, allow_every_key, decrypt_object
from .document import EncryptedFile
from .errors import SopsError
from .formats import format_for_path, is_encrypted, read, write
from .keys import SopsKeys
from .limits import SopsLimits
from .plaintext_scan import plaintext_secrets

SKIP_ANNOTATION = "kustomize.toolkit.fluxcd.io/decrypt"
_DETECT = ("yaml", "dotenv", "ini", "json")


@dataclass(frozen=True, slots=True)
class Audit:
    """One decryption, for the audit line: what, for whom, with which keys, which fields. Never a value."""

    subject: str
    form: str
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    empty_fields: tuple[str, ...]
    owner: str = ""
    """The Kustomization, as namespace/name."""
    revision: str = ""
    identity: str = ""
    """Whose AWS credentials opened the data key; empty for keys of the tenant's Secret."""
    mac: str = "verified"
    """verified, or why nothing was verified: mismatch, missing, not reached."""
    reason: str = ""
    """Why it was refused; empty where it was opened."""

    def fields_of_line(self) -> dict[str, str]:
        shown = (*self.fields[:_SHOWN], f"and {len(self.fields) - _SHOWN} more") if len(self.fields) > _SHOWN else ()
        return {
            "owner": self.owner, "revision": self.revision, "subject": self.subject, "format": self.form,
            "keys": " ".join(self.keys), "identity": self.identity, "mac": self.mac, "reason": self.reason,
            "fields": ",".join(shown or self.fields),
        }  # fmt: skip

    def line(self) -> str:
        parts = " ".join(f"{name}={value}" for name, value in self.fields_of_line().items() if value)
        return f"sops {'refused' if self.reason else 'decrypted'} {parts}"


_SHOWN = 50
_MAC_VERDICTS = {"MacMismatch": "mismatch", "MacMissing": "missing"}


class Decryptor:
    """One build's decryption: keys, policy and where the audit goes. `warnings` says what a person should look at.

    Without keys nothing is opened, and plaintext is still looked for.
    """

    def __init__(
        self, keys: SopsKeys | None, *, policy: KeyPolicy = allow_every_key,
        audit: Callable[[Audit], None] = lambda _: None, limits: SopsLimits | None = None, binary: str | None = None,
        owner: str = "", revision: str = "", plaintext: str = "allow",
    ) -> None:  # fmt: skip
        self._keys, self._policy, self._audit, self._limits, self._binary = (
            keys,
            policy,
            audit,
            limits or SopsLimits(),
            binary,
        )
        self._owner, self._revision, self._plaintext = owner, revision, plaintext
        self.warnings: list[str] = []

    def decrypt_file(self, path: str, data: bytes, form: str = "", *, mark: str = "") -> bytes:
        """The file's plaintext, or the same bytes where it is none that is encrypted. `form` "" means: by the name."""
        form = form or format_for_path(path)
        if not is_encrypted(data, form):
            self._look_for_plaintext(path, data)
            return data
        if self._keys is None:
            return data
        try:
            file = read(data, form, self._limits)
        except SopsError as error:
            raise self._refused(path, form, error) from None
        if form in ("yaml", "json") and any(_is_skipped(document) for document in file.documents):
            return data
        decrypted = self._opened(path, file)
        if mark and decrypted.documents and form in ("yaml", "json"):
            return write([_marked(document, mark) for document in decrypted.documents], form)
        return decrypted.plaintext

    def _look_for_plaintext(self, path: str, data: bytes) -> None:
        if self._plaintext == "allow":
            return
        for finding in plaintext_secrets(path, data, self._limits):
            if self._plaintext == "refuse":
                raise SopsError("PlaintextSecret", f"{finding}; plaintext Secrets are refused here")
            self._warn(str(finding))

    def _warn(self, text: str) -> None:
        if len(self.warnings) < 100:
            self.warnings.append(text)

    def decrypt_object(self, manifest: Manifest) -> Manifest:
        """The object in plaintext. Raises SopsError whose message names the object and field."""
        meta = manifest.get("metadata") or {}
        if self._keys is None or _is_skipped(manifest):
            return manifest
        subject = f"{manifest.get('kind', '')}/{meta.get('namespace', '')}/{meta.get('name', '')}"
        if is_encrypted_object(manifest):
            try:
                plain, decrypted = decrypt_object(manifest, self._keys, policy=self._policy)
            except SopsError as error:
                raise self._refused(subject, "json", error) from None
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
        # a JSON file carries YAML's mark as well
        order = ("json", *_DETECT) if raw.lstrip()[:1] == b"{" else _DETECT
        found = next((form for form in order if is_encrypted(raw, form)), None)
        if found is None:
            return value
        wanted = format_for_path(name)
        if found == "json" and wanted == "binary":
            found = "binary"
        field = f"{subject} {part}.{name}"
        try:
            file = read(raw, found, self._limits)
        except SopsError as error:
            raise self._refused(field, found, error) from None
        decrypted = self._opened(field, file)
        plain = decrypted.plaintext
        if wanted not in (found, "binary") and decrypted.documents:
            plain = write(decrypted.documents, wanted)
        return base64.b64encode(plain).decode() if part == "data" else plain.decode()

    def _opened(self, subject: str, file: EncryptedFile) -> Decrypted:
        if self._keys is None:
            raise SopsError("NoDataKey", f"{subject}: there are no keys")
        try:
            decrypted = decrypt_any(file, self._keys, policy=self._policy, binary=self._binary)
            _ = decrypted.plaintext  # what cannot be written is refused here, with its audit line
        except SopsError as error:
            raise self._refused(subject, file.form, error) from None
        self._report(subject, file.form, decrypted)
        return decrypted

    def _refused(self, subject: str, form: str, error: SopsError) -> SopsError:
        mac = _MAC_VERDICTS.get(error.reason, "not reached")
        self._audit(
            Audit(subject, form, (), (), (), self._owner, self._revision, mac=mac, reason=error.reason)
        )  # fmt: skip
        return error.about(subject)

    def _report(self, subject: str, form: str, decrypted: Decrypted) -> None:
        report = decrypted.report
        for name in report.empty_fields:
            self._warn(f"{subject}: {name} is empty at an encrypted position: the MAC does not cover it")
        identity = self._keys.last_identity if self._keys is not None else ""
        self._audit(
            Audit(
                subject, form, decrypted.key_ids, tuple(report.fields), tuple(report.empty_fields),
                self._owner, self._revision, identity,
            )
        )  # fmt: skip


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
