"""An encrypted file as it was read, once: what detection, policy, keys, decryption and output are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .ciphertext import Comment
from .metadata import Metadata, parse_metadata


class Entries(list[tuple["str | Comment", Any]]):
    """An ordered mapping that may hold comments (as keys, with the value None): what dotenv and INI files are."""


@dataclass(frozen=True)
class EncryptedFile:
    """A SOPS file: its format, its documents without the section, and what the section says."""

    form: str
    documents: list[Any] = field(repr=False)
    section: Any
    data: bytes = field(default=b"", repr=False)
    """The bytes that were read, for the sops binary."""
    needs_binary: str = ""
    """Why our own reader leaves the documents to the sops binary; empty where it reads them."""

    @cached_property
    def metadata(self) -> Metadata:
        """The section, typed. Raises MetadataError."""
        return parse_metadata(self.section)
