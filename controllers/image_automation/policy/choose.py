"""From a list of tags to one image: order, filters and, where asked, a look at the images themselves.

Candidates are tried from the best down until one passes, so an unsigned newest tag does not stop the one before it; the
digest that was looked at is the digest that is handed on. What passed once is remembered by its digest.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from controllers.image_automation.tags.reference import Ref, is_digest
from controllers.image_automation.tags.registries import TagSource
from controllers.image_automation.tags.store import Packed
from controllers.runtime.result import NotReady, ReconcileError, Stalled

from .annotations import Candidates, PolicyAnnotations, candidates, is_downgrade
from .cosign import InvalidKeyError, verifier
from .inspect import missing_platforms, source_revision, unsigned
from .policy import NoTagSelectedError, Policy

MAX_TRIED = 25
"""Candidates looked at in the registry per evaluation."""
_MAX_PASSED = 8192

Keys = Callable[[str], Awaitable[bytes]]
"""The public key that an annotation names. Raises ReconcileError."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`digest` is "" where nobody looked. `blocked`: why the present image stays, "" where it need not."""

    tag: str
    digest: str = ""
    blocked: str = ""
    found: Candidates | None = None
    pushed: int = 0


class Chooser:
    """One per process."""

    def __init__(self) -> None:
        self._passed: OrderedDict[tuple[str, str, tuple[str, ...]], None] = OrderedDict()

    async def choose(
        self,
        policy: Policy,
        packed: Packed,
        extras: PolicyAnnotations,
        *,
        present: Ref | None,
        source: Callable[[], Awaitable[TagSource]],
        now: datetime,
        keys: Keys,
    ) -> Choice:
        """`present`: what was picked before, of the same image. Raises ReconcileError."""
        try:
            found, times = await asyncio.to_thread(_candidates, policy, packed, extras, now)
        except NoTagSelectedError as error:
            raise NotReady("Failure", str(error)) from None
        if present is not None and not extras.track and extras.holds(present):
            later = _newer(policy, extras, found.tags, present.tag, times)
            found = Candidates(tuple(later), found.rejected, found.ripe_in, found.first_seen)
            if not later:
                return Choice("", blocked=f"{present.tag} is held and nothing newer is there", found=found)
        if not found.tags:
            return _none(found, present)
        tag, digest = found.tags[0], ""
        if extras.checks_images:
            tag, digest, why = await self._first_passing(found, extras, present, await source(), keys)
            if not tag:
                if present is not None:
                    return Choice("", blocked=why, found=found)
                raise NotReady("Failure", why)
        blocked = ""
        if present is not None and is_downgrade(policy, extras, present=present.tag, wanted=tag, times=times):
            blocked = await self._blocked(extras, present, tag, source)
        return Choice(tag, digest, blocked, found, times.get(tag, 0))

    async def _blocked(
        self, extras: PolicyAnnotations, present: Ref, tag: str, source: Callable[[], Awaitable[TagSource]]
    ) -> str:
        """Why an older tag is not taken; "" where it may be."""
        if extras.downgrade == "true":
            return ""
        if extras.downgrade == "deleted" and await (await source()).manifest(present.tag) is None:
            return ""
        return f"{tag} is older than {present.tag}, and annotation image.inhaul.dev/allow-downgrade does not permit it"

    async def _first_passing(
        self, found: Candidates, extras: PolicyAnnotations, present: Ref | None, source: TagSource, keys: Keys
    ) -> tuple[str, str, str]:
        """Tag and verified digest of the first that passes, or "", "" and why none did."""
        verify = await _verifier(extras.cosign_key, keys) if extras.cosign_key else None
        reasons: list[str] = []
        for tag in found.tags[:MAX_TRIED]:
            known = present is not None and present.tag == tag and present.digest and not extras.track
            digest = present.digest if known and present is not None else await source.digest(tag)
            why = await self._failing(digest, extras, source, verify)
            if not why:
                return tag, digest, ""
            reasons.append(f"{tag} {why}")
        more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        return "", "", f"no candidate passes: {'; '.join(reasons[:5])}{more}"

    async def _failing(
        self, digest: str, extras: PolicyAnnotations, source: TagSource, verify: Callable[[bytes, bytes], bool] | None
    ) -> str:
        if not is_digest(digest):
            return "has no digest"
        name = (digest, extras.cosign_key, extras.platforms)
        if name in self._passed:
            self._passed.move_to_end(name)
            return ""
        if extras.platforms and (missing := await missing_platforms(source, digest, extras.platforms)):
            return f"is not for {', '.join(missing)}"
        if verify is not None and (why := await unsigned(source, digest, verify)):
            return why
        if verify is None:  # a key may be exchanged under the same name: what it signed is looked at each time
            self._passed[name] = None
            if len(self._passed) > _MAX_PASSED:
                self._passed.popitem(last=False)
        return ""


async def _verifier(name: str, keys: Keys) -> Callable[[bytes, bytes], bool]:
    try:
        return verifier(await keys(name))
    except InvalidKeyError as error:
        raise Stalled("InvalidPolicy", f"annotation image.inhaul.dev/cosign-key: {name}: {error}") from None


def _candidates(
    policy: Policy, packed: Packed, extras: PolicyAnnotations, now: datetime
) -> tuple[Candidates, Mapping[str, int]]:
    tags = packed.tags()
    times = packed.times() if extras.newest or extras.min_age else {}
    return candidates(policy, tags, extras, times=times, now=now), times


def _newer(
    policy: Policy, extras: PolicyAnnotations, tags: Sequence[str], present: str, times: Mapping[str, int]
) -> list[str]:
    """A held image is followed only by a newer one."""
    return [
        tag
        for tag in tags
        if tag != present and not is_downgrade(policy, extras, present=present, wanted=tag, times=times)
    ]


def _none(found: Candidates, present: Ref | None) -> Choice:
    shown = "; ".join(f"{tag} {why}" for tag, why in found.rejected[:5])
    if present is not None:
        return Choice("", blocked=f"no candidate is left: {shown}", found=found)
    raise NotReady("Failure", f"no candidate is left: {shown}", retry_after=found.ripe_in)


async def revision_of(source: TagSource, digest: str) -> str:
    """The revision of the image's source; "" where it cannot be told: a commit does not wait for a label."""
    try:
        async with asyncio.timeout(10):
            return await source_revision(source, digest)
    except (ReconcileError, TimeoutError):
        return ""
