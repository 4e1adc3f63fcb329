"""YAML as Kubernetes reads it, and the limits of what one text may cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import InvalidYamlError, YamlLimits, load, load_all
from controllers.lang.yaml_scalars import Version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", True), ("On", True), ("n", False), ("oN", "oN"),
        ("true", True), ("1:30", "1:30"), ("0o14", 12), ("014", 12), ("0x1F", 31),
        ("2024-01-01", "2024-01-01"), ("1_000", 1000), ("1e3", 1000), ("1.5e-3", 0.0015),
        ("5e48573", "5e48573"), ("0089", 89), ("0b-1", -1),
        ("0x52b7d2dcc80cd2e4000000", "0x52b7d2dcc80cd2e4000000"),
        ("18446744073709551615", 18446744073709551615), ("=", "="), (".5", 0.5), ("~", None), ("'1'", "1"),
        ("!!str 1", "1"), ("!!int '7'", 7), ("08", 8),
        ("1.2.3", "1.2.3"), ("-", [None]), ("+1", 1), ("v1", "v1"),
        ("18446744073709551616", 18446744073709552000), ("!!binary aGk=", "hi"), ("!own 1", "1"),
        ("! 1", "1"), ("!!python/object:os.system x", "x"), ("!!timestamp 2026-1-1", "2026-1-1"),
    ],
)  # fmt: skip
def test_scalars_have_the_types_that_go_gives_them(text: str, expected: Any) -> None:
    assert load(text) == expected
    assert type(load(text)) is type(expected)


def test_keys_become_text_and_merge_keys_merge() -> None:
    assert load("1: a\ntrue: b\n") == {"1": "a", "true": "b"}
    assert load("1.50: a\n'y': b\ny: c\n1234567.25: d\n") == {"1.5": "a", "y": "b", "true": "c", "1.2345672e+06": "d"}
    assert load("base: &b {x: 1, z: 2}\nc: {<<: *b, z: 3}\n")["c"] == {"x": 1, "z": 3}


def test_the_two_versions_of_the_library_differ_in_words_and_in_the_order_of_merges() -> None:
    text = "a: &b {k: 1}\nc: {k: 2, <<: *b}\nd: [yes, off, y, true]\n"
    assert load(text) == {"a": {"k": 1}, "c": {"k": 1}, "d": [True, False, True, True]}
    assert load(text, version=Version.V3) == {"a": {"k": 1}, "c": {"k": 2}, "d": ["yes", "off", "y", True]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0089", '"0089"'), ("00918", '"00918"'), ("5e48573", "5e48573"), ("5e4", '"5e4"'), ("yes", '"yes"'),
        ("2026-01-01", '"2026-01-01"'), ("1:30", '"1:30"'), (".5_0", '".5_0"'), ("0x_", "0x_"),
        ("0o+7", '"0o+7"'), ("=", "="), (1e21, "1e+21"),
        (1000.0, "1000"), (1234567.5, "1.2345675e+06"), (0.0001, "0.0001"), (None, "null"), (True, "true"),
    ],
)  # fmt: skip
def test_a_scalar_is_written_as_the_library_writes_it(value: Any, expected: str) -> None:
    assert dump({"a": value}) == f"a: {expected}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "line 2: duplicate key"), ("a: [", "line"), ("a: *no\n", "alias"), ("&a [*a]", "alias"),
        (".inf", "infinity"), ("a: !!int x", "another type"), ("~: 1", "key"), ("? [a]\n: 1", "key"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_of_kubernetes_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(InvalidYamlError, match=problem):
        load(text)


def test_an_alias_bomb_ends_at_the_limit() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(InvalidYamlError, match="after aliases are expanded"):
        load("\n".join(lines))


def test_depth_bytes_and_documents_are_bounded() -> None:
    with pytest.raises(InvalidYamlError, match="levels"):
        load("[" * 300 + "]" * 300)
    with pytest.raises(InvalidYamlError, match="bytes"):
        load("x" * 100, limits=YamlLimits(bytes=10))
    with pytest.raises(InvalidYamlError, match="documents"):
        load_all("---\na\n" * 20, limits=YamlLimits(documents=10))


def test_a_message_shows_no_content() -> None:
    with pytest.raises(InvalidYamlError) as caught:
        load("password: hunter2: [\n")
    assert "hunter2" not in str(caught.value)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=20))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@given(VALUES)
def test_what_is_dumped_reads_the_same(value: Any) -> None:
    try:
        text = dump(value)
        again = load(text)
    except InvalidYamlError as error:  # characters that YAML itself does not allow
        assert "character" in str(error) or "control" in str(error)
        return
    assert again == value


@given(st.binary(max_size=80))
def test_any_bytes_give_a_value_or_a_clear_error(raw: bytes) -> None:
    try:
        load_all(raw)
    except InvalidYamlError as error:
        assert str(error)
