"""ImagePolicy: pick a tag out of what was scanned, look up its digest where it is asked for, write `latestRef`.

Whatever goes wrong, `latestRef` stays what it was: an empty list, a failed look-up or a bad range never takes an image
away from those who use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from controllers.api.base import InvalidSpec, parse
from controllers.api.duration import parse_duration
from controllers.api.image import ImagePolicySpec, ImageRepositorySpec
from controllers.api.resource import Key, Manifest
from controllers.api.unserved import unsupported
from controllers.runtime.conditions import is_true
from controllers.runtime.draft import Draft
from controllers.runtime.result import NotReady, Result, Stalled
from controllers.runtime.store import REQUESTED_AT, Store

from .digest import Refs, needs_lookup, ready_message, requeue_after, resolved
from .policy import InvalidPolicy, NoPick, compile_policy
from .reference import Ref
from .scan import accessible
from .sources import Sources
from .tagstore import TagStore

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
        cross_namespace: bool = True,
    ) -> None:
        self._sources, self._tags = sources, tags
        self._repositories, self._namespaces = repositories, namespaces
        self._draft, self._cross_namespace = draft, cross_namespace

    async def __call__(self, key: Key) -> Result:
        draft = self._draft(key)
        manifest = draft.manifest
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            draft.written_by_hand = True
            return Result()
        spec = parse(ImagePolicySpec, manifest)
        if spec.suspend:
            draft.written_by_hand = True  # latestRef is frozen
            return Result()
        if paths := unsupported(manifest):
            raise Stalled("UnsupportedField", f"not served yet: {', '.join(paths)}")
        repository = repository_key(key.namespace, spec)
        image = self._image(key, repository)
        if self._tags.get(repository) is None and _settled(manifest):
            draft.written_by_hand = True  # this process has not scanned yet: what was picked stays, and stays ready
            return Result(_WAIT_FOR_SCAN)
        tag = await asyncio.to_thread(self._pick, spec, repository)
        before = refs_of(manifest.get("status") or {})
        looked_up = ""
        if needs_lookup(spec.digest_reflection_policy, name=image.image, tag=tag, latest=before.latest):
            source = await self._sources.open(repository.namespace, image)
            looked_up = await source.digest(tag)
        refs = resolved(spec.digest_reflection_policy, name=image.image, tag=tag, before=before, looked_up=looked_up)
        self._write(draft, manifest, refs)
        interval = parse_duration(spec.interval) if spec.interval else None
        return Result(requeue_after(spec.digest_reflection_policy, interval))

    def _image(self, key: Key, repository: Key) -> ImageRepositorySpec:
        """The repository's spec, if the policy may use it."""
        found = self._repositories.get(repository)
        if found is None:
            raise NotReady("DependencyNotReady", f"ImageRepository {repository} not found")
        try:
            spec = parse(ImageRepositorySpec, found)
        except InvalidSpec as error:
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

    def _pick(self, spec: ImagePolicySpec, repository: Key) -> str:
        try:
            policy = compile_policy(spec.policy, spec.filter_tags)
        except InvalidPolicy as error:
            raise Stalled("InvalidPolicy", str(error)) from None
        packed = self._tags.get(repository)
        if packed is None or not packed.count:
            message = f"no tags of ImageRepository {repository} are known: it was not scanned yet, or has none"
            raise NotReady("DependencyNotReady", message, retry_after=_WAIT_FOR_SCAN)
        try:
            return policy.pick(packed.tags())
        except NoPick as error:
            raise NotReady("Failure", str(error)) from None

    @staticmethod
    def _write(draft: Draft, manifest: Manifest, refs: Refs) -> None:
        for name, ref in (("latestRef", refs.latest), ("observedPreviousRef", refs.previous)):
            if ref is None:
                draft.status.pop(name, None)
            else:
                draft.status[name] = ref_fields(ref)
        requested = (manifest["metadata"].get("annotations") or {}).get(REQUESTED_AT)
        if requested:
            draft.status["lastHandledReconcileAt"] = requested
        draft.ready("Succeeded", ready_message(refs))


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
