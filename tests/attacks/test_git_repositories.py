"""URLs, names and repositories that are made to harm whoever fetches them.

Each test shows the refusal with everything as it is, and then the attack at work with that one guard taken away: by a
setting, by the guard's own constant, or by plain git.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path
from threading import Thread

import pytest

from controllers.api.source import GitRef
from controllers.git import Git, GitError, Mirrors, RefusedError, Remote, mirrors, objects, process, target
from controllers.git.errors import BrokenRepositoryError
from controllers.git.process import _environment
from controllers.runtime.sandbox import powers
from tests.attacks import attack
from tests.attacks.gitting import MARK, plain, program, refs_of, repository

AREA = "kustomization"
needs_landlock = pytest.mark.skipif(powers().landlock < 4, reason="this kernel has no Landlock that knows TCP")


@attack(
    AREA,
    "spec.url `file://`: another worktree or mirror on the same disk",
    guard="git/process.py: protocols by allow-list",
    without="git reads it",
)
def test_a_repository_on_our_own_disk_is_not_read(tmp_path: Path) -> None:
    other = repository(tmp_path / "other", {"key": MARK})
    remote = Remote(f"file://{other}/.git")
    with pytest.raises(RefusedError, match="protocol 'file'"):
        refs_of(remote, tmp_path / "m")
    assert "refs/heads/main" in refs_of(remote, tmp_path / "m", Git(protocols=frozenset({"file"})))


@attack(
    AREA,
    "`ext::` transport: a command line as URL",
    guard="git/process.py: protocols by allow-list (GIT_ALLOW_PROTOCOL)",
    without="git runs the command",
)
def test_a_transport_that_is_a_command_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, mark = program(tmp_path)
    url = f"ext::{evil}"
    with pytest.raises(RefusedError):
        refs_of(Remote(url), tmp_path / "m")
    monkeypatch.setattr(process, "check_url", lambda url, protocols: url)  # the second guard stands alone
    monkeypatch.setattr(mirrors, "check_url", lambda url, protocols: url)
    with pytest.raises(RefusedError, match="not allowed"):
        refs_of(Remote(url), tmp_path / "m")
    assert not mark.exists()
    with pytest.raises(GitError):
        refs_of(Remote(url), tmp_path / "m", Git(protocols=frozenset({"ext"}), confined=False))
    assert mark.exists()


@attack(
    AREA,
    "Name of a reference that is an option of git (`--upload-pack=…`)",
    guard="git/refs.py, and `--` before what is named",
    without="git runs the program",
)
def test_a_reference_is_never_an_option(tmp_path: Path) -> None:
    evil, mark = program(tmp_path)
    option = f"--upload-pack={evil}"
    for ref in (GitRef(branch=option), GitRef(tag=option), GitRef(name=option)):
        with pytest.raises(RefusedError):
            target(ref)
    other = repository(tmp_path / "other", {"a": "b"})
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        mirror.ls_remote([option])
        assert not mark.exists()
    plain("ls-remote", option, f"file://{other}", cwd=tmp_path)
    assert mark.exists()


@attack(
    AREA,
    "Host of an ssh URL that is an option of ssh (`-oProxyCommand=…`)",
    guard="git/process.py: check_url",
    without="ssh runs the command",
)
def test_a_host_is_never_an_option_of_ssh(tmp_path: Path) -> None:
    evil, mark = program(tmp_path)
    with pytest.raises(RefusedError):
        process.check_url(f"ssh://-oProxyCommand={evil}/x")
    argv = ["ssh", "-F", "/dev/null", f"-oProxyCommand={evil}", "host.invalid"]
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    assert mark.exists()


@attack(
    AREA,
    "Password in spec.url, where status and messages would show it",
    guard="git/process.py: check_url",
    without="git prints the URL with it",
)
def test_a_url_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    url = "https://u:hidden-value@127.0.0.1:1/x.git"
    with pytest.raises(RefusedError) as caught:
        refs_of(Remote(url), tmp_path / "m")
    assert "hidden-value" not in str(caught.value)
    assert "127.0.0.1" in plain("ls-remote", url, cwd=tmp_path).stderr


@attack(
    AREA,
    "Bare repository among the files, with a program in its configuration",
    guard="git/process.py: safe.bareRepository=explicit, no worktree",
    without="git in that directory runs the program",
)
def test_a_bare_repository_inside_a_repository_is_not_one(tmp_path: Path) -> None:
    evil, mark = program(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "objects").mkdir()
    (bare / "refs").mkdir()
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    (bare / "config").write_text(f"[core]\nrepositoryformatversion=0\nbare=false\nworktree={bare}\nfsmonitor={evil}\n")
    plain("status", cwd=bare)
    assert mark.exists(), "the attack must work where nothing guards"
    mark.unlink()
    env = _environment(tmp_path, frozenset({"https"}), {}, {})
    done = subprocess.run(["git", "status"], cwd=bare, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert "bareRepository" in done.stderr and not mark.exists()


@attack(
    AREA,
    "Hook in a repository's directory",
    guard="git/process.py: core.hooksPath=/dev/null",
    without="the fetch runs it",
)
def test_no_hook_runs_on_a_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, mark = program(tmp_path)
    other = repository(tmp_path / "other", {"a": "b"})
    pool = Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}), confined=False))
    with pool.use(Remote(f"file://{other}")) as mirror:
        hook = mirror.path / "hooks" / "reference-transaction"
        hook.parent.mkdir()
        hook.write_bytes(evil.read_bytes())
        hook.chmod(0o755)
        mirror.fetch_ref("refs/heads/main")
        assert not mark.exists()
        monkeypatch.delitem(process._CONFIG, "core.hooksPath")
        (other / "a").write_text("c")
        plain("commit", "-qam", "y", cwd=other)
        mirror.fetch_ref("refs/heads/main")
        assert mark.exists()


@attack(
    AREA,
    "Program in a repository's directory, started in spite of it all",
    guard="runtime/sandbox.py: a git child runs what is installed, and nothing it wrote",
    without="without Landlock the fetch runs it",
)
@attack(
    AREA,
    "Another tenant's mirror as an alternate of one's own",
    guard="runtime/sandbox.py: a git child reads its own repository",
    without="without Landlock its files are read",
)
@needs_landlock
def test_a_git_child_reaches_its_own_repository_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, mark = program(tmp_path)
    mine, theirs = repository(tmp_path / "mine", {"a": "b"}), repository(tmp_path / "theirs", {"key": MARK})
    blob = plain("hash-object", "key", cwd=theirs).stdout.strip()
    monkeypatch.delitem(process._CONFIG, "core.hooksPath")
    for confined in (True, False):
        git = Git(protocols=frozenset({"file"}), confined=confined)
        with Mirrors(tmp_path / str(confined), git=git).use(Remote(f"file://{mine}")) as mirror:
            hook = mirror.path / "hooks" / "reference-transaction"
            hook.parent.mkdir()
            hook.write_bytes(evil.read_bytes())
            hook.chmod(0o755)
            with contextlib.suppress(GitError):
                mirror.fetch_ref("refs/heads/main")
            assert mark.exists() is not confined
            (mirror.path / "objects" / "info").mkdir(exist_ok=True)
            (mirror.path / "objects" / "info" / "alternates").write_text(f"{theirs}/.git/objects\n")
            kind, content = mirror.objects.read_objects([blob])[0]
            assert (kind, content) == (("missing", b"") if confined else ("blob", MARK.encode()))


@needs_landlock
def test_a_git_child_without_a_remote_opens_no_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/x.git"
        for remote, seen in ((None, False), (Remote(url), True)):
            server.settimeout(0.5 if remote is None else 30)
            with contextlib.suppress(GitError):
                Thread(target=attempt, args=(url, remote), daemon=True).start()
            try:
                server.accept()[0].close()
                assert seen
            except TimeoutError:
                assert not seen


def attempt(url: str, remote: Remote | None) -> None:
    with contextlib.suppress(GitError):
        Git().run("ls-remote", "--", url, remote=remote, timeout=30)


@attack(
    AREA,
    "`.gitattributes` that names a filter (LFS) of the machine's configuration",
    guard="git/process.py: no configuration but ours; objects.py reads blobs, no checkout",
    without="a checkout runs the filter",
)
def test_no_filter_runs_on_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil, mark = program(tmp_path)
    (tmp_path / ".gitconfig").write_text(f'[filter "lfs"]\nsmudge={evil}\n')
    other = repository(tmp_path / "other", {".gitattributes": "* filter=lfs\n", "a.yaml": "oid sha256:0\n"})
    monkeypatch.setenv("HOME", str(tmp_path))
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        commit = mirror.fetch_ref("refs/heads/main")
        mirror.objects.export(commit, None, tmp_path / "out")
    assert (tmp_path / "out" / "a.yaml").read_text() == "oid sha256:0\n" and not mark.exists()
    plain("clone", "-q", f"file://{other}", str(tmp_path / "clone"), cwd=tmp_path)
    assert mark.exists()


@attack(
    AREA,
    "Symbolic link in a repository that leads out of an export",
    guard="git/objects.py: links are judged before they are written",
    without="the link is there, and the file outside can be read",
)
def test_a_link_out_of_the_tree_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(MARK)
    other = repository(tmp_path / "other", {"a": "b"})
    (other / "link").symlink_to(tmp_path / "secret")
    plain("add", "-A", cwd=other), plain("commit", "-qm", "y", cwd=other)
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        commit = mirror.fetch_ref("refs/heads/main")
        with pytest.raises(RefusedError, match="leads out"):
            mirror.objects.export(commit, None, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        monkeypatch.setattr(objects, "_check_link", lambda path, content: None)
        mirror.objects.export(commit, None, tmp_path / "out")
    assert (tmp_path / "out" / "link").read_text() == MARK


def tree_with(name: str, directory: Path) -> tuple[Path, str]:
    """A repository whose one commit has a directory of this name, which no `git add` would make: its path and id."""
    made = repository(directory, {"a": MARK})
    blob = plain("hash-object", "a", cwd=made).stdout.strip()

    def write(kind: str, content: bytes) -> str:
        argv = ["git", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]
        done = subprocess.run(argv, input=content, cwd=made, capture_output=True, timeout=20, check=True)
        return done.stdout.decode().strip()

    inner = write("tree", b"100644 pwned.yaml\0" + bytes.fromhex(blob))
    outer = write("tree", b"40000 " + name.encode() + b"\0" + bytes.fromhex(inner))
    commit = plain("commit-tree", "-m", "x", outer, cwd=made).stdout.strip()
    plain("update-ref", "refs/heads/main", commit, cwd=made)
    return made, commit


@attack(
    AREA,
    "Tree that holds `..` as a name",
    guard="git/objects.py: names are checked before they are paths",
    without="the file lands outside the export",
)
@attack(
    AREA,
    "Tree that holds `.git` as a name: a repository's configuration",
    guard="git/objects.py: names are checked before they are paths",
    without="the export holds a .git directory",
)
@pytest.mark.parametrize("name", ["..", ".GIT"])
def test_a_name_that_is_a_way_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    other, commit = tree_with(name, tmp_path / "other")
    with Mirrors(tmp_path / "m", git=Git(protocols=frozenset({"file"}))).use(Remote(f"file://{other}")) as mirror:
        mirror.fetch_ref("refs/heads/main")
        with pytest.raises(BrokenRepositoryError, match="forbidden file name"):
            mirror.objects.list_tree(commit)
        monkeypatch.setattr(objects, "_entry", unchecked)
        (tmp_path / "deep").mkdir()
        mirror.objects.export(commit, None, tmp_path / "deep" / "out")
    assert (tmp_path / "deep" / "out" / name / "pwned.yaml").exists()


def unchecked(record: bytes, below: str) -> objects.TreeEntry:
    head, _, raw = record.partition(b"\t")
    mode, _, name, size = head.decode().split()
    return objects.TreeEntry(mode, name, int(size), raw.decode())
