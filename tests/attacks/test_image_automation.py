"""What a tenant may try through image automation: where it writes, and what it makes git do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controllers.api.source import GitRef
from controllers.api.tenancy import ReadGit, WriteGit, allowed, policy_of
from controllers.git import (
    GitError,
    Mirror,
    NewCommit,
    RefusedError,
    commit_tree,
    parse_refspec,
)
from controllers.git import objects as git_objects
from controllers.image_automation.commit.push_config import InvalidPushConfigError, push_config
from controllers.image_automation.commit.setters import edit_file
from tests.attacks import attack
from tests.attacks.gitting import plain, program
from tests.attacks.visiting import BOT, CONFIG, NOW, Host, fleet, job

AREA = "image automation"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return fleet(tmp_path)


def tenant(*grants: Mapping[str, Any]) -> list[Any]:
    spec = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team-a"}}, "git": list(grants)}
    return [policy_of({"metadata": {"name": "team-a"}, "spec": spec})]


URL = "https://git.example/fleet.git"
GRANT = {"url": URL, "branches": ["main"], "paths": ["apps/**"], "access": "write"}


def refusals(policies: Sequence[Any], branch: str = "main") -> Any:
    def ask(paths: Sequence[str]) -> dict[str, str]:
        found = {}
        for path in paths:
            decision = allowed(policies, namespace="team-a", namespace_labels={}, request=WriteGit(URL, branch, path))
            if not decision:
                found[path] = decision.reason
        return found

    return ask


@attack(AREA, "Marker in a file outside the paths that the TenantPolicy grants", guard="visit.py: WriteGit per path",
        without="the file is committed")  # fmt: skip
def test_only_granted_paths_are_written(host: Host) -> None:
    outcome = host.visit(job(allow=refusals(tenant(GRANT))))
    assert [path for path, _ in outcome.refused] == ["other/secret.yaml"]
    assert "1.0.0" in host.read("other/secret.yaml") and "2.0.0" in host.read("apps/a.yaml")
    host.visit(job(allow=refusals([])))
    assert "2.0.0" in host.read("other/secret.yaml")


@attack(AREA, "Push branch outside the branches that the TenantPolicy grants", guard="WriteGit asks for the branch",
        without="the branch is pushed")  # fmt: skip
def test_only_granted_branches_are_written(host: Host) -> None:
    config = replace(CONFIG, branch="release", switch=True)
    outcome = host.visit(job("apps", allow=refusals(tenant(GRANT), "release")), config)
    assert outcome.refused and not outcome.commit and not host.read("../release")
    assert plain("rev-parse", "-q", "--verify", "release", cwd=host.work).returncode
    assert host.visit(job("apps", allow=refusals([], "release")), config).commit
    assert plain("rev-parse", "-q", "--verify", "release", cwd=host.work).returncode == 0


@attack(AREA, "Repository that the TenantPolicy lets read, but not write", guard="WriteGit wants access: write",
        without="a grant to read is taken for one to write")  # fmt: skip
def test_a_right_to_read_is_none_to_write() -> None:
    policies = tenant({"url": URL, "branches": ["main"]})
    ask = partial(allowed, namespace="team-a", namespace_labels={})
    assert ask(policies, request=ReadGit(URL, "main"))
    assert not ask(policies, request=WriteGit(URL, "main", "apps/a.yaml"))
    assert ask(tenant(GRANT), request=WriteGit(URL, "main", "apps/a.yaml"))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("../..", marks=attack(AREA, "`update.path` that leads out of the repository",
            guard="git/objects.py clean_path", without="the path resolves outside")),
        pytest.param("apps/../../../etc", marks=attack(AREA, "`update.path` that leads out by a detour",
            guard="git/objects.py clean_path", without="the path resolves outside")),
        pytest.param(".git/hooks", marks=attack(AREA, "`update.path` into `.git`",
            guard="git/objects.py clean_path", without="the path is one of git's own")),
        pytest.param("apps/.GIT", marks=attack(AREA, "`update.path` into `.GIT`, which is `.git` on other disks",
            guard="git/objects.py clean_path", without="the path is one of git's own")),
    ],
)  # fmt: skip
def test_update_path_stays_inside(host: Host, path: str) -> None:
    outcome = host.visit(job(path))
    assert isinstance(outcome.error, RefusedError) and "path" in str(outcome.error)
    there = Path(os.path.normpath(host.work / path))
    assert not there.is_relative_to(host.work) or ".git" in str(there.relative_to(host.work)).lower()


@attack(AREA, "`update.path` that is a symlink to another tenant's directory", guard="commit/visit.py _check_path",
        without="a checkout follows it")  # fmt: skip
def test_update_path_is_no_symlink(host: Host) -> None:
    (host.work / "mine").symlink_to("other")
    host.commit()
    outcome = host.visit(job("mine"))
    assert isinstance(outcome.error, GitError) and "not a directory" in str(outcome.error)
    assert "1.0.0" in host.read("other/secret.yaml")
    assert edit_file("mine/secret.yaml", (host.work / "mine/secret.yaml").read_bytes(), job().policies).content


@attack(AREA, "Symlinked file in the tenant's directory that points to another's file",
        guard="commit/visit.py takes files only; git/commit.py refuses to write a link",
        without="writing through a checkout changes the other file")  # fmt: skip
def test_a_symlinked_file_is_not_written_through(host: Host) -> None:
    (host.work / "apps/link.yaml").symlink_to("../other/secret.yaml")
    host.commit()
    assert host.visit(job("apps")).error is None
    assert "1.0.0" in host.read("other/secret.yaml")
    with host.mirror() as mirror:
        tip = mirror.fetch_ref("refs/heads/main")
        with pytest.raises(RefusedError, match="symlink"):
            commit_tree(mirror.objects, NewCommit(tip, {"apps/link.yaml": b"x"}, "m", BOT, NOW))
    (host.work / "apps/link.yaml").write_text("x")
    assert (host.work / "other/secret.yaml").read_text() == "x"


@attack(AREA, "Symlinked directory in the tenant's directory", guard="git/commit.py: every folder must be a tree",
        without="writing through a checkout changes the other directory's file")  # fmt: skip
def test_a_symlinked_directory_is_not_written_through(host: Host) -> None:
    (host.work / "apps/dir").symlink_to("../other")
    host.commit()
    assert host.visit(job("apps")).error is None
    assert "1.0.0" in host.read("other/secret.yaml")
    with host.mirror() as mirror:
        tip = mirror.fetch_ref("refs/heads/main")
        with pytest.raises(RefusedError, match="symlinks are not followed"):
            commit_tree(mirror.objects, NewCommit(tip, {"apps/dir/secret.yaml": b"x"}, "m", BOT, NOW))
    (host.work / "apps/dir/secret.yaml").write_text("x")
    assert (host.work / "other/secret.yaml").read_text() == "x"


@attack(AREA, "Tree with a directory `.GIT` that holds marked files", guard="git/objects.py refuses the name",
        without="git lists it like any other path")  # fmt: skip
def test_a_tree_with_a_git_directory_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = plain("rev-parse", "main:apps/a.yaml", cwd=host.work).stdout.strip()
    index = {"GIT_INDEX_FILE": str(host.tmp / "index")}
    plain("config", "core.protectHFS", "false", cwd=host.work)
    plain("config", "core.protectNTFS", "false", cwd=host.work)
    body = bytes("100644 config.yaml\0", "ascii") + bytes.fromhex(blob)
    (host.tmp / "inner").write_bytes(body)
    inner = plain("hash-object", "-w", "-t", "tree", "--literally", str(host.tmp / "inner"), cwd=host.work).stdout
    (host.tmp / "outer").write_bytes(b"40000 .GIT\0" + bytes.fromhex(inner.strip()))
    outer = plain("hash-object", "-w", "-t", "tree", "--literally", str(host.tmp / "outer"), cwd=host.work).stdout
    commit = plain("commit-tree", "-m", "x", outer.strip(), cwd=host.work, **index).stdout.strip()
    plain("update-ref", "refs/heads/main", commit, cwd=host.work)
    with pytest.raises(GitError, match=r"\.git"):
        host.visit(job())
    assert ".GIT/config.yaml" in plain("ls-tree", "-r", "--name-only", "main", cwd=host.work).stdout
    assert git_objects.MAX_ENTRIES  # the listing is bounded too


def spec(**push: Any) -> tuple[Any, Any]:
    commit = SimpleNamespace(author=BOT)
    settings = {"branch": "", "refspec": "", "options": {}, **push}
    git = SimpleNamespace(checkout=None, commit=commit, push=SimpleNamespace(**settings))
    return SimpleNamespace(git=git), SimpleNamespace(ref=GitRef(branch="main"), timeout="")


@pytest.mark.parametrize(
    "branch",
    [
        pytest.param("--upload-pack={0}", marks=attack(AREA, "`push.branch` that is an option (`--upload-pack=`)",
            guard="git/refs.py branch_ref", without="git runs the program")),
        pytest.param("--receive-pack={0}", marks=attack(AREA, "`push.branch` that is an option (`--receive-pack=`)",
            guard="git/refs.py branch_ref", without="git runs the program")),
    ],
)  # fmt: skip
def test_a_branch_is_no_option(host: Host, branch: str) -> None:
    evil, mark = program(host.tmp)
    with pytest.raises(InvalidPushConfigError):
        push_config(*spec(branch=branch.format(evil)))
    verb = ["ls-remote"] if "upload" in branch else ["push"]
    plain(*verb, branch.format(evil), f"{host.work}", *(["main"] if "receive" in branch else []), cwd=host.work)
    assert mark.exists()


@pytest.mark.parametrize(
    ("refspec", "works"),
    [
        pytest.param("+refs/heads/evil:refs/heads/main", "forced", marks=attack(AREA,
            "`push.refspec` with `+`, which forces", guard="git/push.py parse_refspec",
            without="the branch loses its commits")),
        pytest.param(":refs/heads/main", "deleted", marks=attack(AREA, "`push.refspec` with an empty source",
            guard="git/push.py parse_refspec", without="the branch is deleted")),
        pytest.param("+:refs/heads/main", "deleted", marks=attack(AREA, "`push.refspec` with `+` and no source",
            guard="git/push.py parse_refspec", without="the branch is deleted")),
        pytest.param("refs/heads/*:refs/heads/x/*", "more", marks=attack(AREA, "`push.refspec` with wildcards",
            guard="git/push.py parse_refspec", without="all branches are pushed")),
    ],
)  # fmt: skip
def test_a_refspec_neither_forces_nor_deletes_nor_spreads(host: Host, refspec: str, works: str) -> None:
    with pytest.raises(RefusedError):
        parse_refspec(refspec)
    with pytest.raises(InvalidPushConfigError):
        push_config(*spec(refspec=refspec))
    bare = host.tmp / "bare.git"
    plain("clone", "-q", "--bare", str(host.work), str(bare), cwd=host.tmp)
    plain("config", "receive.denyDeleteCurrent", "ignore", cwd=bare)
    root = plain("commit-tree", "-m", "root", "main^{tree}", cwd=host.work).stdout.strip()
    plain("update-ref", "refs/heads/evil", root, cwd=host.work)
    before = plain("rev-parse", "main", cwd=bare).stdout
    plain("push", "-q", str(bare), refspec, cwd=host.work)
    after = plain("rev-parse", "-q", "--verify", "refs/heads/main", cwd=bare)
    heads = plain("for-each-ref", "--format=%(refname)", "refs/heads", cwd=bare).stdout
    found = {
        "forced": after.stdout.strip() == root,
        "deleted": after.returncode != 0,
        "more": "refs/heads/x/evil" in heads,
    }
    assert before and found[works]


@attack(AREA, "`push.refspec` whose source is another branch of the mirror", guard="commit/visit.py _refs",
        without="commits that nobody made here are pushed")  # fmt: skip
def test_a_refspec_pushes_only_the_commit_that_was_made(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, refspec=("refs/inhaul/wanted", "refs/heads/review"))
    with pytest.raises(RefusedError, match="expected HEAD"):
        host.visit(job("apps"), config)
    assert plain("rev-parse", "-q", "--verify", "review", cwd=host.work).returncode
    fine = replace(CONFIG, refspec=("HEAD", "refs/heads/review"))
    assert host.visit(job("apps"), fine).commit
    assert plain("rev-parse", "-q", "--verify", "review", cwd=host.work).returncode == 0


@attack(AREA, "`push.options` with a line break, which would be two options", guard="git/push.py _option",
        without="plain git takes the first line's end for the option's")  # fmt: skip
def test_a_push_option_is_one_line(host: Host) -> None:
    with pytest.raises(RefusedError, match=r"push\.options"):
        host.visit(job("apps"), replace(CONFIG, options={"ci.skip\nmerge_request.create": ""}))
    assert "1.0.0" in host.read("apps/a.yaml")
    plain("config", "receive.advertisePushOptions", "true", cwd=host.work)
    assert host.visit(job("apps"), replace(CONFIG, options={"ci.skip": ""})).commit


@attack(AREA, "A rewrite of the push branch that would drop a human's commit", guard="git/push.py: no force",
        without="plain git forces")  # fmt: skip
def test_nothing_is_forced_over_a_commit_of_another(host: Host) -> None:
    with host.mirror() as mirror:
        base = mirror.fetch_ref("refs/heads/main")
        ours = commit_tree(mirror.objects, NewCommit(base, {"apps/a.yaml": b"x"}, "m", BOT, NOW))
        (host.work / "note").write_text("human")
        theirs = host.commit()
        with pytest.raises(GitError, match="moved"):
            _push(mirror, ours)
        assert plain("rev-parse", "main", cwd=host.work).stdout.strip() == theirs
        plain("push", "-q", "--force", str(host.work), f"{ours}:refs/heads/main", cwd=mirror.path)
        assert plain("rev-parse", "main", cwd=host.work).stdout.strip() == ours


def _push(mirror: Mirror, commit: str) -> None:
    from controllers.git import PushRef, push

    push(mirror, [PushRef(commit, "refs/heads/main")])
