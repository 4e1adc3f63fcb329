"""External Secrets' vectors: one call of the rule each."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

import yaml

from controllers.api.base import Fields, InvalidSpecError, parse
from controllers.api.external_secrets import ExternalSecretSpec, SyncWindows
from controllers.api.timestamps import parse_timestamp
from controllers.external_secrets.cli.offline import Values, make
from controllers.external_secrets.cli.render import engine
from controllers.external_secrets.providers.parameter_store import PARAMETER_STORE
from controllers.external_secrets.providers.parameter_store import calls as parameter_store
from controllers.external_secrets.providers.secrets_manager import SECRETS_MANAGER
from controllers.external_secrets.providers.secrets_manager import calls as secrets_manager
from controllers.external_secrets.target import desired as target
from controllers.external_secrets.target import hashing
from controllers.external_secrets.target import template as templates
from controllers.external_secrets.target.desired import OPAQUE
from controllers.external_secrets.values import decode, rewrite, schedule, validate
from controllers.external_secrets.values.convert import check_keys, convert_keys, reverse_key
from controllers.external_secrets.values.entries import StoreView, store_refs, value_text
from controllers.external_secrets.values.errors import EntryError, SpecError, TargetTemplateError
from controllers.external_secrets.values.extract import extract, select
from controllers.templating import pem
from controllers.templating.errors import FunctionError

Vector = dict[str, Any]


def _answer(call: Callable[[Vector], Any]) -> Callable[[Vector], dict[str, Any]]:
    def run(vector: Vector) -> dict[str, Any]:
        try:
            return {"ok": call(vector["input"])}
        except (EntryError, SpecError, TargetTemplateError, FunctionError, ValueError) as error:
            return {"error": str(error)}

    return run


def _bytes(values: dict[str, str]) -> dict[str, bytes]:
    return {key: value.encode() for key, value in values.items()}


def _texts(values: dict[str, bytes]) -> dict[str, str]:
    return {key: value.decode() for key, value in values.items()}


def _property(given: Vector) -> str:
    service = PARAMETER_STORE if given.get("provider") == "aws-ssm" else SECRETS_MANAGER
    return value_text(given["secret"], given["property"], service=service, key="/baz")


def _extract(given: Vector) -> dict[str, str]:
    document = given["secret"]
    return extract(select(document, given["property"], key="k") if given.get("property") else document, key="k")


def _rewrite(given: Vector) -> dict[str, str]:
    values = rewrite.rewrite(given["rewrite"], _bytes(given["keys"]), templates.Engine().text)
    check_keys(values)
    return _texts(values)


def _decode_map(given: Vector) -> dict[str, str]:
    return _texts(decode.decode_map(given["strategy"], _bytes(given["values"])))


def _template(vector: Vector) -> dict[str, Any]:
    given, out, engine = vector["input"], templates.Rendered(), templates.Engine()
    data = _bytes(given["data"])
    source = templates.TemplateSource(
        given["template"],
        given.get("scope", "Values"),
        given.get("target", "Data"),
        given.get("valuesDecodingStrategy", "None"),
    )
    try:
        engine.apply(source, data, out)
        engine.apply(templates.TemplateSource(given.get("labels", {}), target="Labels"), data, out)
        engine.apply(templates.TemplateSource(given.get("annotations", {}), target="Annotations"), data, out)
    except TargetTemplateError as error:
        return {"error": str(error)}
    return {"ok": _texts(out.data), "labels": out.labels, "annotations": out.annotations}


def _at(text: str) -> datetime:
    return parse_timestamp(text)


def _params(given: Vector) -> dict[str, Any]:
    calls = secrets_manager if given["service"] == SECRETS_MANAGER.name else parameter_store
    return dict(calls.single_call(calls.remote_key(given["key"], version=given["version"], prefix=given["prefix"])))


def _hash(given: Vector) -> str:
    return hashing.data_hash(_bytes(given["data"])) if "data" in given else hashing.object_hash(given["value"])


def _target_valid(given: Vector) -> bool:
    secret = given["secret"]
    meta = {"uid": secret.get("uid"), "labels": secret.get("labels"), "annotations": secret.get("annotations")}
    return target.target_valid({"metadata": meta, "data": secret.get("data")}, given["creationPolicy"])


def _validate(given: Vector) -> bool:
    validate.validate(loosely(ExternalSecretSpec, given["spec"]))
    return True


def loosely(annotation: Any, value: Any) -> Any:
    """A typed object as Go's structs are built in upstream's tests: without validation, absent fields empty."""
    if isinstance(value, list):
        return tuple(loosely(annotation, item) for item in value)
    model = _model_of(annotation) if isinstance(value, dict) else None
    if model is None:
        return value
    names = {field.alias or name: (name, field.annotation) for name, field in model.model_fields.items()}
    absent = {name: None for name, field in model.model_fields.items() if field.is_required()}
    given = {names[key][0]: loosely(names[key][1], item) for key, item in value.items() if key in names}
    return model.model_construct(**(absent | given))


def _model_of(annotation: Any) -> type[Fields] | None:
    if isinstance(annotation, type) and issubclass(annotation, Fields):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_of(each)) is not None), None)


def _windows(given: Vector) -> bool:
    raw = given["syncWindows"]
    return schedule.windows_permit(loosely(SyncWindows, raw) if raw else None, _at(given["at"]))


def _null_bytes(given: Vector) -> bool:
    decode.check_null_bytes(given["policy"], given["value"].encode(), key=given["key"])
    return True


def _stored(value: Any) -> bytes:
    """A value at AWS: text, or bytes that JSON cannot hold."""
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else str(value).encode()


def _shown(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


_CONTROLLERS_OWN = {target.MANAGED, target.CREATED_BY, target.PROVENANCE, target.GENERATED}


def _render(vector: Vector) -> dict[str, Any]:
    """An ExternalSecret rendered offline, as `inhaul secrets render` does."""
    given = vector["input"]
    manifest = given["externalSecret"]
    prefix = given.get("prefix", "")
    values = Values({name: _stored(value) for name, value in given["values"].items()}, given.get("tags", {}))
    objects = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(given.get("objects", ""))}
    try:
        refs = store_refs(parse(ExternalSecretSpec, manifest))
        views = {ref: StoreView(ref, SECRETS_MANAGER, prefix) for ref in refs}
        made = make(manifest, views, values, lambda kind, name: objects.get((kind, name)), engine())
    except (EntryError, SpecError, TargetTemplateError, InvalidSpecError) as error:
        return {"error": str(error)}
    secret = made.wanted
    if secret is None:
        return {"error": made.why}
    return {
        "data": {key: _shown(value) for key, value in secret.data.items()},
        "labels": {key: text for key, text in secret.labels.items() if key not in _CONTROLLERS_OWN},
        "annotations": {key: text for key, text in secret.annotations.items() if key not in _CONTROLLERS_OWN},
        "type": secret.type or OPAQUE,
    }


ADAPTERS: dict[str, Callable[[Vector], dict[str, Any]]] = {
    "es_render": _render,
    "gjson_property": _answer(_property),
    "extract_map": _answer(_extract),
    "byte_value": _answer(lambda given: rewrite.byte_value(given["value"]).decode()),
    "rewrite": _answer(_rewrite),
    "convert_keys": _answer(lambda given: list(convert_keys(given["strategy"], dict.fromkeys(given["keys"])))),
    "reverse_key": _answer(lambda given: reverse_key(given["strategy"], given["key"])),
    "decode": _answer(lambda given: decode.decode(given["strategy"], given["value"].encode(), key="k").decode()),
    "decode_map": _answer(_decode_map),
    "template_v2": _template,
    "filterPEM": _answer(lambda given: pem.filter_pem(given["pemType"], given["input"])),
    "filterCertChain": _answer(lambda given: pem.filter_chain(given["certType"], given["input"])),
    "certSANs": _answer(lambda given: pem.sans(given["input"])),
    "api_params": _answer(_params),
    "find_api": _answer(lambda given: secrets_manager.list_call(given["find"])),
    "object_hash": _answer(_hash),
    "target_valid": _answer(_target_valid),
    "sync_window": _answer(lambda g: schedule.window_active(g["schedule"], g["duration"], _at(g["at"]))),
    "sync_windows": _answer(lambda given: _windows(given)),
    "validate": _answer(_validate),
    "null_bytes": _answer(_null_bytes),
    "data_diff": _answer(lambda given: target.data_diff(given["old"], given["new"])),
    "store_refresh_interval": _answer(lambda given: schedule.store_interval(given["value"])),
}
