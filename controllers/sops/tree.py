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
from .errors import MacError, TreeError
from .metadata import Metadata


class Entries(list[tuple["str | Comment", Any]]):
    """An ordered mapping that may hold comments (as keys, with the value None): what dotenv and INI files are."""


@dataclass(slots=True)
class Report:
    """What a decryption found, for the audit line and the warnings. No value."""

    fields: list[str] = field(default_factory=list)
    """Paths of the values that were decrypted, joined by dots."""
    empty_fields: list[str] = field(default_factory=list)
    """Paths at encrypted positions that hold an empty text or null, which the MAC does not cover."""
    plain_comments: int = 0


def decrypt_documents(
    documents: list[Any], metadata: Metadata, key: bytes, *, selector: Callable[[tuple[str, ...]], bool] | None = None
) -> tuple[list[Any], Report]:
    """The plaintext documents, the MAC verified over all of them. `selector` overrides the rule (binary files)."""
    if not metadata.mac:
        raise MacError("MacMissing", "the file has no MAC: its values cannot be trusted")
    walk = _Walk(key, selector or metadata.selector(), metadata.mac_only_encrypted)
    plain = [walk.node(document, ()) for document in documents]
    try:
        stated, kind = open_bytes(metadata.mac, key, metadata.lastmodified)
    except TreeError:
        raise MacError(
            "MacMismatch", "the MAC does not decrypt: the MAC, lastmodified or the data key is not this file's"
        ) from None
    if kind != "str":
        raise MacError("MacMismatch", "the MAC is not of type str: the file was changed after it was encrypted")
    if not hmac.compare_digest(stated.upper(), walk.digest().encode()):
        raise MacError("MacMismatch", "the MAC is not that of the values: the file was changed after it was encrypted")
    return plain, walk.report


class _Walk:
    def __init__(self, key: bytes, selector: Callable[[tuple[str, ...]], bool], only_encrypted: bool) -> None:
        self._key, self._selector, self._only_encrypted = key, selector, only_encrypted
        self._hash = hashlib.sha512(hashlib.sha256(b"sops").digest() if only_encrypted else b"")
        self.report = Report()

    def digest(self) -> str:
        return self._hash.hexdigest().upper()

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
                return {key: self.node(inner, (*path, _name(key, path))) for key, inner in value.items()}
            case list():
                return [self.node(inner, path) for inner in value]
            case None:
                if path and self._selector(path):
                    self.report.empty_fields.append(".".join(path))
                return None
        return self._leaf(value, path)

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
                raise TreeError("ValueInvalid", f"{':'.join(path)}: a comment stands where a value is expected")
            self.report.fields.append(".".join(path))
        if encrypted or not self._only_encrypted:
            self._hash.update(mac_bytes(value))
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
