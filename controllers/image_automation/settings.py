"""Knobs of image automation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting


@dataclass(frozen=True, slots=True)
class ImageAutomationSettings:
    prefix: ClassVar[str] = "image-automation"
    queue_url: str = setting("", "SQS queue with ECR's image events; empty: polling alone")
    queue_region: str = setting("", "region of the queue; empty: the one in its URL")
    queue_wait: int = setting(20, "seconds of a long poll; SQS's maximum is cheapest")
    window: float = setting(0.3, "seconds of quiet after which a batch of changes to one branch is committed")
    window_cap: float = setting(5.0, "seconds that a batch waits at most, however much comes in")
    mirrors: str = setting("", "directory of the Git mirrors; empty: one of its own, gone with the Pod")
    mirror_bytes: int = setting(4096, "MiB of mirrors; the least recently used go first")
    concurrent: int = setting(32, "scans and policies at once; they mostly wait")
    cross_namespace: bool = setting(True, "let accessFrom open repositories to policies of other namespaces")
