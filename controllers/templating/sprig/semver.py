"""Sprig's `semver` and `semverCompare`, in the grammar that Flux reads ranges with (`controllers.lang.semver`)."""

from __future__ import annotations

from collections.abc import Callable

from controllers.lang.semver import Constraint, InvalidConstraintError, InvalidVersionError, Version, parse_version

from ..errors import FunctionError
from ..registry import Function, functions
from ..values import Struct, Value, type_name

_TYPE = "*semver.Version"


class _Semver(Struct):
    """A version as a template sees it: Major, Minor, …, Compare, Equal, LessThan, IncPatch and so on."""

    __slots__ = ("version",)

    def __init__(self, version: Version) -> None:
        text = _canonical(version)
        self.version = version
        super().__init__({}, text=text, type_name=_TYPE, marshal=text, methods=_methods(version))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Semver) and (self.version, self.text) == (other.version, other.text)

    def __hash__(self) -> int:
        return hash((self.version, self.text))


def _methods(version: Version) -> dict[str, Callable[..., Value]]:
    prefix = "v" if version.original.startswith("v") else ""

    def increased(part: int) -> Value:
        numbers = [version.major, version.minor, version.patch]
        if part < 2 or not version.prerelease:  # a patch of a prerelease is its release
            numbers = [*numbers[:part], numbers[part] + 1, *[0] * (2 - part)]
        return _Semver(_parsed(prefix + ".".join(map(str, numbers))))

    def marked(prerelease: str, metadata: str) -> Value:
        head = f"{prefix}{version.major}.{version.minor}.{version.patch}"
        return _Semver(_parsed(head + (prerelease and f"-{prerelease}") + (metadata and f"+{metadata}")))

    def compare(other: Value) -> int:
        mine, theirs = version, _other(other)
        return 0 if mine == theirs else -1 if mine < theirs else 1

    return {
        "Major": lambda: version.major,
        "Minor": lambda: version.minor,
        "Patch": lambda: version.patch,
        "Prerelease": lambda: version.prerelease,
        "Metadata": lambda: version.metadata,
        "Original": lambda: version.original,
        "String": lambda: _canonical(version),
        "Compare": compare,
        "Equal": lambda other: version == _other(other),
        "GreaterThan": lambda other: version > _other(other),
        "GreaterThanEqual": lambda other: version >= _other(other),
        "LessThan": lambda other: version < _other(other),
        "LessThanEqual": lambda other: version <= _other(other),
        "IncMajor": lambda: increased(0),
        "IncMinor": lambda: increased(1),
        "IncPatch": lambda: increased(2),
        "SetPrerelease": lambda text: marked(text, version.metadata),
        "SetMetadata": lambda text: marked(version.prerelease, text),
    }


def _canonical(version: Version) -> str:
    text = f"{version.major}.{version.minor}.{version.patch}"
    return (
        text
        + (f"-{version.prerelease}" if version.prerelease else "")
        + (f"+{version.metadata}" if version.metadata else "")
    )


def _other(value: Value) -> Version:
    if not isinstance(value, _Semver):
        raise FunctionError(f"wrong type for value; expected {_TYPE}; got {type_name(value)}")
    return value.version


def _parsed(text: str) -> Version:
    """The text may be data, so it is not repeated."""
    try:
        return parse_version(text)
    except InvalidVersionError:
        raise FunctionError("invalid semantic version") from None


def _compare(constraint: str, version: str) -> bool:
    try:
        return Constraint.parse(constraint).check(_parsed(version))
    except InvalidConstraintError:
        raise FunctionError("improper constraint") from None


SEMVER: dict[str, Function] = functions(
    {"semver": ("s", lambda text: _Semver(_parsed(text))), "semverCompare": ("ss", _compare)}
)
