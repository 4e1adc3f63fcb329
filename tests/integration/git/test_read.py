"""Looking up, fetching and reading over https and ssh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from controllers.api.source import GitRef
from controllers.git import AuthFailed, HostKeyMismatchError, NotFound, RefusedError, Remote, Unreachable, target
from controllers.git.errors import GitError
from controllers.git.objects import CommitInfo
from controllers.git.refs import Found

from .conftest import FILES, Host, call


def _fetch(host: Host, remote: Remote, ref: GitRef | None = None) -> tuple[Found, dict[str, str]]:
    with host.mirrors.use(remote) as mirror:
        found = mirror.resolve(target(ref or GitRef(branch="main")))
        mirror.fetch(found)
        entries = mirror.objects.list_tree(found.commit)
        blobs = mirror.objects.read_blobs(entry.id for entry in entries)
        return found, {entry.path: blobs[entry.id].decode() for entry in entries}


@pytest.mark.parametrize("protocol", ["https", "ssh"])
async def test_a_branch_is_fetched_shallow_and_read_whole(host: Host, protocol: str) -> None:
    found, files = await call(_fetch, host, host.https() if protocol == "https" else host.ssh())
    assert files == FILES
    assert found.revision == f"main@sha1:{await host.server.head('fleet')}"


async def test_only_the_newest_commit_is_transferred(host: Host) -> None:
    for number in range(3):
        await host.server.commit("fleet", {"n": str(number)})

    def history() -> tuple[list[str], list[str]]:
        with host.mirrors.use(host.https()) as mirror:
            commit = mirror.fetch(mirror.resolve(target(GitRef(branch="main"))))
            shallow = mirror.objects.history(commit)
            mirror.deepen("refs/heads/main", 3)
            return shallow, mirror.objects.history(commit)

    shallow, deeper = await call(history)
    assert (len(shallow), len(deeper)) == (1, 3)


async def test_a_tag_a_range_a_name_and_an_older_commit_are_found(host: Host) -> None:
    first = await host.server.head("fleet")
    await host.server.git("fleet", "tag", "v1.2.0", "main")
    await host.server.commit("fleet", {"app/deploy.yaml": "image: v2\n"})
    await host.server.git(
        "fleet", "-c", "user.name=a", "-c", "user.email=a@b", "tag", "-a", "-m", "annotated", "v1.3.0", "main"
    )
    head = await host.server.head("fleet")
    for ref, commit, revision in (
        (GitRef(tag="v1.2.0"), first, f"v1.2.0@sha1:{first}"),
        (GitRef(tag="v1.3.0"), head, f"v1.3.0@sha1:{head}"),
        (GitRef(semver="1.x"), head, f"v1.3.0@sha1:{head}"),
        (GitRef(semver="~1.2.0"), first, f"v1.2.0@sha1:{first}"),
        (GitRef(name="refs/heads/main"), head, f"main@sha1:{head}"),
        (GitRef(commit=first, branch="main"), first, f"main@sha1:{first}"),
        (GitRef(commit=first), first, f"sha1:{first}"),
    ):
        found, files = await call(_fetch, host, host.https(), ref)
        assert (found.commit, found.revision) == (commit, revision)
        assert files["app/deploy.yaml"] == ("image: v1\n" if commit == first else "image: v2\n")


async def test_who_wrote_a_commit_and_when_is_known(host: Host) -> None:
    def info() -> CommitInfo:
        with host.mirrors.use(host.https()) as mirror:
            return mirror.objects.commit(mirror.fetch(mirror.resolve(target(GitRef(branch="main")))))

    commit = await call(info)
    assert (commit.author.name, commit.author.email) == ("Ada Demo", "ada@example.com")
    assert commit.subject == "Initial commit"
    assert commit.parents == () and commit.committer.time.tzinfo is not None


async def test_equal_directories_have_equal_tree_hashes_across_commits(host: Host) -> None:
    def hashes() -> tuple[str, str]:
        with host.mirrors.use(host.https()) as mirror:
            commit = mirror.fetch_ref("refs/heads/main")
            return mirror.objects.tree_hash(commit, "./app/"), mirror.objects.tree_hash(commit)

    before = await call(hashes)
    await host.server.commit("fleet", {"README.md": "changed\n"})
    after = await call(hashes)
    assert before[0] == after[0] and before[1] != after[1]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda host: host.https(password="wrong"), AuthFailed, "refused the credentials"),
        (lambda host: host.https(repository="none"), AuthFailed, "refused the credentials"),
        (lambda host: host.ssh("[127.0.0.1]:1 ssh-ed25519 AAAA\n"), HostKeyMismatchError, "known_hosts"),
        (lambda host: Remote("https://127.0.0.1:1/x.git", timeout=5), Unreachable, "unreachable"),
        (lambda host: Remote(host.server.https_url("fleet"), timeout=5), Unreachable, "TLS"),
        (lambda host: Remote("file:///etc"), RefusedError, "protocol 'file'"),
        (lambda host: Remote("https://u:p@example.com/x"), RefusedError, "password in the URL"),
        (lambda host: Remote("ssh://-oProxyCommand=x/y"), RefusedError, "expected one"),
        (lambda host: Remote("ext::sh -c id"), RefusedError, "spaces"),
    ],
)
async def test_what_cannot_be_reached_or_may_not_says_which_without_a_secret(
    host: Host, change: Callable[[Host], Remote], error: type[GitError], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        await call(_fetch, host, change(host))
    assert "w-pass" not in str(caught.value) and "wrong" not in str(caught.value)


async def test_a_missing_branch_is_named(host: Host) -> None:
    with pytest.raises(NotFound, match="refs/heads/nope"):
        await call(_fetch, host, host.https(), GitRef(branch="nope"))


async def test_no_credential_is_in_argv_or_left_on_disk(host: Host, tmp_path: Path) -> None:
    await call(_fetch, host, host.https())
    for path in (tmp_path / "mirrors").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"w-pass" not in content and host.server.https_url("fleet").encode() not in content


async def test_other_credentials_use_another_mirror(host: Host, tmp_path: Path) -> None:
    await call(_fetch, host, host.https())
    await call(_fetch, host, host.https("reader", "r-pass"))
    assert len(list((tmp_path / "mirrors").glob("*.git"))) == 2


async def test_the_least_recently_used_mirror_goes_when_the_disk_budget_is_spent(host: Host, tmp_path: Path) -> None:
    host.mirrors._max_bytes = 1
    await call(_fetch, host, host.https())
    assert not list((tmp_path / "mirrors").glob("*.git"))
    assert (await call(_fetch, host, host.https()))[1] == FILES
