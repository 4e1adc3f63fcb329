"""JSON patch (RFC 6902) and merge patch (RFC 7386). Both return a new value and leave their arguments alone."""

from __future__ import annotations

import copy
from typing import Any

from ..ssa.typed import same
from ..status_errors import StatusError, bad_request

MAX_OPERATIONS = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, anything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(target: Any, patch: Any) -> Any:
    """RFC 6902. Raises StatusError 400 for what is no patch, 422 for one that does not apply."""
    if not isinstance(patch, list):
        raise bad_request("error decoding patch: expected a list of operations")
    if len(patch) > MAX_OPERATIONS:
        message = f"Request entity too large: limit is {MAX_OPERATIONS} operations in a JSON patch, found {len(patch)}"
        raise StatusError(413, "RequestEntityTooLarge", message)
    document = copy.deepcopy(target)
    for operation in patch:
        if not isinstance(operation, dict):
            raise bad_request("error decoding patch: expected every operation to be an object")
        document = _apply(document, operation)
    return document


def _fail(message: str) -> StatusError:
    return StatusError(422, "Invalid", f"the server rejected our request due to an error in our request: {message}")


def _pointer(operation: dict[str, Any], name: str) -> list[str]:
    text = operation.get(name)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _fail(f"{operation.get('op')} operation has no usable {name}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    kind = operation.get("op")
    path = _pointer(operation, "path")
    if kind in ("add", "replace", "test") and "value" not in operation and kind != "test":
        raise _fail(f"{kind} operation has no value")
    if kind == "add":
        return _add(document, path, copy.deepcopy(operation["value"]))
    if kind == "remove":
        return _remove(document, path)[0]
    if kind == "replace":
        if not path:
            return copy.deepcopy(operation["value"])
        return _replace(document, path, copy.deepcopy(operation["value"]))
    if kind == "test":
        if not same(_find(document, path), operation.get("value")):
            raise _fail(f"testing value {operation.get('path')} failed: test failed")
        return document
    if kind == "move":
        document, value = _remove(document, _pointer(operation, "from"))
        return _add(document, path, value)
    if kind == "copy":
        return _add(document, path, copy.deepcopy(_get(document, _pointer(operation, "from"))))
    raise _fail(f"unexpected kind of operation: {kind!r}")


def _index(container: list[Any], part: str, *, end: bool = False) -> int:
    if part == "-" and end:
        return len(container)
    if not (part.isdigit() or (part.startswith("-") and part[1:].isdigit())):
        raise _fail(f"{part!r} is no index of a list")
    index = int(part)
    if index < 0:
        index += len(container)
    if not 0 <= index < len(container) + (1 if end else 0):
        raise _fail(f"index {part} is out of a list of {len(container)}")
    return index


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict):
            if part not in document:
                raise _fail(f"there is no {'/' + '/'.join(path)}")
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(document, part)]
        else:
            raise _fail(f"there is no {'/' + '/'.join(path)}")
    return document


def _find(document: Any, path: list[str]) -> Any:
    try:
        return _get(document, path)
    except StatusError:
        return None


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        parent.insert(_index(parent, path[-1], end=True), value)
    else:
        raise _fail(f"{'/' + '/'.join(path[:-1])} holds nothing")
    return document


def _replace(document: Any, path: list[str], value: Any) -> Any:
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        parent[_index(parent, path[-1])] = value
    elif isinstance(parent, dict):
        parent[path[-1]] = value  # as the library of the real server: a key that was not there is no mistake
    else:
        raise _fail(f"there is no {'/' + '/'.join(path)}")
    return document


def _remove(document: Any, path: list[str]) -> tuple[Any, Any]:
    value = _get(document, path)
    if not path:
        return None, value
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        del parent[_index(parent, path[-1])]
    else:
        del parent[path[-1]]
    return document, value
