"""ImagePolicy: pick a tag out of what was scanned, look up its digest where it is asked for, write `latestRef`.

Whatever goes wrong, `latestRef` stays what it was: an empty list, a failed look-up or a bad range never takes an image
away from those who use it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from controllers.api.base import InvalidSpecError, parse
from controllers.api.core import SECRETS, secret_data
from controllers.api.duration import parse_duration
from controllers.api.image import IMAGE_POLICIES, ImagePolicySpec, ImageRepositorySpec
from controllers.api.inhaul import PREFIX
from controllers.api.resource import Key, Manifest
from controllers.aws.errors import AwsError
from controllers.image_automation.tags.reference import InvalidPolicyError
from controllers.runtime.conditions import is_true
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import release
from controllers.runtime.kube import KubeClient, NotFound
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT, Store

from .policy.annotations import FIRST_SEEN, PICKED, Picked, PolicyAnnotations, policy_annotations_of
from .policy.choose import Choice, Chooser, revision_of
from .policy.digest import Reflection, Refs, needs_lookup, ready_message, requeue_after, resolved
from .policy.policy import Policy, compile_policy
from .tags.reference import Ref
from .tags.registries import Sources, TagSource
from .tags.scan import accessible
from .tags.store import TagStore

NOT_ADVANCED = "NotAdvanced"
"""A condition beside Ready: a newer pick, or another one, is not taken, and why."""
_WAIT_FOR_SCAN = 30.0


class PolicyReconciler:
    def __init__(
        self,
        sources: Sources,
        tags: TagStore,
        *,
        repositories: Store,
        namespaces: Store,
        draft: Callable[[Key], Draft],
        kube: KubeClient,
        cross_namespace: bool = True,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube, self._clock, self._chooser = kube, clock, Chooser()
        self._sources, self._tags = sources, tags
        self._repositories, self._namespaces = repositories, namespaces
        self._draft, self._cross_namespace = draft, cross_namespace

    async def __call__(self, key: Key) -> Result:
        draft = self._draft(key)
        manifest = draft.manifest
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            await release(self._kube, IMAGE_POLICIES, manifest)
            draft.skip_status = True
            return Result()
        spec = parse(ImagePolicySpec, manifest)
        if not draft.wanted(spec):
            return Result()  # latestRef is frozen
        extras, policy = _compiled(manifest, spec)
        repository = repository_key(key.namespace, spec)
        image = self._image(key, repository)
        packed = self._tags.get(repository)
        if packed is None and _settled(manifest):
            draft.skip_status = True  # this process has not scanned yet: what was picked stays, and stays ready
            return Result(_WAIT_FOR_SCAN)
        if packed is None or not packed.count:
            message = f"no tags of ImageRepository {repository} are known: it was not scanned yet, or has none"
            raise NotReady("DependencyNotReady", message, retry_after=_WAIT_FOR_SCAN)
        before = refs_of(manifest.get("status") or {})

        async def source() -> TagSource:
            return await self._sources.open(repository.namespace, image)

        present = before.latest if before.latest is not None and before.latest.name == image.image else None
        now = self._clock()
        keys = partial(self._public_key, key.namespace)
        choice = await self._chooser.choose(policy, packed, extras, present=present, source=source, now=now, keys=keys)
        reflection = _reflection(spec, extras)
        refs, picked = before, extras.picked
        if not choice.blocked:
            refs = await self._resolve(reflection, image.image, choice, before, source)
            if extras.track and refs.latest is not None and extras.holds(refs.latest):
                choice, refs = replace(choice, blocked=f"{refs.latest.tag}@{refs.latest.digest} is held"), before
            else:
                picked = await self._picked(refs, choice, extras, source)
        await self._remember(manifest, extras, choice, picked)
        self._write(draft, manifest, refs, choice)
        interval = parse_duration(spec.interval) if spec.interval else None
        due = [requeue_after(reflection, interval), choice.found.ripe_in if choice.found else None]
        return Result(min((one for one in due if one is not None), default=None))

    async def _resolve(
        self,
        reflection: Reflection,
        name: str,
        choice: Choice,
        before: Refs,
        source: Callable[[], Awaitable[TagSource]],
    ) -> Refs:
        looked_up = choice.digest
        if not looked_up and needs_lookup(reflection, name=name, tag=choice.tag, latest=before.latest):
            looked_up = await (await source()).digest(choice.tag)
        return resolved(reflection, name=name, tag=choice.tag, before=before, looked_up=looked_up)

    async def _picked(
        self, refs: Refs, choice: Choice, extras: PolicyAnnotations, source: Callable[[], Awaitable[TagSource]]
    ) -> Picked:
        """What is noted of the image: looked up once per digest."""
        latest = refs.latest
        if latest is None or (not latest.digest and not choice.pushed):
            return Picked()
        ref = latest.image.rpartition("/")[2]
        if extras.picked.ref == ref:
            return replace(extras.picked, pushed=choice.pushed or extras.picked.pushed)
        revision = await revision_of(await source(), latest.digest) if latest.digest else ""
        return Picked(ref, revision, choice.pushed)

    async def _remember(self, manifest: Manifest, extras: PolicyAnnotations, choice: Choice, picked: Picked) -> None:
        """Writes what must outlive a restart, before the status that others act upon."""
        wanted: dict[str, str | None] = {}
        seen = choice.found.first_seen if choice.found is not None else {}
        if dict(seen) != dict(extras.first_seen):
            wanted[FIRST_SEEN] = json.dumps(seen, separators=(",", ":")) if seen else None
        if picked != extras.picked:
            wanted[PICKED] = picked.dump() if picked != Picked() else None
        if wanted:
            meta = manifest["metadata"]
            body = {"metadata": {"uid": meta["uid"], "annotations": wanted}}
            await self._kube.patch(IMAGE_POLICIES, meta["name"], meta["namespace"], body=body)

    async def _public_key(self, namespace: str, name: str) -> bytes:
        """The key that an annotation names: of a Secret in the policy's namespace, or of KMS."""
        where = f"annotation {PREFIX}cosign-key: {name}"
        if name.startswith("awskms:///"):
            arn = name.removeprefix("awskms:///")
            try:
                return await self._sources.kms_public_key(namespace, arn)
            except AwsError as error:
                raise NotReady("VerificationFailed", f"{where}: {error.message}") from None
        secret = name.removeprefix("secret/")
        try:
            data = secret_data(await self._kube.get(SECRETS, secret, namespace))
        except (NotFound, ValueError):
            raise NotReady("VerificationFailed", f"{where}: Secret {namespace}/{secret} not found") from None
        if "cosign.pub" not in data:
            raise NotReady("VerificationFailed", f"{where}: found no key cosign.pub in the Secret, expected one")
        return data["cosign.pub"]

    def _image(self, key: Key, repository: Key) -> ImageRepositorySpec:
        """The repository's spec, if the policy may use it."""
        found = self._repositories.get(repository)
        if found is None:
            raise NotReady("DependencyNotReady", f"ImageRepository {repository} not found")
        try:
            spec = parse(ImageRepositorySpec, found)
        except InvalidSpecError as error:
            raise NotReady("DependencyNotReady", f"ImageRepository {repository}: {error}") from None
        selectors = None
        if spec.access_from is not None and self._cross_namespace:
            selectors = [one.match_labels for one in spec.access_from.namespace_selectors]
        namespace = self._namespaces.get(Key("", key.namespace)) or {}
        labels: Mapping[str, str] = (namespace.get("metadata") or {}).get("labels") or {}
        same = key.namespace == repository.namespace
        if not accessible(same_namespace=same, selectors=selectors, namespace_labels=labels):
            message = f"spec.accessFrom of ImageRepository {repository} does not admit namespace {key.namespace}"
            raise NotReady("AccessDenied", message)
        return spec

    @staticmethod
    def _write(draft: Draft, manifest: Manifest, refs: Refs, choice: Choice) -> None:
        for name, ref in (("latestRef", refs.latest), ("observedPreviousRef", refs.previous)):
            if ref is None:
                draft.status.pop(name, None)
            else:
                draft.status[name] = ref_fields(ref)
        requested = (manifest["metadata"].get("annotations") or {}).get(REQUESTED_AT)
        if requested:
            draft.status["lastHandledReconcileAt"] = requested
        text = ready_message(refs)
        if choice.blocked:
            if not is_true(manifest.get("status") or {}, NOT_ADVANCED):
                draft.event("NotAdvanced", choice.blocked, warning=True)
            draft.condition(NOT_ADVANCED, "True", "NotAdvanced", choice.blocked)
            text = f"{text}; kept, for {choice.blocked}"
        else:
            draft.drop_condition(NOT_ADVANCED)
        draft.ready("Succeeded", text)


