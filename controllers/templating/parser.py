"""Tokens → named templates, after Go's text/template/parse.

Functions must be known when parsing (a misspelt one is a parse error with its line), variables must be declared before
use and end with the block that declared them. Depth is bounded: a text is hostile until proven otherwise.
"""

from __future__ import annotations

from collections.abc import Container

from . import literals
from . import nodes as n
from .errors import ParseError
from .lexer import Lexer, T, Token

MAX_NESTING = 80
MAX_TEXT = 4 << 20
_OPERANDS = frozenset(
    (T.BOOL, T.CHARCONST, T.DOT, T.FIELD, T.IDENTIFIER, T.NUMBER, T.NIL, T.RAWSTRING, T.STRING, T.VARIABLE, T.LPAREN)
)
_NOT_EXECUTABLE = (n.Bool, n.Dot, n.Nil, n.Number, n.String)


def parse(
    text: str, *, name: str, functions: Container[str], delimiters: tuple[str, str] = ("{{", "}}")
) -> dict[str, list[n.Node]]:
    """Template name → its nodes; the main one under `name`. Raises ParseError."""
    if len(text) > MAX_TEXT:
        raise ParseError(f"template of {len(text)} characters; expected at most {MAX_TEXT}", name=name)
    tokens = Lexer(text, name=name, left=delimiters[0], right=delimiters[1]).run()
    parser = _Parser(tokens, name=name, functions=functions)
    try:
        parser.top()
    except RecursionError:
        raise parser.fail("nested too deeply") from None
    return parser.templates


