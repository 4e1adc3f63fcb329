"""Sprig's functions on strings: the ones that manifests use most."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable

from ..convert import text_of, texts_of
from ..errors import FunctionError
from ..goformat import quote as go_quote
from ..goformat import sprint
from ..registry import Function, bounded_count, bounded_size, functions
from ..values import StringList, StringMap, Value, to_bytes, to_text
from . import case
from .case import GO_SPACE


def repeat(count: int, text: str) -> str:
    if count < 0:
        raise FunctionError("negative repeat count")
    bounded_size(len(text) * count)
    return text * count


def substring(start: int, end: int, text: str) -> str:
    raw = to_bytes(text)
    if start < 0:
        return to_text(raw[: _within(end, raw)])
    if end < 0 or end > len(raw):
        return to_text(raw[_within(start, raw) :])
    if start > end:
        raise FunctionError("slice bounds out of range")
    return to_text(raw[start:end])


def _within(at: int, raw: bytes) -> int:
    if not 0 <= at <= len(raw):
        raise FunctionError("slice bounds out of range")
    return at


def truncate(count: int, text: str) -> str:
    raw = to_bytes(text)
    if count < 0 < len(raw) + count:
        return to_text(raw[count:])
    return to_text(raw[:count]) if 0 <= count < len(raw) else text


def replace(old: str, new: str, text: str) -> str:
    bounded_size(len(text) + (text.count(old)) * max(len(new) - len(old), 0))
    return text.replace(old, new)


def indent(spaces: int, text: str) -> str:
    if spaces < 0:
        raise FunctionError("negative repeat count")
    bounded_size(len(text) + spaces * (text.count("\n") + 1))
    pad = " " * spaces
    return pad + text.replace("\n", "\n" + pad)


def join(separator: str, value: Value) -> str:
    parts = texts_of(value)
    bounded_size(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def split_list(separator: str, text: str) -> StringList:
    if separator == "":
        return StringList(text)
    bounded_count(text.count(separator))
    return StringList(text.split(separator))


def split(separator: str, text: str) -> StringMap:
    return StringMap({f"_{at}": part for at, part in enumerate(split_list(separator, text))})


def splitn(separator: str, count: int, text: str) -> StringMap:
    if count == 0:
        return StringMap()
    if separator == "":
        chars = list(text)
        parts = chars if count < 0 else [*chars[: count - 1], "".join(chars[count - 1 :])]
    else:
        parts = text.split(separator, count - 1 if count > 0 else -1)
    return StringMap({f"_{at}": part for at, part in enumerate(parts)})


def initials(text: str) -> str:
    """Byte by byte, as sprig's library reads it: what is not ASCII is taken for Latin-1."""
    out, after_space = [], True
    for char in to_bytes(text).decode("latin-1"):
        if char in GO_SPACE:
            after_space = True
        elif after_space:
            out.append(char)
            after_space = False
    return "".join(out)


def nospace(text: str) -> str:
    """Byte by byte, too: where there is a space, what is not ASCII becomes Latin-1."""
    chars = to_bytes(text).decode("latin-1")
    kept = "".join(char for char in chars if char not in GO_SPACE)
    return text if len(kept) == len(chars) else kept


def _untitle(text: str) -> str:
    """Every word's first letter, in lower case."""
    out, after_space = [], True
    for char in text:
        space = char in GO_SPACE
        out.append(case.lower(char) if after_space and not space else char)
        after_space = space
    return "".join(out)


def abbreviate(width: int, text: str) -> str:
    if width < 4 or len(text) <= width:
        return text
    return text[: width - 3] + "..."


def abbreviate_both(left: int, right: int, text: str) -> str:
    if right < 4 or (left > 0 and right < 7):
        return text
    if left < 0 or len(text) <= right:
        return text
    start = min(left, len(text))
    if len(text) - start < right - 3:
        start = len(text) - (right - 3)
    if start <= 4:
        return text[: right - 3] + "..."
    if start + right - 3 < len(text):
        return "..." + abbreviate(right - 3, text[start:])
    return "..." + text[len(text) - (right - 3) :]


