"""GitRepository: look what the host has, fetch it where it is new, and say so in `status.artifact`.

`ls-remote` comes before any fetch, so an unchanged repository costs one round trip. There is no artifact server: the
Kustomizations of this process read the mirror at `status.artifact.revision`. Author, commit time and subject stand in
the artifact's metadata, for lead times and for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from controllers.api.base import parse
from controllers.api.duration import parse_duration
from controllers.api.meta import annotations_of
from controllers.api.resource import Key, Manifest
from controllers.api.source import GIT_REPOSITORIES, GitRepositorySpec
from controllers.api.timestamps import timestamp
from controllers.git.errors import GitError, RefusedError
from controllers.git.objects import CommitInfo
from controllers.git.process import Remote
from controllers.git.refs import Found, target
from controllers.git.verify import UnverifiedError, Verifier
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import drop_finalizer
from controllers.runtime.kube import KubeClient
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT

from . import observed as git_spec
from .access import GitAccess
from .contents import UNAVAILABLE, Contents
from .repositories import GitSources
from .revision import short_message
from .source import artifact_of
from .verification import InvalidModeError, InvalidTagError, check_mode

VERIFIED = "SourceVerified"
_CONDITIONS = {
    UnverifiedError.reason: VERIFIED,
    InvalidTagError.reason: VERIFIED,
    InvalidModeError.reason: VERIFIED,
    "VerificationError": VERIFIED,
    UNAVAILABLE: UNAVAILABLE,
}
"""Condition that says what failed, by reason; FetchFailed for all others."""


class GitReconciler:
    """Reconciles GitRepositories; `draft` gives the draft of a running key."""

    def __init__(
        self,
        kube: KubeClient,
        sources: GitSources,
        access: GitAccess,
        *,
        pools: Pools,
        draft: Callable[[Key], Draft],
        find: Callable[[Key], Manifest | None] = lambda key: None,
        submodule_hosts: Sequence[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`find` gives other GitRepositories, `submodule_hosts` may hold submodules beside a repository's own host."""
        self._kube, self._sources, self._access, self._pools = kube, sources, access, pools
        self._draft, self._clock = draft, clock
        self.contents = Contents(sources, access, pools=pools, find=find, hosts=submodule_hosts)

    async def reconcile(self, key: Key) -> Result:
        draft = self._draft(key)
        manifest = draft.manifest
        if manifest is None:
            return Result()
        if manifest["metadata"].get("deletionTimestamp"):
            await self._release(draft, manifest)
            return Result()
        spec = parse(GitRepositorySpec, manifest)
        if not draft.wanted(spec):
            return Result()
        if requested := annotations_of(manifest).get(REQUESTED_AT):
            draft.status["lastHandledReconcileAt"] = requested
        try:
            await self._store(draft, manifest, spec)
        except (GitError, NotReady, Stalled) as error:
            condition = _CONDITIONS.get(error.reason, "FetchFailed")
            draft.condition(condition, "False" if condition == VERIFIED else "True", error.reason, error.message)
            if not isinstance(error, GitError):
                raise
            if error.retryable:
                raise NotReady(error.reason, error.message) from None
            raise Stalled(error.reason, error.message) from None
        return Result(parse_duration(spec.interval))

    async def _store(self, draft: Draft, manifest: Manifest, spec: GitRepositorySpec) -> None:
        wanted = target(spec.ref)
        remote = await self._access.remote(manifest, spec)
        included = self.contents.included(manifest, spec)
        artifact = artifact_of(manifest)
        if spec.verify is not None:
            check_mode(spec.verify.mode, "refs/tags/" if wanted.kind in ("tag", "semver") else wanted.value)
        same = (
            not git_spec.content_changed(manifest, included)
            and not git_spec.requires_verification(manifest)
            and artifact.get("url") == spec.url
        )
        known = str(artifact.get("revision") or "") if same else ""
        looked = await self._pools.run("git", self._sources.look, remote, wanted, known)
        revision = looked.found.revision
        if looked.commit is not None:
            await self._verify(draft, manifest, spec, remote, looked.found)
            if spec.recurse_submodules or spec.include:
                await self.contents.tree(manifest, spec, revision, included, ref=looked.found.ref)
            draft.status["artifact"] = self._artifact(manifest, spec, looked.found, looked.commit, included)
            draft.event("NewArtifact", f"stored artifact for commit '{short_message(looked.commit.subject)}'")
        self._observe(draft, manifest, spec, included)
        text = f"stored artifact for revision '{revision}'"
        draft.drop_condition("FetchFailed")
        draft.drop_condition(UNAVAILABLE)
        draft.condition("ArtifactInStorage", "True", "Succeeded", text)
        draft.ready("Succeeded", text)

    async def _verify(
        self, draft: Draft, manifest: Manifest, spec: GitRepositorySpec, remote: Remote, found: Found
    ) -> None:
        """Signatures, before anything of the revision is used. Raises GitError."""
        if spec.verify is None:
            draft.drop_condition(VERIFIED)
            draft.status.pop("sourceVerificationMode", None)
            return
        try:
            namespace = manifest["metadata"].get("namespace") or ""
            secret = await self._access.remotes.secret(namespace, spec.verify.secret_ref.name, "spec.verify.secretRef")
            verifier = Verifier(secret.data)
        except NotReady as error:
            raise NotReady("VerificationError", error.message) from None
        except RefusedError as error:
            raise NotReady("VerificationError", f"spec.verify.secretRef: {error.message}") from None
        said = await self._pools.run("git", self._sources.verify, remote, found, verifier, spec.verify.mode)
        draft.condition(VERIFIED, "True", "Succeeded", said)
        draft.status["sourceVerificationMode"] = spec.verify.mode

    def _artifact(
        self, manifest: Manifest, spec: GitRepositorySpec, found: Found, commit: CommitInfo,
        included: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:  # fmt: skip
        meta = manifest["metadata"]
        parts = f"{commit.tree}\0{spec.ignore}\0{spec.sparse_checkout}"
        if spec.recurse_submodules or spec.include:
            marks = [(each.repository.name, each.from_path, each.to_path) for each in spec.include]
            parts += f"\0{spec.recurse_submodules}\0{marks}\0{[each.get('digest') for each in included]}"
        digest = hashlib.sha256(parts.encode()).hexdigest()
        return {
            "revision": found.revision,
            "digest": f"sha256:{digest}",
            "path": f"gitrepository/{meta.get('namespace')}/{meta['name']}/{commit.id}",
            "url": spec.url,
            "lastUpdateTime": timestamp(self._clock()),
            "metadata": {
                "author": commit.author.name,
                "authorTime": timestamp(commit.author.time),
                "commitTime": timestamp(commit.committer.time),
                "subject": short_message(commit.subject, 200),
                "ref": found.ref,
            },
        }

    @staticmethod
    def _observe(
        draft: Draft, manifest: Manifest, spec: GitRepositorySpec, included: Sequence[Mapping[str, Any]]
    ) -> None:
        """What the artifact was made with, so that a change of it makes it anew."""
        for name, value in (
            ("observedIgnore", spec.ignore),
            ("observedSparseCheckout", list(spec.sparse_checkout) or None),
            ("observedRecurseSubmodules", spec.recurse_submodules or None),
            ("observedInclude", (manifest.get("spec") or {}).get("include") or None),
            ("includedArtifacts", [dict(each) for each in included] or None),
        ):
            if value is not None:
                draft.status[name] = value
            else:
                draft.status.pop(name, None)

    async def _release(self, draft: Draft, manifest: Manifest) -> None:
        """A GitRepository owns nothing outside its mirror: a finalizer that upstream left is taken off."""
        draft.skip_status = True
        await drop_finalizer(self._kube, GIT_REPOSITORIES, manifest)
