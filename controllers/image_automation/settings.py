"""Knobs of image automation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import knob


@dataclass(frozen=True, slots=True)
class ImageAutomationSettings:
    prefix: ClassVar[str] = "image-automation"
    queue_url: str = knob("", "SQS queue with ECR's image events; empty: polling alone")
    queue_region: str = knob("", "region of the queue; empty: the one in its URL")
    queue_wait: int = knob(20, "seconds of a long poll; SQS's maximum is cheapest")
    window: float = knob(0.3, "seconds of quiet after which a batch of changes to one branch is committed")
    window_cap: float = knob(5.0, "seconds that a batch waits at most, however much comes in")
    mirrors: str = knob("", "directory of the Git mirrors; empty: one of its own, gone with the Pod")
    mirror_bytes: int = knob(4096, "MiB of mirrors; the least recently used go first")
    concurrent: int = knob(32, "scans and policies at once; they mostly wait")
    cross_namespace: bool = knob(True, "let accessFrom open repositories to policies of other namespaces")