class _Parser:
    def __init__(self, tokens: list[Token], *, name: str, functions: Container[str]) -> None:
        self.tokens = tokens
        self.name = name
        self.functions = functions
        self.templates: dict[str, list[n.Node]] = {}
        self.at = 0
        self.variables = ["$"]
        self.range_depth = 0
        self.depth = 0

    # --- tokens

    def fail(self, message: str) -> ParseError:
        return ParseError(message, name=self.name, line=self.tokens[min(self.at, len(self.tokens) - 1)].line)

    def unexpected(self, token: Token, context: str) -> ParseError:
        return self.fail(f"unexpected {token} in {context}")

    def peek(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.tokens[self.at]
        if token.type is not T.EOF:
            self.at += 1
        return token

    def skip_space(self) -> Token:
        """Steps over spaces and returns the token behind them, not consumed."""
        while self.peek().type is T.SPACE:
            self.at += 1
        return self.peek()

    def next_word(self) -> Token:
        self.skip_space()
        return self.next()

    # --- lists

    def top(self) -> None:
        root: list[n.Node] = []
        while self.peek().type is not T.EOF:
            if self.peek().type is T.LEFT:
                start = self.at
                self.next()
                word = self.next_word()
                if word.type is T.KEYWORD and word.value == "define":
                    self.definition()
                    continue
                self.at = start
            node = self.text_or_action()
            if isinstance(node, n.Mark):
                raise self.fail(f"unexpected {node}")
            root.append(node)
        self.add(self.name, root)

    def add(self, name: str, body: list[n.Node]) -> None:
        if _empty(body) and name in self.templates:
            return
        if name in self.templates and not _empty(self.templates[name]):
            raise self.fail(f'multiple definition of template "{name}"')
        self.templates[name] = body

    def definition(self) -> None:
        token = self.next_word()
        name = self.template_name(token, "define clause")
        if (closing := self.next_word()).type is not T.RIGHT:
            raise self.unexpected(closing, "define clause")
        self.body_of(name, "define clause")

    def body_of(self, name: str, context: str) -> None:
        outer, self.variables = self.variables, ["$"]
        loops, self.range_depth = self.range_depth, 0
        body, end = self.item_list()
        if end.kind != "end":
            raise self.fail(f"unexpected {end} in {context}")
        self.variables, self.range_depth = outer, loops
        self.add(name, body)

    def template_name(self, token: Token, context: str) -> str:
        if token.type not in (T.STRING, T.RAWSTRING):
            raise self.unexpected(token, context)
        return self.unquote(token)

    def item_list(self) -> tuple[list[n.Node], n.Mark]:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.fail("nested too deeply")
        items: list[n.Node] = []
        while self.skip_space().type is not T.EOF:
            node = self.text_or_action()
            if isinstance(node, n.Mark):
                self.depth -= 1
                return items, node
            items.append(node)
        raise self.fail("unexpected EOF")

    def text_or_action(self) -> n.Node:
        token = self.next_word()
        if token.type is T.TEXT:
            return n.Text(token.position, token.line, token.value)
        if token.type is T.LEFT:
            return self.action()
        raise self.unexpected(token, "input")

    def action(self) -> n.Node:
        token = self.skip_space()
        if token.type is not T.KEYWORD:
            return n.Action(token.position, token.line, self.pipeline("command", T.RIGHT))
        self.next()
        match token.value:
            case "if" | "with" | "range":
                return self.control(token)
            case "end":
                self.expect_right("end")
                return n.Mark(token.position, token.line, "end")
            case "else":
                return self.otherwise(token)
            case "template":
                return self.call(token)
            case "block":
                return self.block(token)
            case "break" | "continue":
                return self.jump(token)
        raise self.fail(f"unexpected {token} in command")

    def expect_right(self, context: str) -> None:
        if (token := self.next_word()).type is not T.RIGHT:
            raise self.unexpected(token, context)

    def otherwise(self, token: Token) -> n.Mark:
        following = self.skip_space()
        if following.type is T.KEYWORD and following.value in ("if", "with"):
            return n.Mark(token.position, token.line, "else", following.value)
        self.expect_right("else")
        return n.Mark(token.position, token.line, "else")

    def jump(self, token: Token) -> n.Node:
        self.expect_right(f"{{{{{token.value}}}}}")
        if self.range_depth == 0:
            raise self.fail(f"{{{{{token.value}}}}} outside {{{{range}}}}")
        return n.Jump(token.position, token.line, token.value)

    def control(self, token: Token) -> n.Node:
        kind, scope = token.value, len(self.variables)
        pipe = self.pipeline(kind, T.RIGHT)
        self.range_depth += kind == "range"
        body, end = self.item_list()
        self.range_depth -= kind == "range"
        alternative: list[n.Node] | None = None
        if end.kind == "else":
            if end.follows and end.follows == kind:
                alternative = [self.nested(self.next_word())]
            elif end.follows:
                raise self.fail(f"unexpected <{end.follows}> in else")
            else:
                alternative, end = self.item_list()
                if end.kind != "end":
                    raise self.fail(f"expected end; found {end}")
        del self.variables[scope:]
        return n.Branch(pipe.position, token.line, kind, pipe, body, alternative)

    def nested(self, token: Token) -> n.Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.fail("nested too deeply")
        node = self.control(token)
        self.depth -= 1
        return node

    def call(self, token: Token) -> n.Node:
        name = self.template_name(self.next_word(), "template clause")
        pipe = None
        if self.skip_space().type is T.RIGHT:
            self.next()
        else:
            pipe = self.pipeline("template clause", T.RIGHT)
        return n.Call(token.position, token.line, name, pipe)

    def block(self, token: Token) -> n.Node:
        name = self.template_name(self.next_word(), "block clause")
        pipe = self.pipeline("block clause", T.RIGHT)
        self.body_of(name, "block clause")
        return n.Call(token.position, token.line, name, pipe)

    # --- pipelines

    def pipeline(self, context: str, end: T) -> n.Pipe:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.fail("nested too deeply")
        start = self.skip_space()
        pipe = n.Pipe(start.position, start.line)
        self.declarations(pipe, context)
        while True:
            token = self.skip_space()
            if token.type is end:
                self.next()
                break
            if token.type not in _OPERANDS:
                raise self.unexpected(token, context)
            pipe.commands.append(self.command())
        self.check(pipe, context)
        self.depth -= 1
        return pipe

    def declarations(self, pipe: n.Pipe, context: str) -> None:
        while (token := self.skip_space()).type is T.VARIABLE:
            back = self.at
            self.next()
            following = self.skip_space()
            if following.type in (T.ASSIGN, T.DECLARE):
                self.next()
                pipe.assigns = following.type is T.ASSIGN
                self.declare(pipe, token)
                return
            if following.type is not T.CHAR or following.value != ",":
                self.at = back
                return
            self.next()
            self.declare(pipe, token)
            if context != "range" or len(pipe.declared) > 1:
                raise self.fail(f"too many declarations in {context}")
            if self.skip_space().type not in (T.VARIABLE, T.RIGHT, T.RPAREN):
                raise self.fail("range can only initialize variables")

    def declare(self, pipe: n.Pipe, token: Token) -> None:
        if pipe.assigns and token.value not in self.variables:
            raise self.fail(f'undefined variable "{token.value}"')
        pipe.declared.append(n.Variable(token.position, token.line, [token.value]))
        self.variables.append(token.value)

    def check(self, pipe: n.Pipe, context: str) -> None:
        if not pipe.commands:
            raise self.fail(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.args[0], _NOT_EXECUTABLE):
                raise self.fail(f"non executable command in pipeline stage {stage}")

    def command(self) -> n.Command:
        start = self.skip_space()
        command = n.Command(start.position, start.line)
        while True:
            self.skip_space()
            operand = self.operand()
            if operand is not None:
                command.args.append(operand)
            token = self.next()
            if token.type is T.SPACE:
                continue
            if token.type in (T.RIGHT, T.RPAREN):
                self.at -= 1
            elif token.type is not T.PIPE:
                raise self.unexpected(token, "operand")
            break
        if not command.args:
            raise self.fail("empty command")
        return command

    def operand(self) -> n.Node | None:
        node = self.term()
        if node is None or self.peek().type is not T.FIELD:
            return node
        first = self.peek()
        names = []
        while self.peek().type is T.FIELD:
            names.append(self.next().value[1:])
        if isinstance(node, n.Field | n.Variable):
            node.names.extend(names)
            node.position = first.position
            return node
        if isinstance(node, _NOT_EXECUTABLE):
            raise self.fail(f'unexpected . after term "{node}"')
        return n.Chain(first.position, first.line, node, names)

    def term(self) -> n.Node | None:
        token = self.skip_space()
        position, line = token.position, token.line
        if token.type not in _OPERANDS:
            return None
        self.next()
        match token.type:
            case T.IDENTIFIER:
                if token.value not in self.functions:
                    raise self.fail(f'function "{token.value}" not defined')
                return n.Identifier(position, line, token.value)
            case T.DOT:
                return n.Dot(position, line)
            case T.NIL:
                return n.Nil(position, line)
            case T.VARIABLE:
                if token.value not in self.variables:
                    raise self.fail(f'undefined variable "{token.value}"')
                return n.Variable(position, line, [token.value])
            case T.FIELD:
                return n.Field(position, line, [token.value[1:]])
            case T.BOOL:
                return n.Bool(position, line, token.value == "true")
            case T.LPAREN:
                return self.pipeline("parenthesized pipeline", T.RPAREN)
            case T.STRING | T.RAWSTRING:
                return n.String(position, line, token.value, self.unquote(token))
        return self.number(token)

    def number(self, token: Token) -> n.Number:
        try:
            if token.type is T.CHARCONST:
                code = literals.char_constant(token.value)
                return n.Number(token.position, token.line, token.value, code, float(code))
            integer, real = literals.number(token.value)
        except (ValueError, OverflowError) as error:
            text = "integer overflow" if "overflow" in str(error) else "illegal number syntax"
            raise self.fail(f'{text}: "{token.value}"') from None
        return n.Number(token.position, token.line, token.value, integer, real)

    def unquote(self, token: Token) -> str:
        try:
            return literals.unquote(token.value)
        except ValueError:
            raise self.fail(f"invalid syntax in string {token.value}") from None


def _empty(body: list[n.Node]) -> bool:
    return all(isinstance(node, n.Text) and not node.text.strip() for node in body)
