"""YAML as Kubernetes reads it, and the limits of what one text may cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.lang.yaml_dump import dump
from controllers.lang.yaml_load import InvalidYamlError, YamlLimits, load, load_all


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"), ("on", "on"), ("true", True), ("1:30", "1:30"), ("0o14", 12), ("014", 12), ("0x1F", 31),
        ("2024-01-01", "2024-01-01"), ("1_000", 1000), ("1e3", 1000.0), (".5", 0.5), ("~", None), ("'1'", "1"),
        ("!!str 1", "1"), ("!!int '7'", 7), ("08", "08"), ("1.2.3", "1.2.3"), ("-", [None]), ("+1", 1), ("v1", "v1"),
        ("18446744073709551616", 18446744073709551616.0), ("!!binary aGk=", "hi"),
    ],
)  # fmt: skip
def test_scalars_have_the_types_that_go_gives_them(text: str, expected: Any) -> None:
    assert load(text) == expected
    assert type(load(text)) is type(expected)


def test_keys_become_text_and_merge_keys_merge() -> None:
    assert load("1: a\ntrue: b\n") == {"1": "a", "true": "b"}
    assert load("base: &b {x: 1, y: 2}\nc: {<<: *b, y: 3}\n")["c"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "line 2: .*twice"), ("a: [", "line"), ("a: *no\n", "alias"), ("&a [*a]", "alias"),
        (".inf", "infinity"), ("!!python/object:os.system x", "tag"), ("a: !foo bar", "tag"), ("? [a]\n: 1", "no text"),
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
        load("[" * 200 + "]" * 200)
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