def wrap(width: int, separator: str, text: str, *, cut: bool) -> str:
    """Breaks at spaces at `width` characters; `cut` breaks words that are longer."""
    width = max(width, 1)
    separator = separator or "\n"
    out, at = [], 0
    while len(text) - at > width:
        if text[at] == " ":
            at += 1
            continue
        space = text.rfind(" ", at, at + width + 1)
        if space >= at:
            out.append(text[at:space] + separator)
            at = space + 1
        elif cut:
            out.append(text[at : at + width] + separator)
            at += width
        else:
            space = text.find(" ", at + width)
            if space < 0:
                break
            out.append(text[at:space] + separator)
            at = space + 1
        bounded_count(len(out))
    return "".join(out) + text[at:]


def sort_alpha(value: Value) -> StringList:
    """What is no list is a list of its text."""
    texts = texts_of(value) if isinstance(value, list | tuple) else [text_of(value)]
    return StringList(sorted(texts, key=to_bytes))


def quote(*values: Value) -> str:
    return " ".join(go_quote(text_of(value)) for value in values if value is not None)


def squote(*values: Value) -> str:
    return " ".join(f"'{text_of(value)}'" for value in values if value is not None)


def cat(*values: Value) -> str:
    return " ".join(sprint((value,)) for value in values if value is not None)


def _digest(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, to_bytes(text), usedforsecurity=False).hexdigest()


STRINGS: dict[str, Function] = functions(
    {
        "hello": ("", lambda: "Hello!"),
        "abbrev": ("is", abbreviate),
        "abbrevboth": ("iis", abbreviate_both),
        "trunc": ("is", truncate),
        "trim": ("s", lambda text: text.strip(GO_SPACE)),
        "upper": ("s", lambda text: "".join(map(case.upper, text))),
        "lower": ("s", lambda text: "".join(map(case.lower, text))),
        "title": ("s", case.title),
        "untitle": ("s", _untitle),
        "substr": ("iis", substring),
        "repeat": ("is", repeat),
        "trimall": ("ss", lambda cut, text: text.strip(cut) if cut else text),
        "trimAll": ("ss", lambda cut, text: text.strip(cut) if cut else text),
        "trimSuffix": ("ss", lambda suffix, text: text.removesuffix(suffix)),
        "trimPrefix": ("ss", lambda prefix, text: text.removeprefix(prefix)),
        "nospace": ("s", nospace),
        "initials": ("s", initials),
        "swapcase": ("s", case.swap),
        "snakecase": ("s", case.snake("_")),
        "kebabcase": ("s", case.snake("-")),
        "camelcase": ("s", case.camel),
        "wrap": ("is", lambda width, text: wrap(width, "\n", text, cut=False)),
        "wrapWith": ("iss", lambda width, separator, text: wrap(width, separator, text, cut=True)),
        "contains": ("ss", lambda part, text: part in text),
        "hasPrefix": ("ss", lambda prefix, text: text.startswith(prefix)),
        "hasSuffix": ("ss", lambda suffix, text: text.endswith(suffix)),
        "quote": ("a*", quote),
        "squote": ("a*", squote),
        "cat": ("a*", cat),
        "indent": ("is", indent),
        "nindent": ("is", lambda spaces, text: "\n" + indent(spaces, text)),
        "replace": ("sss", replace),
        "plural": ("ssi", lambda one, many, count: one if count == 1 else many),
        "sha1sum": ("s", _digest("sha1")),
        "sha256sum": ("s", _digest("sha256")),
        "sha512sum": ("s", _digest("sha512")),
        "adler32sum": ("s", lambda text: str(zlib.adler32(to_bytes(text)))),
        "toString": ("a", text_of),
        "toStrings": ("a", lambda value: StringList(texts_of(value))),
        "join": ("sa", join),
        "sortAlpha": ("a", sort_alpha),
        "split": ("ss", split),
        "splitList": ("ss", split_list),
        "splitn": ("sis", splitn),
    }
)
