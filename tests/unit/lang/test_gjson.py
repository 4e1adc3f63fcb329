"""gjson paths: what the reference (tidwall/gjson 1.18) answers on the same document."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.external_secrets.values.errors import EntryError
from controllers.external_secrets.values.extract import extract, select
from controllers.lang.gjson.path import lookup, text_of

DOCUMENT = """{
  "name": {"first": "Tom", "last": "Anderson"},
  "age": 37, "big": 12345678901234567890, "sci": 1e3, "neg": -0.5,
  "children": ["Sara", "Alex", "Jack"],
  "fav.movie": "Deer Hunter",
  "odd": {"a*b": 1, "x|y": 2, "": 3},
  "friends": [
    {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"]},
    {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"]},
    {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"]}
  ],
  "t": true, "f": false, "nil": null, "esc": "a\\u00e9\\n\\"b\\"",
  "dup": 1, "dup": 2,
  "raw": { "k" :  [1, 2 ] }
}"""

ANSWERS = {
    "name.last": "Anderson",
    "age": "37",
    "big": "12345678901234567890",
    "sci": "1000",
    "neg": "-0.5",
    "children": '["Sara", "Alex", "Jack"]',
    "children.#": "3",
    "children.1": "Alex",
    "child*.2": "Jack",
    "c?ildren.0": "Sara",
    "fav\\.movie": "Deer Hunter",
    "odd.a\\*b": "1",
    "odd.x\\|y": "2",
    "friends.#.first": '["Dale","Roger","Jane"]',
    "friends.1.last": "Craig",
    'friends.#(last=="Murphy").first': "Dale",
    'friends.#(last=="Murphy")#.first': '["Dale","Jane"]',
    "friends.#(age>45)#.last": '["Craig","Murphy"]',
    'friends.#(first%"D*").last': "Murphy",
    'friends.#(first!%"D*").last': "Craig",
    'friends.#(nets.#(=="fb"))#.first': '["Dale","Roger"]',
    "friends.#.nets.#": "[3,2,2]",
    "friends.#.nets.0": '["ig","fb","ig"]',
    "friends.#.nets|0": '["ig", "fb", "tw"]',
    "friends|#": "3",
    "children|@reverse": '["Jack","Alex","Sara"]',
    "children.@reverse.0": "Jack",
    "name.@keys": '["first","last"]',
    "name.@values": '["Tom","Anderson"]',
    "{name.first,age}": '{"first":"Tom","age":37}',
    '{"who":name.first,"years":age}': '{"who":"Tom","years":37}',
    "[name.first,children.0]": '["Tom","Sara"]',
    "t": "true",
    "f": "false",
    "nil": "",
    "esc": 'aé\n"b"',
    "dup": "1",
    "raw": '{ "k" :  [1, 2 ] }',
    "raw.k": "[1, 2 ]",
    '!"x"': "x",
    "raw.@ugly": '{"k":[1,2]}',
    "friends.#(age>100)#": "[]",
    "friends.@this.0.first": "Dale",
    'children.#(>"K")#': '["Sara"]',
    "age.@tostr": "37",
}


@pytest.mark.parametrize("path", ANSWERS)
def test_a_path_answers_as_gjson_does(path: str) -> None:
    found = lookup(DOCUMENT, path)
    assert found is not None
    assert text_of(found) == ANSWERS[path]


ABSENT = ["nope", "name.nope", "age.x", "children.9", "children.x", "friends.#(age>100)", "fav.movie"]


@pytest.mark.parametrize("path", ABSENT)
def test_what_is_not_there_is_none(path: str) -> None:
    assert lookup(DOCUMENT, path) is None


def test_a_literal_key_with_dots_wins_over_the_path() -> None:
    assert select('{"a.b":"literal","a":{"b":"nested"}}', "a.b", key="k") == "literal"
    assert select('{"a":{"b":"nested"}}', "a.b", key="k") == "nested"


def test_broken_json_is_read_as_far_as_it_goes() -> None:
    assert select('{"a": {"b": "c"', "a.b", key="k") == "c"
    assert lookup('{"a": [1, 2', "a.1") is not None


def test_extract_takes_the_last_duplicate_and_keeps_raw_text() -> None:
    assert extract('{"a":1,"a":1.50,"n":null,"o":{ "x":1 }}', key="k") == {"a": "1.50", "n": "", "o": '{ "x":1 }'}
    for wrong in ("[1]", "x", '{"a":NaN}', ""):
        with pytest.raises(EntryError) as caught:
            extract(wrong, key="k")
        assert "k" in caught.value.message


@given(
    st.text(alphabet='{}[]",:.#|@()=*?\\!~ab01 ', max_size=60),
    st.text(alphabet='#.()[]{}|@*?\\"=!<>%~ab01,:', max_size=40),
)
def test_no_document_and_no_path_crash_it(document: str, path: str) -> None:
    for text in (document, DOCUMENT):
        found = lookup(text, path)
        assert found is None or isinstance(text_of(found), str)


def test_a_path_that_nests_without_end_is_refused() -> None:
    with pytest.raises(EntryError):
        select("[" * 500 + "]" * 500, ".".join("0" * 300), key="k")
