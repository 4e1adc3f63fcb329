"""Reads the protobuf bodies that kubectl's typed commands send, as JSON objects.

A body is the four bytes `k8s\\0`, then an envelope (apiVersion, kind, raw object). `wire_types.txt` has each
message's fields: `NUMBER name TYPE` with `s` string, `y` bytes, `b` boolean, `i` integer, `d` double or a message;
`*` repeated, `%` a map from strings.

Go writes every field that is not a pointer, zero or not, and the wire does not say which are pointers: empty strings,
zeros and false are dropped but for the names in POINTERS, where they are a wish. Answers are always JSON, which
clients accept.
"""

from __future__ import annotations

import base64
import datetime
import json
import struct
from functools import cache
from importlib import resources
from typing import Any

from ..status_errors import StatusError, bad_request

MAGIC = b"k8s\x00"
MAX_DEPTH = 64
GROUP_PACKAGES = {
    "": "core",
    "rbac.authorization.k8s.io": "rbac",
    "networking.k8s.io": "networking",
    "storage.k8s.io": "storage",
    "scheduling.k8s.io": "scheduling",
    "coordination.k8s.io": "coordination",
    "events.k8s.io": "events",
    "discovery.k8s.io": "discovery",
    "authentication.k8s.io": "authentication",
    "authorization.k8s.io": "authorization",
}
_POINTERS_WORDS = (
    "replicas parallelism completions backoffLimit terminationGracePeriodSeconds partition defaultMode mode "
    "runAsUser runAsGroup fsGroup automountServiceAccountToken runAsNonRoot allowPrivilegeEscalation "
    "readOnlyRootFilesystem optional immutable suspend enableServiceLinks controller blockOwnerDeletion "
    "privileged revisionHistoryLimit ttlSecondsAfterFinished successfulJobsHistoryLimit failedJobsHistoryLimit "
    "expirationSeconds"
)
POINTERS = frozenset(_POINTERS_WORDS.split())
_INLINE_WORDS = (
    "localObjectReference volumeSource persistentVolumeSource ephemeralContainerCommon handler ingressRuleValue"
)
INLINE = frozenset(_INLINE_WORDS.split())
"""Structs that Go embeds: a message of their own on the wire, no object of their own in JSON."""

FieldTable = dict[int, tuple[str, str]]


@cache
def messages() -> dict[str, FieldTable]:
    """All messages by their short name (`core.v1.Pod`)."""
    text = resources.files(__package__).joinpath("wire_types.txt").read_text(encoding="utf-8")
    found: dict[str, FieldTable] = {}
    fields: FieldTable = {}
    for line in text.splitlines():
        if line.startswith("@"):
            fields = found[line[1:]] = {}
        elif line and not line.startswith("#"):
            number, name, kind = line.split(" ")
            fields[int(number)] = (name, kind)
    return found


def decode(data: bytes) -> dict[str, Any]:
    """The object in a protobuf body. Raises StatusError 400 for damage, 415 for a kind that is not known here."""
    if not data.startswith(MAGIC):
        raise bad_request("the protobuf body does not begin with its magic number")
    try:
        envelope = dict(_fields(data[len(MAGIC) :]))
        head = dict(_fields(_bytes(envelope.get(1, b""))))
        version, kind = _bytes(head.get(1, b"")).decode(), _bytes(head.get(2, b"")).decode()
        group, _, own = version.rpartition("/")
        name = f"{GROUP_PACKAGES.get(group, group)}.{own}.{kind}"
        if kind == "DeleteOptions":
            name = "meta.v1.DeleteOptions"
        if name not in messages():
            raise StatusError(
                415, "UnsupportedMediaType", f"{kind} of {version} is not known in protobuf, only in JSON"
            )
        body = _message(name, _bytes(envelope.get(2, b"")), 0)
    except (ValueError, struct.error, IndexError, UnicodeDecodeError, TypeError):
        raise bad_request("the protobuf body is damaged") from None
    return {"apiVersion": version, "kind": kind, **(body if isinstance(body, dict) else {})}


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("found a number, expected bytes")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a varint is too long")


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            found.append((number, value))
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("an unknown wire type")
        if at + size > len(data):
            raise ValueError("a field is longer than its message")
        found.append((number, data[at : at + size]))
        at += size
    return found


def _message(name: str, data: bytes, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if name.endswith(".ExtraValue"):
        return [_bytes(value).decode() for _, value in _fields(data)]
    if name in SPECIAL:
        return SPECIAL[name](dict(_fields(data)))
    table = messages()[name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in table:
            continue
        field, kind = table[number]
        if kind.startswith("*"):
            found.setdefault(field, []).append(_value(kind[1:], value, depth))
        elif kind.startswith("%"):
            entry = dict(_fields(_bytes(value)))
            key = _bytes(entry.get(1, b"")).decode()
            found.setdefault(field, {})[key] = _value(kind[1:], entry.get(2, b""), depth)
        else:
            single = _value(kind, value, depth)
            if field in INLINE and isinstance(single, dict):
                found.update(single)
            elif single not in ("", 0, None, {}) or (field in POINTERS and single is not None):
                found[field] = single
    return found


def _value(kind: str, value: int | bytes, depth: int) -> Any:
    if kind == "s":
        return _bytes(value).decode()
    if kind == "y":
        return base64.b64encode(_bytes(value)).decode()
    if kind == "b":
        return bool(value)
    if kind == "i":
        number = value if isinstance(value, int) else 0
        return number - 2**64 if number >= 2**63 else number
    if kind == "d":
        return struct.unpack("<d", _bytes(value))[0]
    return _message(kind, _bytes(value), depth + 1)


Wire = dict[int, int | bytes]


def _time(fields: Wire) -> str | None:
    if not fields:
        return None
    seconds, nanos = _value("i", fields.get(1, 0), 0), _value("i", fields.get(2, 0), 0)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    fraction = f".{nanos // 1000:06d}" if nanos else ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def _text(fields: Wire) -> str:
    return _bytes(fields.get(1, b"")).decode()


def _raw(fields: Wire) -> Any:
    return json.loads(_bytes(fields.get(1, b"null")))


def _int_or_string(fields: Wire) -> int | str:
    if fields.get(1, 0) == 1:
        return _bytes(fields.get(3, b"")).decode()
    return int(_value("i", fields.get(2, 0), 0))


SPECIAL = {
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _time,
    "meta.v1.FieldsV1": _raw,
    "runtime.RawExtension": _raw,
    "api.resource.Quantity": _text,
    "util.intstr.IntOrString": _int_or_string,
}
