"""Commands read the user's own repository by git's rules: what would be committed, and what a revision holds."""

from __future__ import annotations

import os
from pathlib import Path

import git
import pytest

from controllers.kustomization.cli.worktree import of_directory, of_revision, root_of
from controllers.runtime.cli.command import CommandError
from controllers.runtime.cli.files import files_below
from controllers.runtime.cli.repository import files_in_git

BUILD = "resources: [cm.yaml]\n"


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(root: Path, message: str) -> str:
    with git.Repo(root) as repo:
        repo.git.add("-A")
        author = git.Actor("Ada", "ada@example.com")
        return repo.index.commit(message, author=author, committer=author).hexsha


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "fleet"
    git.Repo.init(root, initial_branch="main").close()
    write(root, _dot_gitignore="*.secret\nout/\n", app__kustomization_dot_yaml=BUILD, app__cm_dot_yaml="x: 1\n",
          app__tracked_dot_secret="t")  # fmt: skip
    with git.Repo(root) as repo:
        repo.git.add("-f", "app/tracked.secret")
    commit(root, "one")
    write(root, app__new_dot_yaml="n", app__key_dot_secret="k", out__big_dot_yaml="b")
    return root


def below(root: Path) -> set[str]:
    return {Path(name).relative_to(root).as_posix() for name in files_below([str(root)])}


COMMITTABLE = {".gitignore", "app/kustomization.yaml", "app/cm.yaml", "app/tracked.secret", "app/new.yaml"}


def test_a_directory_is_what_would_be_committed(root: Path) -> None:
    assert below(root) == COMMITTABLE
    assert set(of_directory(root).nodes) == COMMITTABLE - {".gitignore"}  # left out of sources
    assert set(files_below([str(root / "app")])) == {str(root / name) for name in COMMITTABLE if "app/" in name}


def test_a_file_that_is_named_is_taken_whatever_git_ignores(root: Path) -> None:
    assert list(files_below([str(root / "app/key.secret")])) == [str(root / "app/key.secret")]


def test_a_directory_that_git_ignores_is_read_whole_when_it_is_named(root: Path) -> None:
    assert files_in_git(root / "out") is None
    assert set(files_below([str(root / "out")])) == {str(root / "out/big.yaml")}
    assert set(of_directory(root / "out").nodes) == {"big.yaml"}


def test_outside_a_repository_every_file_counts(tmp_path: Path) -> None:
    write(tmp_path, _dot_gitignore="*.yaml\n", a__b_dot_yaml="1")
    assert files_in_git(tmp_path) is None
    assert set(of_directory(tmp_path).nodes) == {"a/b.yaml"} == below(tmp_path) - {".gitignore"}


def test_a_file_that_was_deleted_and_not_committed_is_not_listed(root: Path) -> None:
    (root / "app/cm.yaml").unlink()
    assert below(root) == COMMITTABLE - {"app/cm.yaml"}


def test_submodules_are_listed_by_their_own_rules(root: Path, tmp_path: Path) -> None:
    inner = root / "libs" / "inner"
    git.Repo.init(inner, initial_branch="main").close()
    write(inner, _dot_gitignore="*.yaml\n", a_dot_yaml="ignored there", b_dot_secret="ignored only here")
    assert below(root) == COMMITTABLE | {"libs/inner/.gitignore", "libs/inner/b.secret"}


def test_names_that_git_would_quote_are_read_as_they_are(root: Path) -> None:
    write(root, **{'app/grüße "x"\n.yaml': "1"})
    assert 'app/grüße "x"\n.yaml' in of_directory(root).nodes


@pytest.mark.parametrize("inside", [".", "app", "app/cm.yaml"])
def test_the_root_is_the_working_tree_around_a_path(root: Path, tmp_path: Path, inside: str) -> None:
    assert root_of(root / inside) == root
    assert root_of(tmp_path) == tmp_path
    linked = tmp_path / "linked"
    with git.Repo(root) as repo:
        repo.git.worktree("add", "-q", str(linked))
    assert root_of(linked / "app") == linked and of_revision(linked, "main").has("app/cm.yaml")


@pytest.mark.parametrize(
    "form", ["{}", "{:.10}", "HEAD~1", "main~1", "v1", "refs/tags/v1", "main@{{1}}", "HEAD^{{/one}}"]
)
def test_a_revision_is_whatever_git_takes_for_one(root: Path, form: str) -> None:
    with git.Repo(root) as repo:
        first = repo.head.commit.hexsha
        repo.create_tag("v1", message="an annotated tag")
    write(root, app__cm_dot_yaml="x: 2\n")
    (root / "app/link.yaml").symlink_to("cm.yaml")
    second = commit(root, "two")
    old, new = of_revision(root, form.format(first)), of_revision(root, second)
    assert old.read(["app/cm.yaml"]) == {"app/cm.yaml": b"x: 1\n"}
    assert new.read(["app/cm.yaml"]) == {"app/cm.yaml": b"x: 2\n"}
    assert new.resolve("app/link.yaml") == "app/cm.yaml" and not old.has("app/link.yaml")
    assert not old.has("app/new.yaml") and new.has("app/new.yaml")


@pytest.mark.parametrize("revision", ["nowhere", "--help", "HEAD:app", "0" * 40, ""])
def test_a_revision_that_is_none_is_named(root: Path, revision: str) -> None:
    with pytest.raises(CommandError, match=r"not found in .*expected a commit, tag, branch or directory"):
        of_revision(root, revision)


def test_a_revision_outside_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not a Git repository, and 'main' is not a directory"):
        of_revision(tmp_path, "main")


def test_sourceignore_counts_in_a_revision_and_in_a_directory(root: Path) -> None:
    write(root, _dot_sourceignore="cm.yaml\n")
    commit(root, "two")
    for tree in (of_directory(root), of_revision(root, "HEAD")):
        assert not tree.has("app/cm.yaml") and tree.has("app/kustomization.yaml")


def test_no_child_of_git_stays_behind(root: Path) -> None:
    of_revision(root, "HEAD").read(["app/cm.yaml"])
    of_directory(root)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    names = [Path(f"/proc/{each}/comm").read_text().strip() for each in children.read_text().split()]
    assert "git" not in names
