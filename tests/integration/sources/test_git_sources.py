"""GitRepositories beyond a branch: signatures, submodules, includes, GitHub Apps, and artifacts of others."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controllers.api.resource import Manifest
from controllers.api.source import GIT_REPOSITORIES
from controllers.runtime.conditions import find
from tests.attacks.gitting import plain
from tests.integration.kustomization.conftest import World, configmap, running, world
from tests.integration.sources.hosts import ConnectProxy, Github

__all__ = ["world"]


def said(manifest: Manifest, condition: str = "Ready") -> tuple[str, str, str]:
    found = find(manifest["status"], condition) or {}
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


async def git(*argv: str, cwd: Path, **environment: str) -> str:
    done = await asyncio.to_thread(plain, *argv, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Signers:
    """A clone of the repository, and a person with a PGP key and an SSH key who pushes to it."""

    def __init__(self, world: World, directory: Path) -> None:
        self.bare, self.clone = world.git.directory / "fleet.git", directory / "clone"
        self.home, self.key = directory / "gpg", directory / "id"

    async def make(self) -> dict[str, str]:
        """The public keys, as a Secret's data."""
        await git("clone", "-q", str(self.bare), str(self.clone), cwd=self.bare.parent)
        self.home.mkdir(mode=0o700)
        self._gpg("--quick-gen-key", "Ada <ada@example.com>", "ed25519", "sign", "never")
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)]
        await asyncio.to_thread(subprocess.run, argv, check=True, timeout=20)
        return {"ada.asc": self._gpg("--armor", "--export"), "ada.sshpub": self.key.with_suffix(".pub").read_text()}

    def _gpg(self, *arguments: str) -> str:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
        return subprocess.run([*argv, *arguments], capture_output=True, check=True, timeout=20, text=True).stdout

    async def commit(self, text: str, form: str = "", *, tag: str = "", tag_form: str = "") -> str:
        (self.clone / "app").mkdir(exist_ok=True)
        (self.clone / "app" / "cm.yaml").write_text(configmap("app", "team-a", x=text))
        await git("add", "-A", cwd=self.clone)
        await self._with(form, "commit", "-q", "-m", text, *(["-S"] if form else []))
        if tag:
            await self._with(tag_form, "tag", "-s" if tag_form else "-a", "-m", tag, tag)
            await git("push", "-q", "origin", tag, cwd=self.clone)
        await git("push", "-q", "origin", "HEAD:main", cwd=self.clone)
        return await git("rev-parse", "HEAD", cwd=self.clone)

    async def _with(self, form: str, *argv: str) -> None:
        key = ["-c", f"user.signingkey={self.key}"] if form == "ssh" else []
        options = ["-c", f"gpg.format={'ssh' if form == 'ssh' else 'openpgp'}", *key]
        await git(*options, *argv, cwd=self.clone, GNUPGHOME=str(self.home), GIT_COMMITTER_NAME="Ada",
                  GIT_COMMITTER_EMAIL="ada@example.com")  # fmt: skip


