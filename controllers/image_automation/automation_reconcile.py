"""ImageUpdateAutomation: writes what policies chose into Git.

Reads the automation, its GitRepository and its policies, asks what the namespace may, joins the batch of its branch,
and says what came of it. The work itself is in `work.py`, on the git pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from controllers.api.base import InvalidSpecError, parse
from controllers.api.core import SECRETS, secret_data
from controllers.api.duration import parse_duration
from controllers.api.image import IMAGE_POLICIES, IMAGE_UPDATE_AUTOMATIONS, CommitSpec, ImageUpdateAutomationSpec
from controllers.api.resource import Key, Manifest, key_of
from controllers.api.source import GIT_REPOSITORIES, GitRepositorySpec
from controllers.api.tenancy import ReadGit, WriteGit
from controllers.api.timestamps import timestamp
from controllers.api.unsupported import unsupported
from controllers.git import GitError, Mirrors, Person, Remote
from controllers.git.sign import signer
from controllers.image_automation.commit.job import Job, Outcome
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import release
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.policies import Policies
from controllers.runtime.pools import Pools
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT, Store
from controllers.sources.remotes import GitRemotes

from .commit.batches import Batches
from .commit.message import InvalidMessageError, RemovedTemplateFieldError, push_summary
from .commit.push_config import InvalidPushConfigError, PolicyView, PushConfig, push_config, select_policies
from .commit.remotes import reader_and_writer
from .commit.visit import update_branch
from .policy.annotations import HELD, MAX_HELD, held_of, picked_of
from .policy_reconcile import ref_fields, ref_of, refs_of
from .tags.reference import Ref

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a batch goes."""

    remote: Remote
    writer: Remote
    """The same host, as whoever pushes."""
    config: PushConfig


