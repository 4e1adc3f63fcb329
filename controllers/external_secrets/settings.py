"""Knobs of External Secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting


@dataclass(frozen=True, slots=True)
class ExternalSecretsSettings:
    prefix: ClassVar[str] = "external-secrets"
    concurrent: int = setting(96, "refreshes at once; they mostly wait, and waiting together is what fills batches")
    window: float = setting(0.015, "seconds a batch waits for more keys; what every refresh pays, so keep it short")
    queue_url: str = setting("", "SQS queue with events of Secrets Manager and Parameter Store; empty: polling alone")
    queue_region: str = setting("", "region of the queue; empty: the one in its URL")
    queue_wait: int = setting(20, "seconds of a long poll; SQS's maximum is cheapest")
    queue_visibility: int = setting(12, "seconds a message is ours; after a crash it comes again that much later")
    sweep_floor: float = setting(
        60.0, "seconds between two version sweeps at least, whatever a store's annotation asks"
    )
    left_delimiter: str = setting("{{", "opens an action in templates")
    right_delimiter: str = setting("}}", "closes an action in templates")