async def test_only_what_is_signed_by_a_known_key_is_used(world: World, tmp_path: Path) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"README": "x"})
    ada = Signers(world, tmp_path)
    keys = await ada.make()
    await world.secret("pgp", "team-a", **{"ada.asc": keys["ada.asc"]})
    await world.secret("all", "team-a", **keys)
    await ada.commit("one", "pgp", tag="v1.0.0", tag_form="ssh")
    verify = {"mode": "HEAD", "secretRef": {"name": "pgp"}}
    await world.repository("team-a", verify=verify)
    await world.kustomization("app", "team-a", "app")
    async with running(world.manager()):
        first = await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)
        status, reason, message = said(first, "SourceVerified")
        assert (status, reason) == ("True", "Succeeded") and "verified signature of commit" in message
        assert first["status"]["sourceVerificationMode"] == "HEAD"
        await world.condition("app", "team-a", "True")

        for number, form in enumerate(("", "ssh")):  # no signature, and one of a key that is not given
            await ada.commit(f"bad-{number}", form)
            await world.poke("team-a")
            held = await world.condition(
                "fleet", "team-a", "False", "InvalidCommitSignature", resource=GIT_REPOSITORIES
            )
            assert said(held, "SourceVerified")[0] == "False"
            assert held["status"]["artifact"]["revision"] == first["status"]["artifact"]["revision"]
        assert await world.data("app", "team-a") == {"x": "one"}

        async def edited(**spec: Any) -> Manifest:
            await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": spec})
            return await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)

        both = await edited(verify={"mode": "HEAD", "secretRef": {"name": "all"}})
        assert "SHA256:" in said(both, "SourceVerified")[2]
        await ada.commit("two", tag="v1.1.0", tag_form="pgp")  # the commit is not signed, its tag is
        tagged = await edited(verify={"mode": "Tag", "secretRef": {"name": "all"}}, ref={"semver": "1.x"})
        assert tagged["status"]["artifact"]["revision"].startswith("v1.1.0@")
        assert "tag 'v1.1.0'" in said(tagged, "SourceVerified")[2]
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": {"verify": {"mode": "TagAndHEAD"}}})
        await world.condition("fleet", "team-a", "False", "InvalidCommitSignature", resource=GIT_REPOSITORIES)
        first = await edited(ref={"tag": "v1.0.0", "semver": None})
        assert " and commit " in said(first, "SourceVerified")[2]
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": {"ref": {"tag": None}}})
        await world.condition("fleet", "team-a", "False", "InvalidVerificationMode", resource=GIT_REPOSITORIES)
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": {"verify": None}})
        free = await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)
        assert not said(free, "SourceVerified")[0] and "sourceVerificationMode" not in free["status"]


async def submodule(world: World, at: str, url: str, commit: str) -> str:
    """Commits a submodule to `fleet`, whatever its URL."""
    text = f'[submodule "x"]\n\tpath = {at}\n\turl = {url}\n\tupdate = !touch /tmp/never\n'
    await world.git.commit("fleet", {".gitmodules": text})
    bare = world.git.directory / "fleet.git"
    index = {"GIT_INDEX_FILE": str(world.directory / "index"), "GIT_DIR": str(bare)}
    await git("read-tree", "main", cwd=bare, **index)
    await git("update-index", "--add", "--cacheinfo", f"160000,{commit},{at}", cwd=bare, **index)
    tree = await git("write-tree", cwd=bare, **index)
    made = await git("commit-tree", "-p", "main", "-m", "submodule", tree, cwd=bare, **index)
    await git("update-ref", "refs/heads/main", made, cwd=bare, **index)
    return made


async def test_submodules_and_included_repositories_are_part_of_a_source(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("lib", {"cm.yaml": configmap("lib", "team-a", x="1")})
    await world.git.create_repo("shared", {"deep/cm.yaml": configmap("shared", "team-a", x="1"), "other/y.txt": "y"})
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    old = await world.git.head("lib")
    await world.git.commit("lib", {"cm.yaml": configmap("lib", "team-a", x="2")})
    await submodule(world, "app/lib", "../lib.git", old)
    await world.repository("team-a", recurseSubmodules=True, include=[
        {"repository": {"name": "shared"}, "fromPath": "deep", "toPath": "app/shared"}])  # fmt: skip
    await world.kustomization("app", "team-a", "app")
    async with running(world.manager()):
        waits = await world.condition("fleet", "team-a", "False", "IncludeUnavailable", resource=GIT_REPOSITORIES)
        assert said(waits, "IncludeUnavailable")[0] == "True" and "'shared'" in said(waits)[2]
        spec = {"url": world.git.https_url("shared"), "interval": "1m", "ref": {"branch": "main"}}
        await world.make(GIT_REPOSITORIES, "shared", "team-a", spec={**spec, "secretRef": {"name": "git"}})
        done = await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)
        assert len(done["status"]["includedArtifacts"]) == 1 and done["status"]["observedRecurseSubmodules"]
        assert not said(done, "IncludeUnavailable")[0]
        await world.condition("app", "team-a", "True")
        for name in ("app", "lib", "shared"):
            assert await world.data(name, "team-a") == {"x": "1"}, name

        await world.git.commit("shared", {"deep/cm.yaml": configmap("shared", "team-a", x="3")})
        stamp = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
        await world.kube.patch(GIT_REPOSITORIES, "shared", "team-a", body=stamp)

        async def arrived() -> bool:
            return await world.data("shared", "team-a") == {"x": "3"}

        await world.until(arrived)
        include = [{"repository": {"name": "shared"}, "fromPath": "none"}]
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": {"include": include}})
        lost = await world.condition("fleet", "team-a", "False", resource=GIT_REPOSITORIES)
        assert "'none' is not in the included repository" in said(lost)[2]
        circle = [{"repository": {"name": "fleet"}}]
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": {"include": circle}})
        round_ = await world.condition("fleet", "team-a", "False", "IncludeUnavailable", resource=GIT_REPOSITORIES)
        assert "circular spec.include" in said(round_)[2]
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": {"include": None}})
        await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)
        await submodule(world, "app/lib", "https://evil.invalid/lib.git", old)
        await world.poke("team-a")
        refused = await world.condition("fleet", "team-a", "False", resource=GIT_REPOSITORIES)
        assert "submodule 'app/lib': host evil.invalid is not allowed" in said(refused)[2]


