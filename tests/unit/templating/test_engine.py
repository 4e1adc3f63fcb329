"""Go's text/template: the same text, the same errors, within a budget and without a value in any message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.templating import (
    BudgetExceededError,
    ExecutionError,
    Ordered,
    ParseError,
    StringMap,
    Struct,
    Template,
    TemplateError,
)
from tests.fuzz.go_templates import DATA

from .oracle import KUBECTL, kubectl_render

FIXED = [
    "{{.x.s}} {{.x.n}} {{.x.f}} {{.x.t}} {{.x.nil}} {{.x.missing}} {{.x.l}} {{.x.m}} {{.x.mix}}",
    "a {{- .x.s }} b {{ .x.s -}} c {{/* comment */}}d",
    "{{range $i, $e := .x.l}}{{if $i}}, {{end}}{{$i}}={{$e}}{{end}}",
    "{{range $k, $v := .x.m}}{{$k}}={{$v}};{{end}}{{range .x.el}}x{{else}}none{{end}}",
    "{{range .x.l}}{{if eq . \"q\"}}{{continue}}{{end}}{{.}}{{end}}",
    "{{range .x.l}}{{if eq . \"q\"}}{{break}}{{end}}{{.}}{{end}}",
    "{{with .x.m}}{{.a}}{{else}}no{{end}}{{with .x.em}}x{{else with .x.s}}{{.}}{{end}}",
    "{{if .x.e}}a{{else if .x.z}}b{{else}}c{{end}}{{if and .x.t (gt .x.n 3)}}yes{{end}}",
    "{{$a := 1}}{{if true}}{{$a = 2}}{{end}}{{$a}}{{$b := .x.m}}{{$b.a}}",
    '{{define "T"}}[{{.}}]{{end}}{{template "T" .x.s}}{{block "B" .x.n}}<{{.}}>{{end}}',
    '{{printf "%5d|%-5s|%q|%v|%x|%05.1f|%t|%%|%c" .x.n .x.s .x.u .x.l .x.s .x.f .x.t 65}}',
    '{{printf "%d %s" .x.s 5}} {{printf "%[2]v %[1]v" 1 2}} {{printf "%*d" 5 42}} {{printf "%v"}} {{printf "a" 1}}',
    "{{html .x.h}} {{js .x.h}} {{urlquery .x.h}} {{.x.h | html | len}}",
    "{{index .x.l 1}} {{index .x.m \"c\" 0}} {{slice .x.s 1 3}} {{len .x.u}} {{not .x.no}}",
    "{{eq .x.n 5}} {{eq .x.s \"a\" \"text\"}} {{ne .x.n 4}} {{lt 1 2}} {{le 2 2}} {{ge \"b\" \"a\"}}",
    "{{and 1 0 2}} {{or 0 \"\" \"x\"}} {{print 1 2 \"a\" \"b\" 3}} {{println .x.s 1}}",
    "{{.x.big}} {{1e6}} {{0x1F}} {{'a'}} {{1_000}} {{-0.5}} {{1e100}}",
    "{{(index .x.mix 4).k}} {{(.x.m).a}} {{$.x.s}}",
    "{{.x.s.deep}}", "{{index .x.l 9}}", "{{lt 1 \"a\"}}", "{{len 3}}", "{{nope}}", "{{.x.s",
    "{{end}}", "{{if}}x{{end}}", "{{$u}}", "{{template \"absent\"}}", "{{.x.nil.deep}}", "{{1 | 2}}", "{{break}}",
    "{{range $a, $b, $c := .x.l}}{{end}}", "{{.x.s!}}", "{{\"a\nb\"}}", "{{else}}", "{{define \"x\"}}",
]  # fmt: skip


def render(text: str, data: Any = None, **options: Any) -> str:
    return Template.parse(text, name="t").render({} if data is None else data, **options)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl, the oracle, is not on PATH")
@pytest.mark.parametrize("text", FIXED)
def test_the_fixed_templates_render_as_kubectl_renders_them(text: str, tmp_path: Path) -> None:
    try:
        ours: str | None = render(text, {"x": DATA}, missing_key="default")
    except TemplateError:
        ours = None
    assert ours == kubectl_render(tmp_path, text, DATA)


def test_an_integer_is_ranged_over_as_go_1_24_does() -> None:
    assert render("{{range 3}}{{.}}{{end}}{{range $i := .n}}{{$i}}{{else}}none{{end}}", {"n": -1}) == "012none"
    with pytest.raises(ExecutionError):
        render("{{range $i, $e := 3}}{{end}}")


def test_a_missing_key_is_an_error_or_no_value_as_asked() -> None:
    with pytest.raises(ExecutionError) as caught:
        render("a\nb {{ .user }}", {"password": "canary"})
    assert str(caught.value) == 'template: t:2:5: executing "t" at <.user>: map has no entry for key "user"'
    assert (caught.value.line, caught.value.column) == (2, 5)
    assert render("{{.user}}", {}, missing_key="default") == "<no value>"


def test_no_error_holds_a_value() -> None:
    data = {"v": "canary", "l": ["canary"], "n": 5}
    for text in (
        "{{ .v.x }}", "{{ index .v 99 }}", "{{ lt .v 1 }}", "{{ len .n }}", "{{ range .v }}{{end}}", "{{ .l.x }}",
        "{{ call .v }}", "{{ slice .v 9 }}", "{{ template .v }}", "{{ printf .n }}",
    ):  # fmt: skip
        with pytest.raises(TemplateError) as caught:
            render(text, data)
        assert "canary" not in str(caught.value) + repr(caught.value)


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(ParseError) as caught:
        Template.parse("ok\n{{ nosuch . }}", name="t")
    assert str(caught.value) == 'template: t:2: function "nosuch" not defined'


@pytest.mark.parametrize(
    "text",
    [
        "{{range 100000000}}{{end}}",
        '{{define "r"}}{{template "r" .}}{{end}}{{template "r" .}}',
        '{{$x := "aaaaaaaaaa"}}{{range 30}}{{$x = print $x $x}}{{end}}',
        "{{range 1000}}{{range 1000}}{{range 1000}}x{{end}}{{end}}{{end}}",
        '{{printf "%999999d%999999d%999999d%999999d%999999d" 1 2 3 4 5 | len}}',
    ],
)
def test_work_without_end_is_cut_off(text: str) -> None:
    with pytest.raises(BudgetExceededError):
        render(text)


def test_deep_nesting_is_a_parse_error() -> None:
    for text in ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "{{if 1}}" * 5000 + "{{end}}" * 5000):
        with pytest.raises(ParseError):
            Template.parse(text, name="t")


def test_other_delimiters_leave_braces_alone() -> None:
    assert Template.parse("[[ .a ]]{{ .a }}", name="t", delimiters=("[[", "]]")).render({"a": 1}) == "1{{ .a }}"


def test_bytes_that_are_not_text_pass_through_unharmed() -> None:
    raw = bytes(range(256))
    data = StringMap(v=raw.decode("utf-8", "surrogateescape"))
    template = Template.parse("<{{ .v }}>{{ len .v }}", name="t")
    assert template.render_bytes(data) == b"<" + raw + b">256"


def test_a_string_map_yields_the_empty_string_for_an_absent_index() -> None:
    assert render('[{{ index . "x" }}]', StringMap()) == "[]"


def test_structs_show_fields_methods_and_their_text() -> None:
    policy = Struct({"Name": "p"}, text="ns/p", type_name="Policy", methods={"Upper": lambda: "P"})
    assert render("{{.}} {{.Name}} {{.Upper}}", policy) == "ns/p p P"
    keys = {Struct({"Kind": kind}): number for number, kind in enumerate(("b", "a"))}
    assert render("{{range $k, $v := .}}{{$k.Kind}}{{$v}}{{end}}", keys) == "a1b0"
    with pytest.raises(ExecutionError, match="can't evaluate field Nope in type Policy"):
        render("{{.Nope}}", policy)
    assert render("{{range $k, $_ := .}}{{$k}}{{end}}", Ordered(b=1, a=2)) == "ba"


@given(st.text(alphabet="{}().|$x= \n\"`'-/*#%01,:ifendrangewith", max_size=80))
def test_no_text_crashes_the_parser_or_the_evaluator(text: str) -> None:
    for candidate in (text, "{{" + text + "}}"):
        try:
            render(candidate, {"x": [1, {"a": None}]}, missing_key="default")
        except TemplateError:
            continue
