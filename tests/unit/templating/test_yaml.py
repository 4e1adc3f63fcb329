"""`toYaml` and `fromYaml`. Expected texts are what `kubectl … -o yaml` writes: the same writer as upstream's."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.templating.errors import FunctionError
from controllers.templating.goyaml import from_yaml, load_texts
from controllers.templating.goyaml_write import to_yaml

_NO_JSON = "error converting YAML to JSON: "
_NOT_A_MAP = (
    "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type "
    "map[string]interface {}"
)
WRITTEN = {
    "true": '"true"', "y": '"y"', "yEs": "yEs", "": '""', "null": '"null"', "~": '"~"', "1": '"1"', "1_0": '"1_0"',
    "1e3": '"1e3"', "0x1F": '"0x1F"', "0b12": "0b12", "089": '"089"', "1:30": '"1:30"', ".5": '".5"', "1.": '"1."',
    "2026-01-01": '"2026-01-01"', "2026-13-01": "2026-13-01", "2026-01-01T10:00:00Z": '"2026-01-01T10:00:00Z"',
    "<<": "<<", "=": "=", "- x": "'- x'", "a: b": "'a: b'", "#c": "'#c'", " a": "' a'", "it's": "it's",
    "\t": r'"\t"', "é": "é", "😀": r'"\U0001F600"', "\x85": r'"\x85"', "a\nb": "|-\n  a\n  b", "a\nb\n": "|\n  a\n  b",
    "\na": "|2-\n\n  a", "a \nb": r'"a \nb"', "word " * 20: "'" + "word " * 15 + "word\n  word word word word '",
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_texts_are_written_so_that_go_reads_texts(text: str) -> None:
    expected = WRITTEN[text].replace("\\x85", "\\N")
    assert to_yaml({"k": text}) == f"k: {expected}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a10": 1, "a2": 2, "b": 3, "_": 4, "1": 5}, 'a2: 2|a10: 1|b: 3'),
        ([1.0, 1.5, 1e21, 1e20, 1e-7, 12345678.5, True, None],
         "- 1|- 1.5|- 1e+21|- 1e+20|- 1e-07|- 1.23456785e+07|- true|- null"),
        ({"": {}, "l": [], "n": [[1, [2]], {"a": "b"}]}, '"": {}|l: []|"n":|- - 1|  - - 2|- a: b'),
        (float("inf"), ""),
        ({"k": "\x7f"}, ""),
    ],
)  # fmt: skip
def test_numbers_keys_and_nesting_are_gos(value: Any, text: str) -> None:
    written = to_yaml(value).replace("\n", "|")
    assert written == text or written.endswith(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: y", {"a": True}), ("a: Off", {"a": False}), ("a: yEs", {"a": "yEs"}), ("a: 1:30", {"a": "1:30"}),
        ("a: 0o7", {"a": 7.0}), ("a: 010", {"a": 8.0}), ("a: 089", {"a": 89.0}), ("a: 0x1F", {"a": 31.0}),
        ("a: 1_000", {"a": 1000.0}), ("a: 1e3", {"a": 1000.0}), ("a: 1e400", {"a": "1e400"}), ("a: =", {"a": "="}),
        ("a: <<", {"a": "<<"}), ("a: 2026-01-01", {"a": "2026-01-01"}), ("a: ~", {"a": None}), ("a:", {"a": None}),
        ("1: x\ntrue: z", {"1": "x", "true": "z"}), ("1.5: x", {"1.5": "x"}), ("a: '1'", {"a": "1"}),
        ("a: !!str 1", {"a": "1"}), ("- 1", {"Error": _NOT_A_MAP}),
        ("a: .inf", {"Error": f"{_NO_JSON}json: unsupported value: +Inf"}),
        ("? [a]\n: b", {"Error": f'{_NO_JSON}yaml: invalid map key: []interface {{}}{{"a"}}'}),
        ("a: &x 1\nb: *x", {"a": 1.0, "b": 1.0}), ("", {}),
        ("a: &m {p: 1, q: 2}\nb: {<<: *m, q: 3}", {"a": {"p": 1.0, "q": 2.0}, "b": {"p": 1.0, "q": 3.0}}),
        ("a: {<<: [{p: 1}, {p: 2, q: 3}]}", {"a": {"p": 1.0, "q": 3.0}}),
        ("a: b\t# note\n", {"a": "b"}), ("a: 1\n---\n- [broken", {"a": 1.0}),
        ("a: b\n c: d", {"Error": f"{_NO_JSON}yaml: line 2: mapping values are not allowed in this context"}),
        ('a: "x\\/y"', {"Error": f"{_NO_JSON}yaml: found unknown escape character"}),
        ("a: !!int '7'", {"a": 7.0}), ("a: !!binary aGk=", {"a": "hi"}), ("a: &x {b: *x}",
         {"Error": f"{_NO_JSON}yaml: anchor 'x' value contains itself"}),
    ],
)  # fmt: skip
def test_plain_texts_are_read_as_go_reads_them(text: str, value: dict[str, Any]) -> None:
    found = from_yaml(text)
    assert found == value
    assert [type(one) for one in found.values()] == [type(one) for one in value.values()]


def test_what_is_written_is_read_again() -> None:
    words = [*WRITTEN, "a\r\nb", "\\", '"q"', "x" * 300, "\u2028", "-", "---", "[a", "a,b"]
    words.remove("\x85")
    assert from_yaml(to_yaml({f"k{at}": word for at, word in enumerate(words)})) == {
        f"k{at}": word for at, word in enumerate(words)
    }


TEXTS = {
    "a: 8080": "8080", "a: true": "true", "a: Off": "false", "a: 1.10": "1.1", "a: 0x1f": "31", "a: 0644": "420",
    "a: 1_000": "1000", "a: 1e21": "1e+21", "a: ~": "", "a: '8080'": "8080", "a: 2026-01-01": "2026-01-01",
    "a: .5": "0.5", "a: +7": "7", "a: 12345678901": "12345678901", "a: .inf": "+Inf", "a: &x v\nb: *x": "v",
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_scalar_becomes_the_text_that_upstreams_library_makes_of_it(text: str) -> None:
    loaded = load_texts(text)
    assert loaded is not None and loaded["a"] == TEXTS[text]


@pytest.mark.parametrize(
    "text", ["b: x\na: 001234567012", "b: x\na: 012345678981", "b: x\na: 3.14159265358979", "b: x\na: [1]",
             "b: x\na: {c: d}", "b: x\na: 123456789012345678901234567890"]
)  # fmt: skip
def test_a_scalar_that_would_be_corrupted_is_refused_by_its_number(text: str) -> None:
    with pytest.raises(FunctionError, match="value 2 of the map") as caught:
        load_texts(text)
    assert "1234" not in str(caught.value) and "3.14" not in str(caught.value)


def test_aliases_count_against_the_nodes_after_they_are_expanded() -> None:
    doubling = "a0: &a0 [x, x]\n" + "".join(f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}]\n" for at in range(1, 40))
    assert "excessive aliasing" in from_yaml(doubling)["Error"]
    small = "a0: &a0 [x, x]\n" + "".join(f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}]\n" for at in range(1, 8))
    assert "Error" not in from_yaml(small)