class AutomationReconciler:
    def __init__(
        self,
        kube: KubeClient,
        mirrors: Mirrors,
        *,
        remotes: GitRemotes,
        pools: Pools,
        policies: Policies,
        image_policies: Callable[[], Store],
        draft: Callable[[Key], Draft],
        window: float = 0.3,
        cap: float = 5.0,
        cross_namespace: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube, self._mirrors, self._pools = kube, mirrors, pools
        self._remotes = remotes
        self._policies, self._image_policies, self._draft = policies, image_policies, draft
        self._cross_namespace, self._clock = cross_namespace, clock
        self._batches: Batches[Place] = Batches(self._visit, window=window, cap=cap)

    async def __call__(self, key: Key) -> Result:
        draft = self._draft(key)
        manifest = draft.manifest
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            await release(self._kube, IMAGE_UPDATE_AUTOMATIONS, manifest)
            draft.skip_status = True
            return Result()
        spec = _spec(manifest)
        if not draft.wanted(spec):
            return Result()
        source_key, source = await self._source(key, spec)
        config = _config(spec, source)
        self._allow_read(key.namespace, source, config)
        outcome, selected = await self._write(key, manifest, spec, source_key, source, config)
        chosen = [one for one in selected if not one.is_held]
        held = {one.name: one.latest.tag for one in selected if one.is_held and one.latest is not None}
        if outcome.held:
            await self._hold(key.namespace, outcome)
        self._record(draft, manifest, config, chosen, outcome)
        held |= {name.partition(":")[2]: ref.tag for name, ref in outcome.held}
        self._judge(draft, outcome, held)
        return Result(parse_duration(spec.interval))

    # --- reading

    async def _source(self, key: Key, spec: ImageUpdateAutomationSpec) -> tuple[Key, GitRepositorySpec]:
        reference = spec.source_ref
        found = Key(reference.namespace or key.namespace, reference.name)
        if found.namespace != key.namespace and not self._cross_namespace:
            raise Stalled("AccessDenied", f"spec.sourceRef: GitRepository {found} is in another namespace")
        try:
            manifest = await self._kube.get(GIT_REPOSITORIES, found.name, found.namespace)
        except NotFound:
            raise NotReady("SourceManagerFailed", f"spec.sourceRef: GitRepository {found} not found") from None
        if paths := unsupported(manifest):
            raise Stalled("InvalidSourceConfiguration", f"GitRepository {found}: not served yet: {', '.join(paths)}")
        try:
            return found, parse(GitRepositorySpec, manifest)
        except InvalidSpecError as error:
            raise Stalled("InvalidSourceConfiguration", f"GitRepository {found}: {error}") from None

    def _allow_read(self, namespace: str, source: GitRepositorySpec, config: PushConfig) -> None:
        branch = config.checkout.branch if config.checkout is not None and config.checkout.branch else config.branch
        decision = self._policies.allowed(namespace, ReadGit(source.url, branch))
        if not decision:
            raise NotReady("AccessDenied", decision.reason)

    def _chosen(self, namespace: str, spec: ImageUpdateAutomationSpec) -> list[PolicyView]:
        views = [policy_view(manifest) for manifest in self._image_policies().list(namespace)]
        return select_policies(views, namespace=namespace, selector=spec.policy_selector)

    # --- writing

    async def _write(
        self,
        key: Key,
        manifest: Manifest,
        spec: ImageUpdateAutomationSpec,
        source_key: Key,
        source: GitRepositorySpec,
        config: PushConfig,
    ) -> tuple[Outcome, list[PolicyView]]:
        """What came of it, and the policies as they were when the batch closed."""
        selected = self._chosen(key.namespace, spec)
        if all(one.is_held for one in selected):
            return Outcome(), selected
        _commit(spec)  # one job that cannot be made must not stop those of others
        remote, writer = await reader_and_writer(self._remotes, manifest, source_key, source)
        sign = await self._signer(key.namespace, spec)

        def job() -> Job:
            nonlocal selected
            selected = self._chosen(key.namespace, spec)
            chosen = [one for one in selected if not one.is_held]
            return self._job(key, manifest, spec, source, config, chosen, sign)

        place = Place(remote, writer, config)
        ref = config.checkout.model_dump_json() if config.checkout is not None else ""
        options = tuple(sorted(config.options.items()))
        name = (
            source.url,
            remote.auth.fingerprint,
            writer.auth.fingerprint,
            remote.proxy,
            ref,
            config.branch,
            config.refspec,
            options,
        )
        try:
            outcome = await self._batches.join(name, place, key, job)
        except GitError as error:
            raise _unready(error) from None
        return outcome, selected

    def touch(self, key: Key) -> None:
        """A policy of an automation's namespace picked another image."""
        self._batches.touch(key)

    def _job(
        self,
        key: Key,
        manifest: Manifest,
        spec: ImageUpdateAutomationSpec,
        source: GitRepositorySpec,
        config: PushConfig,
        chosen: Sequence[PolicyView],
        sign: Callable[[bytes], str] | None,
    ) -> Job:
        commit = _commit(spec)
        loop = asyncio.get_running_loop()
        return Job(
            key=key,
            path=spec.update.path,
            policies={f"{one.namespace}:{one.name}": one.latest for one in chosen if one.latest is not None},
            previous={f"{one.namespace}:{one.name}": one.previous for one in chosen if one.previous is not None},
            author=Person(commit.author.name, commit.author.email),
            template=commit.message_template,
            values=dict(commit.message_template_values),
            allow=partial(self._refusals, loop, key.namespace, source.url, config),
            revisions={f"{one.namespace}:{one.name}": one.revision for one in chosen if one.revision},
            pushed={f"{one.namespace}:{one.name}": one.pushed for one in chosen if one.pushed},
            done=_done(manifest, chosen),
            last=str((manifest.get("status") or {}).get("lastPushCommit") or ""),
            sign=sign,
            settled=_settled(manifest, chosen, spec),
        )

    def _refusals(
        self,
        loop: asyncio.AbstractEventLoop,
        namespace: str,
        url: str,
        config: PushConfig,
        paths: Sequence[str],
    ) -> Mapping[str, str]:
        """Why paths may not be written. Called from a thread; the book of policies belongs to the loop."""

        async def ask() -> dict[str, str]:
            branches = [config.branch, *([config.refspec[1]] if config.refspec else [])]
            found: dict[str, str] = {}
            for path in paths:
                for branch in branches:
                    decision = self._policies.allowed(namespace, WriteGit(url, branch, path))
                    if not decision:
                        found[path] = decision.reason
            return found

        return asyncio.run_coroutine_threadsafe(ask(), loop).result(30)

    async def _signer(self, namespace: str, spec: ImageUpdateAutomationSpec) -> Callable[[bytes], str] | None:
        signing = spec.git.commit.signing_key if spec.git is not None else None
        if signing is None:
            return None
        where = f"spec.git.commit.signingKey: Secret {namespace}/{signing.secret_ref.name}"
        try:
            data = secret_data(await self._kube.get(SECRETS, signing.secret_ref.name, namespace))
            return await self._pools.run("git", signer, signing.type, data)
        except (NotFound, ValueError):
            raise NotReady("InvalidSourceConfiguration", f"{where} not found") from None
        except GitError as error:
            raise NotReady("InvalidSourceConfiguration", f"{where}: {error.message}") from None

    async def _hold(self, namespace: str, outcome: Outcome) -> None:
        """Notes on the policies which images a human took back; a human deletes the note."""
        for name, ref in outcome.held:
            found = self._image_policies().get(Key(namespace, name.partition(":")[2]))
            if found is None:
                continue
            meta = found["metadata"]
            held = held_of(meta.get("annotations") or {})
            text = f"{ref.tag}@{ref.digest}" if ref.digest else ref.tag
            if text in held:
                continue
            body = {"metadata": {"uid": meta["uid"], "annotations": {HELD: ",".join([*held[1 - MAX_HELD :], text])}}}
            await self._kube.patch(IMAGE_POLICIES, meta["name"], namespace, body=body)

    async def _visit(self, place: Place, jobs: list[Job]) -> dict[Key, Outcome]:
        return await self._pools.run(
            "git", update_branch, self._mirrors, place.remote, place.config, jobs, now=self._clock, writer=place.writer
        )

    # --- saying what came of it

    def _record(
        self, draft: Draft, manifest: Manifest, config: PushConfig, chosen: Sequence[PolicyView], outcome: Outcome
    ) -> None:
        now, status = timestamp(self._clock()), draft.status
        status["lastAutomationRunTime"] = now
        requested = (manifest["metadata"].get("annotations") or {}).get(REQUESTED_AT)
        if requested:
            status["lastHandledReconcileAt"] = requested
        pushed = outcome.commit or outcome.recovered
        if pushed and status.get("lastPushCommit") != pushed:
            status["lastPushCommit"], status["lastPushTime"] = pushed, now
        if outcome.commit:
            summary = push_summary(
                branch=config.branch,
                commit=outcome.commit,
                message=outcome.message,
                refspecs=[":".join(config.refspec)] if config.refspec else (),
            )
            draft.event("Succeeded", summary)
        if outcome.error is None and not outcome.refused:
            status["observedPolicies"] = {one.name: ref_fields(one.latest) for one in chosen if one.latest is not None}
            if outcome.revision:
                status["observedSourceRevision"] = outcome.revision

    def _judge(self, draft: Draft, outcome: Outcome, held: Mapping[str, str]) -> None:
        """Ready, or why not."""
        match outcome.error:
            case RemovedTemplateFieldError() as error:
                raise Stalled("RemovedTemplateField", str(error))
            case InvalidMessageError() as error:
                raise Stalled("UpdateFailed", str(error))
            case GitError() as error:
                raise _unready(error, "UpdateFailed")
        if outcome.refused:
            path, why = outcome.refused[0]
            more = f" (and {len(outcome.refused) - 1} more)" if len(outcome.refused) > 1 else ""
            raise NotReady("AccessDenied", f"{path}{more}: {why}")
        reports = self._reports(draft.key.namespace, outcome, held)
        text = "repository up-to-date"
        if held:
            names = ", ".join(f"{name} ({tag})" for name, tag in sorted(held.items()))
            if outcome.held:
                draft.event(
                    "Held",
                    f"update was reverted in Git; on hold: {names}. To resume remove annotation {HELD}",
                    warning=True,
                )
            text += f". On hold, because the update was reverted in Git: {names}"
        if reports:
            shown = "; ".join(reports[:_SHOWN])
            more = f"; and {len(reports) - _SHOWN} more" if len(reports) > _SHOWN else ""
            text += f". Not updated: {shown}{more}"
        draft.ready("Succeeded", text)

    @staticmethod
    def _reports(namespace: str, outcome: Outcome, held: Collection[str]) -> list[str]:
        """Problem files, and markers that mean nothing. Markers of other namespaces are not ours to judge, and one of
        a held policy means what it says: not now.
        """
        ours = [
            one
            for one in outcome.unresolved
            if one.marker.startswith(("#", f"{namespace}:"))
            and one.marker.split(":")[1:2] not in [[name] for name in held]
        ]
        return [
            *(f"{path}: {problem}" for path, problem in outcome.problems),
            *(f"{one.path}:{one.line}: {one.why}" for one in ours),
        ]


def policy_view(manifest: Manifest) -> PolicyView:
    """What an automation sees of an ImagePolicy."""
    key, refs = key_of(manifest), refs_of(manifest.get("status") or {})
    labels = manifest["metadata"].get("labels") or {}
    annotations = manifest["metadata"].get("annotations") or {}
    picked = picked_of(annotations)
    known = refs.latest is not None and picked.ref == refs.latest.image.rpartition("/")[2]
    revision = picked.revision if known else ""
    return PolicyView(
        key.namespace,
        key.name,
        labels,
        refs.latest,
        refs.previous,
        revision=revision,
        pushed=picked.pushed if known else 0,
        held=held_of(annotations),
    )


def _spec(manifest: Manifest) -> ImageUpdateAutomationSpec:
    strategy = ((manifest.get("spec") or {}).get("update") or {}).get("strategy", "Setters")
    if strategy != "Setters":
        raise Stalled("InvalidUpdateStrategy", f"spec.update.strategy: found {strategy!r}, expected Setters")
    return parse(ImageUpdateAutomationSpec, manifest)


def _commit(spec: ImageUpdateAutomationSpec) -> CommitSpec:
    if spec.git is None or spec.git.commit is None:
        raise Stalled("InvalidSourceConfiguration", "spec.git.commit: found nothing, expected an author")
    return spec.git.commit


def _config(spec: ImageUpdateAutomationSpec, source: GitRepositorySpec) -> PushConfig:
    try:
        return push_config(spec, source)
    except InvalidPushConfigError as error:
        raise Stalled("InvalidSourceConfiguration", str(error)) from None


def _settled(manifest: Manifest, chosen: Sequence[PolicyView], spec: ImageUpdateAutomationSpec) -> str:
    """The commit at which this automation, with these policies, was done; "" where anything changed since."""
    status: Mapping[str, Any] = manifest.get("status") or {}
    generation = manifest["metadata"].get("generation")
    observed = {name: ref_of(value) for name, value in (status.get("observedPolicies") or {}).items()}
    now: dict[str, Ref | None] = {one.name: one.latest for one in chosen}
    if observed != now or status.get("observedGeneration") != generation or spec.git is None:
        return ""
    return str(status.get("observedSourceRevision") or "").rpartition(":")[2]


def _done(manifest: Manifest, chosen: Sequence[PolicyView]) -> frozenset[str]:
    """Policies whose present image this automation has written everywhere before."""
    observed = (manifest.get("status") or {}).get("observedPolicies") or {}
    return frozenset(
        f"{one.namespace}:{one.name}" for one in chosen if one.latest and ref_of(observed.get(one.name)) == one.latest
    )


def _unready(error: GitError, reason: str = "") -> NotReady | Stalled:
    kind = NotReady if error.retryable else Stalled
    return kind(reason or error.reason, error.message)
