from __future__ import annotations

import pytest

from controllers.image_automation.tags.reference import InvalidReferenceError, parse_repository
from controllers.image_automation.tags.scan import InvalidExclusionError, keep_tags, scanned, tags_revision


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("alpine", "index.docker.io/library/alpine"),
        ("grafana/loki", "index.docker.io/grafana/loki"),
        ("docker.io/alpine", "index.docker.io/library/alpine"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("ghcr.io/Org".lower(), "ghcr.io/org"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web", None),
    ],
)
def test_names_are_canonical(text: str, name: str | None) -> None:
    assert parse_repository(text).name == (name or text)


@pytest.mark.parametrize(
    "text",
    [
        "https://x.io/a",
        "x.io/a:1",
        "x.io/a@sha256:1",
        "x.io/A",
        "",
        "x.io/",
        "/a",
        "x.io/a b",
        "x.io:99999/a",
        "x.io/../a",
        "-x.io/a/-b",
    ],
)
def test_what_is_no_repository_is_refused_by_field(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match=r"spec\.image"):
        parse_repository(text)


def test_answers_that_are_no_tags_never_count() -> None:
    assert scanned(["ok", "bad tag", "x" * 129, "../x", "a\n", "ok"]).tags == ("ok",)


def test_the_revision_follows_the_set_and_not_the_order() -> None:
    assert tags_revision(["a", "b"]) == tags_revision(["b", "a"]) != tags_revision(["a"])


def test_setting_exclusions_replaces_the_default() -> None:
    assert keep_tags(["a", "a.sig"]) == ["a"]
    assert keep_tags(["a", "a.sig"], []) == ["a", "a.sig"]
    with pytest.raises(InvalidExclusionError, match=r"exclusionList\[1\]"):
        keep_tags([], ["a", "(?=b)"])


def test_tags_of_signatures_are_no_candidates_unless_the_list_says_so() -> None:
    digest = "sha256-" + "0" * 64
    signatures = [digest, f"{digest}.sig", f"{digest}.att", f"{digest}.sbom"]
    others = ["main-1", "sha256-abc", f"{digest}0", f"x{digest}"]
    assert keep_tags([*signatures, *others]) == others
    assert keep_tags([*signatures, "v1"], [r"^x$"]) == [*signatures, "v1"]
