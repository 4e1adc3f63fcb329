"""GitRepository: look what the host has, fetch it where it is new, and say so in `status.artifact`.

`ls-remote` comes before any fetch, so an unchanged repository costs one round trip. There is no artifact server: the
Kustomizations of this process read the mirror at `status.artifact.revision`. Author, commit time and subject stand in
the artifact's metadata, for lead times and for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from controllers.api.base import parse
from controllers.api.core import SECRETS, secret_data
from controllers.api.duration import parse_duration
from controllers.api.meta import annotations_of
from controllers.api.resource import Key, Manifest
from controllers.api.source import GIT_REPOSITORIES, GitRepositorySpec
from controllers.api.tenancy import ReadGit
from controllers.git.auth import ANONYMOUS, GitAuth
from controllers.git.errors import GitError, RefusedError
from controllers.git.github_app import GithubApps, is_app
from controllers.git.objects import CommitInfo
from controllers.git.process import Remote, check_url
from controllers.git.refs import Found, RefTarget, target
from controllers.git.verify import UnverifiedError, Verifier
from controllers.runtime.conditions import timestamp
from controllers.runtime.draft import Draft
from controllers.runtime.egress import EgressDeniedError
from controllers.runtime.finalizers import drop_finalizer
from controllers.runtime.kube import ApiError, KubeClient, NotFound
from controllers.runtime.policies import Policies
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT

from . import observed as git_spec
from . import submodules
from .contents import UNAVAILABLE, Contents
from .repositories import GitSources, artifact_of, is_address, proxy_of, remote_of
from .revision import short_message
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


class Egress(Protocol):
    async def addresses(self, url: str, *, schemes: tuple[str, ...] = ...) -> tuple[str, ...]: ...


class GitReconciler:
    """Reconciles GitRepositories; `draft` gives the draft of a running key."""

    def __init__(
        self,
        kube: KubeClient,
        sources: GitSources,
        *,
        pools: Pools,
        policies: Policies,
        draft: Callable[[Key], Draft],
        egress: Egress | None = None,
        find: Callable[[Key], Manifest | None] = lambda key: None,
        submodule_hosts: Sequence[str] = (),
        apps: GithubApps | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`find` gives other GitRepositories, `submodule_hosts` may hold submodules beside a repository's own host."""
        self._kube, self._sources, self._pools, self._policies = kube, sources, pools, policies
        self._draft, self._egress, self._clock = draft, egress, clock
        self._apps = apps or GithubApps()
        self.contents = Contents(sources, self, pools=pools, find=find, hosts=submodule_hosts)

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

    async def remote(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote:
        """Where a repository is and how to log in: allowed by policy and egress, its Secrets read.

        Every way to a host goes through here, a Kustomization's too: its GitRepository may have been edited since it
        was last reconciled. Raises Refused, NotReady, Stalled.
        """
        remote = await self.identity(manifest, spec)
        if is_proxied := remote.proxy is not None:  # the proxy looks the host up; it is what we connect to
            await self._addresses(remote.proxy.reveal_text(), "spec.proxySecretRef", ("http", "https"))
        addresses = () if is_proxied and not is_address(spec.url) else await self._addresses(spec.url, "spec.url")
        if spec.provider == "github":
            secret = await self._secret(manifest, spec.secret_ref.name, "spec.secretRef") if spec.secret_ref else {}
            remote = replace(remote, auth=await self._apps.auth(secret, spec.url))
        return replace(remote, addresses=addresses)

    async def identity(self, manifest: Manifest, spec: GitRepositorySpec) -> Remote:
        """The same without asking anybody but the API server: enough to know whose mirror it is, not to go out.

        What was fetched before can so be read while a host, or the resolver, does not answer.
        """
        namespace = manifest["metadata"].get("namespace") or ""
        self._allow(namespace, check_url(spec.url), _asked(target(spec.ref)))
        secret = await self._secret(manifest, spec.secret_ref.name, "spec.secretRef") if spec.secret_ref else None
        if spec.provider == "github" or (secret and is_app(secret)):
            found = Remote(spec.url, self._app(secret, spec), timeout=parse_duration(spec.timeout))
        else:
            found = remote_of(spec, secret)
        if spec.proxy_secret_ref is None:
            return found
        where = "spec.proxySecretRef"
        return replace(found, proxy=proxy_of(await self._secret(manifest, spec.proxy_secret_ref.name, where), spec.url))

    async def submodule(self, namespace: str, parent: Remote, url: str) -> Remote:
        """A submodule's repository, allowed in its own right; the parent's login goes to the parent's host alone."""
        self._allow(namespace, url, "")
        addresses = () if parent.proxy and not is_address(url) else await self._addresses(url, "submodule")
        auth = parent.auth if submodules.same_place(url, parent.url) else ANONYMOUS
        return replace(parent, url=url, auth=auth, addresses=addresses)

    def only(self, namespace: str, url: str, ref: str) -> bool:
        """Does policy grant only some references of a repository? Raises NotReady where this one is not among them."""
        if self._policies.allowed(namespace, ReadGit(url, "")):
            return False
        self._allow(namespace, url, ref)
        return True

    def _allow(self, namespace: str, url: str, ref: str) -> None:
        decision = self._policies.allowed(namespace, ReadGit(url, ref))
        if not decision:
            raise NotReady("AccessDenied", decision.reason)

    async def _addresses(self, url: str, field: str, schemes: tuple[str, ...] = ("https", "ssh")) -> tuple[str, ...]:
        """The addresses of a URL's host that egress allows. Raises NotReady."""
        if self._egress is None:
            return ()
        try:
            return await self._egress.addresses(url, schemes=schemes)
        except EgressDeniedError as error:  # a name that does not resolve may do so later
            raise NotReady("URLInvalid", f"{field}: {error}") from None

    def _app(self, secret: Mapping[str, bytes] | None, spec: GitRepositorySpec) -> GitAuth:
        if spec.provider != "github":
            raise Stalled(
                "InvalidProviderConfiguration", "spec.secretRef holds GitHub App data, but spec.provider is not github"
            )
        if secret is None:
            text = "spec.secretRef: found none, expected a Secret with GitHub App data for provider github"
            raise Stalled("InvalidProviderConfiguration", text)
        return self._apps.identity(secret)

    async def _store(self, draft: Draft, manifest: Manifest, spec: GitRepositorySpec) -> None:
        wanted = target(spec.ref)
        remote = await self.remote(manifest, spec)
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
            data = await self._secret(manifest, spec.verify.secret_ref.name, "spec.verify.secretRef")
            verifier = Verifier(data)
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

    async def _secret(self, manifest: Manifest, name: str, field: str) -> Mapping[str, bytes]:
        namespace = manifest["metadata"].get("namespace") or ""
        where = f"{field}: Secret {namespace}/{name}"
        try:
            return secret_data(await self._kube.get(SECRETS, name, namespace))
        except NotFound:
            raise NotReady("AuthenticationFailed", f"{where} not found") from None
        except ApiError as error:
            raise NotReady("AuthenticationFailed", f"{where}: {error.message}") from None
        except ValueError as error:
            raise NotReady("AuthenticationFailed", f"{where}: {error}") from None

    async def _release(self, draft: Draft, manifest: Manifest) -> None:
        """A GitRepository owns nothing outside its mirror: a finalizer that upstream left is taken off."""
        draft.skip_status = True
        await drop_finalizer(self._kube, GIT_REPOSITORIES, manifest)


def _asked(wanted: RefTarget) -> str:
    """What a TenantPolicy is asked for: a branch by its name, all else by its full reference or tag."""
    match wanted.kind:
        case "commit":
            return wanted.branch
        case "branch" | "name":
            return wanted.value
        case _:
            return f"refs/tags/{wanted.value}"
