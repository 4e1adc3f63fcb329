"""Globs and names: what a grant covers, and the tricks that it does not fall for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.api.globs import (
    MAX_NAME,
    git_url_matches,
    is_plain,
    matches,
    normal_git_url,
    normal_repository,
    repository_matches,
)

SEGMENT = st.text("abcXYZ019-_=+@. ", min_size=1, max_size=8).filter(lambda text: text not in (".", ".."))
PATHS = st.lists(SEGMENT, min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("payments/*", "payments/db", True),
        ("payments/*", "payments/eu/db", False),
        ("payments/*", "payments", False),
        ("payments/**", "payments/eu/db", True),
        ("payments/**", "payments", False),
        ("payments/**", "payments-evil/db", False),
        ("/payments/**", "/payments/db", True),
        ("/payments/**", "payments/db", False),
        ("teams/**/app.yaml", "teams/app.yaml", True),
        ("teams/**/app.yaml", "teams/a/b/app.yaml", True),
        ("**/app.yaml", "app.yaml", True),
        ("**/app.yaml", "myapp.yaml", False),
        ("**", "anything/at/all", True),
        ("*", "top", True),
        ("*", "a/b", False),
        ("db-?", "db-1", True),
        ("db-?", "db-12", False),
        ("a?b", "a/b", False),
        ("Payments/*", "payments/db", False),
        ("a.b", "axb", False),
        ("a[bc]", "ab", False),
        ("a[bc]", "a[bc]", True),
        ("a+(b)", "a+(b)", True),
        ("payments/*", "payments/a\nb", False),
        ("arn:aws:iam::123456789012:role/payments-*", "arn:aws:iam::123456789012:role/payments-app", True),
        ("arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:role/a/b", False),
        ("arn:aws:iam::*:role/x", "arn:aws:iam::123456789012:role/x", True),
        ("arn:aws:iam::*:role/x", "arn:aws:iam::1:role/y:role/x", False),
        ("*", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x", False),
        ("arn:aws:kms:*:123456789012:key/*", "arn:aws:kms:eu-west-1:123456789012:key/mrk-1", True),
    ],
)
def test_a_glob_covers_exactly_what_its_characters_say(pattern: str, name: str, covered: bool) -> None:
    assert matches(pattern, name) is covered


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a//b",
        "a/",
        "a/../b",
        "../a",
        "a/.",
        "./a",
        "a\\b",
        "a\x00b",
        "a\u202eb",
        "//a",
        "a/..",
        "x" * (MAX_NAME + 1),
    ],
)
def test_a_name_whose_meaning_depends_on_its_reader_is_covered_by_no_glob(name: str) -> None:
    assert not is_plain(name)
    assert not matches("**", name)
    assert not matches(name, name)


@given(PATHS)
def test_a_plain_path_covers_itself_and_is_covered_by_the_glob_of_its_folder(path: str) -> None:
    assert matches(path, path)
    assert matches("**", path)
    folder, slash, _ = path.rpartition("/")
    assert not slash or matches(f"{folder}/*", path)


@given(st.text("ab*?/", max_size=12), PATHS)
def test_a_glob_without_double_star_covers_only_paths_of_its_own_depth(pattern: str, path: str) -> None:
    if "**" not in pattern and matches(pattern, path):
        assert pattern.count("/") == path.count("/")


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_glob_and_no_name_make_it_fail(pattern: str, name: str) -> None:
    assert matches(pattern, name) in (True, False)
    assert repository_matches(pattern, name) in (True, False)
    assert git_url_matches(pattern, name) in (True, False)


def test_a_glob_of_many_stars_takes_linear_time() -> None:
    began = time.perf_counter()
    assert not matches("a*" * 400 + "b", "a" * MAX_NAME)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/payments/app",
        "https://git.example.com/payments/app.git",
        "https://git.example.com/payments/app/",
        "https://git.example.com/payments/app.git/",
        "https://user@git.example.com/payments/app",
        "https://user:secret@git.example.com/payments/app",
        "https://GIT.example.COM:443/payments/app",
        "HTTPS://git.example.com./payments/app",
        "https://git.example.com/payments/%61pp",
    ],
)
def test_ways_to_write_one_repository_are_one_url(url: str) -> None:
    assert normal_git_url(url) == "https://git.example.com/payments/app"


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("ssh://git@host:22/x", "ssh://host/x"),
        ("git@host:team/x.git", "ssh://host/team/x"),
        ("ssh://git@host:2222/x", "ssh://host:2222/x"),
        ("http://host:80/x", "http://host/x"),
        ("https://host:80/x", "https://host:80/x"),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://host/My%20Project/_git/x", "https://host/My Project/_git/x"),
        ("https://host/X", "https://host/X"),
    ],
)
def test_urls_keep_what_tells_repositories_apart(url: str, normal: str) -> None:
    assert normal_git_url(url) == normal


@pytest.mark.parametrize(
    "url",
    [
        "https://host/a/../b",
        "https://host/a/%2e%2e/b",
        "https://host/a%2Fb",
        "https://host/a%252fb",
        "https://host//a",
        "https://host/a?x=1",
        "https://host/a#x",
        "https://good\\@evil/a",
        "https://good@evil@host/a",
        "https://ho\tst/a",
        "https://h\u00f6st/a",
        "https://host:99999/a",
        "https://host:x/a",
        "https:///a",
        "https://host/",
        "https://host",
        "https://host/.git",
        "https://*.host/a",
        "file:///etc/passwd",
        "/local/path",
        "ext::sh -c id",
        "",
    ],
)
def test_urls_that_two_readers_could_read_differently_have_no_normal_form(url: str) -> None:
    assert normal_git_url(url) is None
    assert not git_url_matches(url, url)


@pytest.mark.parametrize(
    ("pattern", "url", "covered"),
    [
        ("https://host/payments/*", "https://u@HOST:443/payments/app.git", True),
        ("https://host/payments/*", "https://host/payments/a/b", False),
        ("https://host/payments/**", "https://host/payments/a/b", True),
        ("https://host/payments/*", "http://host/payments/app", False),
        ("https://host/payments/*", "https://host:8443/payments/app", False),
        ("https://host/payments/*", "https://host.evil/payments/app", False),
        ("https://host/payments/*", "https://host@evil/payments/app", False),
        ("https://host/payments", "https://host/payments/app", False),
        ("https://host/**", "https://evil/x", False),
    ],
)
def test_globs_in_a_grants_url_reach_its_path_only(pattern: str, url: str, covered: bool) -> None:
    assert git_url_matches(pattern, url) is covered


@given(
    st.sampled_from(["https", "http", "ssh"]),
    st.text("abz-.", min_size=1, max_size=12).filter(lambda host: host.strip(".") != "" and host[0] not in ".-"),
    st.integers(1, 65535),
    PATHS,
)
def test_normalising_twice_is_normalising_once(scheme: str, host: str, port: int, path: str) -> None:
    once = normal_git_url(f"{scheme}://{host}:{port}/{path}")
    assert once is None or " " in once or normal_git_url(once) == once


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("alpine", "docker.io/library/alpine"),
        ("grafana/grafana", "docker.io/grafana/grafana"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine"),
        ("GHCR.io/org/App", "ghcr.io/org/App"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("Registry/x", "registry/x"),
    ],
)
def test_image_repositories_are_compared_with_their_registry(name: str, normal: str) -> None:
    assert normal_repository(name) == normal


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/payments/*",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/payments/app",
            True,
        ),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/payments/*", "payments/app", False),
        ("ghcr.io/org/*", "ghcr.io.evil.com/org/app", False),
        ("*", "ghcr.io/org/app", False),
        ("*", "alpine", True),
        ("**", "ghcr.io/org/app", True),
        ("docker.io/library/*", "alpine", True),
    ],
)
def test_a_registry_grant_covers_its_own_registry(pattern: str, name: str, covered: bool) -> None:
    assert repository_matches(pattern, name) is covered
