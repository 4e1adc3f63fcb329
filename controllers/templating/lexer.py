"""Template text → tokens, as Go's text/template lexes it.

Two modes: outside of delimiters all is text; inside, words. What is easily got wrong: a trim marker is a minus *and* a
space (`{{- `, ` -}}`), a comment must fill its action, and a word must end at a terminator (`{{.x!}}` is an error).
Positions are offsets into the text; lines count from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from .errors import ParseError


class T(Enum):
    """Token types. The value of a keyword's token is the keyword."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    LPAREN = auto()
    RPAREN = auto()
    PIPE = auto()
    DECLARE = auto()
    ASSIGN = auto()
    CHAR = auto()
    BOOL = auto()
    CHARCONST = auto()
    NUMBER = auto()
    STRING = auto()
    RAWSTRING = auto()
    DOT = auto()
    FIELD = auto()
    VARIABLE = auto()
    IDENTIFIER = auto()
    KEYWORD = auto()
    NIL = auto()
    EOF = auto()


@dataclass(frozen=True, slots=True)
class Token:
    type: T
    value: str
    position: int
    line: int

    def __str__(self) -> str:
        if self.type is T.EOF:
            return "EOF"
        if self.type is T.KEYWORD:
            return f"<{self.value}>"
        return f'"{self.value[:10]}"...' if len(self.value) > 10 else f'"{self.value}"'


KEYWORDS = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"),
)
_SPACES = " \t\r\n"
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]+)?|0[oO][0-7_]*|0[bB][01_]*"
    r"|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?|\.[0-9_]+(?:[eE][+-]?[0-9_]+)?)"
)
_WORD = re.compile(r"\w*")