def _compiled(manifest: Manifest, spec: ImagePolicySpec) -> tuple[PolicyAnnotations, Policy]:
    """Raises Stalled."""
    try:
        extras = policy_annotations_of(manifest["metadata"].get("annotations") or {})
        return extras, compile_policy(spec.policy, spec.filter_tags)
    except InvalidPolicyError as error:
        raise Stalled("InvalidPolicy", str(error)) from None


def _reflection(spec: ImagePolicySpec, extras: PolicyAnnotations) -> Reflection:
    """A tracked tag is its digest; a verified image is the digest that was verified."""
    if extras.track:
        return "Always"
    if extras.checks_images and spec.digest_reflection_policy == "Never":
        return "IfNotPresent"
    return spec.digest_reflection_policy


def _settled(manifest: Manifest) -> bool:
    """Whether this very spec was resolved before."""
    status = manifest.get("status") or {}
    observed = status.get("observedGeneration") == manifest["metadata"].get("generation")
    return observed and is_true(status, "Ready") and bool(status.get("latestRef"))


def repository_key(namespace: str, spec: ImagePolicySpec) -> Key:
    return Key(spec.image_repository_ref.namespace or namespace, spec.image_repository_ref.name)


def ref_fields(ref: Ref) -> dict[str, str]:
    """As it stands in a status."""
    fields = {"name": ref.name, "tag": ref.tag}
    return {**fields, "digest": ref.digest} if ref.digest else fields


def ref_of(value: Any) -> Ref | None:
    """A ref out of a status; None for what is none."""
    if not isinstance(value, Mapping) or not value.get("name") or not value.get("tag"):
        return None
    return Ref(str(value["name"]), str(value["tag"]), str(value.get("digest") or ""))


def refs_of(status: Mapping[str, Any]) -> Refs:
    return Refs(ref_of(status.get("latestRef")), ref_of(status.get("observedPreviousRef")))
