"""The knobs of the SealedSecret controller, and of SOPS decryption in the kustomization controller."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar

from controllers.runtime.settings import SettingsError, setting


def parse_cutoff(text: str) -> datetime | None:
    """`--decryption-key-cutoff-time`: RFC 1123 as upstream's flag, or ISO 8601. Raises SettingsError."""
    if not text:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, TypeError):
            found = read(text)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    raise SettingsError(f"--decryption-key-cutoff-time: found {text!r}, expected a time like 2026-01-31T12:00:00Z")


@dataclass(frozen=True, slots=True)
class DecryptionSettings:
    prefix: ClassVar[str] = "decryption"
    key_namespace: str = setting("", "namespace of the sealing keys; empty: our own")
    key_renew_days: float = setting(30.0, "days after which a new sealing key is made; 0 makes none but the first")
    key_bits: int = setting(4096, "bits of new sealing keys; upstream's 4096, 2048 is quicker for tests")
    key_order: str = setting(
        "CertNotBefore", "which key is the newest", choices=("CertNotBefore", "SecretCreationTimestamp")
    )
    key_cutoff_time: str = setting("", "make a new key where the newest is older than this: RFC 1123, or ISO 8601")
    calls_per_second: float = setting(2.0, "calls a caller may make of each of /v1/verify, /v1/rotate, /v1/cert.pem")
    old_key_days: float = setting(90.0, "age of a sealing key from which objects that it sealed are told as overdue")


@dataclass(frozen=True, slots=True)
class SopsSettings:
    prefix: ClassVar[str] = "sops"
    age_secret: str = setting("", "Secret in our own namespace whose *.agekey entries open files without secretRef")
    service_account: str = setting(
        "", "service account for AWS KMS of Kustomizations that name none; empty: our own role"
    )
    cache_keys: int = setting(1024, "data keys kept in memory")
    cache_seconds: float = setting(600.0, "seconds a data key is kept; a revoked KMS grant works on that long")
    plaintext: str = setting(
        "allow", "plaintext Secrets in Git; a namespace's annotation sops.inhaul.dev/plaintext-secrets wins",
        choices=("allow", "warn", "refuse"),
    )  # fmt: skip