class Lexer:
    """One pass over one text."""

    def __init__(self, text: str, *, name: str, left: str = "{{", right: str = "}}") -> None:
        self.text = text
        self.name = name
        self.left = left or "{{"
        self.right = right or "}}"
        self.tokens: list[Token] = []
        self.at = 0
        self._line = 1
        self._counted = 0

    def run(self) -> list[Token]:
        """All tokens, EOF last. Raises ParseError."""
        while self._text():
            self._action()
        self._emit(T.EOF, "", self.at)
        return self.tokens

    def line_at(self, position: int) -> int:
        """Line of an offset; offsets must not go down, so that the whole text is counted once."""
        if position > self._counted:
            self._line += self.text.count("\n", self._counted, position)
            self._counted = position
        return self._line

    def _emit(self, kind: T, value: str, position: int) -> None:
        self.tokens.append(Token(kind, value, position, self.line_at(position)))

    def _fail(self, message: str) -> ParseError:
        return ParseError(message, name=self.name, line=self.line_at(max(self.at, self._counted)))

    def _text(self) -> bool:
        """Text up to the next action, whose left delimiter it consumes. False at the end of input."""
        start = self.at
        found = self.text.find(self.left, start)
        if found < 0:
            if start < len(self.text):
                self._emit(T.TEXT, self.text[start:], start)
            self.at = len(self.text)
            return False
        after = found + len(self.left)
        trims = self.text[after : after + 1] == "-" and self.text[after + 1 : after + 2] in tuple(_SPACES)
        body = self.text[start:found]
        body = body.rstrip(_SPACES) if trims else body
        if body:
            self._emit(T.TEXT, body, start)
        self.at = after + (2 if trims else 0)
        if self.text.startswith("/*", self.at):
            self._comment()
            return True
        self._emit(T.LEFT, self.left, found)
        return True

    def _comment(self) -> None:
        end = self.text.find("*/", self.at + 2)
        if end < 0:
            raise self._fail("unclosed comment")
        self.at = end + 2
        closing, trims = self._right_delimiter()
        if not closing:
            raise self._fail("comment ends before closing delimiter")
        self._close(trims)

    def _right_delimiter(self) -> tuple[bool, bool]:
        """(stands a right delimiter here, does it trim)."""
        here = self.text[self.at : self.at + 2]
        if len(here) == 2 and here[0] in _SPACES and here[1] == "-" and self.text.startswith(self.right, self.at + 2):
            return True, True
        return self.text.startswith(self.right, self.at), False

    def _close(self, trims: bool) -> None:
        self.at += len(self.right) + (2 if trims else 0)
        if trims:
            while self.at < len(self.text) and self.text[self.at] in _SPACES:
                self.at += 1

    def _action(self) -> None:
        """The words between delimiters. Returns behind the right delimiter. A comment has already consumed its own."""
        if not self.tokens or self.tokens[-1].type is not T.LEFT:
            return
        parens = 0
        while True:
            closing, trims = self._right_delimiter()
            if closing:
                if parens:
                    raise self._fail("unclosed left paren")
                self._emit(T.RIGHT, self.right, self.at)
                self._close(trims)
                return
            if self.at >= len(self.text):
                raise self._fail("unclosed action")
            parens += self._word(self.text[self.at])
            if parens < 0:
                raise self._fail("unexpected right paren")

    def _word(self, char: str) -> int:
        """One token. Returns the change of the depth of parentheses."""
        start = self.at
        if char in _SPACES:
            while self.at < len(self.text) and self.text[self.at] in _SPACES and not self._right_delimiter()[0]:
                self.at += 1
            self._emit(T.SPACE, self.text[start : self.at], start)
        elif char in "()":
            self._one(T.LPAREN if char == "(" else T.RPAREN)
            return 1 if char == "(" else -1
        elif char == "|":
            self._one(T.PIPE)
        elif char == "=":
            self._one(T.ASSIGN)
        elif char == ":":
            if not self.text.startswith(":=", start):
                raise self._fail("expected :=")
            self.at += 2
            self._emit(T.DECLARE, ":=", start)
        elif char in "\"'`":
            self._quoted(char)
        elif char == "$" or (char == "." and not self.text[start + 1 : start + 2].isdigit()):
            self._field_or_variable(char)
        elif char in "+-." or "0" <= char <= "9":
            self._number()
        elif char.isalnum() or char == "_":
            self._identifier()
        elif " " < char <= "~":
            self._one(T.CHAR)
        else:
            raise self._fail(f"unrecognized character in action: U+{ord(char):04X}")
        return 0

    def _one(self, kind: T) -> None:
        self._emit(kind, self.text[self.at], self.at)
        self.at += 1

    def _quoted(self, quote: str) -> None:
        start = self.at
        self.at += 1
        what = {'"': "quoted string", "'": "character constant", "`": "raw quoted string"}[quote]
        while True:
            char = self.text[self.at : self.at + 1]
            if char == "" or (char == "\n" and quote != "`"):
                raise self._fail(f"unterminated {what}")
            self.at += 2 if char == "\\" and quote != "`" else 1
            if char == quote:
                break
        kind = {'"': T.STRING, "'": T.CHARCONST, "`": T.RAWSTRING}[quote]
        self._emit(kind, self.text[start : self.at], start)

    def _at_terminator(self) -> bool:
        char = self.text[self.at : self.at + 1]
        return char == "" or char in " \t\r\n.,|:()" or self.text.startswith(self.right, self.at)

    def _field_or_variable(self, char: str) -> None:
        start = self.at
        self.at += 1
        if self._at_terminator():
            self._emit(T.VARIABLE if char == "$" else T.DOT, char, start)
            return
        self._scan_word()
        self._emit(T.VARIABLE if char == "$" else T.FIELD, self.text[start : self.at], start)

    def _scan_word(self) -> None:
        found = _WORD.match(self.text, self.at)
        self.at = found.end() if found else self.at
        if not self._at_terminator():
            bad = self.text[self.at]
            raise self._fail(f"bad character U+{ord(bad):04X} '{bad}'")

    def _identifier(self) -> None:
        start = self.at
        self._scan_word()
        word = self.text[start : self.at]
        if word in KEYWORDS:
            kind = T.KEYWORD
        elif word == "nil":
            kind = T.NIL
        else:
            kind = T.BOOL if word in ("true", "false") else T.IDENTIFIER
        self._emit(kind, word, start)

    def _number(self) -> None:
        start = self.at
        found = _NUMBER.match(self.text, start)
        self.at = found.end() if found else start + 1
        rest = self.text[self.at : self.at + 1]
        if found is None or rest.isalnum() or rest == "_":
            raise self._fail(f'bad number syntax: "{self.text[start : self.at + 1]}"')
        self._emit(T.NUMBER, self.text[start : self.at], start)
