"""The options of the SealedSecret controller, and of SOPS decryption in the kustomization controller."""

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
    key_namespace: str = setting("", "namespace of the sealing keys; empty: the controller's namespace")
    key_renew_days: float = setting(30.0, "days after which a new sealing key is created; 0: only the first one")
    key_bits: int = setting(4096, "bits of new sealing keys; 4096 as upstream, 2048 is faster for tests")
    key_order: str = setting(
        "CertNotBefore",
        "which date decides which sealing key is the newest",
        choices=("CertNotBefore", "SecretCreationTimestamp"),
    )
    key_cutoff_time: str = setting("", "create a new key if the newest is older than this time (RFC 1123 or ISO 8601)")
    calls_per_second: float = setting(
        2.0, "requests per second and caller to each of /v1/verify, /v1/rotate and /v1/cert.pem"
    )
    old_key_days: float = setting(
        90.0, "age in days of a sealing key from which objects sealed with it get the condition KeyOutdated"
    )


@dataclass(frozen=True, slots=True)
class SopsSettings:
    prefix: ClassVar[str] = "sops"
    age_secret: str = setting(
        "", "Secret in the controller's namespace whose *.agekey entries decrypt files without secretRef"
    )
    service_account: str = setting(
        "", "service account for AWS KMS of Kustomizations that name none; empty: the controller's own role"
    )
    cache_keys: int = setting(1024, "maximum number of data keys in the cache")
    cache_seconds: float = setting(
        600.0, "lifetime of a cached data key, seconds; a revoked KMS grant keeps working that long"
    )
    plaintext: str = setting(
        "allow", "plaintext Secrets in Git; the annotation sops.inhaul.dev/plaintext-secrets on a namespace wins",
        choices=("allow", "warn", "refuse"),
    )  # fmt: skip
