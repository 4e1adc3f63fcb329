"""Settings of External Secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import setting


@dataclass(frozen=True, slots=True)
class ExternalSecretsSettings:
    prefix: ClassVar[str] = "external-secrets"
    concurrent: int = setting(96, "concurrent refreshes; they mostly wait, and waiting together fills the batches")
    window: float = setting(0.015, "seconds that a batch waits for more keys; every refresh pays it, so keep it short")
    queue_url: str = setting("", "SQS queue with events of Secrets Manager and Parameter Store; empty: polling only")
    queue_region: str = setting("", "region of the queue; empty: taken from its URL")
    queue_wait: int = setting(20, "duration of a long poll, seconds; the maximum of SQS is cheapest")
    queue_visibility: int = setting(
        12, "SQS visibility timeout, seconds; after a crash a message is redelivered that much later"
    )
    sweep_floor: float = setting(60.0, "minimum seconds between two version sweeps, whatever a store's annotation says")
    left_delimiter: str = setting("{{", "left delimiter of actions in templates")
    right_delimiter: str = setting("}}", "right delimiter of actions in templates")
