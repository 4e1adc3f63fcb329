"""Revisions in every form they were ever written in, and what of a GitRepository's spec asks for new work."""

from __future__ import annotations

import pytest

from controllers.api.source import GitRef
from controllers.git.refs import RefTarget, target
from controllers.sources import revision
from controllers.sources.access import requested_ref

HASH = "5394cb7f48332b2de7c17dd8b8384bbc84b7e738"


@pytest.mark.parametrize(
    ("text", "pointer", "canonical"),
    [
        (f"main@sha1:{HASH}", "main", f"main@sha1:{HASH}"),
        (f"feature/x@sha1:{HASH}", "feature/x", f"feature/x@sha1:{HASH}"),
        (f"sha1:{HASH}", "", f"sha1:{HASH}"),
        (f"main/{HASH}", "main", f"main@sha1:{HASH}"),
        (HASH, "", f"sha1:{HASH}"),
        (f"HEAD/{HASH}", "", f"sha1:{HASH}"),
    ],
)
def test_a_revision_is_read_in_every_form_and_written_in_one(text: str, pointer: str, canonical: str) -> None:
    parsed = revision.parse(text)
    assert (parsed.pointer, parsed.hash, str(parsed)) == (pointer, HASH, canonical)
    assert revision.same_commit(text, canonical)


def test_a_text_without_a_hash_names_no_commit() -> None:
    assert revision.parse("main").hash == ""
    assert not revision.same_commit("main", "main")


def test_precedence_of_references() -> None:
    everything = {"branch": "b", "tag": "t", "semver": "1", "name": "refs/pull/1/head", "commit": HASH}
    order = []
    while everything:
        found = target(GitRef(**everything))
        order.append(found.kind)
        del everything[found.kind]
    assert order == ["commit", "name", "semver", "tag", "branch"]
    assert target(None) == RefTarget("branch", "master")


def test_a_policy_is_asked_for_what_is_followed() -> None:
    assert requested_ref(RefTarget("branch", "main")) == "main"
    assert requested_ref(RefTarget("tag", "v1")) == "refs/tags/v1"
    assert requested_ref(RefTarget("commit", HASH)) == ""
