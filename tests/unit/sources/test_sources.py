"""What a source is made of: submodules by their URLs, listings mounted into one another, references of artifacts."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.git.errors import RefusedError
from controllers.runtime.egress import is_address
from controllers.sources import submodules
from controllers.sources.contents import includes_of, ref_of
from controllers.sources.listing import Listing, below, mounted, tree_of
from controllers.sources.remotes import proxy_of
from controllers.sources.tree import Node

MODULES = b"""
# libraries
[submodule "a \\"quoted\\" name"]
	path = libs/a/
	URL = ../a.git   ; beside us
[submodule "b"]
	url = "https://git.example/b#x.git"
	path = b
	branch = main
[other "c"]
	path = c
"""


def test_gitmodules_is_read_as_git_writes_it() -> None:
    assert submodules.urls_of(MODULES) == {"libs/a": "../a.git", "b": "https://git.example/b#x.git"}
    assert submodules.missing({"b": "1", "z": "2"}, submodules.urls_of(MODULES)) == ["z"]


@pytest.mark.parametrize(
    ("url", "parent", "found"),
    [
        ("../lib.git", "https://h/o/r.git", "https://h/o/lib.git"),
        ("../../x/lib", "https://h/o/r.git", "https://h/x/lib"),
        ("./sub", "https://h:8443/o/r", "https://h:8443/o/r/sub"),
        ("../lib", "ssh://git@h:22/o/r", "ssh://git@h:22/o/lib"),
        ("https://h/y", "https://h/o/r", "https://h/y"),
    ],
)
def test_relative_urls_count_from_the_repository(url: str, parent: str, found: str) -> None:
    assert submodules.check("p", url, parent, ()) == found


def listing(**files: str) -> Listing:
    content = {path.replace("__", "/"): text.encode() for path, text in files.items()}
    return Listing(
        {path: Node(path) for path in content},
        lambda paths: {path: content[path] for path in paths},
        ignores={path: text.decode() for path, text in content.items() if path.endswith(".sourceignore")},
        known={path: text for path, text in content.items() if path.endswith("kustomization")},
    )


def test_what_is_mounted_is_read_where_it_comes_from_and_left_out_by_everyones_patterns() -> None:
    base = Listing({**listing(app__a="1", drop__x="2").nodes}, listing(app__a="1", drop__x="2").reader)
    other = Listing(
        {"deep/b": Node("b"), "deep/.sourceignore": Node("i"), "deep/c.tmp": Node("c"), "outside": Node("o")},
        lambda paths: {path: f"other {path}".encode() for path in paths},
        ignores={"deep/.sourceignore": "*.tmp\n"},
        known={"deep/b": b"other deep/b"},
    )
    tree = tree_of(mounted(base, "app/lib", other, start="deep", what="x"), "drop/\n")
    assert set(tree.nodes) == {"app/a", "app/lib/b", "app/lib/.sourceignore"}
    assert tree.read(["app/a", "app/lib/b"]) == {"app/a": b"1", "app/lib/b": b"other deep/b"}
    single = mounted(base, "one", other, start="deep/b", what="x")
    assert tree_of(single, None).read(["one"]) == {"one": b"other deep/b"}
    with pytest.raises(RefusedError, match="not in the included"):
        mounted(base, "y", other, start="nowhere", what="x")


def test_only_the_directories_that_are_asked_for_are_kept() -> None:
    whole = listing(app__a="1", app2__b="2", c="3")
    assert set(below(whole, ("./app",)).nodes) == {"app/a"}
    assert below(whole, ()) is whole and below(whole, (".",)) is whole


def source(ref: dict[str, str] | None, recorded: str = "") -> dict[str, Any]:
    artifact = {"revision": "x@sha1:1", **({"metadata": {"ref": recorded}} if recorded else {})}
    spec = {"url": "https://h/x", "interval": "1m", **({"ref": ref} if ref else {})}
    return {"kind": "GitRepository", "metadata": {"name": "s"}, "spec": spec, "status": {"artifact": artifact}}


COMMIT = "1" * 40


@pytest.mark.parametrize(
    ("ref", "revision", "full"),
    [
        (None, "master@sha1:1", "refs/heads/master"),
        ({"branch": "dev"}, "dev@sha1:1", "refs/heads/dev"),
        ({"tag": "v1"}, "v1@sha1:1", "refs/tags/v1"),
        ({"semver": "1.x"}, "v1.2.0@sha1:1", "refs/tags/v1.2.0"),
        ({"name": "refs/pull/1/head"}, "refs/pull/1/head@sha1:1", "refs/pull/1/head"),
        ({"commit": COMMIT, "branch": "dev"}, f"dev@sha1:{COMMIT}", "refs/heads/dev"),
        ({"commit": COMMIT}, f"sha1:{COMMIT}", ""),
    ],
)
def test_the_reference_of_an_artifact_is_known_without_its_metadata(
    ref: dict[str, str] | None, revision: str, full: str
) -> None:
    assert ref_of(source(ref), revision) == full
    assert ref_of(source(ref, "refs/heads/recorded"), revision) == "refs/heads/recorded"
    assert ref_of(source(ref, "refs/heads/recorded"), revision, recorded=False) == full


@pytest.mark.parametrize("include", [None, 1, [1], [{}], [{"repository": 1}], [{"repository": {}}]])
def test_includes_of_any_shape_are_read(include: Any) -> None:
    assert includes_of({"metadata": {"namespace": "n"}, "spec": {"include": include}}) == []


def test_a_proxy_is_a_url_with_its_login() -> None:
    data = {"address": b" https://proxy.example:3128/ ", "username": b"a@b", "password": b"p/w"}
    proxy = proxy_of(data, "https://h/x")
    assert proxy.reveal_text() == "https://a%40b:p%2Fw@proxy.example:3128" and "p%2Fw" not in repr(proxy)
    with pytest.raises(RefusedError, match="https URL"):
        proxy_of(data, "ssh://h/x")


def test_addresses_are_told_from_names() -> None:
    assert all(
        is_address(f"https://{host}/x") for host in ("1.2.3.4", "1.2", "2852039166", "0xa9fe", "[::1]", "1.2.3.4.")
    )
    assert not any(is_address(f"https://{host}/x") for host in ("git.example", "4.example", "0xa9fe.example"))
