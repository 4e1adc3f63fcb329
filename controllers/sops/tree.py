"""Decrypting a tree of values and checking its MAC. Pure: values in, values out.

A tree is what a store reads: dict (string keys), list and leaves. The MAC covers the leaves in file order over all
documents of a file: not keys, names, empties, comments or rules (see docs/decryption.md for what that means).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .ciphertext import Comment, is_envelope, mac_bytes, open_bytes, open_value
from .document import EncryptedFile, Entries
from .errors import MacError, TreeError


@dataclass(slots=True)
class Report:
    """What a decryption found, for the audit line and the warnings. No value."""

    fields: list[str] = field(default_factory=list)
    """Paths of the values that were decrypted, joined by dots."""
    empty_fields: list[str] = field(default_factory=list)
    """Paths at encrypted positions that hold an empty text or null, which the MAC does not cover."""
    plain_comments: int = 0


def decrypt_documents(file: EncryptedFile, key: bytes) -> tuple[list[Any], Report]:
    """The plaintext documents, the MAC verified over all of them. A binary file is encrypted whole."""
    metadata = file.metadata
    if not metadata.mac:
        raise MacError("MacMissing", "the file has no MAC: its values cannot be trusted")
    selector = (lambda path: True) if file.form == "binary" else metadata.selector()
    walk = _Walk(key, selector, metadata.mac_only_encrypted, exact=2**53 if file.form == "json" else 2**64)
    plain = [walk.node(document, ()) for document in file.documents]
    try:
        stated, kind = open_bytes(metadata.mac, key, metadata.lastmodified)
    except TreeError:
        raise MacError(
            "MacMismatch", "the MAC does not decrypt: the MAC, lastmodified or the data key is not this file's"
        ) from None
    if kind != "str":
        raise MacError("MacMismatch", "the MAC is not of type str: the file was changed after it was encrypted")
    if not any(hmac.compare_digest(stated.upper(), digest.encode()) for digest in walk.digests()):
        raise MacError("MacMismatch", "the MAC is not that of the values: the file was changed after it was encrypted")
    return plain, walk.report


class _Walk:
    def __init__(
        self, key: bytes, selector: Callable[[tuple[str, ...]], bool], only_encrypted: bool, *, exact: int
    ) -> None:  # fmt: skip
        self._exact = exact
        self._key, self._selector, self._only_encrypted = key, selector, only_encrypted
        self._hash = hashlib.sha512(hashlib.sha256(b"sops").digest() if only_encrypted else b"")
        self._rounded: Any = None
        """The MAC of sops up to 3.13.1, which reads integers of JSON as floats; None while it is the same."""
        self.report = Report()

    def digests(self) -> list[str]:
        """The MACs that the values may have, in hexadecimal."""
        return [found.hexdigest().upper() for found in (self._hash, self._rounded) if found is not None]

    def node(self, value: Any, path: tuple[str, ...]) -> Any:
        match value:
            case Entries():
                return Entries(
                    (self._comment(key, path), None)
                    if isinstance(key, Comment)
                    else (key, self.node(inner, (*path, key)))
                    for key, inner in value
                )
            case dict():
                entries = ((key, self.node(inner, (*path, _name(key, path)))) for key, inner in value.items())
                return {key: inner for key, inner in entries if not isinstance(inner, Comment)}
            case list():
                items = (self.node(inner, path) for inner in value)
                return [item for item in items if not isinstance(item, Comment)]
            case None:
                if path and self._selector(path):
                    self.report.empty_fields.append(".".join(path))
                return None
        return self._leaf(value, path)

    def _update(self, value: Any) -> None:
        part, inexact = mac_bytes(value), type(value) is int and abs(value) > self._exact
        if self._rounded is None and inexact:
            self._rounded = self._hash.copy()
        self._hash.update(part)
        if self._rounded is not None:
            self._rounded.update(mac_bytes(float(value)) if inexact else part)

    def _leaf(self, value: Any, path: tuple[str, ...]) -> Any:
        encrypted = self._selector(path)
        if encrypted:
            if value == "":
                self.report.empty_fields.append(".".join(path))
                return ""
            if not isinstance(value, str):
                raise TreeError("NotEncrypted", f"{':'.join(path)}: expected an encrypted value, found a bare scalar")
            value = open_value(value, self._key, _aad(path))
            if isinstance(value, Comment):
                return value  # sops writes the comments of a list as items; they are outside the MAC
            self.report.fields.append(".".join(path))
        if encrypted or not self._only_encrypted:
            self._update(value)
        return value

    def _comment(self, comment: Comment, path: tuple[str, ...]) -> Comment:
        """Comments are outside the MAC; one that does not decrypt stays as it is, as sops leaves it."""
        if self._selector(path) and is_envelope(comment.text):
            try:
                opened = open_value(comment.text, self._key, _aad(path))
            except TreeError:
                self.report.plain_comments += 1
            else:
                return opened if isinstance(opened, Comment) else comment
        return comment


def _aad(path: tuple[str, ...]) -> str:
    return ":".join(path) + ":"


def _name(key: object, path: tuple[str, ...]) -> str:
    if not isinstance(key, str):
        raise TreeError("KeyNotString", f"{':'.join(path) or 'top level'}: expected text keys, found another type")
    return key
