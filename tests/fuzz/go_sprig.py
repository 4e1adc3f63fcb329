"""External Secrets' template functions as a Go program over their own modules: built in a temporary folder, asked in
JSON lines. Cases are drawn here; what they come to is for the two sides to agree on."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
_MODULES = (
    "github.com/Masterminds/sprig/v3@v3.3.0",
    "github.com/huandu/xstrings@v1.5.0",
    "github.com/spf13/cast@v1.10.0",
    "sigs.k8s.io/yaml@v1.6.0",
)
_PROGRAM = """
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

type question struct {
	Template string
	Data     map[string]string
	Texts    bool
}

type answer struct {
	Output []byte
	Texts  map[string]string
	Failed bool
}

func render(q question) (a answer) {
	defer func() {
		if recover() != nil {
			a = answer{Failed: true}
		}
	}()
	if q.Texts {
		if err := yaml.Unmarshal([]byte(q.Data["v"]), &a.Texts); err != nil {
			return answer{Failed: true}
		}
		return a
	}
	functions := sprig.TxtFuncMap()
	functions["toYaml"] = func(v any) string {
		out, err := yaml.Marshal(v)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(out), "\\n")
	}
	functions["fromYaml"] = func(text string) map[string]any {
		out := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &out); err != nil {
			out["Error"] = err.Error()
		}
		return out
	}
	parsed, err := template.New("t").Option("missingkey=error").Funcs(functions).Parse(q.Template)
	if err != nil {
		return answer{Failed: true}
	}
	var out strings.Builder
	if err := parsed.Execute(&out, q.Data); err != nil {
		return answer{Failed: true}
	}
	return answer{Output: []byte(out.String())}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			panic(err)
		}
		line, _ := json.Marshal(render(q))
		fmt.Println(string(line))
	}
}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A template over `data`, or with `texts` the YAML `data["v"]` read into a map of texts."""

    template: str
    data: dict[str, str]
    texts: bool = False


Answer = str | dict[str, str] | None
"""What a case comes to; None for an error."""


def build(directory: Path) -> Path:
    """The program. Skips the test where Go is missing or its modules cannot be had."""
    if GO is None:
        pytest.skip("needs Go, to build the original's libraries")
    (directory / "main.go").write_text(_PROGRAM)
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    for command in (["mod", "init", "engine"], ["get", *_MODULES], ["mod", "tidy"], ["build", "-o", "engine", "."]):
        done = subprocess.run(
            [GO, *command], cwd=directory, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        if done.returncode:
            pytest.skip(f"go {command[0]} failed: {done.stderr.strip()[-200:]}")
    return directory / "engine"


def ask(program: Path, cases: list[Case]) -> list[Answer]:
    lines = "".join(
        json.dumps({"Template": case.template, "Data": case.data, "Texts": case.texts}) + "\n" for case in cases
    )
    done = subprocess.run([program], input=lines.encode(), capture_output=True, timeout=900, check=True)
    out: list[Answer] = []
    for line in done.stdout.splitlines():
        found = json.loads(line)
        if found["Failed"]:
            out.append(None)
        elif found["Texts"] is not None:
            out.append(found["Texts"])
        else:
            out.append(base64.b64decode(found["Output"] or "").decode("utf-8", "surrogateescape"))
    # Go's nil map and its empty text are both null in JSON
    return [({} if case.texts and answer == "" else answer) for case, answer in zip(cases, out, strict=True)]


# --- what is drawn

_CASES = """
    snakecase kebabcase camelcase title untitle swapcase upper lower initials nospace
""".split()  # noqa: SIM905
_UNARY = "int int64 float64 atoi toDecimal add1 add1f ceil floor".split()  # noqa: SIM905
_BINARY = "add sub mul div mod max min addf subf mulf divf maxf minf".split()  # noqa: SIM905
_PARTS = """
    s3 Bucket name HTTP Server v2 api K8s token 2fa x509 ID id db 1 007 A b ABC abc . _ - -- __ @ / : é ü Ö ß Ǆ ǅ 密 ٣ ½
    ' " + = $ I i ŉ ﬁ İ ı ª Ⅷ ⅷ
