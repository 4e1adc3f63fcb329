"""What dotenv and INI files share: lines, scalars without types, and the flattened `sops` section."""

from __future__ import annotations

from typing import Any

from .ciphertext import Timestamp, go_float
from .errors import MetadataError, RefusedSyntaxError
from .metadata import unflatten


def scalar_text(value: Any) -> str:
    """A value as a file without types writes it. Raises RefusedSyntaxError for bytes."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return go_float(value)
        case bytes():
            raise RefusedSyntaxError("SyntaxError", "a value is not text: the format cannot hold it")
        case Timestamp():
            return value.text
    return str(value)


def flat_section(flat: dict[str, str]) -> Any:
    """The `sops` section of flattened keys. Raises MetadataError where there is none."""
    if not flat:
        raise MetadataError("MetadataInvalid", "the file has no sops section: it is not encrypted by sops")
    if len(flat) > 4096:
        raise RefusedSyntaxError("TooLarge", "sops: more than 4096 entries")
    return unflatten(flat)


def text_lines(data: bytes) -> list[str]:
    """Raises RefusedSyntaxError where the file is not UTF-8 text."""
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise RefusedSyntaxError("SyntaxError", "the file is not UTF-8 text") from None
