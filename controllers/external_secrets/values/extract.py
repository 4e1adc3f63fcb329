"""From one remote value to the values of a Secret: `property` and `extract`. Pure."""

from __future__ import annotations

import json

from controllers.lang.gjson import path as gjson
from controllers.lang.gjson.scan import members, parse
from controllers.templating.values import valid_text

from .errors import EntryError


def select(document: str, name: str, *, key: str) -> str:
    """The value of `property: name` in a secret's text. `key` names the secret in errors.

    First as a literal key in which dots are just dots, then as a gjson path. Raises EntryError(PropertyMissing).
    """
    try:
        found = gjson.lookup(document, name.replace(".", "\\.")) if "." in name else None
        found = found or gjson.lookup(document, name)
    except gjson.PathTooDeepError as error:
        raise EntryError("InvalidParameter", f"property of key {key}: {error}") from None
    if found is None:
        raise EntryError("PropertyMissing", f"key {name} does not exist in secret {key}")
    return gjson.text_of(found)


def extract(document: str, *, key: str) -> dict[str, str]:
    """All members of a JSON object: strings as they read, everything else as it stands, the last duplicate winning."""
    try:
        loaded = json.loads(document, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise EntryError("ValueInvalid", f"value of key {key} is not JSON; expected an object") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise EntryError("ValueInvalid", f"value of key {key} is JSON but not an object")
    value = parse(document)
    out: dict[str, str] = {}
    for name, _, member in members(value.raw if value else "{}"):
        out[valid_text(name)] = (
            valid_text(member.text) if member.kind == "string" else "" if member.kind == "null" else member.raw
        )
    return out


def _refuse(name: str) -> None:
    raise ValueError(name)