""".split()  # noqa: SIM905
_PARTS += [" ", "  ", "\t", "\u00a0", "\u2028"]
_NUMBERS = """
    0 -0 +0 1 -1 +5 007 0755 08 0x1F 0X1f 0b101 0o17 0B2 1_000 1__0 _1 1_ 0x_1 0_7 1.5 -1.5 .5 5. - + . 1e3 1e-7 1E+5
    1e400 1e21 9223372036854775807 9223372036854775808 -9223372036854775808 99999999999999999999 0x1p-2 0x1.8p1 inf -Inf
    infinity NaN nan 3.999 12.0 0755.0 1.0e0 1_0.5 0.1 0.2 123456789.123456789 4.35 2.675 1e15 x true
""".split()  # noqa: SIM905
_NUMBERS += ["", " 1", "1 ", "1\n", "٣"]
_PATTERNS = [
    "", "a", "a*", "b+", "x*", "(a)(b)?", "^", "$", "^a", "b$", r"\b", "[a-c]", "[^a]", ".", r"\s+", r"\d", "(?i)A",
    "(?m)^a", "(?s).", "a|b", "(a|b)*", "a{2}", "a{1,}?", r"\pL", r"\w+", "(?P<n>a)", "é", "[é-ü]", "(", "[", "*",
    r"\C", r"\Qa.b\E", r"\x41", r"\z", "(?!x)", "a**", r"(?:a)+", "(a)|b", r"\.", "b*?", r"\Ba",
]  # fmt: skip
_TEXTS = [
    "",
    "a",
    "aab",
    "abc ABC",
    "a.b",
    "aaaa",
    "éü",
    "foo@bar.com",
    "x\ny\nz",
    "A1 b2",
    "ab" * 5,
    "baab",
    " a ",
    "日本",
]
_REPLACEMENTS = ["", "x", "$1", "${1}x", "$1x", "$0", "[$0]", "$$", "${n}", "$n", "\\1", "$", "${", "${1", "$2$1", "é"]
_DURATIONS = [
    "1h2m3s",
    "90m",
    "-5s",
    "0",
    "1.5h",
    ".5s",
    "1",
    "h",
    "1d",
    "26h",
    "9000h",
    "100ms",
    "1us",
    "1µs",
    "5ns",
    "1h1h",
    "1s500ms",
    "-1.5m",
    "+3s",
    "1.s",
    "8760h",
    "400000h",
]
_URLS = """
    http https amqp jdbc mysql : :// // / /// @ u u:p u:p%40 h H.dev é.dev h:80 h:x [::1] [::1]:80 [fe80::1%25en0] [a]
    [1.2.3.4] a,b:1 a:1,b:2 /p /%2F /a%20b /ü ?q=1 ? ?a=b&c=%zz # #f #f%20g #é %zz %41 * ; , & = + ~ < > " ^ | `
""".split()  # noqa: SIM905
_URLS += [" ", "\x01", "\x7f"]
_KEYS = "a b c yes 1 1.5 0x1F true null ~ <<  'q' \"d\" .inf 0o7 2026-01-01".split()  # noqa: SIM905
_SCALARS = """
    a true True yes No on OFF y n null ~ Null 0 1 -1 +5 010 08 0x1F 0X1f 0b11 0o17 1_000 1__0 _1 1. .5 -.5 1.50 1e3 1e21
    1E5 1e400 .inf -.Inf +.INF .nan .NaN 12:30 1:30:15 2026-01-02 2026-1-2 2026-13-01 2026-01-02T03:04:05Z 0.1 3.25
    123456789 12345678901 9007199254740993 18446744073709551615 -9223372036854775808 'x' '5' "5" "a\\nb" "\\u00e9"
    "\\x41" "\\q" "\\/" <<  = - -- --- ... ? a:b a#b #c @x `x %x &x *x &q *q !x !!str !!int !!x {} [] {a:1} [1] | >
    |- é 😀 "😀" 'it''s' 1e-7 0.30000000000000004 100000000000000000000000 0x 0b 0o8 1,5 5e48573 5e4857 1e5
