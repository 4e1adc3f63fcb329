"""snakecase, kebabcase and camelcase as xstrings 1.5 converts them, which sprig calls.

A name is read as words: connectors (`-`, `_` and spaces), punctuation, upper-case runs, letters, digits, and the rest.
Digits belong to the word before them (`s3Bucket` → `s3_bucket`), unless lower-case letters follow (`http2xx` →
`http_2xx`). Connectors are kept one by one, punctuation is never a boundary: `key.name` stays as it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Literal

from ..values import to_bytes

GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""unicode.IsSpace."""
_CJK = (("\u4e00", "\u9fcc"), ("\u3400", "\u4d85"), ("\U00020000", "\U0002b81d"))
_Kind = Literal["number", "upper", "letters", "connector", "punctuation", "other", "end"]
_Word = tuple[_Kind, str]


def lower(char: str) -> str:
    """unicode.ToLower: one character for one, whatever the context."""
    small = char.lower()
    return small if len(small) == 1 else "i" if char == "\u0130" else char


def upper(char: str) -> str:
    """unicode.ToUpper: one character for one."""
    large = char.upper()
    return large if len(large) == 1 else char.title() if len(char.title()) == 1 else char


def is_upper(char: str) -> bool:
    return unicodedata.category(char) == "Lu"


def is_lower(char: str) -> bool:
    return unicodedata.category(char) == "Ll"


def _is_connector(char: str) -> bool:
    return char in "-_" or char in GO_SPACE


def _is_letter(char: str) -> bool:
    """xstrings' alphabet: letters, but for the scripts of China, Japan and Korea."""
    return unicodedata.category(char).startswith("L") and not any(first <= char <= last for first, last in _CJK)


def _kind(char: str) -> _Kind:
    if _is_connector(char):
        return "connector"
    category = unicodedata.category(char)
    if category.startswith("P"):
        return "punctuation"
    if is_upper(char):
        return "upper"
    if _is_letter(char):
        return "letters"
    return "number" if category.startswith("N") else "other"


def _run(text: str, at: int, belongs: Callable[[str], bool]) -> int:
    while at < len(text) and belongs(text[at]):
        at += 1
    return at


def _upper_end(text: str, at: int) -> int:
    """The end of a word that begins in upper case: `HTTP` of `HTTPStatus`, `Status` of `StatusCode`."""
    if at + 1 < len(text) and is_upper(text[at + 1]):
        end = _run(text, at, is_upper)
        return end - 1 if end < len(text) and _is_letter(text[end]) else end
    return _run(text, at + 1, _is_small)


def _is_small(char: str) -> bool:
    return _is_letter(char) and not is_upper(char)


def _words(text: str) -> list[_Word]:
    out: list[_Word] = []
    at = 0
    while at < len(text):
        kind = _kind(text[at])
        if kind == "upper":
            end = _upper_end(text, at)
        elif kind == "letters":
            end = _run(text, at + 1, _is_small)
        elif kind == "punctuation":  # hyphens and underscores behind it are punctuation, too
            end = _run(text, at + 1, lambda char: unicodedata.category(char).startswith("P"))
        elif kind == "other":
            end = _run(text, at + 1, lambda char: _kind(char) == "other")
        else:
            end = _run(text, at + 1, lambda char, kind=kind: _kind(char) == kind)  # type: ignore[misc]
        out.append((kind, text[at:end]))
        at = end
    return out


class _Joiner:
    """One conversion: the words that are left, and what was written."""

    def __init__(self, text: str, connector: str) -> None:
        self.words = _words(text)
        self.connector = connector
        self.at = 0
        self.out: list[str] = []

    @property
    def kind(self) -> _Kind:
        return self.words[self.at][0] if self.at < len(self.words) else "end"

    def write(self, word: _Word) -> None:
        kind, text = word
        if kind == "connector":
            text = self.connector * len(text)
        self.out.append("".join(lower(char) if is_upper(char) else char for char in text) if kind == "upper" else text)

    def take(self) -> None:
        self.write(self.words[self.at])
        self.at += 1

    def take_tail(self) -> None:
        """Letters and digits that belong to the digits before them."""
        while self.kind in ("letters", "number"):
            self.take()

    def separate(self) -> None:
        if self.kind not in ("connector", "punctuation", "end"):
            self.out.append(self.connector)

    def run(self) -> str:
        while self.kind != "end":
            kind = self.words[self.at][0]
            self.take()
            if self.at == len(self.words):
                break
            if kind == "number":
                self.take_tail()
                self.separate()
            elif kind in ("upper", "letters", "other"):
                self._behind_word()
        return "".join(self.out)

    def _behind_word(self) -> None:
        if self.kind != "number":
            self.separate()
            return
        if self.at + 1 == len(self.words):
            return
        if self.words[self.at + 1][0] != "letters":
            self.take()
            self.separate()
            return
        self.out.append(self.connector)
        self.take()
        self.take_tail()
        self.separate()


def snake(connector: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        return _Joiner(_valid(text), connector).run()

    return convert


def _valid(text: str) -> str:
    """Bytes that are not UTF-8 are stepped over, as far as they are."""
    return to_bytes(text).decode("utf-8", "ignore")


def camel(text: str) -> str:
    """ToPascalCase: the letter behind a connector in upper case; of several connectors all but the last stay."""
    text = _valid(text)
    lead = _run(text, 0, _is_connector)
    if lead == len(text):
        return text + text[-1:]  # the library writes the last one twice
    out = [text[:lead]]
    current = text[lead]
    was_upper = is_upper(current)
    current = upper(current)
    for char in text[lead + 1 :]:
        previous, current = current, char
        if _is_connector(current) and _is_connector(previous):
            out.append(previous)
        elif _is_connector(previous):
            was_upper = is_upper(current)
            current = upper(current)
        else:
            if was_upper and is_upper(current):
                current = lower(current)
            else:
                was_upper = False
            out.append(previous)
    return "".join(out) + current


def title(text: str) -> str:
    """strings.Title: the letter behind what is no letter, digit or `_` (of ASCII), or behind a space (beyond)."""
    out, previous = [], " "
    for char in text:
        out.append(_title_of(char) if _is_separator(previous) else char)
        previous = char
    return "".join(out)


def _is_separator(char: str) -> bool:
    if char.isascii():
        return not (char.isalnum() or char == "_")
    if unicodedata.category(char)[0] == "L" or unicodedata.category(char) == "Nd":
        return False
    return char in GO_SPACE


def _title_of(char: str) -> str:
    return char.title() if len(char.title()) == 1 else char


def swap(text: str) -> str:
    """Case swapped; a lower-case letter at the start or behind a space becomes title case."""
    out, after_space = [], True
    for char in text:
        if is_upper(char) or unicodedata.category(char) == "Lt":
            out.append(lower(char))
            after_space = False
        elif is_lower(char):
            out.append(_title_of(char) if after_space else upper(char))
            after_space = False
        else:
            after_space = char in GO_SPACE
            out.append(char)
    return "".join(out)
