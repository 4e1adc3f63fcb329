"""What the process gives to every SOPS decryption: AWS, the tenants' policies, the cache, the audit. One per process.

The kustomization controller makes it from its manager; the keys themselves come from the tenant's Secret.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Mapping
from contextlib import suppress

from prometheus_client import Counter

from controllers.api.core import SECRETS
from controllers.api.resource import Key
from controllers.aws.identity import Identities
from controllers.aws.settings import AwsSettings
from controllers.runtime.manager import Manager
from controllers.runtime.sandbox import no_core_dumps

from .decrypt import KeyPolicy
from .decryptor import Audit
from .keys import DataKeyCache
from .kms import AwsKms, KmsAccess
from .plaintext_scan import mode_of
from .policy import key_policy
from .settings import SopsSettings

log = logging.getLogger("controllers.sops.audit")


class SopsService:
    """Sources of decryption for namespaces."""

    def __init__(self, manager: Manager, *, identities: Identities | None = None) -> None:
        self._manager = manager
        self._settings = manager.settings.group(SopsSettings)
        aws = identities or Identities(manager.pools, manager.kube, settings=manager.settings.group(AwsSettings))
        self._kms = KmsAccess(aws, manager.kube, manager.policies, self._settings.service_account)
        self.cache = DataKeyCache(size=self._settings.cache_keys, ttl=self._settings.cache_seconds)
        self._count = Counter(
            "inhaul_sops_decryptions", "Files and objects decrypted or refused", ["format", "result"],
            registry=manager.metrics.registry,
        )  # fmt: skip
        no_core_dumps()

    def kms(self, namespace: str, service_account: str) -> AwsKms:
        return self._kms.opener(namespace, service_account)

    def policy(self, namespace: str) -> KeyPolicy:
        return key_policy(self._manager.policies, namespace)

    def plaintext(self, namespace: str, annotations: Mapping[str, str]) -> str:
        """What is done about plaintext Secrets: allow, warn or refuse."""
        known = self._manager.policies.names.get(Key("", namespace)) or {"metadata": {}}
        return mode_of(self._settings.plaintext, known["metadata"].get("annotations") or {}, annotations)

    async def shared_keys(self) -> dict[str, bytes]:
        """The `*.agekey` entries of the process's own Secret, for Kustomizations without `secretRef`.

        Raises ApiError.
        """
        if not self._settings.age_secret:
            return {}
        secret = await self._manager.kube.get(SECRETS, self._settings.age_secret, self._manager.namespace)
        found = {}
        for name, value in (secret.get("data") or {}).items():
            if name.endswith(".agekey"):
                with suppress(binascii.Error, TypeError, ValueError):
                    found[name] = base64.b64decode(value, validate=True)
        return found

    def audit(self, entry: Audit) -> None:
        """One line and one count per decryption. No value is in it."""
        self._count.labels(entry.form, entry.reason or "ok").inc()
        level = logging.WARNING if entry.reason else logging.INFO
        log.log(level, "%s", entry.line(), extra={"audit": entry.fields_of_line()})
