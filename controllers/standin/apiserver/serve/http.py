"""From bytes to a request that the rules understand, and back: paths, parameters, media types, bodies.

Hostile input ends here: bodies are limited in bytes and depth, YAML in nodes (aliases expand), and every refusal
names what was found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from ..schema import wire
from ..seams import Attributes
from ..status_errors import StatusError, bad_request, too_large, unsupported_media_type

MAX_BODY = 3 * 1024 * 1024
MAX_YAML_NODES = 500_000
JSON_TYPE = "application/json"
PROTOBUF_TYPE = "application/vnd.kubernetes.protobuf"
PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
YAML_TYPES = ("application/yaml", "application/apply-patch+yaml", "text/yaml")
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


@dataclass(frozen=True, slots=True)
class Path:
    """A resource path taken apart. `group` is "" for /api."""

    group: str
    version: str
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False


def parse_path(path: str) -> Path | None:
    """None for a path that names no resource type (`/version`, `/apis/apps`)."""
    parts = [part for part in path.split("/") if part]
    if len(parts) > 2 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) > 3 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watch = rest[0] == "watch" and len(rest) > 1
    if watch:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) > 1 and not group:
        return Path(group, version, "", "namespaces", rest[1], "/".join(rest[2:]), watch)
    padded = [*rest, "", "", ""]
    return Path(group, version, namespace, padded[0], padded[1], "/".join(rest[2:]), watch)


def attributes(method: str, path: Path, query: Mapping[str, str], field_name: str = "") -> Attributes:
    """What authorization is asked. A list that names one object by its fields is about that object."""
    verb = VERBS.get(method, method.lower())
    name = path.name
    if not name:
        if verb == "get":
            verb = "watch" if path.watch or truth(query.get("watch")) else "list"
        elif verb == "delete":
            verb = "deletecollection"
        name = field_name if verb in ("list", "watch", "deletecollection") else ""
    elif path.watch:
        verb = "watch"
    namespace = path.name if path.resource == "namespaces" and not path.group else path.namespace
    return Attributes(verb, path.group, path.version, path.resource, path.subresource, namespace, name)


def truth(text: str | None) -> bool:
    """A boolean parameter."""
    return text is not None and text.lower() not in ("", "0", "false")


def number(query: Mapping[str, str], name: str, *, signed: bool = False) -> int:
    """A whole number out of the query, 0 where absent. Raises StatusError 400."""
    text = query.get(name, "")
    if not text:
        return 0
    if not (text.removeprefix("-") if signed else text).isdigit() or len(text) > 18:
        raise bad_request(f"invalid {name}: must be a whole number, found {text!r}")
    return int(text)


# --- bodies -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body; `duplicates` are the keys that stand twice in one object."""

    value: Any
    media: str
    duplicates: tuple[str, ...] = ()


async def read(request: web.BaseRequest) -> Body:
    """Reads and parses. Raises StatusError 400, 413, 415."""
    media = request.content_type if request.headers.get("Content-Type") else JSON_TYPE
    if (request.content_length or 0) > MAX_BODY:
        raise too_large(request.content_length or 0, MAX_BODY)
    chunks, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY:
            raise too_large(size, MAX_BODY)
        chunks.append(chunk)
    return parse(b"".join(chunks), media)


def parse(data: bytes, media: str) -> Body:
    """Parses a body of a media type; an empty one is None. Raises StatusError 400, 415."""
    if not data:
        return Body(None, media)
    if media == PROTOBUF_TYPE:
        return Body(wire.decode(data), media)
    if media in YAML_TYPES:
        if data[:1] != b"{":
            return Body(_yaml(data), media)
    elif not media.endswith(("/json", "+json")) and media != "application/octet-stream":
        raise unsupported_media_type((JSON_TYPE, "application/yaml"))
    twice: list[tuple[dict[str, Any], str]] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            names = [name for name, _ in items]
            twice.extend((found, name) for name in found if names.count(name) > 1)
        return found

    try:
        value = json.loads(data, object_pairs_hook=pairs, parse_constant=_no_constant)
    except RecursionError:
        raise bad_request("the body is nested too deeply") from None
    except ValueError as error:
        place = getattr(error, "pos", 0)
        raise bad_request(f"the object provided is unrecognized: no JSON from byte {place} on") from None
    return Body(value, media, tuple(_places(value, "", twice)) if twice else ())


def _places(value: Any, path: str, twice: list[tuple[dict[str, Any], str]]) -> Iterator[str]:
    """The paths of the keys that stand twice, such as `data.a` and `spec.items[0].b`."""
    if isinstance(value, dict):
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            if any(found is value and key == name for found, key in twice):
                yield below
            yield from _places(item, below, twice)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, f"{path}[{index}]", twice)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: no dates, duplicate keys refused by the strict check elsewhere."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _yaml(data: bytes) -> Any:
    try:
        value = yaml.load(data, Loader=_Loader)  # noqa: S506  (a safe loader of our own)
        count = 0
        stack = [value]
        while stack:
            item = stack.pop()
            count += 1
            if count > MAX_YAML_NODES:
                raise bad_request(f"the YAML body has more than {MAX_YAML_NODES} nodes")
            if isinstance(item, dict):
                stack.extend(item.values())
                if not all(isinstance(name, str) for name in item):
                    raise bad_request("the YAML body has a key that is no string")
            elif isinstance(item, list):
                stack.extend(item)
        return json.loads(json.dumps(value))
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise bad_request(f"error decoding YAML: {str(error).splitlines()[0][:200]}") from None


def patch_kind(media: str) -> str:
    """json, merge, strategic or apply. Raises StatusError 415."""
    kind = PATCH_TYPES.get(media)
    if kind is None:
        raise unsupported_media_type(tuple(PATCH_TYPES))
    return kind


# --- what the client wants back ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accept:
    """The shape of the answer: the object itself, `Table`, or `PartialObjectMetadata` (of lists: …List)."""

    shape: str = ""
    version: str = "meta.k8s.io/v1"
    """Of Tables and PartialObjectMetadata."""


def negotiate(header: str) -> Accept:
    """The first clause that can be served. Raises StatusError 406 where none can."""
    if not header or header.startswith("application/json,") or header in (JSON_TYPE, "*/*"):
        return Accept()
    for clause in header.split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        values = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media not in (JSON_TYPE, "*/*", "application/*"):
            continue
        shape = values.get("as", "")
        if not shape:
            return Accept()
        if values.get("g") == "meta.k8s.io" and values.get("v") in ("v1", "v1beta1"):
            kind = shape.removesuffix("List") if shape.startswith("Partial") else shape
            return Accept(kind, f"meta.k8s.io/{values['v']}")
    raise StatusError(406, "NotAcceptable", f"only the following media types are accepted: {JSON_TYPE}")


def answer(data: bytes, code: int = 200, warnings: list[str] | None = None) -> web.Response:
    """A JSON answer, with its Warning headers."""
    response = web.Response(body=data, status=code, content_type=JSON_TYPE)
    for text in warnings or ():
        clean = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
        response.headers.add("Warning", f'299 - "{clean}"')
    return response
