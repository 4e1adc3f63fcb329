"""Which tag of a list a policy picks. Pure.

The same list gives the same pick in any order and on every evaluation: among equal versions the one with the higher
build metadata, then the greater text; where several tags extract to one value, the least tag stands for it. Numbers are
exact. Regular expressions are RE2 and `extract` is Go's `Regexp.Expand`.

What can go wrong: the policy (`InvalidPolicyError`: only an edit mends it) or the list (`NoTagSelectedError`: another
list may do).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from controllers.image_automation.policy.groups import named_groups
from controllers.image_automation.tags.reference import _OPTIONS, InvalidPolicyError, compile_regex
from controllers.lang.semver import Constraint, InvalidConstraintError, highest, order_key, parse_tag


class NoTagSelectedError(ValueError):
    """No tag of this list is the one."""


class SemVerChoice(Protocol):
    @property
    def range(self) -> str: ...


class OrderChoice(Protocol):
    @property
    def order(self) -> str: ...


class Choice(Protocol):
    """`spec.policy`: where several are set, semver wins, then alphabetical, then numerical."""

    @property
    def semver(self) -> SemVerChoice | None: ...
    @property
    def alphabetical(self) -> OrderChoice | None: ...
    @property
    def numerical(self) -> OrderChoice | None: ...


class Filter(Protocol):
    """`spec.filterTags`."""

    @property
    def pattern(self) -> str: ...
    @property
    def extract(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy thinks of one tag. `key` orders those that are kept; `why` says why one is not."""

    tag: str
    value: str
    key: Any = None
    why: str = ""

    @property
    def kept(self) -> bool:
        return not self.why


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy ready to be evaluated. Made by `compile_policy`."""

    rule: Callable[[str], tuple[Any, str]]
    """Value → (order key, "") or (None, why not). Raises NoTagSelectedError where one bad value spoils the list."""
    lowest: bool
    values: Callable[[Iterable[str]], dict[str, str]]
    """Tags → what is compared: {value: tag}."""
    best: Callable[[Iterable[str]], str | None] | None = None
    """The value that `rule` puts first, found by a shorter way; None: there is no such way."""

    def pick(self, tags: Sequence[str]) -> str:
        """The tag. Raises NoTagSelectedError."""
        candidates = self.values(tags)
        if not candidates:
            raise NoTagSelectedError("version list argument cannot be empty" if not tags else _none_matches(len(tags)))
        best: Any = None
        chosen: str | None = None
        if self.best is not None:
            first = self.best(candidates)
            chosen = candidates[first] if first is not None else None
            candidates = {}
        for value, tag in candidates.items():
            key, why = self.rule(value)
            if not why and (chosen is None or (key < best if self.lowest else key > best)):
                best, chosen = key, tag
        if chosen is None:
            raise NoTagSelectedError("unable to determine latest version from provided list: no tag is in the range")
        return chosen

    def ranked(self, tags: Iterable[str]) -> list[tuple[Any, str]]:
        """(order key, tag) of all tags that are kept, the pick first. Raises NoTagSelectedError."""
        judged = [(self.rule(value), tag) for value, tag in self.values(tags).items()]
        return sorted(((key, tag) for (key, why), tag in judged if not why), reverse=not self.lowest)

    def key(self, tag: str) -> Any:
        """The order key of one tag, whether it is in a list or not; None where the policy would not keep it."""
        for value in self.values([tag]):
            try:
                key, why = self.rule(value)
            except NoTagSelectedError:
                return None
            return None if why else key
        return None

    def explain(self, tags: Sequence[str]) -> list[Verdict]:
        """Every tag with its verdict: kept ones first, the pick on top; then those left out, by name."""
        kept: list[Verdict] = []
        out: list[Verdict] = []
        candidates = self.values(tags)
        standing = {tag: value for value, tag in candidates.items()}
        for tag in sorted(set(tags), reverse=True):
            if tag not in standing:
                other = next(iter(self.values([tag])), None)
                why = "does not match filterTags.pattern"
                if other is not None:
                    why = f"extracts to {other!r}, as {candidates[other]!r} does"
                out.append(Verdict(tag, other or "", why=why))
                continue
            try:
                key, why = self.rule(standing[tag])
            except NoTagSelectedError as error:
                key, why = None, str(error)
            (out if why else kept).append(Verdict(tag, standing[tag], key, why))
        kept.sort(key=lambda verdict: verdict.key, reverse=not self.lowest)
        return [*kept, *out]


def _none_matches(count: int) -> str:
    return f"version list argument cannot be empty: none of {count} tags matches filterTags.pattern"


def compile_policy(choice: Choice, filter_tags: Filter | None = None) -> Policy:
    """Raises InvalidPolicyError with the field that is wrong."""
    values = tag_filter(filter_tags)
    if choice.semver is not None:
        rule, best = _semver(choice.semver.range)
        return Policy(rule, False, values, best)
    if choice.alphabetical is not None:
        return Policy(_alphabetical, _descending(choice.alphabetical.order, "alphabetical"), values)
    if choice.numerical is not None:
        return Policy(_numerical, _descending(choice.numerical.order, "numerical"), values)
    raise InvalidPolicyError("given ImagePolicyChoice object is invalid: expected semver, alphabetical or numerical")


def _descending(order: str, kind: str) -> bool:
    match order.upper():
        case "" | "ASC":
            return False
        case "DESC":
            return True
    raise InvalidPolicyError(
        f"invalid order argument provided: spec.policy.{kind}.order: found {order[:40]!r}, expected asc or desc"
    )


def _semver(text: str) -> tuple[Callable[[str], tuple[Any, str]], Callable[[Iterable[str]], str | None]]:
    try:
        constraint = Constraint.parse(text)
    except InvalidConstraintError as error:
        raise InvalidPolicyError(f"spec.policy.semver.range: {error}") from None

    def rule(value: str) -> tuple[Any, str]:
        version = parse_tag(value)
        if version is None:
            return None, "is not a version of three parts"
        if not constraint.check(version):
            return None, f"is not in the range {text}"
        return order_key(version), ""

    def best(candidates: Iterable[str]) -> str | None:
        found = highest(candidates, constraint)
        return found.original if found is not None else None

    return rule, best


def _alphabetical(value: str) -> tuple[Any, str]:
    return value.encode(errors="surrogateescape"), ""


def _numerical(value: str) -> tuple[Any, str]:
    return (parse_number(value), value), ""


_DECIMAL = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.[\d_]+)(?:[eE]([+-]?\d[\d_]*))?", re.ASCII)
_HEX = re.compile(r"([+-]?)0[xX]([0-9a-fA-F_]*)\.?([0-9a-fA-F_]*)[pP]([+-]?\d[\d_]*)", re.ASCII)
_UNDERSCORE = re.compile(r"(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])")
_MAX = Fraction(2**1024 - 2**970)


def parse_number(text: str) -> int | Fraction:
    """A number in Go's grammar, exact. Raises NoTagSelectedError for what is none, infinities, NaN, and beyond
    float64's range.
    """
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 300:
        return int(text)
    found = _DECIMAL.fullmatch(text) if len(text) <= 512 and not _UNDERSCORE.search(text) else None
    if found is not None and any(character.isdigit() for character in found[1]):
        number = _decimal(text)
    else:
        found = _HEX.fullmatch(text) if len(text) <= 512 and not _UNDERSCORE.search(text) else None
        if found is None or not (found[2] or found[3]):
            raise NoTagSelectedError(f"failed to parse invalid numeric value '{text[:128]}'")
        number = _hexadecimal(found)
    if abs(number) > _MAX:
        raise NoTagSelectedError(f"failed to parse invalid numeric value '{text[:128]}': out of range")
    return number


def _decimal(text: str) -> Fraction:
    mantissa, _, exponent = text.replace("_", "").lower().partition("e")
    power = int(exponent or 0) if len(exponent) < 8 else (-(10**7) if exponent.startswith("-") else 10**7)
    whole, _, part = mantissa.partition(".")
    digits = int(f"{whole}{part}")
    power -= len(part)
    if digits == 0 or power < -2000:
        return Fraction(0)
    if power > 2000:
        return _MAX * 2 * (1 if digits > 0 else -1)
    return Fraction(digits * 10**power) if power >= 0 else Fraction(digits, 10**-power)


def _hexadecimal(found: re.Match[str]) -> Fraction:
    whole, part = found[2].replace("_", ""), found[3].replace("_", "")
    digits = int(f"{whole}{part}" or "0", 16) * (-1 if found[1] == "-" else 1)
    exponent = found[4].replace("_", "")
    power = int(exponent) if len(exponent) < 8 else (-(10**7) if exponent.startswith("-") else 10**7)
    power -= 4 * len(part)
    if digits == 0 or power < -6000:
        return Fraction(0)
    if power > 3000:
        return _MAX * 2 * (1 if digits > 0 else -1)
    return Fraction(digits * 2**power) if power >= 0 else Fraction(digits, 2**-power)


def tag_filter(filter_tags: Filter | None) -> Callable[[Iterable[str]], dict[str, str]]:
    """A function from tags to {value to compare: tag}. Raises InvalidPolicyError for a bad pattern.

    Where several tags extract to one value, the least of them stands for it.
    """
    if filter_tags is None or not filter_tags.pattern:
        return lambda tags: {tag: tag for tag in tags}
    pattern = compile_regex(filter_tags.pattern, "spec.filterTags.pattern")
    plain = compile_regex(filter_tags.pattern, "spec.filterTags.pattern", ascii_only=True)
    expand = _expander(filter_tags.extract, pattern)

    def values(tags: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        search = plain.search if plain is not None else None
        for tag in tags:
            match = search(tag.encode()) if search is not None and tag.isascii() else pattern.search(tag)
            if match is None:
                continue
            value = expand(match) if expand else tag
            if found.setdefault(value, tag) > tag:
                found[value] = tag
        return found

    return values


_OPTIONS.log_errors = False
_OPTIONS.max_mem = 8 << 20


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


def _expander(template: str, pattern: Any) -> Callable[[Any], str] | None:
    """Go's Regexp.Expand: `$1`, `${1}`, `$name`; `$1x` is the group named `1x`; `$$` is a dollar; no such group: "".

    Of groups that share a name the first that took part in the match counts.
    """
    if not template:
        return None
    names = named_groups(pattern)
    parts: list[str | tuple[int, ...]] = []
    at = 0
    for found in _REFERENCE.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        name = found[1] or found[2]
        if name is None:
            parts.append("$")
        elif name.isascii() and name.isdigit():
            if len(name) < 5 and int(name) <= pattern.groups:
                parts.append((int(name),))
        elif name in names:
            parts.append(names[name])
    parts.append(template[at:])

    def group(match: Any, numbers: tuple[int, ...]) -> str:
        for number in numbers:
            text = match[number]  # `group` takes three times as long
            if text is not None:
                return text.decode() if isinstance(text, bytes) else str(text)
        return ""

    if len(parts) == 3 and parts[0] == parts[2] == "" and isinstance(parts[1], tuple) and len(parts[1]) == 1:
        only = parts[1][0]
        return lambda match: text.decode() if isinstance(text := match[only], bytes) else text or ""
    return lambda match: "".join(part if isinstance(part, str) else group(match, part) for part in parts)
