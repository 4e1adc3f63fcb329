"""The quick ways through patterns say what the slow one says, which reads one pattern after the other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.lang.gitignore import Match, Matcher, parse_file, parse_pattern, selected
from controllers.lang.glob import Glob, InvalidPatternError

SEGMENTS = st.text("ab.", min_size=1, max_size=3)
GLOBS = st.text("ab.*?[]!^-\\", min_size=1, max_size=5)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
LINES = st.builds(
    lambda negated, rooted, parts, directory: f"{negated}{rooted}{'/'.join(parts)}{directory}",
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "/", "**/"]),
    st.lists(st.one_of(SEGMENTS, GLOBS, st.just("**")), min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
DOMAINS = st.sampled_from([(), ("a",), ("a", "b")])


def slowly(matcher: Matcher, path: str, *, is_dir: bool) -> bool:
    for pattern in reversed(matcher.patterns):
        if (match := pattern.match(path.split("/"), is_dir=is_dir)) is not Match.NONE:
            return match is Match.EXCLUDE
    return False


@settings(max_examples=600)
@given(st.lists(st.tuples(LINES, DOMAINS), max_size=6), st.lists(PATHS, min_size=1, max_size=6), st.booleans())
def test_the_last_pattern_that_says_anything_decides(
    lines: list[tuple[str, tuple[str, ...]]], paths: list[str], is_dir: bool
) -> None:
    matcher = Matcher(parse_pattern(line, domain) for line, domain in lines)
    for path in paths:
        assert matcher.ignores(path, is_dir=is_dir) == slowly(matcher, path, is_dir=is_dir), (lines, path)


@settings(max_examples=400)
@given(GLOBS, st.text("ab.*-]", max_size=6))
def test_a_glob_matches_a_text_when_the_whole_of_it_is_a_prefix_that_it_matches(pattern: str, text: str) -> None:
    try:
        glob = Glob.parse(pattern)
    except InvalidPatternError:
        return
    assert glob.matches(text) == (len(text) in glob.prefixes(text))
    assert glob.reversed().matches(text[::-1]) == glob.matches(text)


@pytest.mark.parametrize(
    ("line", "path", "expected"),
    [
        ("a.yaml  ", "a.yaml", True), ("a\\ ", "a ", True), ("[!a]", "a", True), ("[!a]", "b", False),
        ("[^a]", "b", True),
        ("/**/", "a", False), ("/**", "a", False), ("**", "a", True), ("**//a", "b/a", False), ("a//b", "a/b", True),
        ("a/**", "a", True), ("**/a/b", "a/x/a/b", False), ("a/**/b", "a/x/y/b", True), ("a/**/b", "a/b", True),
        ("a**b", "acb", True), ("x/a**b", "x/acb", False), ("a\t", "a", False),
    ],
)  # fmt: skip
def test_a_pattern_means_what_it_means_to_flux(line: str, path: str, expected: bool) -> None:
    assert Matcher(parse_file(line)).ignores(path) is expected


@pytest.mark.parametrize("ignore", [None, "", "\n", "# nothing\n", "  \n#a\n"])
def test_without_a_pattern_of_its_own_a_source_keeps_the_defaults(ignore: str | None) -> None:
    assert selected({}, ignore).ignores("photo.jpg")
    assert not selected({}, "a\n").ignores("photo.jpg") and selected({}, "a\n").ignores(".gitignore")
