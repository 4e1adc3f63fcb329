"""spec.sparseCheckout: the directories that are named, and a clear refusal of one that is missing."""

from __future__ import annotations

import pytest

from controllers.git.errors import RefusedError
from controllers.sources.listing import Listing, below
from controllers.sources.tree import Node

LISTING = Listing({path: Node(path) for path in ("a/x.yaml", "a/b/y.yaml", "ab/z.yaml", "f")}, lambda paths: {})


@pytest.mark.parametrize(
    ("sparse", "kept"),
    [
        ((), {"a/x.yaml", "a/b/y.yaml", "ab/z.yaml", "f"}), (("a",), {"a/x.yaml", "a/b/y.yaml"}),
        (("./a/b/",), {"a/b/y.yaml"}),
        (("/ab", "a/b"), {"ab/z.yaml", "a/b/y.yaml"}), (("./",), {"a/x.yaml", "a/b/y.yaml", "ab/z.yaml", "f"}),
    ],
)  # fmt: skip
def test_only_the_named_directories_are_kept(sparse: tuple[str, ...], kept: set[str]) -> None:
    assert set(below(LISTING, sparse).nodes) == kept


@pytest.mark.parametrize("missing", ["c", "a/c", "f", "a/x.yaml"])
def test_a_directory_that_is_missing_is_refused_by_name(missing: str) -> None:
    with pytest.raises(RefusedError, match=rf"sparseCheckout\[1\]: directory '{missing}' not found"):
        below(LISTING, ("a", missing))