async def test_a_github_app_logs_in_with_a_token_that_it_keeps_with_or_without_provider(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    async with Github(world.git).running() as github:
        data = github.secret()
        await world.secret("app", "team-a", **data)
        wrong = {**data, "githubAppInstallationID": "5"}
        del wrong["githubAppInstallationOwner"]
        await world.secret("wrong", "team-a", **wrong)
        await world.secret("basic", "team-a", username="u", password="p")
        spec = {"url": world.git.https_url("fleet"), "interval": "1m", "ref": {"branch": "main"}}
        for name, more in (("fleet", {"provider": "github", "secretRef": {"name": "app"}}),
                           ("second", {"provider": "github", "secretRef": {"name": "app"}}),
                           ("generic", {"secretRef": {"name": "app"}}),
                           ("wrong", {"provider": "github", "secretRef": {"name": "wrong"}}),
                           ("basic", {"provider": "github", "secretRef": {"name": "basic"}}),
                           ("none", {"provider": "github"})):  # fmt: skip
            await world.make(GIT_REPOSITORIES, name, "team-a", spec={**spec, **more})
        await world.kustomization("app", "team-a", "app")
        async with running(world.manager()):
            await world.condition("app", "team-a", "True")
            for name in ("fleet", "second", "generic"):
                await world.condition(name, "team-a", "True", resource=GIT_REPOSITORIES)
            assert github.asked == ["77"], "one token for all that log in with the same App"
            refused = await world.condition(
                "wrong", "team-a", "False", "AuthenticationFailed", resource=GIT_REPOSITORIES
            )
            assert "GitHub returned HTTP 404" in said(refused)[2] and "hidden-value" not in str(refused["status"])
            for name, found in (("basic", "Secret team-a/basic: found keys password, username"), ("none", "no Secret")):
                lost = await world.condition(
                    name, "team-a", "False", "InvalidProviderConfiguration", resource=GIT_REPOSITORIES
                )
                assert found in said(lost)[2] and "expected GitHub App data" in said(lost)[2]


async def test_a_repository_is_reached_through_a_proxy(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    async with ConnectProxy().running() as proxy:
        await world.secret("good", "team-a", **proxy.secret())
        await world.secret("bad", "team-a", **proxy.secret("wrong"))
        await world.repository("team-a", proxySecretRef={"name": "good"})
        await world.kustomization("app", "team-a", "app")
        async with running(world.manager()):
            await world.condition("app", "team-a", "True")
            assert proxy.tunnels and set(proxy.tunnels) == {world.git.url.removeprefix("https://")}
            bad = {"spec": {"proxySecretRef": {"name": "bad"}}}
            await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body=bad)
            lost = await world.condition("fleet", "team-a", "False", resource=GIT_REPOSITORIES)
            assert "p@ss" not in str(lost["status"]) and "wrong" not in str(lost["status"])


async def test_a_github_app_asks_for_its_token_through_the_proxy(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    git_port = int(world.git.url.rpartition(":")[2])
    async with Github(world.git).running() as github:
        behind = {"localhost:1": git_port, "localhost:2": github.port}  # ports at which nothing listens
        async with ConnectProxy(behind).running() as proxy:
            await world.secret("proxy", "team-a", **proxy.secret())
            await world.secret("app", "team-a", **github.secret("https://localhost:2"))
            spec = {"url": "https://localhost:1/fleet.git", "interval": "1m", "ref": {"branch": "main"},
                    "secretRef": {"name": "app"}}  # fmt: skip
            await world.make(GIT_REPOSITORIES, "direct", "team-a", spec=spec)
            async with running(world.manager()):
                lost = await world.condition("direct", "team-a", "False", resource=GIT_REPOSITORIES)
                assert "GitHub is unreachable" in said(lost)[2] and not proxy.asked
                await world.make(
                    GIT_REPOSITORIES, "fleet", "team-a", spec={**spec, "proxySecretRef": {"name": "proxy"}}
                )
                await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)
                assert set(proxy.tunnels) == set(behind) and github.asked == ["77"]


@pytest.mark.parametrize("kind", ["branch", "tag"])
async def test_artifacts_of_a_running_source_controller_are_built_from_and_not_touched(world: World, kind: str) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    await world.git.git("fleet", "tag", "v1", "main")
    await world.repository("team-a", ref={"branch": "main"} if kind == "branch" else {"tag": "v1"})
    await world.kustomization("app", "team-a", "app")
    commit = await world.git.head("fleet")

    async def publish(id_: str) -> None:
        revision = f"{'main' if kind == 'branch' else 'v1'}@sha1:{id_}"
        artifact = {"revision": revision, "digest": "sha256:" + "0" * 64, "path": "x", "url": "http://source-controller",
                    "lastUpdateTime": "2026-01-01T00:00:00Z"}  # fmt: skip
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"status": {"artifact": artifact}},
                               subresource="status")  # fmt: skip

    async with running(world.manager("--sources=read")):
        await world.condition("app", "team-a", "False", "ArtifactFailed")
        await publish(commit)
        await world.applied("app", "team-a", commit)
        newer = await world.git.commit("fleet", {"app/cm.yaml": configmap("app", "team-a", x="2")})
        await world.git.git("fleet", "tag", "-f", "v1", "main")
        await publish(newer)
        await world.applied("app", "team-a", newer)
        assert await world.data("app", "team-a") == {"x": "2"}
        source = await world.kube.get(GIT_REPOSITORIES, "fleet", "team-a")
        assert source["status"].keys() <= {"artifact", "observedGeneration"} and "finalizers" not in source["metadata"]


