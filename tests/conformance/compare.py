"""Does what an adapter returned say what the vector expects? Pure.

Keys of `expected` are compared by name: equality, but for the ways in which the vectors speak of text: `error` (true:
any, false: none, text: a substring), `errorContains`/`error_contains`, and `X_contains` (a substring of `X`).
"""

from __future__ import annotations

import json
from typing import Any

import yaml

NOT_COMPARED = {
    "note", "class", "sops_rc", "sops_stderr", "ignore_mac", "native_prototype", "revision_note", "messageContains",
}  # fmt: skip
"""Notes for the reader of a vector, for every kind."""

NOT_COMPARED_FOR: dict[str, set[str]] = {
    "rewrite": {"condition"},
    "tags_revision": {"algorithm"},
    "scan": {"revision_note"},
    "commit_message": {"errorIs"},
    "sealed-rotate": {"rule"},
    "sops": {"plaintext_len", "plaintext_sha256"},
    "alert_metadata_combine": {"conflictEvent"},
}
"""Further keys that name upstream's inner types and not what the rule yields."""


def difference(kind: str, expected: dict[str, Any], got: dict[str, Any]) -> str:
    """ "" where `got` is what was expected, else the first difference in one line (expected, then found)."""
    skipped = NOT_COMPARED | NOT_COMPARED_FOR.get(kind, set())
    keys = [key for key in expected if key not in skipped]
    if "ok_any" in expected:
        return f"expected no error, found {got['error']!r}" if got.get("error") else ""
    if got.get("error") and not any(key.lower().startswith("error") or key == "result" for key in keys):
        return f"expected {_short({key: expected[key] for key in keys})}, found error {_short(got['error'])}"
    for key in keys:
        if text := _key_difference(key, expected[key], got):
            return text
    return ""


def _key_difference(key: str, wanted: Any, got: dict[str, Any]) -> str:
    if key == "error":
        return _error_difference(wanted, got)
    if key in ("errorContains", "error_contains"):
        return _error_difference(wanted, got)
    if key.endswith("_contains"):
        found = got.get(key, got.get(key.removesuffix("_contains")))
        if isinstance(found, list):
            found = "\n".join(map(str, found))
        return (
            ""
            if isinstance(found, str) and str(wanted) in found
            else f"{key}: expected {_short(wanted)}, found {_short(found)}"
        )
    found = got.get(key)
    if key == "plaintext":
        wanted, found = (_parsed(text, got.get("format")) for text in (wanted, found))
    return "" if _same(wanted, found) else f"{key}: expected {_short(wanted)}, found {_short(found)}"


def _parsed(text: Any, form: Any) -> Any:
    """Plaintext of YAML and JSON as documents (types included); of the other formats as it stands."""
    if form == "yaml":
        return list(yaml.safe_load_all(text))
    return json.loads(text) if form == "json" else text


def _error_difference(wanted: Any, got: dict[str, Any]) -> str:
    found = got.get("error")
    if wanted is False or wanted is None:
        return f"expected no error, found {_short(found)}" if found else ""
    if not found:
        return f"expected an error, found {_short(got)}"
    if wanted is True or found is True:
        return ""
    return "" if str(wanted) in str(found) else f"error: expected {_short(wanted)}, found {_short(found)}"


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, dict) and isinstance(found, dict):
        return wanted.keys() == found.keys() and all(_same(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_same, wanted, found))
    return bool(wanted == found)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:157]}…"


class OneOf:
    """The answers of several questions, where a vector does not say which of them it asks (only its name does)."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def __eq__(self, other: object) -> bool:
        return other in self.answers

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"one of {self.answers}"
