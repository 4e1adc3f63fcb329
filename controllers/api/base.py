"""What every typed spec stands on, and the one door from a raw manifest to it.

Manifests come from people, from Git and from API servers whose CRD files may be newer or older than ours. So a model
keeps fields that it does not know, and a field that is wrong is reported as `InvalidSpecError` with its path, what was
found
and what was expected: text that goes into a condition as it stands. Values may be secret, so what was found is named by
its JSON type; only a short word where one of a few or a form was expected is quoted, unless it could be a URL.

Models are the single source of the CRDs' schemas too: `crdgen` walks them, and the metadata classes below say what JSON
types and pydantic's constraints cannot (list types, CEL rules, untyped objects).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PlainValidator, Strict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from .resource import Manifest

Bool = Annotated[bool, Strict()]
Int = Annotated[int, Strict()]
Json = Any
"""A value of any shape: `x-kubernetes-preserve-unknown-fields` in the schema."""
JsonObject = dict[str, Any]
"""An object of any shape."""


def _int_or_string(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("int_or_string", "an integer or a string")
    return value


IntOrString = Annotated[int | str, PlainValidator(_int_or_string)]
"""`x-kubernetes-int-or-string` in the schema."""


class InvalidSpecError(Exception):
    """A manifest's field that cannot be used: `spec.data[0].remoteRef.key: found nothing, expected a string`."""

    def __init__(self, field: str, found: str, expected: str) -> None:
        super().__init__(f"{field}: found {found}, expected {expected}")
        self.field = field
        self.found = found
        self.expected = expected


class Fields(BaseModel):
    """An object in a manifest: frozen, snake_case here and camelCase there, unknown fields kept in `model_extra`."""

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
    cel: ClassVar[tuple[Rule, ...]] = ()
    """CEL rules that an API server checks; `parse` leaves them to it."""
    atomic: ClassVar[bool] = False
    """`x-kubernetes-map-type: atomic`: one owner for the whole object."""
    open: ClassVar[bool] = False
    """`x-kubernetes-preserve-unknown-fields`: the API server keeps fields that the model does not name."""


class OneOf(Fields):
    """An object that has exactly one of its fields."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            names = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            raise PydanticCustomError("one_of", "exactly one of {names}", {"names": names})
        return self


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule of a schema (`x-kubernetes-validations`)."""

    rule: str
    message: str
    reason: str = ""
    field_path: str = ""


@dataclass(frozen=True, slots=True)
class ListType:
    """`x-kubernetes-list-type`, with the keys of a `map`."""

    kind: Literal["atomic", "set", "map"]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SchemaDefault:
    """What an API server writes where the field is absent; a default of the attribute that is not empty needs none."""

    value: Json


@dataclass(frozen=True, slots=True)
class Implied:
    """The attribute's default is ours to assume: upstream's schema writes none, so neither does ours."""


@dataclass(frozen=True, slots=True)
class Format:
    """The schema's `format`: `date-time`, `byte`, `int32`, `int64`."""

    name: str


@dataclass(frozen=True, slots=True)
class Nullable:
    """null is a value of the field (`nullable: true`), not its absence."""


Model = TypeVar("Model", bound=Fields)


def parse(model: type[Model], manifest: Manifest) -> Model:
    """The typed `spec` of a manifest. Raises InvalidSpecError for the first field that is wrong, in the schema's
    order.
    """
    return parse_at(model, manifest.get("spec") or {}, path="spec")


def parse_at(model: type[Model], value: Any, *, path: str) -> Model:
    """A typed object out of any part of a manifest; `path` is where it stands, for messages."""
    try:
        return model.model_validate(value)
    except ValidationError:
        pass
    try:  # an API server drops nulls of fields that cannot be null: so do we, but only where it matters
        return model.model_validate(_without_nulls(value))
    except ValidationError as error:
        raise _first(error, path) from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_without_nulls(item) for item in value]
    return value


def _first(error: ValidationError, path: str) -> InvalidSpecError:
    detail = error.errors(include_url=False)[0]
    field = path
    for part in detail["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}"
    kind, context = detail["type"], cast(Mapping[str, Any], detail.get("ctx") or {})
    found = "nothing" if kind == "missing" else _quoted(kind, detail["input"]) or _name(detail["input"])
    return InvalidSpecError(field, found, _expected(kind, context, detail["msg"]))


_NAMES = {dict: "an object", list: "a list", tuple: "a list", bool: "a boolean", int: "an integer", float: "a number"}


def _quoted(kind: str, value: Any) -> str:
    is_word = kind in ("literal_error", "string_pattern_mismatch") and isinstance(value, str) and 0 < len(value) <= 40
    return repr(value) if is_word and "@" not in value and "://" not in value else ""


def _name(value: Any) -> str:
    if isinstance(value, str):
        return "an empty string" if not value else f"a string of {len(value)} characters"
    return "null" if value is None else _NAMES.get(type(value), "a value of another type")


_EXPECTED = {
    "missing": "a value: the field is required",
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "an integer",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def _expected(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind == "literal_error":
        return f"one of {context['expected']}"
    if kind == "string_pattern_mismatch":
        return f"a string that matches {context['pattern']}"
    if kind in ("string_too_long", "too_long"):
        return f"no more than {context['max_length']} {'items' if kind == 'too_long' else 'characters'}"
    if kind in ("string_too_short", "too_short"):
        return f"at least {context['min_length']} {'items' if kind == 'too_short' else 'characters'}"
    return _EXPECTED.get(kind, message.removeprefix("Value error, "))
