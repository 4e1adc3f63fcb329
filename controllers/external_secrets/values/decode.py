"""decodingStrategy and nullBytePolicy. Pure. Errors name the key, never the value."""

from __future__ import annotations

import base64
import binascii

from .errors import EntryError


def decode(strategy: str, value: bytes, *, key: str) -> bytes:
    """`None` (or ""), `Base64`, `Base64URL`; `Auto` takes the first that fits, else the value as it is."""
    match strategy:
        case "None" | "":
            return value
        case "Base64":
            decoded = _base64(value, url=False)
        case "Base64URL":
            decoded = _base64(value, url=True)
        case "Auto":
            decoded = _base64(value, url=False)
            decoded = _base64(value, url=True) if decoded is None else decoded
            return value if decoded is None else decoded
        case _:
            raise EntryError("Decode", f"decodingStrategy {strategy} of key {key} is not supported")
    if decoded is None:
        raise EntryError("Decode", f"value of key {key} is not {strategy}")
    return decoded


def decode_map(strategy: str, values: dict[str, bytes]) -> dict[str, bytes]:
    """Each value by itself."""
    return {key: decode(strategy, value, key=key) for key, value in values.items()}


def _base64(value: bytes, *, url: bool) -> bytes | None:
    """Padded base64 as Go decodes it: line breaks are stepped over, anything else foreign is an error."""
    raw = value.replace(b"\r", b"").replace(b"\n", b"")
    if url:
        if b"+" in raw or b"/" in raw:
            return None
        raw = raw.replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        return None


def check_null_bytes(policy: str, value: bytes, *, key: str) -> None:
    """nullBytePolicy Fail: raises EntryError for a value with a zero byte."""
    if policy == "Fail" and b"\0" in value:
        raise EntryError("NullBytes", f'fetched secret value for key "{key}" contains null bytes')
