"""Knobs of image automation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting


@dataclass(frozen=True, slots=True)
class ImageAutomationSettings:
    prefix: ClassVar[str] = "image-automation"
    queue_url: str = setting("", "SQS queue with ECR's image events; empty: polling only")
    queue_region: str = setting("", "region of the queue; empty: taken from its URL")
    queue_wait: int = setting(20, "duration of a long poll, seconds; the maximum of SQS is cheapest")
    window: float = setting(
        0.3, "seconds without further changes after which a batch of changes to a branch is committed"
    )
    window_cap: float = setting(5.0, "maximum seconds that a batch waits")
    mirrors: str = setting("", "directory of the Git mirrors; empty: a temporary directory")
    mirror_bytes: int = setting(4096, "maximum size of all mirrors, MiB; the least recently used are removed first")
    concurrent: int = setting(32, "concurrent scans and policies; they mostly wait")
    cross_namespace: bool = setting(True, "allow accessFrom to share repositories with policies in other namespaces")
