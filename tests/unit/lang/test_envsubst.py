"""The grammar of postBuild, where it departs from upstream, and what a hostile text may cost."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.kustomization.build.postbuild import (
    InvalidSubstitutionError,
    source_values,
    substitute_object,
    variables,
)
from controllers.lang.envsubst import SubstitutionError, substitute

VALUES = {"v": "hello", "path": "/a/b/c.tar.gz", "empty": "", "umlaut": "grün"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${v}", "hello"), ("$v", "$v"), ("$${v}", "${v}"), ("a$", "a$"), ("${#v}", "5"), ("${#umlaut}", "5"),
        ("${v^}", "Hello"), ("${v^^}", "HELLO"), ("${v:1}", "ello"), ("${v:1:2}", "el"), ("${v: -2}", "lo"),
        ("${v:0:-1}", "hell"), ("${umlaut:2:1}", "ü"), ("${v:-x}", "hello"), ("${empty:-x}", "x"), ("${empty-x}", ""),
        ("${no-x}", "x"), ("${v+x}", "x"), ("${no+x}", ""), ("${empty+x}", "x"), ("${empty:+x}", ""), ("${v:+x}", "x"),
        ("${v:=${no}}", "hello"), ("${no:=${v}}", "hello"), ("${no:=a${v}b}", "ahellob"),
        ("${path##*/}", "c.tar.gz"), ("${path#*/}", "a/b/c.tar.gz"), ("${path%.*}", "/a/b/c.tar"),
        ("${path%%.*}", "/a/b/c"), ("${v#h[a-f]}", "llo"), ("${v/l/L}", "heLlo"), ("${v//l/L}", "heLLo"),
        ("${v/#he/He}", "Hello"), ("${v/%lo/LO}", "helLO"), ("${path//\\//-}", "-a-b-c.tar.gz"), ("${v/l}", "helo"),
        ('for f in "${A[@]}"; do', 'for f in "${A[@]}"; do'), ("${#A[@]}", "${#A[@]}"), ("${v?gone}", "hello"),
    ],
)  # fmt: skip
def test_expressions_mean_what_a_shell_means(text: str, expected: str) -> None:
    assert substitute(text, VALUES) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("${no}", "not set"), ("${no^^}", "not set"), ("${no:?give a name}", "give a name"), ("${v", "closing brace"),
        ("${}", "bad substitution"), ("${1}", "bad substitution"), ("${v!}", "closing brace"),
    ],
)  # fmt: skip
def test_an_expression_that_cannot_be_is_named_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(SubstitutionError, match=problem) as caught:
        substitute(f"first: line\nsecond: {text}\n", VALUES)
    assert caught.value.line == 2
    assert text[:4] in caught.value.expression


def test_without_strictness_an_unset_name_is_empty() -> None:
    assert substitute("a${no}b", {}, strict=False) == "ab"


def test_bombs_are_refused_quickly() -> None:
    begun = time.process_time()
    with pytest.raises(SubstitutionError, match="within one another"):
        substitute("${a:=" * 5000 + "}" * 5000, {})
    with pytest.raises(SubstitutionError, match="longer than"):
        substitute("${v}" * 10_000, {"v": "x" * 100_000})
    with pytest.raises(SubstitutionError, match="long"):
        substitute("${v//x/" + "y" * 1000 + "}", {"v": "x" * 100_000})
    substitute("${v##" + "*a" * 200 + "b}", {"v": "a" * 5_000})
    assert time.process_time() - begun < 5


@given(st.text(alphabet="${}v:=-+?#%/^,[]*\\ab\n ", max_size=40))
def test_any_text_gives_text_or_a_clear_error(text: str) -> None:
    try:
        assert isinstance(substitute(text, {"v": "x"}), str)
    except SubstitutionError as error:
        assert error.line >= 1


@given(st.text(max_size=60).filter(lambda text: "$" not in text))
def test_text_without_a_dollar_stays(text: str) -> None:
    assert substitute(text, VALUES) == text


def test_an_error_names_the_object_and_shows_no_value() -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}
    with pytest.raises(InvalidSubstitutionError, match=r"ConfigMap/n/c: .*line 3: \$\{x\}: variable not set") as caught:
        substitute_object({**manifest, "data": {"a": "${secret}${x}"}}, {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_later_sources_win_inline_wins_over_all_and_line_breaks_go() -> None:
    assert variables({"a": "3"}, [{"a": "1", "b": "1\n"}, {"b": "2\n"}]) == {"a": "3", "b": "2"}
    with pytest.raises(ValueError, match="1x"):
        variables({"1x": "y"}, [])


def test_a_secret_that_is_no_text_is_named_and_not_shown() -> None:
    with pytest.raises(ValueError, match=r"data\.k: expected base64 of UTF-8 text"):
        source_values({"kind": "Secret", "data": {"k": "/////w=="}})


def test_types_follow_the_text_after_substitution() -> None:
    manifest = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"n": "${n}", "t": '"${n}"'}}
    assert substitute_object(manifest, {"n": "8"})["spec"] == {"n": 8, "t": '"8"'}
