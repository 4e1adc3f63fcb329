from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.api.source import GitRef
from controllers.git import NotFound, RefusedError, branch_ref, check_ref, select, target
from controllers.git.refs import RefTarget

A, B, C = "a" * 40, "b" * 40, "c" * 40


def test_precedence_is_commit_name_semver_tag_branch() -> None:
    full = {"commit": A, "name": "refs/pull/1/head", "semver": "1.x", "tag": "v1", "branch": "dev"}
    order = []
    while full:
        order.append(target(GitRef(**full)).kind)
        del full[order[-1]]
    assert order == ["commit", "name", "semver", "tag", "branch"]
    assert target(GitRef()) == target(None) == RefTarget("branch", "master")
    assert target(GitRef(commit=A, branch="dev")).patterns == ("refs/heads/dev",)


@pytest.mark.parametrize(
    "name",
    ["--upload-pack=x", "-x", "a..b", "a b", "a~1", "a^", "a:b", "x.lock", ".x", "a//b", "a/", "@{u}", "refs/heads/x"],
)
def test_a_branch_name_that_git_could_read_as_something_else_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="branch"):
        branch_ref(name)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab/.-@{~^:?*[\\ \x7f\u00e9", min_size=1, max_size=12))
def test_every_name_we_accept_git_accepts_too(name: str) -> None:
    ref = f"refs/heads/{name}"
    try:
        check_ref(ref)
    except RefusedError:
        return
    assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0


def test_an_annotated_tag_means_the_commit_it_points_to() -> None:
    found = select(RefTarget("tag", "v1"), {"refs/tags/v1": A, "refs/tags/v1^{}": B})
    assert (found.commit, found.tag_object, found.revision) == (B, A, f"v1@sha1:{B}")


def test_a_range_takes_the_highest_tag_and_equal_versions_are_decided_the_same_way_in_any_order() -> None:
    tags = {"refs/tags/v1.0.0": A, "refs/tags/1.0.0": B, "refs/tags/v0.9.0": C, "refs/tags/v2.0.0-rc.1": C}
    picks = {
        select(RefTarget("semver", ">=0.1.0"), dict(items)).ref for items in (tags.items(), reversed(tags.items()))
    }
    assert picks == {"refs/tags/v1.0.0"}
    with pytest.raises(NotFound, match="range"):
        select(RefTarget("semver", ">=3"), tags)


def test_a_bad_range_or_commit_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match=r"spec\.ref\.semver"):
        target(GitRef(semver="*-*"))
    with pytest.raises(RefusedError, match="full hexadecimal"):
        target(GitRef(commit="abc"))
