"""Sprig's functions on strings: the ones that manifests use most."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable

from .convert import text_of, texts_of
from .errors import FunctionError
from .goformat import quote as go_quote
from .goformat import sprint
from .registry import Function, bounded_count, bounded_size, functions
from .values import Value, to_bytes, to_text

_GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


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


def split_list(separator: str, text: str) -> list[str]:
    if separator == "":
        return list(text)
    bounded_count(text.count(separator))
    return text.split(separator)


def split(separator: str, text: str) -> dict[str, str]:
    return {f"_{at}": part for at, part in enumerate(split_list(separator, text))}


def splitn(separator: str, count: int, text: str) -> dict[str, str]:
    if count == 0:
        return {}
    if separator == "":
        chars = list(text)
        parts = chars if count < 0 else [*chars[: count - 1], "".join(chars[count - 1 :])]
    else:
        parts = text.split(separator, count - 1 if count > 0 else -1)
    return {f"_{at}": part for at, part in enumerate(parts)}


def title(text: str) -> str:
    out, previous = [], " "
    for char in text:
        starts = not (previous.isalnum() or previous in "_'")
        out.append(char.title() if starts and len(char.title()) == 1 else char)
        previous = char
    return "".join(out)


def swapcase(text: str) -> str:
    out, after_space = [], True
    for char in text:
        if char.isupper() or char.istitle():
            out.append(char.lower())
            after_space = False
        elif char.islower():
            out.append(char.title() if after_space else char.upper())
            after_space = False
        else:
            after_space = char.isspace()
            out.append(char)
    return "".join(out)


def initials(text: str) -> str:
    return "".join(word[0] for word in text.split())


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


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W_]+")


def _words(text: str) -> list[str]:
    return _WORDS.findall(text)


def snake(separator: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        return separator.join(word.lower() for word in _words(text))

    return convert


def camel(text: str) -> str:
    """Upper camel case: letters after `_`, `-` and spaces become upper."""
    parts = re.split(r"[_\-\s]+", text)
    return "".join(part[:1].upper() + part[1:] for part in parts)


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
        "trim": ("s", lambda text: text.strip(_GO_SPACE)),
        "upper": ("s", lambda text: "".join(c.upper() if len(c.upper()) == 1 else c for c in text)),
        "lower": ("s", lambda text: "".join(c.lower() if len(c.lower()) == 1 else c for c in text)),
        "title": ("s", title),
        "untitle": ("s", lambda text: text[:1].lower() + text[1:]),
        "substr": ("iis", substring),
        "repeat": ("is", repeat),
        "trimall": ("ss", lambda cut, text: text.strip(cut) if cut else text),
        "trimAll": ("ss", lambda cut, text: text.strip(cut) if cut else text),
        "trimSuffix": ("ss", lambda suffix, text: text.removesuffix(suffix)),
        "trimPrefix": ("ss", lambda prefix, text: text.removeprefix(prefix)),
        "nospace": ("s", lambda text: "".join(c for c in text if c not in _GO_SPACE)),
        "initials": ("s", initials),
        "swapcase": ("s", swapcase),
        "snakecase": ("s", snake("_")),
        "kebabcase": ("s", snake("-")),
        "camelcase": ("s", camel),
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
        "toStrings": ("a", texts_of),
        "join": ("sa", join),
        "sortAlpha": ("a", lambda value: sorted(texts_of(value), key=to_bytes)),
        "split": ("ss", split),
        "splitList": ("ss", split_list),
        "splitn": ("sis", splitn),
    }
)
