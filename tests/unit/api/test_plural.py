"""Counts and nouns of messages agree."""

from __future__ import annotations

import pytest

from controllers.api.plural import are, counted


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "object", "0 objects"),
        (1, "object", "1 object"),
        (2, "object", "2 objects"),
        (1, "ExternalSecret", "1 ExternalSecret"),
        (3, "ImagePolicy", "3 ImagePolicies"),
        (2, "sealing key", "2 sealing keys"),
        (2, "key", "2 keys"),
        (2, "alias", "2 aliases"),
        (2, "patch", "2 patches"),
    ],
)
def test_a_count_agrees_with_its_noun(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


def test_an_irregular_plural_can_be_given() -> None:
    assert counted(2, "index", "indices") == "2 indices"
    assert counted(1, "index", "indices") == "1 index"


def test_the_verb_agrees_with_the_count() -> None:
    assert [are(count) for count in (0, 1, 2)] == ["are", "is", "are"]