async def test_a_request_is_answered_also_when_it_fails_and_a_suspended_source_rests(world: World) -> None:
    await world.tenant("team-a")
    await world.git.create_repo("fleet", {"app/cm.yaml": configmap("app", "team-a", x="1")})
    await world.repository("team-a", ref={"branch": "nowhere"}, interval="10m")
    async with running(world.manager()):
        await world.condition("fleet", "team-a", "False", resource=GIT_REPOSITORIES)
        await world.poke("team-a")

        async def handled() -> bool:
            now = await world.kube.get(GIT_REPOSITORIES, "fleet", "team-a")
            asked = now["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"]
            return bool(now["status"].get("lastHandledReconcileAt") == asked)

        await world.until(handled)
        suspended = {"spec": {"suspend": True, "ref": {"branch": "main"}}}
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body=suspended)
        await world.make(
            GIT_REPOSITORIES,
            "other",
            "team-a",
            spec={
                "url": world.git.https_url("fleet"),
                "interval": "1m",
                "secretRef": {"name": "git"},
                "ref": {"branch": "main"},
            },
        )
        await world.condition("other", "team-a", "True", resource=GIT_REPOSITORIES)  # so a turn would have come
        resting = await world.kube.get(GIT_REPOSITORIES, "fleet", "team-a")
        assert "artifact" not in resting["status"] and said(resting)[0] == "False"
        await world.kube.patch(GIT_REPOSITORIES, "fleet", "team-a", body={"spec": {"suspend": False}})
        await world.condition("fleet", "team-a", "True", resource=GIT_REPOSITORIES)
