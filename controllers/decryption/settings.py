"""The knobs of the SealedSecret controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from controllers.runtime.settings import knob


@dataclass(frozen=True, slots=True)
class DecryptionSettings:
    prefix: ClassVar[str] = "decryption"
    key_namespace: str = knob("", "namespace of the sealing keys; empty: our own")
    key_renew_days: float = knob(30.0, "days after which a new sealing key is made; 0 makes none but the first")
    key_bits: int = knob(4096, "bits of new sealing keys; upstream's 4096, 2048 is quicker for tests")
