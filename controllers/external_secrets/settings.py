"""Knobs of External Secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import knob


@dataclass(frozen=True, slots=True)
class ExternalSecretsSettings:
    prefix: ClassVar[str] = "external-secrets"
    concurrent: int = knob(96, "refreshes at once; they mostly wait, and waiting together is what fills batches")
    window: float = knob(0.015, "seconds a batch waits for more keys; what every refresh pays, so keep it short")
    queue_url: str = knob("", "SQS queue with events of Secrets Manager and Parameter Store; empty: polling alone")
    queue_region: str = knob("", "region of the queue; empty: the one in its URL")
    queue_wait: int = knob(20, "seconds of a long poll; SQS's maximum is cheapest")
    queue_visibility: int = knob(12, "seconds a message is ours; after a crash it comes again that much later")
    sweep_floor: float = knob(60.0, "seconds between two version sweeps at least, whatever a store's annotation asks")
    left_delimiter: str = knob("{{", "opens an action in templates")
    right_delimiter: str = knob("}}", "closes an action in templates")
