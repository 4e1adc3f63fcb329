"""A marked line that somebody commented out: it asks for nothing, and is not reported either."""

from __future__ import annotations

import pytest

from controllers.image_automation.commit.markers import find_markers

MARKER = '{"$imagepolicy": "ns:web"}'


@pytest.mark.parametrize(
    "line",
    [
        f"# image: app:v1 # {MARKER}",
        f"#image: app:v1 # {MARKER}",
        f"  #   - name: app # {MARKER}",
        f"# # {MARKER}",
        f"## image: app:v1\t# {MARKER}",
        f"# - # {MARKER}",
    ],
)
def test_a_commented_out_line_is_no_marker_and_no_note(line: str) -> None:
    text = f"kind: Pod\nspec:\n{line}\n  image: app:v2\n  list:\n{line}\n  - a\n"
    found = find_markers(text)
    assert found.marked == () and found.misplaced == ()


@pytest.mark.parametrize("line", [f"# {MARKER}", f"## {MARKER}"])
def test_a_marker_of_its_own_line_stays_one(line: str) -> None:
    found = find_markers(f"kind: Pod\nspec:\n  list:\n  {line}\n  - app:v1\n")
    assert [each.scalar.value for each in found.marked] == ["app:v1"]


def test_a_marker_behind_other_words_on_a_line_with_a_value_is_still_named() -> None:
    found = find_markers(f"kind: Pod\nimage: app:v1 # pinned # {MARKER}\n")
    assert found.marked == () and [each.line for each in found.misplaced] == [2]
