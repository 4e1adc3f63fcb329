"""What a tenant may try through image automation: where it writes, what it writes, and what it makes git do."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from controllers.api.resource import Key
from controllers.api.source import GitRef
from controllers.api.tenancy import ReadGit, WriteGit, allowed, policy_of
from controllers.git import (
    GitError,
    Mirror,
    Mirrors,
    NewCommit,
    Person,
    Refused,
    Remote,
    commit_tree,
    parse_refspec,
    trailers,
    with_trailers,
)
from controllers.git import commit as git_commit
from controllers.git import objects as git_objects
from controllers.git.process import Git
from controllers.image_automation import edit, markers, message, scan, work
from controllers.image_automation.edit import edit_file, edit_tree
from controllers.image_automation.policy import InvalidPolicy, compile_policy
from controllers.image_automation.push_config import BadPushConfig, PolicyView, PushConfig, push_config, select_policies
from controllers.image_automation.reference import Ref
from controllers.image_automation.work import Job, Outcome, visit
from tests.attacks import attack
from tests.attacks.gitting import plain, program, repository

AREA = "image automation"
MARKED = 'image: r.io/web:1.0.0 # {"$imagepolicy": "team-a:web"}\n'
BOT = Person("bot", "bot@example.com")
KEY = Key("team-a", "bot")
CONFIG = PushConfig(GitRef(branch="main"), "main", False, None, {}, 20)
NOW = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass
class Host:
    """A repository on this machine, and visits to it."""

    tmp: Path
    work: Path

    @property
    def remote(self) -> Remote:
        return Remote(f"file://{self.work}", timeout=20)

    def mirrors(self, name: str = "m") -> Mirrors:
        return Mirrors(self.tmp / name, git=Git(protocols=frozenset({"file"}), confined=False))

    def commit(self) -> str:
        """What stands in the worktree, links as links."""
        plain("add", "-A", "-f", cwd=self.work)
        assert plain("commit", "-q", "-m", "x", cwd=self.work).returncode == 0
        plain("config", "receive.denyCurrentBranch", "ignore", cwd=self.work)
        return plain("rev-parse", "HEAD", cwd=self.work).stdout.strip()

    def visit(self, job: Job, config: PushConfig = CONFIG) -> Outcome:
        return visit(self.mirrors(), self.remote, config, [job], now=lambda: NOW)[job.key]

    def read(self, path: str) -> str:
        return plain("show", f"main:{path}", cwd=self.work).stdout

    def mirror(self) -> Any:
        return self.mirrors("objects").use(self.remote)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path, repository(tmp_path / "fleet", {"apps/a.yaml": MARKED, "other/secret.yaml": MARKED}))
    plain("config", "receive.denyCurrentBranch", "ignore", cwd=made.work)
    return made


def job(path: str = ".", *, allow: Any = None, **more: Any) -> Job:
    base = Job(KEY, path, {"team-a:web": Ref("r.io/web", "2.0.0")}, {}, BOT, "", {}, allow or (lambda paths: {}))
    return replace(base, **more)


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


@attack(AREA, "Marker in a file outside the paths that the TenantPolicy grants", guard="work.py asks WriteGit per path",
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
    ask = {"namespace": "team-a", "namespace_labels": {}}
    assert allowed(policies, request=ReadGit(URL, "main"), **ask)
    assert not allowed(policies, request=WriteGit(URL, "main", "apps/a.yaml"), **ask)
    assert allowed(tenant(GRANT), request=WriteGit(URL, "main", "apps/a.yaml"), **ask)


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
    assert isinstance(outcome.error, Refused) and "path" in str(outcome.error)
    there = Path(os.path.normpath(host.work / path))
    assert not there.is_relative_to(host.work) or ".git" in str(there.relative_to(host.work)).lower()


@attack(AREA, "`update.path` that is a symlink to another tenant's directory", guard="work.py _check_path",
        without="a checkout follows it")  # fmt: skip
def test_update_path_is_no_symlink(host: Host) -> None:
    (host.work / "mine").symlink_to("other")
    host.commit()
    outcome = host.visit(job("mine"))
    assert isinstance(outcome.error, GitError) and "not a directory" in str(outcome.error)
    assert "1.0.0" in host.read("other/secret.yaml")
    assert edit_file("mine/secret.yaml", (host.work / "mine/secret.yaml").read_bytes(), job().policies).content


@attack(AREA, "Symlinked file in the tenant's directory that points to another's file",
        guard="work.py takes files only; git/commit.py refuses to write a link",
        without="writing through a checkout changes the other file")  # fmt: skip
def test_a_symlinked_file_is_not_written_through(host: Host) -> None:
    (host.work / "apps/link.yaml").symlink_to("../other/secret.yaml")
    host.commit()
    assert host.visit(job("apps")).error is None
    assert "1.0.0" in host.read("other/secret.yaml")
    with host.mirror() as mirror:
        tip = mirror.fetch_ref("refs/heads/main")
        with pytest.raises(Refused, match="symlink"):
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
        with pytest.raises(Refused, match="symlinks are not followed"):
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
    with pytest.raises(BadPushConfig):
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
    with pytest.raises(Refused):
        parse_refspec(refspec)
    with pytest.raises(BadPushConfig):
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


@attack(AREA, "`push.refspec` whose source is another branch of the mirror", guard="work.py _refs",
        without="commits that nobody made here are pushed")  # fmt: skip
def test_a_refspec_pushes_only_the_commit_that_was_made(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, refspec=("refs/inhaul/wanted", "refs/heads/review"))
    with pytest.raises(Refused, match="expected HEAD"):
        host.visit(job("apps"), config)
    assert plain("rev-parse", "-q", "--verify", "review", cwd=host.work).returncode
    fine = replace(CONFIG, refspec=("HEAD", "refs/heads/review"))
    assert host.visit(job("apps"), fine).commit
    assert plain("rev-parse", "-q", "--verify", "review", cwd=host.work).returncode == 0


@attack(AREA, "`push.options` with a line break, which would be two options", guard="git/push.py _option",
        without="plain git takes the first line's end for the option's")  # fmt: skip
def test_a_push_option_is_one_line(host: Host) -> None:
    with pytest.raises(Refused, match=r"push\.options"):
        host.visit(job("apps"), replace(CONFIG, options={"ci.skip\nmerge_request.create": ""}))
    assert "1.0.0" in host.read("apps/a.yaml")
    plain("config", "receive.advertisePushOptions", "true", cwd=host.work)
    assert host.visit(job("apps"), replace(CONFIG, options={"ci.skip": ""})).commit


FORGED = "Update\n\nImage-Update-Automation: team-b/prod\nImage-Policy: team-b/web r.io/evil:9\n"


@attack(AREA, "messageTemplate that forges the trailers of another automation",
        guard="git/commit.py: ours stand alone where names clash",
        without="the forged ones come first, and holds and recovery believe them")  # fmt: skip
def test_a_message_cannot_speak_in_the_name_of_another_automation(host: Host) -> None:
    commit = host.visit(job("apps", template=FORGED)).commit
    found = trailers(plain("log", "-1", "--format=%B", commit, cwd=host.work).stdout)
    assert ("Image-Update-Automation", "team-a/bot") in found
    assert all("team-b" not in value for _, value in found)
    unguarded = f"{FORGED}Image-Update-Automation: team-a/bot\n"
    assert trailers(unguarded)[0] == ("Image-Update-Automation", "team-b/prod")


@attack(AREA, "Values with line breaks that become trailers", guard="git/commit.py: one line per trailer",
        without="a second trailer is read")  # fmt: skip
def test_a_trailer_is_one_line() -> None:
    value = "team-a/bot\nImage-Policy: team-b/web r.io/evil:9"
    found = trailers(with_trailers("x", [("Image-Update-Automation", value)]))
    assert [name for name, _ in found] == ["Image-Update-Automation"]
    assert len(trailers(f"x\n\nImage-Update-Automation: {value}\n")) == 2


@attack(AREA, "messageTemplate that renders megabytes", guard="message.py MAX_MESSAGE", without="it is committed")
def test_a_message_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    template = '{{ repeat 90000 "x" }}'
    changed = edit_tree({"a.yaml": MARKED.encode()}, job().policies)

    def render() -> str:
        return message.render(template, automation=message.Automation("team-a", "bot"), changed=changed)

    with pytest.raises(message.BadMessage, match="characters"):
        render()
    monkeypatch.setattr(message, "MAX_MESSAGE", 1 << 30)
    assert len(render()) == 90_000


@attack(AREA, "Author whose name holds line breaks and headers", guard="git/commit.py _person",
        without="the commit gets another committer")  # fmt: skip
def test_an_author_is_one_line(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    evil = Person("x <e@x> 1 +0000\ncommitter Admin <admin@example.com> 1 +0000\nx", "bot@example.com")
    new = NewCommit("0" * 40, {}, "m", evil, NOW)
    assert b"\ncommitter Admin" not in git_commit._commit_bytes("1" * 40, new)
    monkeypatch.setattr(git_commit, "_IDENTITY", re.compile(r"(?!)"))
    assert b"\ncommitter Admin" in git_commit._commit_bytes("1" * 40, new)


@attack(AREA, "Marker that names a policy of another namespace", guard="push_config.py select_policies",
        without="the other tenant's image is written")  # fmt: skip
def test_a_marker_means_only_policies_of_its_own_namespace() -> None:
    theirs = PolicyView("team-b", "web", {}, Ref("r.io/web", "9.9.9"))
    text = MARKED.replace("team-a:web", "team-b:web").encode()

    def written(namespace: str) -> bytes | None:
        chosen = select_policies([theirs], namespace=namespace, selector=None)
        return edit_file("a.yaml", text, {f"{one.namespace}:{one.name}": one.latest for one in chosen}).content  # type: ignore[misc]

    assert written("team-a") is None
    assert written("team-b") is not None


TAGS = ["$(id)", "`id`", "; rm -rf /", "a: b # c", "x\n  evil: true", "{{ .Values }}", "*", "&a", "a'b", 'a"b', "-rf",
        "é", "../../x", "a" * 129]  # fmt: skip


@attack(AREA, "Tags with metacharacters of shells, YAML and templates", guard="scan.py keeps well-formed tags",
        without="they are picked")  # fmt: skip
def test_tags_that_are_none_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scan.scanned(TAGS).tags == ()
    monkeypatch.setattr(scan, "is_tag", lambda tag: True)
    assert set(scan.scanned(TAGS).tags) == set(TAGS)


@attack(AREA, "Tag that would end its scalar and begin another key", guard="edit.py: quotes, and reads the edit again",
        without="the file gets the key")  # fmt: skip
def test_a_value_stays_one_scalar(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = {"team-a:web": Ref("r.io/web", "1\nprivileged: true #")}
    done = edit_file("a.yaml", MARKED.encode(), evil)
    assert done.content is None or set(yaml.safe_load(done.content)) == {"image"}
    monkeypatch.setattr(edit, "is_plain_safe", lambda text: True)
    assert edit_file("a.yaml", MARKED.encode(), evil).problem, "the second look finds it"
    monkeypatch.setattr(edit, "_check", lambda *_: None)
    content = edit_file("a.yaml", MARKED.encode(), evil).content
    assert content is not None and yaml.safe_load(content)["privileged"] is True


@attack(AREA, "Tag that reads as another type (`on`, `1e3`)", guard="plain.py: such text is quoted",
        without="the field is no text any more")  # fmt: skip
@pytest.mark.parametrize("tag", ["on", "1e3", "10", "null", "2024-01-01", "0x10"])
def test_a_value_stays_text(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'tag: v1 # {"$imagepolicy": "team-a:web:tag"}\n'
    policies = {"team-a:web": Ref("r.io/web", tag)}
    content = edit_file("a.yaml", text, policies).content
    assert content is not None and yaml.safe_load(content)["tag"] == tag
    monkeypatch.setattr(edit, "is_plain_safe", lambda text: True)
    content = edit_file("a.yaml", text, policies).content
    # YAML 1.1 resolves all but exponents without a dot; Kubernetes' own reader resolves those too
    assert content is not None and (yaml.safe_load(content)["tag"] != tag or tag == "1e3")


@attack(AREA, "File with more tokens than any manifest", guard="markers.py MAX_TOKENS", without="all of it is read")
def test_a_file_is_read_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (MARKED + "a: [" + "x," * 5000 + "]\n").encode()
    monkeypatch.setattr(markers, "MAX_TOKENS", 5000)
    assert "tokens" in edit_file("a.yaml", text, job().policies).problem
    monkeypatch.undo()
    assert edit_file("a.yaml", text, job().policies).content


@attack(AREA, "File nested deeper than any manifest", guard="markers.py MAX_DEPTH", without="all of it is read")
def test_a_file_is_nested_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (MARKED + "a: " + "[" * 150 + "]" * 150 + "\n").encode()
    assert "levels" in edit_file("a.yaml", text, job().policies).problem
    monkeypatch.setattr(markers, "MAX_DEPTH", 1000)
    assert edit_file("a.yaml", text, job().policies).content


@attack(AREA, "File larger than any manifest", guard="work.py: files over MAX_FILE are not read", without="it is read")
def test_a_large_file_is_not_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.work / "apps/big.yaml").write_text(MARKED + "# x\n" * 100)
    host.commit()
    monkeypatch.setattr(work, "MAX_FILE", 200)
    assert host.visit(job("apps", allow=lambda paths: dict.fromkeys(paths, "look only"))).refused == (
        ("apps/a.yaml", "look only"),
    )
    monkeypatch.undo()
    assert len(host.visit(job("apps", allow=lambda paths: dict.fromkeys(paths, "look only"))).refused) == 2


@attack(AREA, "filterTags.pattern that takes for ever in other engines", guard="RE2: look-around and back references"
        " are refused, time is linear", without="Python's own engine takes them")  # fmt: skip
@pytest.mark.parametrize("pattern", [r"(?=a)a", r"(a+)\1", r"(?<!x)a"])
def test_patterns_without_end_are_refused(pattern: str) -> None:
    import re

    choice = SimpleNamespace(semver=None, alphabetical=SimpleNamespace(order="asc"), numerical=None)
    with pytest.raises(InvalidPolicy, match=r"filterTags\.pattern"):
        compile_policy(choice, SimpleNamespace(pattern=pattern, extract=""))
    assert re.compile(pattern)


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
