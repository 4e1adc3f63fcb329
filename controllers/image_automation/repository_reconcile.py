"""ImageRepository: look which tags a repository has, keep them, and say so in the status.

One scan per repository, identity and exclusion list is under way at a time, whoever asks. A partial answer never counts
as a scan: a page that fails fails the whole, and what was stored stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from controllers.api.base import parse
from controllers.api.duration import parse_duration
from controllers.api.image import IMAGE_REPOSITORIES, ImageRepositorySpec
from controllers.api.resource import Key, Manifest
from controllers.api.timestamps import timestamp, timestamp_or_none
from controllers.runtime.draft import Draft
from controllers.runtime.finalizers import release
from controllers.runtime.kube import KubeClient
from controllers.runtime.result import Result, Stalled
from controllers.runtime.store import REQUESTED_AT

from .tags.reference import InvalidReferenceError, parse_repository
from .tags.registries import Sources, TagSource
from .tags.scan import REQUESTED, Decision, InvalidExclusionError, Observed, Scan, scanned, should_scan
from .tags.store import TagStore, pack


class RepositoryReconciler:
    def __init__(
        self,
        kube: KubeClient,
        sources: Sources,
        tags: TagStore,
        *,
        draft: Callable[[Key], Draft],
        on_new_tags: Callable[[Key], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._sources, self._tags, self._draft, self._clock = sources, tags, draft, clock
        self._on_new_tags = on_new_tags
        self._running: dict[tuple[str, str], asyncio.Task[Mapping[str, int]]] = {}

    async def __call__(self, key: Key) -> Result:
        draft = self._draft(key)
        manifest = draft.manifest
        if manifest is None or manifest["metadata"].get("deletionTimestamp"):
            self._tags.drop(key)
            await release(self._kube, IMAGE_REPOSITORIES, manifest)
            draft.skip_status = True
            return Result()
        spec = parse(ImageRepositorySpec, manifest)
        if not draft.wanted(spec):
            return Result()  # tags found so far stay usable
        decision = self._decide(key, manifest, spec)
        if decision.scan:
            source = await self._sources.open(key.namespace, spec)
            found = await self._shared(source)
            scan = await self._kept(found, spec)
            self._store(draft, source, spec, scan, found, asked=decision.reason == REQUESTED)
            draft.status["lastHandledReconcileAt"] = _requested(manifest)
            if not draft.status["lastHandledReconcileAt"]:
                draft.status.pop("lastHandledReconcileAt")
        last = draft.status.get("lastScanResult") or {}
        text = f"successful scan: found {last.get('tagCount', 0)} tags with checksum {last.get('revision', '')}"
        draft.ready("Succeeded", text)
        return Result(decision.next_scan)

    def _decide(self, key: Key, manifest: Manifest, spec: ImageRepositorySpec) -> Decision:
        try:
            name = parse_repository(spec.image).name
        except InvalidReferenceError as error:
            raise Stalled("ImageURLInvalid", str(error)) from None
        status = manifest.get("status") or {}
        return should_scan(
            canonical_name=name,
            interval=parse_duration(spec.interval),
            exclusions=spec.exclusion_list,
            requested=_requested(manifest),
            observed=Observed(
                canonical_name=str(status.get("canonicalImageName") or ""),
                exclusions=status.get("observedExclusionList") or (),
                handled_request=str(status.get("lastHandledReconcileAt") or ""),
                scanned_ago=self._ago((status.get("lastScanResult") or {}).get("scanTime")),
                stored_tags=self._tags.count(key),
            ),
        )

    def _ago(self, text: Any) -> float | None:
        moment = timestamp_or_none(text)
        return (self._clock() - moment).total_seconds() if moment is not None else None

    async def _kept(self, found: Mapping[str, int], spec: ImageRepositorySpec) -> Scan:
        try:
            return await asyncio.to_thread(scanned, found, spec.exclusion_list)
        except InvalidExclusionError as error:
            raise Stalled("ReadOperationFailed", str(error)) from None

    async def _shared(self, source: TagSource) -> Mapping[str, int]:
        """The repository's tags, from a scan that is shared with whoever asks for the same now."""
        name = (source.repository.name, source.identity)
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = asyncio.create_task(source.tags())
            task.add_done_callback(lambda _: self._running.pop(name, None))
        return await asyncio.shield(task)

    def _store(
        self,
        draft: Draft,
        source: TagSource,
        spec: ImageRepositorySpec,
        scan: Scan,
        times: Mapping[str, int],
        *,
        asked: bool,
    ) -> None:
        """`asked`: an event or a human asked for this scan, so a tag may have moved although none came or went."""
        revision = scan.revision
        known, packed = self._tags.get(draft.key), pack(scan.tags, revision, times)
        self._tags.put(draft.key, packed)
        if asked or known is None or known.identity != packed.identity:
            self._on_new_tags(draft.key)
        draft.status["canonicalImageName"] = source.repository.name
        draft.status["observedExclusionList"] = list(spec.exclusion_list)
        draft.status["lastScanResult"] = {
            "revision": revision,
            "tagCount": len(scan.tags),
            "scanTime": timestamp(self._clock()),
            "latestTags": list(scan.latest),
        }


def _requested(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(REQUESTED_AT) or "")