""".split()  # noqa: SIM905
_SCALARS += [
    "", "!!str 5", "!!int '5'", "!!int x", "!!float 1", "!!bool yes", "!!null ''", "!!binary aGk=", "!!binary =",
    "!f x", "&q v", "a b", "a: b", "a\t# c", "a # c", "{p: 1, q: [2, x]}", "[1, {a: b}, ]", "&m {p: 1}",
    "{<<: *m, r: 2}",
    "|\n  x\n  y", ">-\n  x\n  y\n\n  z", "\n  - 1\n  - x", "\n  n: 1\n  o: {z: y}", "'a\n  b'", '"a\\\n  b"', "\tx",
    "- x", "\x7f", "\u2028x", "\ufeffx", '"a\\ud800"',
]  # fmt: skip


class Drawer:
    """Cases of one kind. Deterministic by seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, options: list[str]) -> str:
        return self.random.choice(options)

    def words(self, options: list[str], most: int) -> str:
        return "".join(self.pick(options) for _ in range(self.random.randint(0, most)))

    def name(self) -> Case:
        function = self.pick(_CASES)
        return Case(f"{{{{ {function} .v }}}}", {"v": self.words(_PARTS, 6)})

    def number(self) -> Case:
        one = self.pick(_UNARY)
        two = self.pick(_BINARY)
        data = {"v": self.pick(_NUMBERS), "w": self.pick(_NUMBERS)}
        call = self.pick([f"{one} .v", f"{two} .v .w", f"{two} (float64 .v) .w", f"{two} (int .v) (float64 .w)",
                          "round .v 2", f"{one} ({two} .v .w)" if one not in ("atoi",) else "atoi .v"])  # fmt: skip
        return Case(f"{{{{ {call} }}}} {{{{ kindOf ({call}) }}}}", data)

    def regex(self) -> Case:
        limit = self.random.randint(-1, 3)
        call = self.pick([
            "regexMatch .p .t", f"regexFindAll .p .t {limit} | toJson", "regexFind .p .t", "regexReplaceAll .p .t .r",
            "regexReplaceAllLiteral .p .t .r", f"regexSplit .p .t {limit} | toJson", "regexQuoteMeta .p",
        ])  # fmt: skip
        data = {"p": self.pick(_PATTERNS), "t": self.pick(_TEXTS), "r": self.pick(_REPLACEMENTS)}
        return Case(f"{{{{ {call} }}}}", data)

    def url(self) -> Case:
        if self.random.random() < 0.3:
            call = self.pick(["duration .v", "durationRound .v", "duration (int64 .v)", "durationRound (int64 .v)"])
            return Case(f"{{{{ {call} }}}}", {"v": self.pick(_DURATIONS + _NUMBERS)})
        whole = self.pick(["http://", "amqp://", "", "//", "jdbc:"]) + self.words(_URLS, 5)
        call = self.pick(["urlParse .v | toJson", "urlParse .v | urlJoin"])
        return Case(f"{{{{ {call} }}}}", {"v": whole})

    def yaml(self) -> Case:
        lines = [f"{self.pick(_KEYS)}: {self.pick(_SCALARS)}" for _ in range(self.random.randint(1, 3))]
        text = "\n".join(lines) + self.pick(["", "\n", "\n---\nx: y\n", "\n...\n"])
        roll = self.random.random()
        if roll < 0.4:
            return Case("", {"v": text}, texts=True)
        return Case("{{ .v | fromYaml | %s }}" % ("toYaml" if roll < 0.6 else "toJson"), {"v": text})
